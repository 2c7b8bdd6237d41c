"""Twin of tracker/report.py."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from retrace.tracker.compiled.association import overlapping_pairs
from retrace.tracker.compiled.given import Boxes, Now
from retrace.tracker.tracks.state import ACTIVE, EPSILON, LOST


@njit(cache=True, error_model="numpy")
def report(
    rows: np.ndarray, box: np.ndarray, boxes: Boxes, rules: Any, now: Now, last_id: int
) -> tuple[Any, ...]:
    """Id, box, score, class and detection of the tracks to show, by id, and the last id given; twin of `report`."""
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
            det_index[k] = boxes.place[rows[t].column]
        for j in range(4):
            observed = rules.detection_box and rows[t].column >= 0
            xyxy[k, j] = rows[t].box[j] if observed else box[t, j]
    return ids, xyxy, scores, class_id, det_index, last_id


@njit(cache=True, error_model="numpy")
def _shown(rows: np.ndarray, box: np.ndarray, rules: Any, now: Now) -> np.ndarray:
    """(T,) bool, who is reported."""
    shown = np.zeros(len(rows), np.bool_)
    in_a_row = rules.report_streak if now.number >= rules.start_frames else 0
    for t in range(len(rows)):
        shown[t] = rows[t].column >= 0 and rows[t].status == ACTIVE and rows[t].streak >= in_a_row
    if rules.hidden_age >= 0:
        _hide(shown, rows, box, rules, now)
    if rules.coast > 0:
        for t in range(len(rows)):
            if rows[t].status == LOST and rows[t].id > 0 and now.time - rows[t].seen <= rules.coast + EPSILON:
                shown[t] = True
    return shown


@njit(cache=True, error_model="numpy")
def _hide(shown: np.ndarray, rows: np.ndarray, box: np.ndarray, rules: Any, now: Now) -> None:
    """Show who is lost behind somebody shown, in place; twin of `overlaps.hidden`."""
    behind, front = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
    count = seen = 0
    for t in range(len(rows)):
        if shown[t]:
            front[seen] = t
            seen += 1
            continue
        lost = rows[t].status == LOST and now.time - rows[t].seen <= rules.hidden_age + EPSILON
        if lost and rows[t].id > 0 and rows[t].hits >= rules.hidden_hits:
            behind[count] = t
            count += 1
    if not count or not seen:
        return
    row, col, _ = overlapping_pairs(box[behind[:count]], box[front[:seen]])
    for p in range(len(row)):
        a, b = box[behind[row[p]]], box[front[col[p]]]
        width, height = a[2] - a[0], a[3] - a[1]
        shared = (min(a[2], b[2]) - max(a[0], b[0])) * (min(a[3], b[3]) - max(a[1], b[1]))
        if shared >= rules.hidden_cover * (width * height) and b[3] >= a[3] - rules.hidden_slack * height:
            shown[behind[row[p]]] = True
