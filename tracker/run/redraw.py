"""What was drawn, kept as it was: an encoded video cannot be continued, so a run that goes on draws it again."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from retrace.configs.files import reading
from retrace.tracker.data import Detections, Frame, Step, Tracks

ENDING = ".drawn"  # NAME.drawn.partial beside the others; gone when the run is whole
# Result text rounds boxes and does not say who was only predicted; pixels depend on both.
ROW = np.dtype(
    [
        ("frame", "<i8"),
        ("id", "<i8"),
        ("xyxy", "<f4", 4),
        ("score", "<f4"),
        ("class", "<i4"),
        ("predicted", "?"),
    ]
)
DETECTION = 0  # as an id: a box that blurring looks at, of whatever became of it


def drawn_rows(step: Step, blurred: bool = False) -> bytes:
    """A frame's tracks as far as drawing looks at them, for a file that grows; ``blurred``: its detections, too."""
    one = step.tracks
    rows = _rows(step, one.xyxy, one.score, one.class_id)
    rows["id"], rows["predicted"] = one.id, one.det_index < 0
    seen = step.detections
    more = _rows(step, seen.xyxy, seen.score, seen.class_id) if blurred else rows[:0]
    return rows.tobytes() + more.tobytes()


def _rows(step: Step, xyxy: np.ndarray, score: np.ndarray, class_id: np.ndarray) -> np.ndarray:
    rows = np.zeros(len(xyxy), ROW)
    rows["frame"], rows["xyxy"], rows["score"], rows["class"] = step.frame.index, xyxy, score, class_id
    rows["id"] = DETECTION
    return rows


def redrawn(
    frames: Iterator[Frame], start: int, drawn: Path, redraw: Callable[[Step], None]
) -> Iterator[Frame]:
    """Draw the frames before ``start`` again from what ``drawn`` (:func:`drawn_rows`) says; returns the frames that
    remain. Drawing costs little beside detecting.

    Raises:
        InputError: the file cannot be read.
    """
    with reading(drawn, "start without resuming"):
        rows = np.fromfile(drawn, ROW)
    for frame in frames:
        if frame.index >= start:
            return itertools.chain([frame], frames)
        here = rows[slice(*np.searchsorted(rows["frame"], (frame.index, frame.index + 1)))]
        seen = here[here["id"] == DETECTION]
        boxes = Detections(seen["xyxy"], seen["score"], seen["class"])
        redraw(Step(frame, boxes, _tracks(here[here["id"] != DETECTION])))
    return iter(())


def _tracks(rows: np.ndarray) -> Tracks:
    det_index = np.where(rows["predicted"], -1, 0)
    return Tracks(rows["id"], rows["xyxy"], rows["score"], rows["class"], det_index)
