"""What a detector is, a callable Frame -> Detections, and the simplest one: a file of boxes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from retrace.configs import InputError
from retrace.configs.errors import nearest
from retrace.configs.reading import read_npz
from retrace.tracker.data import NOT_GIVEN, Detections, Frame, MotTable
from retrace.tracker.detection.scores import Fit
from retrace.tracker.mot_file import read_detections, scores_to_unit
from retrace.tracker.mot_rows import LAST_FRAME

LARGEST_NPZ = 2**33  # bytes unpacked: 4 million boxes with vectors of 512 numbers
ARRAYS = ("frame", "xyxy", "score", "class_id", "embedding")  # of an .npz; the first three must be there
NAMED = ("class_ids", "class_names")  # (C,) each: what the classes are called; both or neither
LOOKED = "weights"  # () text: what made the vectors, file name and the first half of its sha256


class FrameMemory(Protocol):
    """What goes into a checkpoint."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


@dataclass(frozen=True, slots=True)
class Detector:
    """A detector as a callable.

    Attributes:
        description: one line: what was taken and why.
        find: the detector itself; the call adds the frame's number to what it refuses.
        names: the class names by ``class_id``, where they are known.
        last_frame: the last frame that a file has boxes for; None: not a file, or it is empty.
        find_many: the same for several frames at once; None: one after the other.
        weights: the file it was loaded from; None: none.
        kept: the class ids that it may find; empty: not known.
        memory: what it keeps from frame to frame; None: nothing, frames may come in any order.
        callers: threads that may call it at the same time, ahead of the tracker; 0: one frame after the other, in
            the tracker's own thread.
        fit: the map that its scores went through (`scores.py`); None: it has no scores of its own.
        looks: the weights whose vectors come with the boxes; empty: none, or nobody says.

    Example:
        >>> from retrace import Detections
        >>> from retrace.tracker.data import Frame
        >>> from retrace.tracker.detection import Detector
        >>> detect = Detector("the corner, always", lambda frame: Detections([[0, 0, 20, 50]], [0.9]), {0: "person"})
        >>> detect(Frame(0, 0.0, None)).xyxy.tolist(), detect.labels  # one class needs no label
        ([[0.0, 0.0, 20.0, 50.0]], {})
        >>> [len(found) for found in detect.many([Frame(0, 0.0, None), Frame(1, 0.1, None)])]
        [1, 1]
    """

    description: str
    find: Callable[[Frame], Detections]
    names: Mapping[int, str] = field(default_factory=dict)
    last_frame: int | None = None
    find_many: Callable[[Sequence[Frame]], list[Detections]] | None = None
    weights: Path | None = None
    memory: FrameMemory | None = None
    kept: tuple[int, ...] = ()
    callers: float = 0
    fit: Fit | None = None
    looks: str = ""

    @property
    def labels(self) -> dict[int, str]:
        """class_id -> name of what it may find, where it may find several classes; else empty."""
        if len(self.kept) < 2:
            return {}
        return {number: self.names.get(number, f"class{number}") for number in self.kept}

    def __call__(self, frame: Frame) -> Detections:
        """The boxes of one frame, in the detector's order.

        Raises:
            InputError: a box that is not finite, a score outside [0, 1], or a frame without an image where
                one is needed; the message begins with the (0-based) frame number.
        """
        try:
            return self.find(frame)
        except InputError as error:
            raise InputError(f"frame {frame.index}: {error}") from None

    def many(self, frames: Sequence[Frame]) -> list[Detections]:
        """What a call gives for each of these frames, found in batches where the detector can.

        Raises:
            InputError: as a call; the message begins with the first frame that is refused.
        """
        if self.find_many is None or any(frame.image is None for frame in frames):
            return [self(frame) for frame in frames]
        try:
            return self.find_many(frames)
        except InputError as error:
            raise InputError(f"frames {frames[0].index} to {frames[-1].index}: {error}") from None


def image_of(frame: Frame) -> np.ndarray:
    """(H, W, 3) uint8 BGR.

    Raises:
        InputError: the frame has none.
    """
    if frame.image is None:
        raise InputError("the source has no images to detect in: give detections from a file")
    return frame.image


def open_detections(path: str | Path) -> Detector:
    """Detections from a file instead of a detector: a MOT ``det.txt``, or an .npz.

    The .npz holds ``frame`` (R,) whole numbers from 0, ``xyxy`` (R, 4) px, ``score`` (R,) in [0, 1], and may
    hold ``class_id`` (R,) and ``embedding`` (R, D) unit rows, ``class_ids`` (C,) with ``class_names`` (C,)
    text, and ``weights``, what made the vectors. Rows of one frame keep their order; a frame that has none is empty.

    Raises:
        InputError: no such file, malformed, other keys or shapes, values out of range.

    Example:
        >>> from retrace.tracker.detection import open_detections
        >>> from retrace.tracker.sources import open_source
        >>> detect = open_detections("boxes.txt")
        >>> detect(next(iter(open_source("video.mp4")))).xyxy.shape  # (N, 4) px
        (2, 4)
    """
    path = Path(path)
    if path.suffix.lower() == ".npz":
        a, names, looks = _read_npz(path)
        columns = a["frame"], a["xyxy"], a["score"], a.get("class_id"), a.get("embedding")
        return replace(_by_frame(path, *columns, names=names), looks=looks if "embedding" in a else "")
    return detections_from_table(read_detections(path), str(path))


def detections_from_table(table: MotTable, origin: str = "table") -> Detector:
    """The boxes of a table, frame by frame; raw scores are mapped into [0, 1] and the description says so.

    Raises:
        InputError: boxes or scores that :class:`Detections` refuses, named by row.
    """
    score, note = scores_to_unit(table.score)
    return _by_frame(origin, table.frame, table.xyxy, score, table.class_id, note=note)


def _by_frame(
    origin: str | Path,
    frame: np.ndarray,
    xyxy: np.ndarray,
    score: np.ndarray,
    class_id: np.ndarray | None = None,
    embedding: np.ndarray | None = None,
    note: str | None = None,
    names: Mapping[int, str] | None = None,
) -> Detector:
    try:  # every row is checked now, not in the middle of a run
        Detections(xyxy, score, NOT_GIVEN if class_id is None else class_id, embedding)
    except InputError as error:
        raise InputError(f"{origin}: {error}") from None
    order = np.argsort(frame, kind="stable")
    frame = frame[order]
    given = ((xyxy, np.float32), (score, np.float32), (class_id, np.int32), (embedding, np.float32))
    # of the types that `Detections` has: converted once, not for each frame
    columns = [None if c is None else c[order].astype(kind, copy=False) for c, kind in given]

    def find(wanted: Frame) -> Detections:
        start, stop = np.searchsorted(frame, (wanted.index, wanted.index + 1))
        return Detections(*(None if c is None else c[start:stop] for c in columns))  # type: ignore[arg-type]

    count = f"{len(frame)} boxes in {len(np.unique(frame))} frames"
    description = f"detections of {origin}: {count}" + (f"; {note}" if note else "")
    kept = () if class_id is None else tuple(np.unique(class_id).astype(int).tolist())
    last = int(frame[-1]) if len(frame) else None
    return Detector(description, find, names or {}, last_frame=last, kept=kept, callers=math.inf)


def _read_npz(path: Path) -> tuple[dict[str, np.ndarray], dict[int, str], str]:
    """The arrays of a detections file, checked but for what :class:`Detections` checks; the names of its classes; what
    made its vectors."""
    every = (*ARRAYS, *NAMED, LOOKED)
    arrays, there = read_npz(path, "detections", every, LARGEST_NPZ)
    for key in there:
        if key not in every:
            raise InputError(f"{path}: unknown array {key[:40]!r}; {nearest(key[:40], every)}")
    names = _class_names(path, [arrays.pop(key, None) for key in NAMED])
    looks = arrays.pop(LOOKED, np.array(""))
    if looks.ndim or looks.dtype.kind != "U":
        raise InputError(f"{path}: {LOOKED} must be one text, got shape {str(looks.shape)[:40]}")
    for key, values in arrays.items():
        if values.dtype.kind not in "biuf":
            raise InputError(f"{path}: {key} must hold numbers, got {str(values.dtype)[:40]}")
    missing = [key for key in ARRAYS[:3] if key not in arrays]
    if missing:
        raise InputError(f"{path}: no array {missing[0]!r}; expected frame, xyxy and score")
    frame = arrays["frame"]
    for key, values in arrays.items():
        if values.shape[:1] != frame.shape or not values.ndim:
            raise InputError(
                f"{path}: {key} has shape {str(values.shape)[:40]}, frame {str(frame.shape)[:40]};"
                " expected one row of each a box"
            )
    if not ((frame >= 0) & (frame == np.floor(frame)) & (frame < LAST_FRAME)).all():
        raise InputError(f"{path}: frame must be one whole number from 0 below {LAST_FRAME} for each box")
    return {**arrays, "frame": frame.astype(np.int64)}, names, str(looks)


def _class_names(path: Path, columns: Sequence[np.ndarray | None]) -> dict[int, str]:
    ids, names = columns
    if ids is None and names is None:
        return {}
    if ids is None or names is None or ids.ndim != 1 or ids.shape != names.shape:
        raise InputError(f"{path}: class_ids and class_names go together: expected one row of each a class")
    if ids.dtype.kind not in "iu" or names.dtype.kind != "U":
        kinds = f"{str(ids.dtype)[:40]} and {str(names.dtype)[:40]}"
        raise InputError(f"{path}: class_ids must be whole numbers and class_names text, got {kinds}")
    return dict(zip(ids.tolist(), names.tolist(), strict=True))
