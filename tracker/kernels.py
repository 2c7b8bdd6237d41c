"""Whether the hot loops run compiled."""

from __future__ import annotations

import os
from functools import cache
from types import ModuleType


@cache
def compiled() -> ModuleType | None:
    """`tracker.compiled` where numba is installed: the same numbers, sooner. RETRACE_COMPILED=0: never."""
    if os.environ.get("RETRACE_COMPILED") == "0":
        return None
    try:
        from tracker import compiled as module
    except ImportError:
        return None
    return module
