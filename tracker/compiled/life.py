"""Twins of tracker/life.py, for tracks without memories of boxes or vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from retrace.tracker.compiled.association import overlapping_pairs
from retrace.tracker.compiled.given import Boxes, Now
from retrace.tracker.compiled.motion import measured, update
from retrace.tracker.tracks.state import ACTIVE, EPSILON, LOST, TENTATIVE

Arrays = tuple[np.ndarray, ...]


@njit(cache=True, error_model="numpy")
def absorb(
    rows: np.ndarray,
    filters: np.ndarray,
    joined: np.ndarray,
    boxes: Boxes,
    kalman: Arrays,
    rules: Any,
    now: Now,
) -> None:
    """Matched tracks take in their detections, in place; twin of `life.absorb`."""
    found = np.empty(len(rows), np.int64)
    count = 0
    for t in range(len(rows)):
        n = joined[t]
        rows[t].column = n
        if n < 0:
            rows[t].streak = 0
            if rows[t].status == ACTIVE:
                rows[t].status = LOST
            continue
        found[count] = t
        count += 1
        rows[t].hits += 1
        rows[t].streak += 1
        sure = rows[t].hits >= rules.confirm_hits or rows[t].status != TENTATIVE
        if sure or boxes.score[n] >= rules.confirm_score:
            rows[t].status = ACTIVE
        rows[t].seen = now.time
        rows[t].score_before = rows[t].score
        rows[t].score = boxes.score[n]
        rows[t].class_id = boxes.class_id[n]
        for k in range(4):
            rows[t].box[k] = boxes.given[n, k]
    found = found[:count]
    cols, doubt = joined[found], np.ones(count)
    if rules.noise_by_score:
        for k in range(count):
            doubt[k] = np.float32(1) - boxes.score[cols[k]]
    scale_of, weight, constant = kalman
    update(filters, found, measured(rules.kind, boxes.xyxy[cols]), doubt, scale_of, weight, constant)


@njit(cache=True, error_model="numpy")
def remembered(rows: np.ndarray, rules: Any, now: Now) -> tuple[np.ndarray, int]:
    """(T,) bool, who has not been lost for too long, and how many have; twin of `life.remembered`."""
    keep, gone = np.ones(len(rows), np.bool_), 0
    for t in range(len(rows)):
        limit = rules.tentative_max_age if rows[t].status == TENTATIVE else rules.max_age
        if not now.time - rows[t].seen <= limit + EPSILON:
            keep[t] = False
            gone += 1
    return keep, gone


@njit(cache=True, error_model="numpy")
def births(joined: np.ndarray, boxes: Boxes, rules: Any) -> np.ndarray:
    """(K,) the free detections that begin a track, in order."""
    taken = np.zeros(len(boxes.score), np.bool_)
    for t in range(len(joined)):
        if joined[t] >= 0:
            taken[joined[t]] = True
    cols, count = np.empty(len(boxes.score), np.int64), 0
    for n in range(len(boxes.score)):
        if taken[n] or boxes.score[n] < rules.new:
            continue
        place = count
        while place > 0 and _before(n, cols[place - 1], boxes):
            cols[place] = cols[place - 1]
            place -= 1
        cols[place] = n
        count += 1
    return cols[:count]


@njit(cache=True, error_model="numpy")
def _before(a: int, b: int, boxes: Boxes) -> bool:
    """Whether birth ``a`` comes before ``b``: by score, then by place, so not by where they stood."""
    if boxes.score[a] != boxes.score[b]:
        return bool(boxes.score[a] > boxes.score[b])
    for k in (3, 2, 1, 0):
        if boxes.given[a, k] != boxes.given[b, k]:
            return bool(boxes.given[a, k] < boxes.given[b, k])
    return False


@njit(cache=True, error_model="numpy")
def kept(rows: np.ndarray, filters: np.ndarray, keep: np.ndarray, more: int) -> Arrays:
    """The rows ``keep`` (T,) bool, and room for ``more`` behind them."""
    count = 0
    for t in range(len(rows)):
        count += keep[t]
    new_rows, new_filters = np.zeros(count + more, rows.dtype), np.zeros((5, count + more, 4))
    place = 0
    for t in range(len(rows)):
        if keep[t]:
            new_rows[place] = rows[t]
            for part in range(5):
                for k in range(4):
                    new_filters[part, place, k] = filters[part, t, k]
            place += 1
    return new_rows, new_filters


@njit(cache=True, error_model="numpy")
def begin(
    rows: np.ndarray,
    filters: np.ndarray,
    cols: np.ndarray,
    boxes: Boxes,
    kalman: Arrays,
    start: Arrays,
    rules: Any,
    now: Now,
) -> None:
    """Tracks of one detection each, ``cols`` (K,), in the last rows; twin of `life.born`."""
    scale_of, (weight, constant) = kalman[0], start
    z = measured(rules.kind, boxes.xyxy[cols])
    at_once = rules.confirm_hits == 1 or now.number < rules.start_frames
    for i in range(len(cols)):
        t, n = len(rows) - len(cols) + i, cols[i]
        rows[t].hits, rows[t].born, rows[t].seen, rows[t].column = 1, now.time, now.time, n
        rows[t].status = ACTIVE if at_once or boxes.score[n] >= rules.confirm_score else TENTATIVE
        rows[t].score, rows[t].score_before, rows[t].class_id = (
            boxes.score[n],
            boxes.score[n],
            boxes.class_id[n],
        )
        for k in range(4):
            rows[t].box[k] = boxes.given[n, k]
            scale = z[i, scale_of[k]] if scale_of[k] >= 0 else 0.0
            filters[0, t, k] = z[i, k]
            filters[2, t, k] = scale * scale * weight[0] + constant[0, k]
            filters[4, t, k] = scale * scale * weight[1] + constant[1, k]


@njit(cache=True, error_model="numpy")
def not_doubled(rows: np.ndarray, box: np.ndarray, rules: Any, now: Now) -> tuple[np.ndarray, bool]:
    """(T,) bool, who stays, and whether all do; twin of `overlaps.duplicate_tracks`."""
    keep, everybody = np.ones(len(rows), np.bool_), True
    lost, active = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
    gone = here = 0
    for t in range(len(rows)):
        if rows[t].status == ACTIVE:
            active[here] = t
            here += 1
        elif rows[t].status == LOST and now.time - rows[t].seen <= rules.motion_age + EPSILON:
            lost[gone] = t
            gone += 1
    if not gone or not here:
        return keep, True
    row, col, iou = overlapping_pairs(box[active[:here]], box[lost[:gone]])
    for p in range(len(row)):
        a, b = rows[active[row[p]]], rows[lost[col[p]]]
        if iou[p] > rules.duplicate_iou and (rules.class_agnostic or a.class_id == b.class_id):
            loser = lost[col[p]] if a.seen - a.born > b.seen - b.born else active[row[p]]
            keep[loser], everybody = False, False
    return keep, everybody
