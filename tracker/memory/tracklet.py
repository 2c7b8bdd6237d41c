"""What a memory is told, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrace.configs.errors import InputError


@dataclass(frozen=True, slots=True, eq=False)
class Tracklet:
    """One stay of one person in one camera, as a tracker saw it. `Memory.add` refuses one that cannot be.

    Example:
        >>> import numpy as np
        >>> from retrace.tracker.memory import Tracklet
        >>> looks = np.array([0.6, 0.8], np.float32)  # (D,), unit
        >>> one = Tracklet("door", "monday.mp4", track=7, begin=5.0, end=9.0, boxes=40, vector=looks)
        >>> one.end - one.begin  # s
        4.0
    """

    camera: str
    source: str  # the recording: with `track` and `begin` it tells this tracklet from all others
    track: int  # the tracker's id
    begin: float  # s, on the memory's clock
    end: float  # s
    boxes: int  # with known looks
    vector: np.ndarray  # (D,) float32 unit, the mean of its boxes' vectors; 0 where no looks are known
    apart: frozenset[int] | None = None  # tracks seen beside it; None: all that were there at the same time
    first_box: np.ndarray | None = None  # (4,) xyxy px
    last_box: np.ndarray | None = None
    crop: bytes | None = None  # JPEG
    # (M, 4) s, x and y of the feet, height of the box, px; of calibrated cameras
    path: np.ndarray | None = None
    clock: str = ""  # whose clock the times are by: times of two clocks cannot be compared; "": the memory's


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of a tracklet.

    Example:
        >>> import numpy as np
        >>> from retrace.tracker.memory import Memory, Tracklet
        >>> stay = Tracklet("door", "monday", 1, 5.0, 9.0, 40, np.array([0.6, 0.8], np.float32))
        >>> with Memory("decided.db", "weights", dimension=2) as memory:
        ...     first, again = memory.add([stay])[0], memory.add([stay])[0]  # told twice
        >>> first.person, first.new, first.reason, first.probability
        (1, True, 'like nobody', 1.0)
        >>> again.person, again.again
        (1, True)
    """

    tracklet: int
    person: int
    new: bool  # nobody whom the memory knew
    probability: float  # that it is this person, or a new one
    maybe: int | None = None  # somebody else it may be
    reason: str = ""
    distance: float | None = None  # of looks, to the person as it was known then; None: not what decided
    rival: int | None = None  # one more, of a tracklet that fits two people nearly equally
    again: bool = False  # it was there already: what was decided then, and whose it is now


def why(reason: str, probability: float, distance: float | None) -> str:
    """A decision in words: `by looks (98.3 %, distance 0.21)`."""
    return reason if distance is None else f"{reason} ({100 * probability:.1f} %, distance {distance:.2f})"


def check(one: Tracklet, dimension: int) -> None:
    """Raises InputError where a tracklet cannot be: a vector of another size or no unit vector, times that are none."""
    where = f"track {one.track} of {one.source}"
    if np.shape(one.vector) != (dimension,):
        raise InputError(
            f"{where}: its vector has shape {np.shape(one.vector)}, this memory's have ({dimension},)"
        )
    norm = float(np.linalg.norm(one.vector))
    if not (abs(norm - 1) <= 1e-2 or (one.boxes == 0 and norm == 0)):  # NaN fails too
        raise InputError(f"{where}: its vector has norm {float(np.linalg.norm(one.vector)):g}, expected 1")
    if one.path is not None and not (
        one.path.ndim == 2 and one.path.shape[1] == 4 and np.isfinite(one.path).all()
    ):
        raise InputError(f"{where}: its path has shape {one.path.shape}, expected (M, 4) finite numbers")
    if not (np.isfinite(one.begin) and np.isfinite(one.end) and one.begin <= one.end):
        raise InputError(f"{where}: begins at {one.begin} s and ends at {one.end} s")
