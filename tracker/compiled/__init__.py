"""The hot loops compiled by numba: the numbers of their NumPy twins, several times sooner.

Optional (`pip install -e .[fast]`): a `Tracker` uses them where numba is installed. `association`, `life`, `motion` and
`report` hold the twins of the files of that name in `tracker`; `frame` strings them together. Arithmetic keeps their
order, so results are equal to the last bit (tests/tracker/test_compiled.py); only where two matchings gain exactly
the same in sum may the two ways choose differently. Compiled code is cached on disk.

Imported by `tracker.kernels` alone, when it is first needed: numba takes its time.
"""

from numba import config

if config.DISABLE_JIT:  # type: ignore[attr-defined]
    raise ImportError("NUMBA_DISABLE_JIT is set")

from retrace.tracker.compiled.association import overlapping_pairs, solve
from retrace.tracker.compiled.frame import frame
from retrace.tracker.compiled.motion import predict, relive, update

__all__ = ["frame", "overlapping_pairs", "predict", "relive", "solve", "update"]
