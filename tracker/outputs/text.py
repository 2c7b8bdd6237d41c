"""Where results go as text that grows by a frame: MOT text, JSON lines, the ledger.

Text alone can be resumed: ``position()`` tells a checkpoint how many bytes stand.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from retrace.configs import InputError
from retrace.configs.files import claim, partial_of, reveal, writing
from retrace.tracker.data import Step
from retrace.tracker.ledger.file import ledger_header, ledger_line
from retrace.tracker.memory.tracklet import Decision
from retrace.tracker.mot_file import format_tracks
from retrace.tracker.outputs.sink import Sink
from retrace.tracker.tracker import Tracker

Rows = Sequence[Mapping[str, Any]]
NO_NAMES: Mapping[int, str] = MappingProxyType({})
NOBODY_SEEN: Mapping[int, Decision] = MappingProxyType({})


class TextSink(Sink):
    """A file that grows by ``line(step)`` a frame; the only kind that can be resumed.

    Args:
        line: Step -> text with line ends, may be "", or bytes.
        path: the target.
        resume_at: bytes of the partial file that stand, as ``position()`` told; the rest is cut off.
        header: what a new file begins with.

    Raises:
        InputError: the place cannot be written, or holds nothing to resume.
    """

    def __init__(
        self,
        line: Callable[[Step], str | bytes],
        path: str | Path,
        resume_at: int | None = None,
        header: str = "",
    ) -> None:
        self._line, self._path = line, Path(path)
        self.grown = grown = partial_of(self._path)  # where it grows
        if resume_at is None:
            claim(self._path)
        elif not grown.is_file() or grown.stat().st_size < resume_at:
            raise InputError(
                f"{grown}: expected the {resume_at} bytes written so far; start without resuming"
            )
        with writing(self._path):
            self._file = open(grown, "r+b")  # noqa: SIM115
            self._file.truncate(resume_at or 0)
            self._file.seek(0, os.SEEK_END)
            if not resume_at:
                self._file.write(header.encode())

    def write(self, step: Step) -> None:
        with writing(self._path):
            told = self._line(step)
            self._file.write(told if isinstance(told, bytes) else told.encode())

    def position(self) -> int:
        with writing(self._path):
            self._file.flush()
        return self._file.tell()

    def finish(self) -> Path:
        return reveal(self.abandon(), self._path)

    def abandon(self) -> Path:
        with writing(self._path):
            self._file.close()
        return partial_of(self._path)


def mot_lines(step: Step, classes: bool = False) -> str:
    """The MOTChallenge lines of one frame, 1-based; ``classes``: see :func:`format_tracks`."""
    return format_tracks(step.frame.index, step.tracks, classes)


def json_line(
    step: Step,
    names: Mapping[int, str] = NO_NAMES,
    people: Rows = (),
    seems: Mapping[int, Decision] = NOBODY_SEEN,
) -> str:
    """One JSON object: frame (0-based), time (s), detections (their number), tracks with every field.

    ``det_index`` is the row in that frame's detector output, -1 if the track was only predicted. ``class`` is the
    class by name, where ``names`` knows it. ``people``: who ended tracklets are, as a memory has just decided;
    ``seems``: whom it takes tracks for that are in view.
    """
    t = step.tracks
    rows = zip(
        t.id.tolist(),
        t.xyxy.astype(np.float64).round(3).tolist(),
        t.score.astype(np.float64).round(6).tolist(),
        t.class_id.tolist(),
        t.det_index.tolist(),
        strict=True,
    )
    fields = ("id", "xyxy", "score", "class_id", "det_index")
    told = [dict(zip(fields, row, strict=True)) for row in rows]
    for track in told if names else ():
        if track["class_id"] in names:
            track["class"] = names[track["class_id"]]
    for track in told if seems else ():
        if (who := seems.get(track["id"])) is not None:
            track["seems"] = {"person": who.person, "probability": who.probability}
    whole = {
        "frame": step.frame.index,
        "time": round(step.frame.time, 6),
        "detections": len(step.detections),
        "tracks": told,
    }
    return (
        json.dumps(whole | ({"people": [*people]} if people else {}), separators=(",", ":"), allow_nan=False)
        + "\n"
    )


MotSink = partial(TextSink, mot_lines)
ClassedMotSink = partial(TextSink, partial(mot_lines, classes=True))


def ledger_sink(
    tracker: Tracker,
    name: str,
    path: str | Path,
    resume_at: int | None = None,
    people: Callable[[], Rows] = tuple,
) -> TextSink:
    """What became of every detection, and why (tracker/ledger/file.py); after every frame of ``tracker``. ``people``:
    says who ended tracklets are, as a memory has just decided.

    Raises:
        InputError: the tracker keeps none.
    """
    ledger, config = tracker.ledger, tracker.config
    if ledger is None:
        raise InputError("this tracker keeps no ledger: make it with Tracker(config, fps, ledger=True)")
    return TextSink(
        lambda step: ledger_line(step, ledger, config, people()),
        path,
        resume_at,
        ledger_header(name, tracker.fps, config),
    )
