"""Loops compiled by numba where they win clearly: the numbers of their NumPy twins, in a fraction of the time.

Optional (the extra `fast`): the twins call them where numba is installed. Arithmetic keeps their order, so
results are equal to the last bit (tests/tracker/test_compiled.py); only where two matchings gain exactly the same in
sum may the two ways choose differently. Compiled code is cached on disk.

Imported by `tracker.kernels` alone, when it is first needed: numba takes its time.
"""

from numba import config

if config.DISABLE_JIT:  # type: ignore[attr-defined]
    raise ImportError("NUMBA_DISABLE_JIT is set")

from retrace.tracker.compiled import appearance, association, motion
from retrace.tracker.compiled.appearance import blend, dots, nearest, sums
from retrace.tracker.compiled.association import by_column, overlapping_pairs, solve
from retrace.tracker.compiled.cache import forgive
from retrace.tracker.compiled.motion import corners, measured, predict, reupdate, update

for _module in (appearance, association, motion):
    forgive(_module)

__all__ = [
    "blend",
    "by_column",
    "corners",
    "dots",
    "measured",
    "nearest",
    "overlapping_pairs",
    "predict",
    "reupdate",
    "solve",
    "sums",
    "update",
]
