"""What became of every detection, and why: the tracker's account of one frame.

Kept only on request (``Tracker(..., ledger=True)``); ``Job(save=("mot", "ledger"))`` writes it
(tracker/ledger/file.py), `tools/explain.py` reads it. A track without an identity is followed by its birth number:
every birth that outlives its frame gets the next one. Every step of the engine says what it did and why; here it is
only written down.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from retrace.tracker.association.assignment import CandidatePairs
from retrace.tracker.association.costs import COSTS
from retrace.tracker.association.inputs import CostInputs
from retrace.tracker.association.stages import NOT_HIGH, TOO_LOW, PreparedStage
from retrace.tracker.data import Detections
from retrace.tracker.tracks.lifecycle import DELETED, NOT_NEW, ON_BIRTH, ON_TRACK
from retrace.tracker.tracks.state import Depth, LiveTracks, blank

FATES = ("below", "suppressed", "unconfirmed", "new", "matched")
BELOW, SUPPRESSED, UNCONFIRMED, NEW, MATCHED = range(5)
# Below which threshold: too low for anything, for the stages that looked, for a new track. Suppressed by what: a
# better box, a live track where it would begin, a better birth there; or its track was dropped as a duplicate.
REASONS = ("", "low", "high", "new", "nms", "live", "birth", "duplicate")
NO_REASON, BELOW_LOW, BELOW_HIGH, BELOW_NEW, BY_NMS, BY_LIVE, BY_BIRTH, BY_DUPLICATE = range(8)
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
    # (T,) int64 frames without a match since, this one left out
    missed: np.ndarray = field(default_factory=_whole)
    box: np.ndarray = field(default_factory=lambda: np.zeros((0, 4)))  # (T, 4) px, where each was expected
    col: np.ndarray = field(default_factory=_whole)  # (T,) int64 detection it was joined to, -1: none
    end: np.ndarray = field(default_factory=_whole)  # (T,) index into ENDS
    # (T,) int64 label of the track it was a duplicate of, 0: none
    by: np.ndarray = field(default_factory=_whole)


@dataclass(slots=True)
class Ledger:
    """One frame. Columns are the frame's detections as the tracker got them (``Detections.index`` leads further)."""

    stages: list[StageRecord] = field(default_factory=list)
    fate: np.ndarray = field(default_factory=_whole)  # (N,) index into FATES
    id: np.ndarray = field(default_factory=_whole)  # (N,) of its track; 0: none, or no name
    # (N,) the same, or minus the birth number of a track without a name
    label: np.ndarray = field(default_factory=_whole)
    reason: np.ndarray = field(default_factory=_whole)  # (N,) index into REASONS
    # (N,) the label of the track or the column of the box that suppressed it; else 0
    by: np.ndarray = field(default_factory=_whole)
    stage: np.ndarray = field(default_factory=_whole)  # (N,) that joined it, -1: none
    cost: np.ndarray = field(default_factory=_real)  # (N,) at which, NaN: none
    score: np.ndarray = field(default_factory=_real)  # (N,) as the stages saw it (a preset may raise scores)
    tracks: TrackRecord = field(default_factory=TrackRecord)
    # (M, 2) birth number, identity: who got one after a nameless time
    named: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    blind: bool = False  # the preset's blind_stages ran
    births: int = 0  # so far
    _number: np.ndarray = field(default_factory=_whole)  # (T,) birth numbers of the live tracks
    _missed: np.ndarray = field(default_factory=_whole)  # (T,) frames since each was matched
    _ids: np.ndarray = field(default_factory=_whole)
    _live: LiveTracks = field(default_factory=lambda: blank(0, Depth()))
    _unasked: np.ndarray = field(default_factory=_whole)  # (N,) why no stage asked for it
    _reason: np.ndarray = field(default_factory=_whole)  # (N,) why it began no track, and by what
    _by: np.ndarray = field(default_factory=_whole)
    _cols: np.ndarray = field(default_factory=_whole)  # (B,) detections that began a track
    _forgotten: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))  # (T,) not seen for too long
    # (T + B,) of which of these each was one, -1: it stays
    _duplicate: np.ndarray = field(default_factory=_whole)

    def open(self, live: LiveTracks, inputs: CostInputs, unasked: np.ndarray) -> None:
        """A new frame begins, with these tracks; (N,) `matching.unasked` of its detections."""
        self.stages, self._ids, self._live, self.blind = [], live.id.copy(), live, False
        self._unasked = unasked
        if len(self._number) != len(live):  # a tracker that was reset, or loaded without load_state_dict here
            self._number, self._missed = self._next(len(live)), np.zeros(len(live), np.int64)
        self.tracks = TrackRecord(status=live.status.copy(), seen=live.seen.copy(), missed=self._missed)
        self.tracks.box = inputs.box

    def add(
        self,
        number: int,
        stage: PreparedStage,
        inputs: CostInputs,
        pairs: CandidatePairs,
        cost: np.ndarray,
        limit: np.ndarray,
        rows: np.ndarray,
        cols: np.ndarray,
    ) -> None:
        """What one stage did: it joined ``rows`` and ``cols`` (K,)."""
        self.blind = inputs.appearance is None and bool(inputs.config.blind_stages)
        partner = np.full(len(self._ids), -1)
        partner[rows] = cols
        values: dict[str, Any] = {
            name: COSTS[name][0](inputs, pairs, stage.stage)
            for name in (*stage.stage.terms, *stage.stage.gates)
        }
        self.stages.append(
            StageRecord(
                number,
                self._ids[pairs.row],
                pairs.col,
                cost,
                limit[pairs.row],
                partner[pairs.row] == pairs.col,
                {name: values[name] for name in stage.stage.terms},
                {name: values[name] for name in stage.stage.gates},
                pairs.row,
            )
        )

    def note_forgotten(self, forgotten: np.ndarray) -> None:
        """(T,) bool: which were not seen for too long."""
        self._forgotten = forgotten

    def note_births(self, cols: np.ndarray, reason: np.ndarray, by: np.ndarray) -> None:
        """Detections ``cols`` (B,) began tracks; why each (N,) did not, and by which track's row or which box."""
        self.tracks.col = self._live.column.copy()
        self._cols, self._reason, self._by = cols, reason, by

    def note_ends(self, source: np.ndarray, duplicate_of: np.ndarray) -> None:
        """What `overlaps.duplicates` gave, of rows that come from ``source``: of T rows, then B births."""
        self._duplicate = np.full(len(self._ids) + len(self._cols), -1)
        dropped = duplicate_of >= 0
        self._duplicate[source[dropped]] = source[duplicate_of[dropped]]

    def close(self, live: LiveTracks, source: np.ndarray, detections: Detections) -> None:
        """The frame ends with the tracks ``live``, which come from ``source``: every detection gets its fate."""
        label = self._follow(live, source)
        self._judge(live, source, label, detections)
        for stage in self.stages:
            which = stage.joined
            self.stage[stage.col[which]], self.cost[stage.col[which]] = stage.number, stage.cost[which]
            unnamed = which & (stage.id == 0)  # who got a name in this frame
            stage.id[unnamed] = self.id[stage.col[unnamed]]

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

    def _follow(self, live: LiveTracks, source: np.ndarray) -> np.ndarray:
        """What the rows of the frame's beginning are called, how those that are gone ended: (T + B,) labels."""
        record, count = self.tracks, len(self._ids)
        old = source < count
        kept, ids = source[old], self._ids.copy()
        ids[kept] = live.id[old]
        record.label = np.where(ids > 0, ids, -self._number)
        fresh = kept[(self._ids[kept] == 0) & (ids[kept] > 0)]
        self.named = np.stack((self._number[fresh], ids[fresh]), axis=1)
        missed = np.where(record.col >= 0, 0, record.missed + 1)
        born = self._next(int((~old).sum()))
        self._number = np.concatenate((self._number[kept], born))
        self._missed = np.concatenate((missed[kept], np.zeros(len(born), np.int64)))
        label = np.concatenate((record.label, np.zeros(len(self._cols), np.int64)))
        label[source] = self.labels(live)
        of = self._duplicate[:count]
        record.by = np.where(of >= 0, label[of], 0)
        expired = np.where(self._forgotten, ENDS.index("expired"), 0)
        record.end = np.where(of >= 0, ENDS.index("duplicate"), expired)
        return label

    def labels(self, live: LiveTracks) -> np.ndarray:
        """(T,) identity of each live track, or minus its birth number."""
        return np.where(live.id > 0, live.id, -self._number)

    def _judge(self, live: LiveTracks, source: np.ndarray, label: np.ndarray, detections: Detections) -> None:
        count = len(detections)
        self.score = detections.score
        high_enough = ~np.isin(self._reason, (NOT_NEW, DELETED))
        self.fate = np.where(high_enough, SUPPRESSED, BELOW).astype(np.uint8)
        below = [self._unasked == TOO_LOW, self._unasked == NOT_HIGH]
        self.reason = np.select(below, [BELOW_LOW, BELOW_HIGH], BELOW_NEW).astype(np.uint8)
        self.id, self.label, self.by = (np.zeros(count, np.int64) for _ in range(3))
        self.stage, self.cost = np.full(count, -1), np.full(count, np.nan)
        rows = (live.column >= 0).nonzero()[0]
        cols = live.column[rows]
        self.fate[cols] = np.where(live.id[rows] > 0, MATCHED, UNCONFIRMED)
        born = source[rows] >= len(self._ids)
        self.fate[cols[born & (live.id[rows] > 0)]] = NEW
        self.id[cols], self.label[cols] = live.id[rows], self.labels(live)[rows]
        self.reason[cols] = NO_REASON
        dropped = ((self.tracks.end > 0) & (self.tracks.col >= 0)).nonzero()[0]
        cols = self.tracks.col[dropped]
        self.fate[cols], self.reason[cols] = SUPPRESSED, BY_DUPLICATE
        self.label[cols], self.by[cols] = self.tracks.label[dropped], self.tracks.by[dropped]
        self.id[cols] = np.maximum(self.label[cols], 0)
        for why, reason in ((DELETED, BY_NMS), (ON_BIRTH, BY_BIRTH), (ON_TRACK, BY_LIVE)):
            cols = ((self._reason == why) & (self._unasked != TOO_LOW)).nonzero()[0]
            self.fate[cols], self.reason[cols] = SUPPRESSED, reason
            self.by[cols] = label[self._by[cols]] if why == ON_TRACK else self._by[cols]
        of = self._duplicate[len(self._ids) :]
        cols = self._cols[of >= 0]  # began, and was dropped at once
        self.reason[cols], self.by[cols] = BY_DUPLICATE, label[of[of >= 0]]
