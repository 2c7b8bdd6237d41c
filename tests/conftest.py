"""Shared fixtures. Tests that need the data folder ask for `shared` and skip, with a reason, where it is absent."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("RETRACE_SHARED", ROOT.parent / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The data folder beside the checkout (RETRACE_SHARED moves it)."""
    if not (SHARED / "data").is_dir():
        pytest.skip("needs the shared data folder: set RETRACE_SHARED to it")
    return SHARED / "data"


@pytest.fixture(scope="session", autouse=True)
def _a_cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Neither does the suite fill the user's cache folder, nor does what lies there (a detector) change a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RETRACE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Imports and 6,000 tests are there to stay: the garbage collector need not look at them again and again, while
    they are collected (a third of the time that takes) and behind every test."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="module", autouse=True)
def _what_is_old_is_left_alone() -> None:
    """Likewise what the files before have imported: else a full collection, of which a live source makes one for every
    connection, takes a third of a second late in the suite."""
    gc.collect()
    gc.freeze()
