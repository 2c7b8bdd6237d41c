"""NAME.ledger.jsonl: the ledger of a whole run as JSON lines, written a frame at a time and read back.

Line 1 says what the rest is: ``{"ledger": 1, "source": .., "fps": .., "tracker": {the resolved preset}}``. Every
other line is a frame. Frames, stages and detections count from 0, boxes are xyxy px. A table is written by
columns; a column whose values are all equal is written as that value, and "count" says how often.

    {"frame": 311, "time": 10.367,
     "detections": {"count": 3, "index": [0, 1, 2], "fate": ["matched", "new", "below low"], "id": [7, 12, 0],
                    "stage": [0, null, null], "cost": [0.21, null, null], "score": [..], "xyxy": [[..], ..]},
     "tracks":     {"count": 2, "id": [7, 9], "status": ["active", "lost"], "missed": [0, 4],
                    "detection": [0, null], "xyxy": [[..], ..]},
     "stages":     [{"stage": 0, "left_out": 0, "pairs": {"count": 2, "id": 7, "detection": [0, 1],
                     "cost": [0.21, 0.94], "limit": 0.9, "joined": [1, 0], "iou_score": [0.21, 0.94]}}]}

* detections, one for each box with a size: ``index`` is its row in the detector's output, ``fate`` one of
  tracker.ledger.record.FATES with the reason behind it (REASONS), ``id`` its track. An id below 0 is a track without an
  identity yet, minus its birth number; ``named`` says what it is called from this frame on. No stage but an id:
  it began there. ``by``: the id that suppressed it, for nms and birth the index of the better box.
* tracks: those alive when the frame began that were compared with anything or whose predicted box ``xyxy`` was
  still believed; ``missed`` frames in a row before this one, and what they were joined to.
* stages: the pairs compared, with every term and gate unweighted and ``null`` for infinite; refused ones beyond
  the NEAREST of their track are only counted (``left_out``). ``blind``: the preset's blind_stages ran.
* ``people``: whose ended tracklets are, as an identity memory has just decided: ``track``, ``begin`` and ``end`` (s of
  the source), ``person``, whether ``new``, ``probability``, ``distance`` of looks, who else it may be (``maybe``), and
  the ``reason``.
* ``ended``: tracks that are gone after this frame, expired or dropped as the duplicate of ``by``. ``predicted``:
  ids reported without a detection. ``dropped``: boxes of no size. Empty parts are left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retrace.configs import InputError
from retrace.configs.files import reading
from retrace.configs.loader import validate
from retrace.tracker.config import TrackerConfig
from retrace.tracker.data import Step
from retrace.tracker.ledger.record import (
    BY_BIRTH,
    BY_NMS,
    ENDS,
    FATES,
    REASONS,
    SUPPRESSED,
    Ledger,
    StageRecord,
)
from retrace.tracker.rows import EPSILON, STATUS

VERSION = 1
NEAREST = 4  # refused pairs of a track and stage that are kept: a crowd has hundreds that nobody asks about
# what is told of every tracklet
DECIDED = ("track", "begin", "end", "person", "new", "probability", "reason")
VERDICTS = np.array([[f"{fate} {reason}".strip() for reason in REASONS] for fate in FATES])
Columns = dict[str, Any]  # (K,) arrays by name, and their number as "count"


def ledger_header(name: str, fps: float, config: TrackerConfig) -> str:
    """The first line."""
    about = {"ledger": VERSION, "source": name, "fps": fps, "tracker": config.model_dump(mode="json")}
    return _json(about)


def ledger_line(
    step: Step, ledger: Ledger, config: TrackerConfig, people: Sequence[Mapping[str, Any]] = ()
) -> str:
    """The line of the frame that the tracker has just done; ``people``: what a memory has just decided."""
    whole: dict[str, Any] = {"frame": step.frame.index, "time": round(step.frame.time, 6)}
    if ledger.blind:
        whole["blind"] = True
    stages = [_stage(stage, ledger, step.detections.index) for stage in ledger.stages]
    ended = ledger.tracks.end.nonzero()[0]
    parts = {
        "dropped": step.detections.dropped,
        "detections": _detections(step, ledger),
        "tracks": _tracks(step, ledger, config),
        "stages": [stage for stage in stages if stage],
        "named": [[-int(number), int(name)] for number, name in ledger.named],
        "ended": _table(
            id=ledger.tracks.label[ended],
            why=np.array(ENDS)[ledger.tracks.end[ended]],
            by=ledger.tracks.by[ended],
        ),
        "predicted": step.tracks.id[step.tracks.det_index < 0].tolist(),
        "people": [*people],
    }
    return _json(whole | {name: part for name, part in parts.items() if part})


def _detections(step: Step, ledger: Ledger) -> dict[str, Any]:
    found, by = step.detections, np.where(ledger.fate == SUPPRESSED, ledger.by, np.nan)
    boxes = np.isin(ledger.reason, (BY_NMS, BY_BIRTH))
    by[boxes] = found.index[ledger.by[boxes]]
    table = _table(
        index=found.index,
        fate=VERDICTS[ledger.fate, ledger.reason],
        id=ledger.label,
        stage=np.where(ledger.stage < 0, np.nan, ledger.stage),
        cost=ledger.cost,
        score=ledger.score,
        xyxy=found.xyxy,
        by=by,
        class_id=found.class_id,
    )
    if table and table["by"] is None:
        del table["by"]
    if table and table["class_id"] == 0:
        del table["class_id"]
    return table


def _tracks(step: Step, ledger: Ledger, config: TrackerConfig) -> dict[str, Any]:
    record, index = ledger.tracks, step.detections.index
    age = config.max_age if config.motion_age is None else config.motion_age
    told = (record.missed == 0) | (step.frame.time - record.seen <= age + EPSILON)
    for stage in ledger.stages:
        told[stage.row] = True
    rows = told.nonzero()[0]
    col = record.col[rows]
    joined = np.full(len(rows), np.nan)
    joined[col >= 0] = index[col[col >= 0]]
    return _table(
        id=record.label[rows],
        status=np.array(list(STATUS))[record.status[rows]],
        missed=record.missed[rows],
        detection=joined,
        xyxy=record.box[rows],
    )


def _stage(stage: StageRecord, ledger: Ledger, index: np.ndarray) -> dict[str, Any]:
    kept = _worth_telling(stage)
    values = {name: value[kept] for name, value in (stage.terms | stage.gates).items()}
    table = _table(
        id=ledger.tracks.label[stage.row[kept]],
        detection=index[stage.col[kept]],
        cost=stage.cost[kept],
        limit=stage.limit[kept],
        joined=stage.joined[kept].astype(np.int64),
        **values,
    )
    left_out = len(stage.row) - len(kept)
    return {"stage": stage.number, "left_out": left_out, "pairs": table} if table else {}


def _worth_telling(stage: StageRecord) -> np.ndarray:
    """Pairs below their limit, and of the others the NEAREST of each track; in their old order."""
    order = np.lexsort((stage.cost, stage.row))
    row = stage.row[order]
    first = np.searchsorted(row, row, side="left")
    near = np.zeros(len(row), bool)
    near[order] = np.arange(len(row)) - first < NEAREST
    return (near | (stage.cost < stage.limit)).nonzero()[0]


def _table(**columns: np.ndarray) -> dict[str, Any]:
    count = len(next(iter(columns.values())))
    return {"count": count, **{name: _column(value) for name, value in columns.items()}} if count else {}


def _column(value: np.ndarray) -> Any:
    """Rounded (boxes to 0.1 px, else to 4 digits), null for what is not finite; one value where all are equal."""
    if value.ndim == 2:
        return np.round(value.astype(np.float64), 1).tolist()
    if value.dtype.kind == "f":
        value = np.round(value.astype(np.float64), 4)
        fine = np.isfinite(value)
        whole = np.where(fine, value, 0).astype(np.int64)
        value = whole if (whole[fine] == value[fine]).all() else value
        if not fine.all():
            listed = [v if ok else None for v, ok in zip(value.tolist(), fine.tolist(), strict=True)]
            return listed if fine.any() else None
    listed = value.tolist()
    return listed[0] if (value == value[0]).all() else listed


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False) + "\n"


# -- reading


@dataclass(slots=True)
class LedgerFrame:
    """One frame read back. Columns are arrays (null: NaN); an absent table has none of them and ``count`` 0."""

    frame: int  # from 0
    time: float  # s
    blind: bool
    detections: Columns
    tracks: Columns
    stages: dict[int, Columns]  # by stage: its pairs
    left_out: dict[int, int]  # by stage: pairs that were only counted
    named: dict[int, int]  # what a label below 0 is called from here on
    ended: Columns
    predicted: list[int]
    people: list[dict[str, Any]]  # a row a tracklet


class LedgerFile:
    """A finished ledger; frames are read when they are asked for.

    Raises:
        InputError: no such file, another file, another version.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            with reading(path), open(self.path, "rb") as file:
                first = json.loads(file.readline())
                self.name, self.fps = str(first["source"]), float(first["fps"])
                version, tracker = first["ledger"], first["tracker"]
                self._offsets = [file.tell()]
                self._offsets += [file.tell() for _ in iter(file.readline, b"")]
        except InputError:
            raise
        except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
            raise InputError(
                f"{path}: is no ledger; expected NAME.ledger.jsonl of a run that saved one"
            ) from None
        if version != VERSION:
            raise InputError(f"{path}: ledger version {version}, this reads {VERSION}; run it again")
        self.config = validate(tracker, TrackerConfig, f"{path}: the preset in its first line")

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def frames(self) -> Iterator[LedgerFrame]:
        """One after another, from the first.

        Raises:
            InputError: a line that is none.
        """
        with open(self.path, "rb") as file:
            file.seek(self._offsets[0])
            for number, line in enumerate(file):
                yield self._read(line, number)

    def __getitem__(self, number: int) -> LedgerFrame:
        with open(self.path, "rb") as file:
            file.seek(self._offsets[number])
            return self._read(file.readline(), number)

    def _read(self, line: bytes, number: int) -> LedgerFrame:
        try:
            whole = json.loads(line)
            stages = whole.get("stages", [])
            return LedgerFrame(
                whole["frame"],
                whole["time"],
                whole.get("blind", False),
                _columns(whole.get("detections", {}), "index fate id stage cost score xyxy"),
                _columns(whole.get("tracks", {}), "id status missed detection xyxy"),
                {
                    stage["stage"]: _columns(stage["pairs"], "id detection cost limit joined")
                    for stage in stages
                },
                {stage["stage"]: stage["left_out"] for stage in stages},
                dict(whole.get("named", [])),
                _columns(whole.get("ended", {}), "id why by"),
                whole.get("predicted", []),
                [{**row, **{name: row[name] for name in DECIDED}} for row in whole.get("people", [])],
            )
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError):
            raise InputError(f"{self.path}: line {number + 2} is damaged; run it again") from None


def _columns(table: dict[str, Any], needed: str) -> Columns:
    count = table.get("count", 0)
    if count and not {*needed.split()} <= {*table}:
        raise KeyError(needed)
    return {"count": count} | {n: _array(value, count) for n, value in table.items() if n != "count"}


def _array(value: Any, count: int) -> np.ndarray:
    if isinstance(value, list):
        if len(value) != count:
            raise ValueError
        array = np.array(value)
        return array.astype(np.float64) if array.dtype == object else array
    return np.full(count, np.nan if value is None else value)
