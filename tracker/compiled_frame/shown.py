"""Which tracks are shown, and what is reported of them; as tracks/shown.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from retrace.tracker.compiled_frame.inputs import Found, inner
from retrace.tracker.compiled_frame.overlaps import show_hidden
from retrace.tracker.rows import FrameTime
from retrace.tracker.tracks.shown import coasting, in_sight


@inner
def report(
    rows: np.ndarray, box: np.ndarray, found: Found, rules: Any, now: FrameTime, last_id: int
) -> tuple[Any, ...]:
    """Id, box, score, class and detection of the tracks to show, and the last id given; as `shown.report`."""
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
    ids, xyxy = np.empty(count, np.int64), np.empty((count, 4), np.float32)
    scores, class_id = np.empty(count, np.float32), np.empty(count, np.int32)
    det_index = np.full(count, -1)
    for k in range(count):
        t = order[k]
        ids[k], scores[k], class_id[k] = rows[t].id, rows[t].score, rows[t].class_id
        if rows[t].column >= 0:
            det_index[k], scores[k] = found.place[rows[t].column], found.score[rows[t].column]
        for j in range(4):
            observed = rules.detection_box and rows[t].column >= 0
            xyxy[k, j] = rows[t].box[j] if observed else box[t, j]
    return ids, xyxy, scores, class_id, det_index, last_id


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
