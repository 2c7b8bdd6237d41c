"""Whether the hot loops run compiled, and what their cache is told about their sources."""

from __future__ import annotations

import hashlib
import logging
import os
import warnings
from functools import cache
from pathlib import Path
from types import ModuleType

from retrace.configs.errors import install

LOG = logging.getLogger("retrace")
AS_THEY_STAND = (  # files that `compiled_frame` compiles functions of, or takes constants from
    "rows.py",
    "rules.py",
    "association/arithmetic.py",
    "association/assignment.py",
    "association/boost.py",
    "association/costs.py",
    "association/log_odds.py",
    "motion/filters.py",
    "tracks/appearance.py",
    "tracks/lifecycle.py",
    "tracks/overlaps.py",
    "tracks/scores.py",
    "tracks/shown.py",
)


@cache
def compiled() -> ModuleType | None:
    """`tracker.compiled` where numba is installed: the same numbers, faster. RETRACE_COMPILED=0: never."""
    if os.environ.get("RETRACE_COMPILED") == "0":
        return None
    try:
        from retrace.tracker import compiled as module
    except ImportError as error:
        LOG.warning("the tracker runs uncompiled, with the same results, several times slower (%s): "
                    "%s", error, install("fast"))  # fmt: skip
        return None
    except RuntimeError as error:  # numba found no folder that it may write
        text = f"the tracker runs uncompiled ({error}); set NUMBA_CACHE_DIR to a folder that can be written"
        warnings.warn(text, stacklevel=2)
        return None
    return module


@cache
def sources() -> str:
    """A hash of the compiled files and of what they take for constant.

    Numba's cache looks only at the file that a function stands in. Its functions that call others' take ``rules_``, and
    this is part of the type of that (tracker/rules.py): a change anywhere compiles them again.
    """
    here = Path(__file__).parent
    loops = sorted(path for name in ("compiled", "compiled_frame") for path in (here / name).glob("*.py"))
    found = hashlib.sha256()
    for path in (*loops, *(here / name for name in AS_THEY_STAND)):
        found.update(path.read_bytes())
    return found.hexdigest()[:16]
