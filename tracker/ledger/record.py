"""What became of every detection, and why: the tracker's account of one frame.

Kept only on request (``Tracker(..., ledger=True)``); `--save ledger` writes it (tracker/ledger_file.py),
`tools/explain.py` reads it. A track without an identity is followed by its birth number: every birth gets the
next one. The engine knows nothing of these; they are found again from frame to frame, because its rows keep
their order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from retrace.tracker.association.assignment import Pairs, overlapping_pairs
from retrace.tracker.association.costs import TERMS, Scene
from retrace.tracker.config import TrackerConfig
from retrace.tracker.data import Detections, Tracks
from retrace.tracker.motion import filters as motion
from retrace.tracker.motion.models import MODELS
from retrace.tracker.tracks.overlaps import doubles, kinds
from retrace.tracker.tracks.state import ACTIVE, EPSILON, LOST, LiveTracks, Room, blank

if TYPE_CHECKING:
    from retrace.tracker.association.stages import Plan

FATES = ("below", "suppressed", "unconfirmed", "new", "matched")
BELOW, SUPPRESSED, UNCONFIRMED, NEW, MATCHED = range(5)
# Below which threshold: too low for anything, for the stages that looked, for a new track. Suppressed by what: a
# better box, a live track where it would begin, a better birth there; or its track was dropped as a duplicate.
REASONS = ("", "low", "high", "new", "nms", "live", "birth", "duplicate")
NO_REASON, TOO_LOW, NOT_HIGH, NOT_NEW, NMS, ON_LIVE, ON_BIRTH, DUPLICATE = range(8)
ENDS = ("", "expired", "duplicate")  # how a track ended: not seen for too long, or dropped


def _whole() -> np.ndarray:
    return np.zeros(0, np.int64)


def _real() -> np.ndarray:
    return np.zeros(0)


@dataclass(slots=True)
class StageRecord:
    """The candidate pairs of one stage, P rows, those that it refused included."""

    number: int  # of the stage in the preset
    id: np.ndarray  # (P,) int64 of the track; 0: it has none yet
    col: np.ndarray  # (P,) int64 detection
    cost: np.ndarray  # (P,) float64
    limit: np.ndarray  # (P,) float64 the pair needs cost < limit
    joined: np.ndarray  # (P,) bool
    terms: dict[str, np.ndarray]  # (P,) each, unweighted
    gates: dict[str, np.ndarray]  # (P,) each, what the gate looked at
    row: np.ndarray  # (P,) int64 track, as in TrackRecord


@dataclass(slots=True)
class TrackRecord:
    """The T tracks that were alive when the frame began. ``label``: the identity, or minus the birth number."""

    label: np.ndarray = field(default_factory=_whole)  # (T,) int64, as known at the end of the frame
    status: np.ndarray = field(default_factory=_whole)  # (T,) when the frame began
    seen: np.ndarray = field(default_factory=_real)  # (T,) s, time of the last match before this frame
    missed: np.ndarray = field(
        default_factory=_whole
    )  # (T,) int64 frames without a match since, this one left out
    box: np.ndarray = field(default_factory=lambda: np.zeros((0, 4)))  # (T, 4) px, where each was expected
    col: np.ndarray = field(default_factory=_whole)  # (T,) int64 detection it was joined to, -1: none
    end: np.ndarray = field(default_factory=_whole)  # (T,) index into ENDS
    by: np.ndarray = field(
        default_factory=_whole
    )  # (T,) int64 label of the track it was a duplicate of, 0: none


@dataclass(slots=True)
class Ledger:
    """One frame. Columns are the frame's detections as the tracker got them (``Detections.index`` leads further)."""

    stages: list[StageRecord] = field(default_factory=list)
    fate: np.ndarray = field(default_factory=_whole)  # (N,) index into FATES
    id: np.ndarray = field(default_factory=_whole)  # (N,) of its track; 0: none, or no name
    label: np.ndarray = field(
        default_factory=_whole
    )  # (N,) the same, or minus the birth number of a track without a name
    reason: np.ndarray = field(default_factory=_whole)  # (N,) index into REASONS
    by: np.ndarray = field(
        default_factory=_whole
    )  # (N,) the label of the track or the column of the box that suppressed it; else 0
    stage: np.ndarray = field(default_factory=_whole)  # (N,) that joined it, -1: none
    cost: np.ndarray = field(default_factory=_real)  # (N,) at which, NaN: none
    score: np.ndarray = field(default_factory=_real)  # (N,) as the stages saw it (a preset may raise scores)
    tracks: TrackRecord = field(default_factory=TrackRecord)
    named: np.ndarray = field(
        default_factory=lambda: np.zeros((0, 2), np.int64)
    )  # (M, 2) birth number, identity: who got one after a nameless time
    blind: bool = False  # the preset's blind_stages ran
    births: int = 0  # so far
    _number: np.ndarray = field(default_factory=_whole)  # (T,) birth numbers of the live tracks
    _missed: np.ndarray = field(default_factory=_whole)  # (T,) frames since each was matched
    _ids: np.ndarray = field(default_factory=_whole)
    _live: LiveTracks = field(default_factory=lambda: blank(0, Room()))
    _box: np.ndarray | None = None

    def open(self, live: LiveTracks) -> None:
        """A new frame begins, with these tracks."""
        self.stages, self._ids, self._live, self._box, self.blind = [], live.id.copy(), live, None, False
        if len(self._number) != len(live):  # a tracker that was reset, or loaded without load_state_dict here
            self._number, self._missed = self._next(len(live)), np.zeros(len(live), np.int64)
        self.tracks = TrackRecord(status=live.status.copy(), seen=live.seen.copy(), missed=self._missed)

    def add(
        self,
        number: int,
        plan: Plan,
        scene: Scene,
        pairs: Pairs,
        cost: np.ndarray,
        limit: np.ndarray,
        rows: np.ndarray,
        cols: np.ndarray,
    ) -> None:
        """What one stage did: it joined ``rows`` and ``cols`` (K,)."""
        self._box = scene.box
        self.blind = scene.appearance is None and bool(scene.config.blind_stages)
        partner = np.full(len(self._ids), -1)
        partner[rows] = cols
        values: dict[str, Any] = {
            name: TERMS[name][0](scene, pairs, plan.stage) for name in (*plan.stage.terms, *plan.stage.gates)
        }
        self.stages.append(
            StageRecord(
                number,
                self._ids[pairs.row],
                pairs.col,
                cost,
                limit[pairs.row],
                partner[pairs.row] == pairs.col,
                {name: values[name] for name in plan.stage.terms},
                {name: values[name] for name in plan.stage.gates},
                pairs.row,
            )
        )

    def close(self, live: LiveTracks, detections: Detections, tracks: Tracks, config: TrackerConfig) -> None:
        """The frame ends: every detection gets its fate."""
        self._follow(live, config)
        self._judge(live, detections, config)
        for stage in self.stages:
            which = stage.joined
            self.stage[stage.col[which]], self.cost[stage.col[which]] = stage.number, stage.cost[which]
            unnamed = which & (stage.id == 0)  # who got a name in this frame
            stage.id[unnamed] = self.id[stage.col[unnamed]]
        self._live = live

    def state_dict(self) -> dict[str, np.ndarray]:
        """What the next frame's account depends on, beside the tracker's own state."""
        return {"births": np.array(self.births), "number": self._number.copy(), "missed": self._missed.copy()}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Go on where :meth:`state_dict` was taken."""
        self.births = int(state["births"])
        self._number, self._missed = np.array(state["number"]), np.array(state["missed"])

    def _next(self, count: int) -> np.ndarray:
        self.births += count
        return np.arange(self.births - count + 1, self.births + 1)

    def _follow(self, live: LiveTracks, config: TrackerConfig) -> None:
        """Which rows of the frame's beginning are still there, what they are called, how the others ended."""
        before, record = self._live, self.tracks
        to_xyxy = MODELS[config.motion].to_xyxy
        record.box = to_xyxy(before.filters[motion.X]) if self._box is None else self._box
        # an empty frame leaves `column` as the frame before set it, if the engine does not clear it
        record.col = before.column.copy()
        old = ~((live.hits == 1) & (live.column >= 0))  # births stand at the end
        kept = _survivors(before, live, int(old.sum()))
        ids = before.id.copy()
        ids[kept] = live.id[old]
        record.label = np.where(ids > 0, ids, -self._number)
        fresh = kept[(self._ids[kept] == 0) & (ids[kept] > 0)]
        self.named = np.stack((self._number[fresh], ids[fresh]), axis=1)
        missed = np.where(record.col >= 0, 0, record.missed + 1)
        born = self._next(int((~old).sum()))
        self._number = np.concatenate((self._number[kept], born))
        self._missed = np.concatenate((missed[kept], np.zeros(len(born), np.int64)))
        record.end, record.by = np.zeros(len(before), np.uint8), np.zeros(len(before), np.int64)
        gone = np.ones(len(before), bool)
        gone[kept] = False
        if not gone.any():
            return
        record.end[gone] = ENDS.index("expired")
        for row in gone.nonzero()[0].tolist():  # over tracks that end in this frame, which are few
            record.by[row] = self._double_of(row, live, old, to_xyxy, config)
        record.end[record.by != 0] = ENDS.index("duplicate")

    def _double_of(
        self, row: int, live: LiveTracks, old: np.ndarray, to_xyxy: Any, config: TrackerConfig
    ) -> int:
        """Label of the track for which ``row`` was dropped; 0: it was not dropped, it expired."""
        before = self._live
        now = max(
            live.seen[live.column >= 0].max(initial=-np.inf),
            before.seen[before.column >= 0].max(initial=-np.inf),
        )
        overdue = (
            before.status[row] not in (ACTIVE, LOST) or now - before.seen[row] > config.max_age + EPSILON
        )
        if config.duplicate_iou >= 1 or overdue or now == -np.inf:
            return 0
        box = np.concatenate((to_xyxy(before.filters[motion.X]), to_xyxy(live.filters[motion.X])[~old]))
        status = np.concatenate((before.status, live.status[~old]))
        label = np.concatenate((self.tracks.label, self.labels(live)[~old]))
        kind = kinds(np.concatenate((before.class_id, live.class_id[~old])), config)
        pairs = _overlaps(box[row : row + 1], kind[row : row + 1], box, kind)
        other = (status[pairs.col] == (LOST if status[row] == ACTIVE else ACTIVE)) & (
            pairs.iou > config.duplicate_iou
        )
        return int(label[pairs.col[other][pairs.iou[other].argmax()]]) if other.any() else 0

    def labels(self, live: LiveTracks) -> np.ndarray:
        """(T,) identity of each live track, or minus its birth number."""
        return np.where(live.id > 0, live.id, -self._number)

    def _judge(self, live: LiveTracks, detections: Detections, config: TrackerConfig) -> None:
        count, score = len(detections), detections.score
        stages = (config.blind_stages if self.blind else ()) or config.stages
        floor = config.low if any("low" in stage.bands for stage in stages) else config.high
        self.score = score
        self.fate = np.where(score >= config.new, SUPPRESSED, BELOW).astype(np.uint8)
        self.reason = np.select([score < config.low, score < floor], [TOO_LOW, NOT_HIGH], NOT_NEW).astype(
            np.uint8
        )
        self.id, self.label, self.by = (np.zeros(count, np.int64) for _ in range(3))
        self.stage, self.cost = np.full(count, -1), np.full(count, np.nan)
        rows = (live.column >= 0).nonzero()[0]
        cols = live.column[rows]
        self.fate[cols] = np.where(live.id[rows] > 0, MATCHED, UNCONFIRMED)
        self.fate[cols[(live.hits[rows] == 1) & (live.id[rows] > 0)]] = NEW
        self.id[cols], self.label[cols] = live.id[rows], self.labels(live)[rows]
        self.reason[cols] = NO_REASON
        dropped = ((self.tracks.end > 0) & (self.tracks.col >= 0)).nonzero()[0]
        cols = self.tracks.col[dropped]
        self.fate[cols], self.reason[cols] = SUPPRESSED, DUPLICATE
        self.label[cols], self.by[cols] = self.tracks.label[dropped], self.tracks.by[dropped]
        self.id[cols] = np.maximum(self.label[cols], 0)
        open_ = (self.label == 0) & (score >= config.low)
        if config.nms < 1 and open_.any():
            self._doubled(detections, open_, config)
        self._unborn(
            live, detections, (self.label == 0) & (self.fate == SUPPRESSED) & (self.reason != NMS), config
        )

    def _doubled(self, detections: Detections, open_: np.ndarray, config: TrackerConfig) -> None:
        """Of the free boxes ``open_`` (N,) those that overlap a better one."""
        kind = kinds(detections.class_id, config)
        lost = doubles(detections.xyxy, detections.score, kind, config.nms)
        cols = (open_ & lost).nonzero()[0]
        self.fate[cols], self.reason[cols] = SUPPRESSED, NMS
        kept = (~lost).nonzero()[0]
        found = _nearest(detections.xyxy[cols], kind[cols], detections.xyxy[kept], kind[kept])
        self.by[cols] = kept[found]

    def _unborn(
        self, live: LiveTracks, detections: Detections, which: np.ndarray, config: TrackerConfig
    ) -> None:
        """Why nothing began at the free boxes ``which`` (N,), sure enough as they are."""
        cols = which.nonzero()[0]
        if not len(cols):
            return
        box, kind = detections.xyxy[cols], kinds(detections.class_id[cols], config)
        theirs, their_kind = (
            MODELS[config.motion].to_xyxy(live.filters[motion.X]),
            kinds(live.class_id, config),
        )
        label, begun = self.labels(live), (live.hits == 1) & (live.column >= 0)
        self.reason[cols] = DUPLICATE
        if len(live):
            self.by[cols] = label[_nearest(box, kind, theirs, their_kind)]
        if config.birth_iou >= 1:
            return
        for reason, rows in ((ON_BIRTH, begun.nonzero()[0]), (ON_LIVE, (~begun).nonzero()[0])):
            pairs = _overlaps(box, kind, theirs[rows], their_kind[rows])
            order = np.argsort(pairs.iou, kind="stable")
            order = order[pairs.iou[order] > config.birth_iou]
            at = cols[pairs.row[order]]
            by = live.column if reason == ON_BIRTH else label
            self.reason[at], self.by[at] = reason, by[rows[pairs.col[order]]]


def _overlaps(a: np.ndarray, kind: np.ndarray, b: np.ndarray, other: np.ndarray) -> Pairs:
    """Overlapping boxes (A, 4), (B, 4) of one kind (A,), (B,)."""
    pairs = overlapping_pairs(a, b)
    return pairs.take((kind[pairs.row] == other[pairs.col]).nonzero()[0])


def _nearest(a: np.ndarray, kind: np.ndarray, b: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(A,) the box of b that overlaps each of a most, 0 where none does."""
    pairs, best = _overlaps(a, kind, b, other), np.zeros(len(a), np.int64)
    order = np.argsort(pairs.iou, kind="stable")
    best[pairs.row[order]] = pairs.col[order]
    return best


def _survivors(before: LiveTracks, after: LiveTracks, count: int) -> np.ndarray:
    """(count,) rows of ``before`` that the first ``count`` rows of ``after`` are: rows go, but never change places."""
    if count == len(before):
        return np.arange(count)
    a, b = _marks(before), _marks(after)
    kept, row = np.zeros(count, np.int64), 0
    for k in range(count):
        while a[row] != b[k]:
            row += 1
        kept[k], row = row, row + 1
    return kept


def _marks(live: LiveTracks) -> list[bytes]:
    """What tells a row from the others and does not change between association and the frame's end."""
    rows = np.column_stack((live.column, live.born, live.seen, live.hits, live.score, live.box))
    return [row.tobytes() for row in np.ascontiguousarray(rows, np.float64)]
