"""What was drawn, kept as it was: an encoded video cannot be continued, so a run that goes on draws it again."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from retrace.configs import InputError
from retrace.tracker.data import Detections, Frame, Step, Tracks

ENDING = ".drawn"  # NAME.drawn.partial beside the others; gone when the run is whole
# Result text rounds boxes and does not say who was only predicted; pixels depend on both.
ROW = np.dtype([("frame", "<i8"), ("id", "<i8"), ("xyxy", "<f4", 4), ("predicted", "?")])


def drawn_rows(step: Step) -> bytes:
    """A frame's tracks as far as drawing looks at them, for a file that grows."""
    rows = np.zeros(len(step.tracks), ROW)
    rows["frame"], rows["id"], rows["xyxy"] = step.frame.index, step.tracks.id, step.tracks.xyxy
    rows["predicted"] = step.tracks.det_index < 0
    return rows.tobytes()


def redrawn(
    frames: Iterator[Frame], start: int, drawn: Path, redraw: Callable[[Step], None]
) -> Iterator[Frame]:
    """Draw the frames before ``start`` again from what ``drawn`` (:func:`drawn_rows`) says; returns the frames that
    remain. Drawing costs little beside detecting.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        rows = np.fromfile(drawn, ROW)
    except OSError as error:
        raise InputError(f"{drawn}: cannot be read ({error.strerror}); start without resuming") from None
    for frame in frames:
        if frame.index >= start:
            return itertools.chain([frame], frames)
        here = rows[slice(*np.searchsorted(rows["frame"], (frame.index, frame.index + 1)))]
        redraw(Step(frame, Detections.empty(), _tracks(here)))
    return iter(())


def _tracks(rows: np.ndarray) -> Tracks:
    nothing = np.zeros(len(rows))
    det_index = np.where(rows["predicted"], -1, 0)
    return Tracks(rows["id"], rows["xyxy"], nothing.astype(np.float32), nothing.astype(np.int32), det_index)
