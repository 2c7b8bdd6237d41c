"""Boxes that cover each other: duplicates among detections, births and tracks, and who is hidden behind whom; as
tracks/overlaps.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from retrace.tracker.compiled import overlapping_pairs
from retrace.tracker.compiled_frame.inputs import FrameDetections, inner
from retrace.tracker.rows import ACTIVE, LOST, FrameTime, seen_within
from retrace.tracker.tracks.overlaps import alike, lives_longer, may_be_duplicates, stands_behind
from retrace.tracker.tracks.shown import may_be_hidden


@inner
def better(a: int, b: int, boxes: np.ndarray) -> bool:
    """Whether detection ``a`` comes before ``b`` in `overlaps.best_first`, wherever they stood."""
    if boxes[a].score != boxes[b].score:
        return bool(boxes[a].score > boxes[b].score)
    for k in (3, 2, 1, 0):
        if boxes[a].xyxy[k] != boxes[b].xyxy[k]:
            return bool(boxes[a].xyxy[k] < boxes[b].xyxy[k])
    return False


@inner
def deleted_boxes(found: FrameDetections, rules: Any) -> np.ndarray:
    """(N,) bool, who is deleted by non-maximum suppression; as `overlaps.deleted_boxes`."""
    out = np.zeros(len(found.boxes), np.bool_)
    if len(out) < 2:
        return out
    row, col, iou = overlapping_pairs(found.exact, found.exact)
    which, count = np.empty(len(row), np.int64), 0  # pairs of a better and a worse box
    order, has = np.empty(len(out), np.int64), 0  # the better ones, best first
    first, last = np.zeros(len(out), np.int64), np.zeros(len(out), np.int64)  # where their pairs are
    for p in range(len(row)):
        a, b = row[p], col[p]
        if iou[p] <= rules.nms or not alike(found.boxes[a].class_id, found.boxes[b].class_id, rules):
            continue
        if not better(a, b, found.boxes) and (better(b, a, found.boxes) or a >= b):
            continue
        if last[a] == 0:
            first[a], place = count, has
            while place > 0 and better(a, order[place - 1], found.boxes):
                order[place] = order[place - 1]
                place -= 1
            order[place] = a
            has += 1
        which[count] = b
        count += 1
        last[a] = count
    for a in order[:has]:
        if not out[a]:
            for p in range(first[a], last[a]):
                out[which[p]] = True
    return out


@inner
def free_places(
    rows: np.ndarray, box: np.ndarray, cols: np.ndarray, found: FrameDetections, rules: Any, now: FrameTime
) -> np.ndarray:
    """Of the births ``cols`` (K,), best first, those on free places; as `lifecycle.taken_places`."""
    out, known, count = np.zeros(len(cols), np.bool_), np.empty(len(rows), np.int64), 0
    for t in range(len(rows)):
        if seen_within(rows[t].seen, rules.believed_age, now):
            known[count] = t
            count += 1
    known, born = known[:count], found.exact[cols]
    row, col, iou = overlapping_pairs(born, box[known])
    for p in range(len(row)):
        same = alike(found.boxes[cols[row[p]]].class_id, rows[known[col[p]]].class_id, rules)
        if iou[p] > rules.birth_iou and same:
            out[row[p]] = True
    row, col, iou = overlapping_pairs(born, born)
    for p in range(len(row)):
        a, b = row[p], col[p]
        same = alike(found.boxes[cols[a]].class_id, found.boxes[cols[b]].class_id, rules)
        if a < b and iou[p] > rules.birth_iou and same and not out[a]:
            out[b] = True
    return cols[~out]


@inner
def without_duplicates(
    rows: np.ndarray, box: np.ndarray, rules: Any, now: FrameTime
) -> tuple[np.ndarray, bool]:
    """(T,) bool, who stays, and whether all do; as `overlaps.duplicates`."""
    stays, everybody = np.ones(len(rows), np.bool_), True
    lost, active = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
    gone = here = 0
    for t in range(len(rows)):
        if rows[t].status == ACTIVE:
            active[here] = t
            here += 1
        elif rows[t].status == LOST and seen_within(rows[t].seen, rules.believed_age, now):
            lost[gone] = t
            gone += 1
    if not gone or not here:
        return stays, True
    row, col, iou = overlapping_pairs(box[active[:here]], box[lost[:gone]])
    for p in range(len(row)):
        a, b = rows[active[row[p]]], rows[lost[col[p]]]
        same = alike(a.class_id, b.class_id, rules) and may_be_duplicates(a.views, b.views, rules)
        if iou[p] > rules.duplicate_iou and same:
            loser = lost[col[p]] if lives_longer(a.seen, a.born, b.seen, b.born) else active[row[p]]
            stays[loser], everybody = False, False
    return stays, everybody


@inner
def show_hidden(shown: np.ndarray, rows: np.ndarray, box: np.ndarray, rules: Any, now: FrameTime) -> None:
    """Show who is lost behind somebody in sight, in place; as `overlaps.hidden`."""
    lost, front = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
    gone = here = 0
    for t in range(len(rows)):
        if shown[t]:
            front[here] = t
            here += 1
        elif may_be_hidden(rows[t].status, rows[t].id, rows[t].hits, rows[t].seen, rules, now):
            lost[gone] = t
            gone += 1
    if not gone or not here:
        return
    row, col, _ = overlapping_pairs(box[lost[:gone]], box[front[:here]])
    for p in range(len(row)):
        if stands_behind(box[lost[row[p]]], box[front[col[p]]], rules):
            shown[lost[row[p]]] = True
