"""Shared fixtures. Tests that need the data folder ask for `shared` and skip, with a reason, where it is absent."""

from __future__ import annotations

import os
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
