"""Which tracks are shown, and what is reported of them; as tracks/shown.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from retrace.tracker.compiled_frame.inputs import inner
from retrace.tracker.compiled_frame.overlaps import show_hidden
from retrace.tracker.rows import SHOWN, FrameTime
from retrace.tracker.tracks.shown import coasting, in_sight


@inner
def report(
    rows: np.ndarray,
    box: np.ndarray,
    score: np.ndarray,
    index: np.ndarray,
    rules: Any,
    now: FrameTime,
    last_id: int,
) -> tuple[np.ndarray, int]:
    """(K,) SHOWN, and the last id given; score and index (N,) as they came; as `shown.report`."""
    shown = _shown(rows, box, rules, now)
    order, count = np.empty(len(rows), np.int64), 0
    for t in range(len(rows)):
        if shown[t]:
            if rows[t].id == 0:
                last_id += 1
                rows[t].id = last_id
            place = count  # rows are nearly in the order of ids: sorted by insertion
            while place > 0 and rows[order[place - 1]].id > rows[t].id:
                order[place] = order[place - 1]
                place -= 1
            order[place] = t
            count += 1
    tracks = np.empty(count, SHOWN)
    for k in range(count):
        t, track = order[k], tracks[k]
        n = rows[t].column
        track.id, track.class_id = rows[t].id, rows[t].class_id
        track.score, track.det_index = (score[n], index[n]) if n >= 0 else (rows[t].score, -1)
        for j in range(4):
            track.xyxy[j] = rows[t].box[j] if rules.detection_box and n >= 0 else box[t, j]
    return tracks, last_id


@inner
def _shown(rows: np.ndarray, box: np.ndarray, rules: Any, now: FrameTime) -> np.ndarray:
    """(T,) bool, who is reported; as `shown.shown_rows`."""
    shown = np.zeros(len(rows), np.bool_)
    for t in range(len(rows)):
        shown[t] = in_sight(rows[t].column, rows[t].status, rows[t].streak, rules, now)
    if rules.hidden_age >= 0:
        show_hidden(shown, rows, box, rules, now)
    if rules.coast > 0:
        for t in range(len(rows)):
            shown[t] = shown[t] or coasting(rows[t].status, rows[t].id, rows[t].seen, rules, now)
    return shown
