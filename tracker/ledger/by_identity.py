"""A whole ledger by identity: where each was seen, where it was expected, how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from retrace.configs import InputError
from retrace.configs.errors import nearest
from retrace.tracker.association.assignment import overlapping_pairs
from retrace.tracker.ledger.file import Columns, LedgerFile, LedgerFrame

SOON = 2.0  # s after which nobody looks for the successor of a lost track any more
NEAR = 0.3  # IoU of a birth with where somebody was expected, from which they may be the same person


ENDING = ".ledger.jsonl"


def find_ledgers(run: Path, source: str | None = None) -> dict[str, Path]:
    """The ledgers of a run's folder by the name of their source, or the one of ``source``.

    Raises:
        InputError: no such folder, no ledger in it, no such source.
    """
    if not run.is_dir():
        raise InputError(f"{run}: no such folder; expected one that `retrace track` wrote")
    found = {path.name.removesuffix(ENDING): path for path in sorted(run.glob(f"*{ENDING}"))}
    grown = [path.name for path in sorted(run.glob(f"*{ENDING}.partial"))]
    if source is not None:
        grown = [name for name in grown if name.startswith(f"{source}{ENDING}")]
    if grown and (not found or (source is not None and source not in found)):
        raise InputError(f"{run}: {grown[0]} is of a stopped run; resume it with `retrace track`")
    if not found:
        raise InputError(f"{run}: holds no ledger; run `retrace track` again and save mot,ledger")
    if source is None:
        return found
    if source not in found:
        raise InputError(f"`source` {source}: {nearest(source, found)}")
    return {source: found[source]}


@dataclass(slots=True)
class History:
    """Rows sorted by id, then frame. Frames and detections count from 0; ids below 0 never got a name."""

    file: LedgerFile
    line: dict[int, int]  # of each frame
    seen: Columns  # frame, id, index (of the detection), stage, cost, score, xyxy
    expected: Columns  # frame, id, status, missed, detection, xyxy
    ended: dict[int, tuple[int, str, int]]  # by id: frame, how, duplicate of whom
    names: dict[int, int] = field(default_factory=dict)  # what nameless labels were called later
    time: dict[int, float] = field(default_factory=dict)  # s, of each frame
    people: dict[int, list[dict[str, Any]]] = field(default_factory=dict)  # by id: whose its tracklets are

    def read(self, frame: int) -> LedgerFrame:
        """One frame; its labels are as they were then."""
        return self.file[self.line[frame]]

    def called(self, label: int) -> int:
        """Today's name of a label of any frame."""
        return self.names.get(int(label), int(label))

    def labels(self, identity: int) -> set[int]:
        """All labels that an identity had."""
        return {identity, *(old for old, new in self.names.items() if new == identity)}

    def rows(self, table: Columns, identity: int) -> slice:
        return slice(*np.searchsorted(table["id"], (identity, identity + 1)))

    def frames(self, identity: int) -> np.ndarray:
        """(K,) frames in which it had a detection, ascending."""
        return self.seen["frame"][self.rows(self.seen, identity)]

    def ids(self) -> np.ndarray:
        return np.unique(self.seen["id"])

    def sighting(self, identity: int, frame: int) -> dict[str, Any] | None:
        """What it was joined to in a frame; None: nothing."""
        return _row(self.seen, self.rows(self.seen, identity), frame)

    def expectation(self, identity: int, frame: int) -> dict[str, Any] | None:
        """Where it was expected in a frame; None: it was not there, or not believed any more."""
        return _row(self.expected, self.rows(self.expected, identity), frame)

    def last_seen(self, identity: int, before: int) -> int | None:
        """The last frame before this one with a detection."""
        frames = self.frames(identity)
        at = int(np.searchsorted(frames, before))
        return int(frames[at - 1]) if at else None

    def next_seen(self, identity: int, after: int) -> int | None:
        frames = self.frames(identity)
        at = int(np.searchsorted(frames, after, side="right"))
        return int(frames[at]) if at < len(frames) else None

    def whereabouts(self, identity: int, frame: int) -> np.ndarray | None:
        """(4,) px: where it was expected at that frame, or last before it; None: never, or ages ago."""
        rows = self.rows(self.expected, identity)
        at = int(np.searchsorted(self.expected["frame"][rows], frame, side="right")) + rows.start - 1
        if at < rows.start or self.time[frame] - self.time[int(self.expected["frame"][at])] > SOON:
            return None
        return self.expected["xyxy"][at]

    def remembered(self, identity: int, frame: int) -> dict[str, Any] | None:
        """Whose its tracklet of that frame is, as the memory decided; None: nobody has."""
        time = self.time[frame]
        rows = self.people.get(identity, [])
        return next((row for row in rows if row["begin"] - 1e-3 <= time <= row["end"] + 1e-3), None)

    def births(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of every id: (K,) itself, (K,) its first frame, (K, 4) its first box."""
        ids, first = np.unique(self.seen["id"], return_index=True)
        return ids, self.seen["frame"][first], self.seen["xyxy"][first]

    def successors(self, identity: int, lost: int) -> list[tuple[int, int, float]]:
        """Who began where the lost ``identity`` was expected, while it was away: (id, frame, IoU), the surest first."""
        ids, frames, boxes = self.births()
        until = self.next_seen(identity, lost - 1)
        found = []
        for k in ((frames >= lost) & (ids != identity)).nonzero()[0]:
            frame = int(frames[k])
            if self.time[frame] - self.time[lost] > SOON or (until is not None and frame >= until):
                continue
            place = self.whereabouts(identity, frame)
            overlap = 0.0 if place is None else iou(place, boxes[k : k + 1])[0]
            if overlap >= NEAR:
                found.append((int(ids[k]), frame, float(overlap)))
        return sorted(found, key=lambda row: -row[2])


def read_history(file: LedgerFile) -> History:
    """One pass over the file.

    Raises:
        InputError: a damaged line, or no frame at all.
    """
    seen: list[Columns] = []
    expected: list[Columns] = []
    ended: list[tuple[int, int, str, int]] = []
    names: dict[int, int] = {}
    line, time = {}, {}
    people: dict[int, list[dict[str, Any]]] = {}
    for number, kept in enumerate(file.frames()):
        line[kept.frame], time[kept.frame] = number, kept.time
        names |= kept.named
        for row in kept.people:
            people.setdefault(int(row["track"]), []).append(row)
        seen.append(_take(kept.frame, kept.detections, _belongs(kept.detections)))
        expected.append(_take(kept.frame, kept.tracks, slice(None)))
        gone = kept.ended
        ended += [
            (int(gone["id"][k]), kept.frame, str(gone["why"][k]), int(gone["by"][k]))
            for k in range(gone["count"])
        ]
    if not line:
        raise InputError(f"{file.path}: has no frame")
    ends = {names.get(label, label): (frame, why, names.get(by, by)) for label, frame, why, by in ended}
    tables = (
        _joined(seen, names, ("frame", "id", "index", "stage", "cost", "score", "xyxy")),
        _joined(expected, names, ("frame", "id", "status", "missed", "detection", "xyxy")),
    )
    return History(file, line, *tables, ends, names, time, people)


def iou(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(4,), (N, 4) px -> (N,) IoU."""
    pairs, out = overlapping_pairs(box[None], boxes.reshape(-1, 4)), np.zeros(len(boxes))
    out[pairs.col] = pairs.iou
    return out


def _belongs(detections: Columns) -> np.ndarray:
    """Rows whose track was still there at the frame's end."""
    if not detections["count"]:
        return np.zeros(0, np.int64)
    return ((detections["id"] != 0) & ~np.char.startswith(detections["fate"], "suppressed")).nonzero()[0]


def _take(frame: int, table: Columns, rows: Any) -> Columns:
    if not table["count"]:
        return {"count": 0}
    taken = {name: value[rows] for name, value in table.items() if name != "count"}
    return taken | {"count": len(taken["id"]), "frame": np.full(len(taken["id"]), frame)}


def _joined(parts: list[Columns], names: dict[int, int], columns: tuple[str, ...]) -> Columns:
    parts = [part for part in parts if part["count"]]
    if not parts:
        return {name: np.zeros((0, 4) if name == "xyxy" else 0) for name in columns}
    table = {name: np.concatenate([part[name] for part in parts]) for name in columns}
    table["id"] = np.array([names.get(label, label) for label in table["id"].tolist()], np.int64)
    order = np.lexsort((table["frame"], table["id"]))
    return {name: value[order] for name, value in table.items()}


def _row(table: Columns, rows: slice, frame: int) -> dict[str, Any] | None:
    frames = table["frame"][rows]
    at = int(np.searchsorted(frames, frame))
    if at == len(frames) or frames[at] != frame:
        return None
    return {name: value[rows.start + at] for name, value in table.items()}
