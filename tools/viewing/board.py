"""Everything that the page may ask, as plain values or bytes. The server answers with it, an export writes it down."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from retrace.configs.errors import InputError
from retrace.tools.viewing import persons, reasons, scores, totals
from retrace.tools.viewing.place import Place
from retrace.tools.viewing.run_folder import Runs
from retrace.tools.viewing.video import CropCache, Proxies, shown_file, times
from retrace.tracker.data import MotTable

Query = Mapping[str, str]


@dataclass
class Board:
    """What is shown.

    Args:
        runs: the run folders.
        truth: ground truth, a file or a folder of sequences; None: what lies in the sources' own folders.
        memory: an identity memory's file, whose people are shown.
    """

    runs: Runs
    truth: Path | None = None
    memory: Path | None = None
    proxies: Proxies = field(default_factory=Proxies)
    crops: CropCache = field(default_factory=CropCache)

    def overall(self) -> dict[str, Any]:
        """Of all runs."""
        return {"rows": self.runs.listed(), "memory": self.memory is not None, "left_out": self.runs.left_out}

    def answer(self, place: Place, what: str, query: Query) -> Any:
        """One of ``ANSWERS``: a dict or list for JSON, or bytes.

        Raises:
            InputError: no such question, or why there is no answer.
        """
        if what not in ANSWERS:
            raise InputError(f"nothing is called {what!r} here")
        return ANSWERS[what](self, place, query)


def about(board: Board, place: Place, query: Query) -> dict[str, Any]:
    """All but the boxes and what takes long."""
    corrected, size = place.corrected(), place.size
    ids = len(np.unique(corrected.table.id))
    _, in_frame = np.unique(corrected.table.frame, return_counts=True)
    most = int(in_frame.max(initial=0))
    return {
        "name": place.name,
        "fps": place.fps,
        "size": size,
        "frames": place.frames,
        "growing": place.growing,
        "video": shown_file(place) is not None,
        "source": place.source is not None and Path(place.source).exists(),
        "proxy": board.proxies.state(place),
        "missing": place.missing(),
        "names": {str(k): v for k, v in corrected.names.items()},
        "sure": sorted(corrected.sure),
        "unfit": [{"edit": number, "why": why} for number, why in corrected.unfit],
        "edits": [edit.model_dump(exclude_none=True, exclude={"result", "seen"}) for edit in place.edits()],
        "summary": f"{ids} {'person' if ids == 1 else 'people'}, at most {most} at once" if ids else "nobody",
        "regions": totals.regions(place).model_dump(mode="json", exclude_none=True),
        "ledger": place.beside(".ledger.jsonl").is_file(),
        "looks": place.beside(".looks.npz").is_file(),
        "truth": scores.truth_file(place, board.truth) is not None,
    }


def boxes(board: Board, place: Place, query: Query) -> bytes:
    """The corrected boxes: see :func:`packed`."""
    return packed(place.corrected().table)


def packed(table: MotTable) -> bytes:
    """R boxes as bytes that a browser maps without parsing: "RTV2", R uint32; frame uint32 (R,), id uint32 (R,), xyxy
    float32 (R, 4). Little endian, sorted by frame, then id."""
    if table.id.max(initial=0) >= 2**32:
        raise InputError(f"expected ids below {2**32}, got {table.id.max()}")
    step, tie = np.diff(table.frame), np.diff(table.id) >= 0
    if not ((step > 0) | ((step == 0) & tie)).all():
        table = table.take(np.lexsort((table.id, table.frame)))
    columns = (table.frame.astype("<u4"), table.id.astype("<u4"), table.xyxy.astype("<f4"))
    return b"".join((b"RTV2", struct.pack("<I", len(table)), *(column.tobytes() for column in columns)))


def predicted(board: Board, place: Place, query: Query) -> bytes:
    """(R,) uint8, 1 for each of :func:`boxes` that was only predicted."""
    return place.predicted().astype(np.uint8).tobytes()


def when(board: Board, place: Place, query: Query) -> bytes:
    """(F,) float64 s, little endian: when each frame is shown, by the shown file's clock, else of the nominal rate."""
    told = times(place)
    return (np.arange(place.frames) / place.fps if told is None else told).astype("<f8").tobytes()


def difference(board: Board, place: Place, query: Query) -> Any:
    """Of this run and another one, ``run`` and ``name``."""
    other = board.runs.place(query.get("run", ""), query.get("name", ""))
    return scores.differences(place, other)


def score(board: Board, place: Place, query: Query) -> Any:
    truth = scores.truth_file(place, board.truth)
    if truth is None:
        raise InputError("No ground truth is known: `retrace view RUN --gt FILE` scores the run.")
    return scores.scores(place, truth)


def moment(board: Board, place: Place, query: Query) -> Any:
    return reasons.moment(place, _whole(query, "frame"), _whole(query, "id"))


def _whole(query: Query, key: str) -> int:
    text = query.get(key, "")
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise InputError(f"{key}: expected a whole number")
    return int(text)


ANSWERS = {
    "about": about,
    "boxes": boxes,
    "predicted": predicted,
    "times": when,
    "persons": lambda board, place, query: persons.persons(place),
    "events": lambda board, place, query: reasons.events(place),
    "loose": lambda board, place, query: reasons.loose(place),
    "moment": moment,
    "totals": lambda board, place, query: totals.totals(place),
    "scores": score,
    "differences": difference,
}
