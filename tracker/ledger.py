"""What became of every detection, and why: the tracker's account of one frame.

Kept only on request (``Tracker(..., ledger=True)``); `--save ledger` writes it, `tools/explain.py` reads it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.association import Pairs
from tracker.config import TrackerConfig
from tracker.costs import TERMS, Scene
from tracker.data import Detections, Tracks
from tracker.state import LiveTracks

if TYPE_CHECKING:
    from tracker.stages import Plan

FATES = ("below", "suppressed", "unconfirmed", "new", "matched")
BELOW, SUPPRESSED, UNCONFIRMED, NEW, MATCHED = range(5)


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


@dataclass(slots=True)
class Ledger:
    """One frame. Columns are the frame's detections as the tracker got them (``Detections.index`` leads further)."""

    stages: list[StageRecord] = field(default_factory=list)
    fate: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint8))  # (N,) index into FATES
    id: np.ndarray = field(
        default_factory=lambda: np.zeros(0, np.int64)
    )  # (N,) of its track; 0: none, or no name
    _ids: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    def open(self, live: LiveTracks) -> None:
        """A new frame begins, with these tracks."""
        self.stages, self._ids = [], live.id.copy()

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
            )
        )

    def close(self, live: LiveTracks, detections: Detections, tracks: Tracks, config: TrackerConfig) -> None:
        """The frame ends: every detection gets its fate."""
        self.fate = np.where(detections.score >= config.new, SUPPRESSED, BELOW).astype(np.uint8)
        self.id = np.zeros(len(detections), np.int64)
        rows = (live.column >= 0).nonzero()[0]
        cols = live.column[rows]
        self.fate[cols] = np.where(live.id[rows] > 0, MATCHED, UNCONFIRMED)
        self.fate[cols[(live.hits[rows] == 1) & (live.id[rows] > 0)]] = NEW
        self.id[cols] = live.id[rows]
        for stage in self.stages:  # who got a name in this frame
            unnamed = stage.joined & (stage.id == 0)
            stage.id[unnamed] = self.id[stage.col[unnamed]]
