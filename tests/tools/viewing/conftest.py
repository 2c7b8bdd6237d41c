"""One Chromium for all tests of the page, each with a window as new."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.browser import Browser, started, window


@pytest.fixture(scope="package")
def chromium() -> Iterator[Any]:
    with started() as driver:
        yield driver


@pytest.fixture
def browser(chromium: Any) -> Browser:
    return partial(window, chromium)
