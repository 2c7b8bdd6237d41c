"""Which tracks are shown in a frame, under which identity."""

from __future__ import annotations

import numpy as np

from retrace.tracker.config import TrackerConfig
from retrace.tracker.data import Detections, Tracks
from retrace.tracker.tracks.lifecycle import Clock
from retrace.tracker.tracks.overlaps import hidden
from retrace.tracker.tracks.state import ACTIVE, LOST, LiveTracks


def report(
    live: LiveTracks,
    detections: Detections,
    state_box: np.ndarray,
    config: TrackerConfig,
    clock: Clock,
    last_id: int,
) -> tuple[Tracks, int]:
    """The tracks to show, by id, and the last identity given: who is shown for the first time gets the next one.

    Args:
        state_box: (T, 4) xyxy px, the filters' boxes.
    """
    rows = _shown(live, state_box, config, clock).nonzero()[0]
    unnamed = rows[live.id[rows] == 0]
    live.id[unnamed] = last_id + 1 + np.arange(len(unnamed))
    rows = rows[live.id[rows].argsort()]
    column = live.column[rows]
    predicted = column < 0
    box = (state_box if config.box == "state" else live.box)[rows].astype(np.float32)
    if predicted.any():
        box[predicted] = state_box[rows[predicted]]
    index, score = np.full(len(rows), -1), live.score[rows]
    seen = column[~predicted]
    index[~predicted], score[~predicted] = detections.index[seen], detections.score[seen]
    return Tracks(live.id[rows], box, score, live.class_id[rows], index), last_id + len(unnamed)


def _shown(live: LiveTracks, state_box: np.ndarray, config: TrackerConfig, clock: Clock) -> np.ndarray:
    """(T,) bool: who was seen, and lost ones for a moment, or while somebody stands in front of them."""
    shown = (live.column >= 0) & (live.status == ACTIVE)
    if config.report_streak and clock.number >= config.start_frames:
        shown &= live.streak >= config.report_streak
    if config.hidden is not None:
        missing = (live.status == LOST) & (live.id > 0) & (live.hits >= config.hidden.hits)
        missing &= clock.within(live, config.hidden.age)
        shown[hidden(state_box, missing.nonzero()[0], shown.nonzero()[0], config.hidden)] = True
    if config.coast > 0:
        shown |= (live.status == LOST) & (live.id > 0) & clock.within(live, config.coast)
    return shown
