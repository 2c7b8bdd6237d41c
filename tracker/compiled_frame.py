"""A whole frame in one compiled call, for presets without looks: from prediction to the reported tracks.

The twin of the steps of `tracker.Tracker` with the same bytes (tests/tracker/test_compiled.py); the
Python between a hundred small array operations would otherwise cost more than their arithmetic. It serves presets
that `tracker.at_once.plain` accepts: Hungarian stages over the overlap of predicted boxes, Kalman motion, no memory
of boxes or vectors. Imported by `tracker.kernels` alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from tracker.compiled import overlapping_pairs, predict, solve, update
from tracker.state import ACTIVE, EPSILON, LOST, TENTATIVE

Arrays = tuple[np.ndarray, ...]
XYSR, XYAH, XYWH = range(3)


@njit(cache=True, error_model="numpy")
def _measured(kind: int, xyxy: np.ndarray) -> np.ndarray:
    """(N, 4) xyxy float64 -> (N, 4) coordinates: twin of `MotionModel.from_xyxy`."""
    z = np.empty_like(xyxy)
    for n in range(len(xyxy)):
        width, height = xyxy[n, 2] - xyxy[n, 0], xyxy[n, 3] - xyxy[n, 1]
        z[n, 0], z[n, 1] = xyxy[n, 0] + width * 0.5, xyxy[n, 1] + height * 0.5
        if kind == XYSR:
            z[n, 2], z[n, 3] = width * height, width / height
        elif kind == XYAH:
            z[n, 2], z[n, 3] = width / height, height
        else:
            z[n, 2], z[n, 3] = width, height
    return z


@njit(cache=True, error_model="numpy")
def _corners(kind: int, x: np.ndarray) -> np.ndarray:
    """(T, 4) coordinates -> (T, 4) xyxy: twin of `MotionModel.to_xyxy`."""
    xyxy = np.empty_like(x)
    for t in range(len(x)):
        if kind == XYSR:
            width = np.sqrt(x[t, 2] * x[t, 3])
            height = x[t, 2] / width
        elif kind == XYAH:
            width, height = x[t, 2] * x[t, 3], x[t, 3]
        else:
            width, height = x[t, 2], x[t, 3]
        width, height = width * 0.5, height * 0.5
        xyxy[t, 0], xyxy[t, 1] = x[t, 0] - width, x[t, 1] - height
        xyxy[t, 2], xyxy[t, 3] = x[t, 0] + width, x[t, 1] + height
    return xyxy


@njit(cache=True, error_model="numpy")
def _predict(rows: np.ndarray, filters: np.ndarray, steps: float, kalman: Arrays, rules: Any) -> None:
    """Twin of `Tracker._predict` with a still camera, in place."""
    if rules.freeze_lost_size:
        for t in range(len(rows)):
            if rows[t].status == LOST:
                if rules.kind != XYAH:
                    filters[1, t, 2] = 0.0
                if rules.kind != XYSR:
                    filters[1, t, 3] = 0.0
    scale_of, weight, constant = kalman
    predict(filters, steps, scale_of, weight, constant)


@njit(cache=True, error_model="numpy")
def _associate(
    rows: np.ndarray,
    box: np.ndarray,
    xyxy: np.ndarray,
    score: np.ndarray,
    class_id: np.ndarray,
    stages: np.ndarray,
    rules: Any,
    now: float,
    before: float,
) -> np.ndarray:
    """(T,) the detection of each track, -1: none; twin of `matching.associate`."""
    joined, taken = np.full(len(rows), -1), np.zeros(len(xyxy), np.bool_)
    row, col, iou = overlapping_pairs(box, xyxy)
    gain, which = np.empty(len(row)), np.empty(len(row), np.int64)
    oldest = min(now - rules.motion_age, before) - EPSILON
    for s in range(len(stages)):
        stage, count = stages[s], 0
        for p in range(len(row)):
            t, n = row[p], col[p]
            if joined[t] >= 0 or taken[n] or rows[t].seen < oldest:
                continue
            if (score[n] < rules.high) if stage.high else (score[n] >= rules.high or score[n] < rules.low):
                continue
            if not rules.class_agnostic and rows[t].class_id != class_id[n]:
                continue
            cost = 1.0 - (iou[p] * score[n] if stage.fused else iou[p])
            if stage.gap != 0:
                expected = np.float32(2) * rows[t].score - rows[t].score_before
                expected = min(max(expected, np.float32(0)), np.float32(1))
                cost += stage.gap * abs(expected - score[n])
            limit = stage.limit[rows[t].status]
            if limit > 0 and limit - cost > 0:
                gain[count], which[count] = limit - cost, p
                count += 1
        if count:
            column = solve(row[which[:count]], col[which[:count]], gain[:count])
            for t in range(len(column)):
                if column[t] >= 0:
                    joined[t], taken[column[t]] = column[t], True
    return joined


@njit(cache=True, error_model="numpy")
def _absorb(
    rows: np.ndarray,
    filters: np.ndarray,
    joined: np.ndarray,
    detected: np.ndarray,
    xyxy: np.ndarray,
    score: np.ndarray,
    class_id: np.ndarray,
    kalman: Arrays,
    rules: Any,
    now: float,
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
        if sure or score[n] >= rules.confirm_score:
            rows[t].status = ACTIVE
        rows[t].seen = now
        rows[t].score_before = rows[t].score
        rows[t].score = score[n]
        rows[t].class_id = class_id[n]
        for k in range(4):
            rows[t].box[k] = detected[n, k]
    found = found[:count]
    cols, doubt = joined[found], np.ones(count)
    if rules.noise_by_score:
        doubt[:] = np.float32(1) - score[cols]
    scale_of, weight, constant = kalman
    update(filters, found, _measured(rules.kind, xyxy[cols]), doubt, scale_of, weight, constant)


@njit(cache=True, error_model="numpy")
def _remembered(rows: np.ndarray, rules: Any, now: float) -> tuple[np.ndarray, int]:
    """(T,) bool, who has not been lost for too long, and how many have; twin of `life.remembered`."""
    keep, gone = np.ones(len(rows), np.bool_), 0
    for t in range(len(rows)):
        limit = rules.tentative_max_age if rows[t].status == TENTATIVE else rules.max_age
        if not now - rows[t].seen <= limit + EPSILON:
            keep[t] = False
            gone += 1
    return keep, gone


@njit(cache=True, error_model="numpy")
def _before(a: int, b: int, xyxy: np.ndarray, score: np.ndarray) -> bool:
    """Whether birth ``a`` comes before ``b``: by score, then by place, so not by where they stood."""
    if score[a] != score[b]:
        return bool(score[a] > score[b])
    for k in (3, 2, 1, 0):
        if xyxy[a, k] != xyxy[b, k]:
            return bool(xyxy[a, k] < xyxy[b, k])
    return False


@njit(cache=True, error_model="numpy")
def _births(joined: np.ndarray, xyxy: np.ndarray, score: np.ndarray, new: float) -> np.ndarray:
    """(K,) the free detections that begin a track, in order."""
    taken = np.zeros(len(score), np.bool_)
    for t in range(len(joined)):
        if joined[t] >= 0:
            taken[joined[t]] = True
    cols, count = np.empty(len(score), np.int64), 0
    for n in range(len(score)):
        if taken[n] or score[n] < new:
            continue
        place = count
        while place > 0 and _before(n, cols[place - 1], xyxy, score):
            cols[place] = cols[place - 1]
            place -= 1
        cols[place] = n
        count += 1
    return cols[:count]


@njit(cache=True, error_model="numpy")
def _kept(rows: np.ndarray, filters: np.ndarray, keep: np.ndarray, more: int) -> Arrays:
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
def _begin(
    rows: np.ndarray,
    filters: np.ndarray,
    first: int,
    cols: np.ndarray,
    detected: np.ndarray,
    xyxy: np.ndarray,
    score: np.ndarray,
    class_id: np.ndarray,
    kalman: Arrays,
    start: Arrays,
    rules: Any,
    now: float,
    frame: int,
) -> None:
    """Tracks of one detection each, ``cols`` (K,), in the rows from ``first`` on; twin of `life.born`."""
    scale_of, (weight, constant) = kalman[0], start
    z = _measured(rules.kind, xyxy[cols])
    at_once = rules.confirm_hits == 1 or frame < rules.start_frames
    for i in range(len(cols)):
        t, n = first + i, cols[i]
        rows[t].hits, rows[t].born, rows[t].seen, rows[t].column = 1, now, now, n
        rows[t].status = ACTIVE if at_once or score[n] >= rules.confirm_score else TENTATIVE
        rows[t].score, rows[t].score_before, rows[t].class_id = score[n], score[n], class_id[n]
        for k in range(4):
            rows[t].box[k] = detected[n, k]
            scale = z[i, scale_of[k]] if scale_of[k] >= 0 else 0.0
            filters[0, t, k] = z[i, k]
            filters[2, t, k] = scale * scale * weight[0] + constant[0, k]
            filters[4, t, k] = scale * scale * weight[1] + constant[1, k]


@njit(cache=True, error_model="numpy")
def _not_doubled(rows: np.ndarray, box: np.ndarray, rules: Any, now: float) -> tuple[np.ndarray, bool]:
    """(T,) bool, who stays, and whether all do; twin of `overlaps.duplicate_tracks`."""
    keep, everybody = np.ones(len(rows), np.bool_), True
    lost, active = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
    gone = here = 0
    for t in range(len(rows)):
        if rows[t].status == ACTIVE:
            active[here] = t
            here += 1
        elif rows[t].status == LOST and now - rows[t].seen <= rules.motion_age + EPSILON:
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


@njit(cache=True, error_model="numpy")
def _hide(shown: np.ndarray, rows: np.ndarray, box: np.ndarray, rules: Any, now: float) -> None:
    """Show who is lost behind somebody shown, in place; twin of `overlaps.hidden`."""
    behind, front = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
    count = seen = 0
    for t in range(len(rows)):
        if shown[t]:
            front[seen] = t
            seen += 1
            continue
        lost = rows[t].status == LOST and now - rows[t].seen <= rules.hidden_age + EPSILON
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


@njit(cache=True, error_model="numpy")
def _shown(rows: np.ndarray, box: np.ndarray, rules: Any, now: float, frame: int) -> np.ndarray:
    """(T,) bool, who is reported."""
    shown = np.zeros(len(rows), np.bool_)
    in_a_row = rules.report_streak if frame >= rules.start_frames else 0
    for t in range(len(rows)):
        shown[t] = rows[t].column >= 0 and rows[t].status == ACTIVE and rows[t].streak >= in_a_row
    if rules.hidden_age >= 0:
        _hide(shown, rows, box, rules, now)
    if rules.coast > 0:
        for t in range(len(rows)):
            if rows[t].status == LOST and rows[t].id > 0 and now - rows[t].seen <= rules.coast + EPSILON:
                shown[t] = True
    return shown


@njit(cache=True, error_model="numpy")
def _report(
    rows: np.ndarray, box: np.ndarray, index: np.ndarray, rules: Any, now: float, frame: int, last_id: int
) -> tuple[Any, ...]:
    """Id, box, score, class and detection of the tracks to show, by id, and the last id given; twin of `report`."""
    shown = _shown(rows, box, rules, now, frame)
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
            det_index[k] = index[rows[t].column]
        for j in range(4):
            observed = rules.detection_box and rows[t].column >= 0
            xyxy[k, j] = rows[t].box[j] if observed else box[t, j]
    return ids, xyxy, scores, class_id, det_index, last_id


@njit(cache=True, error_model="numpy")
def frame(
    rows: np.ndarray,
    filters: np.ndarray,
    detected: np.ndarray,
    score: np.ndarray,
    class_id: np.ndarray,
    index: np.ndarray,
    stages: np.ndarray,
    the_rules: np.ndarray,
    kalman: Arrays,
    start: Arrays,
    number: int,
    now: float,
    before: float,
    steps: float,
    last_id: int,
) -> tuple[Any, ...]:
    """One frame.

    Args:
        rows, filters: (T,) ROW and (5, T, 4) float64, changed in place.
        detected, score, class_id, index: (N, 4) float32 xyxy px, (N,) float32, (N,) int32, (N,) int64.
        stages, the_rules: (S,) `at_once.STAGE` and (1,) `at_once.RULES`.
        kalman, start: `MotionModel.compiled` and `MotionModel.compiled_start`.
        number, now, before: of the frame, its time and the last one's (s).
        steps: nominal frames since the last; 0: the filters have been predicted.
        last_id: the last identity given.

    Returns:
        rows, filters afterwards; the last identity given; the reported tracks: id, xyxy, score, class_id, det_index.
    """
    rules = the_rules[0]
    if steps > 0:
        _predict(rows, filters, steps, kalman, rules)
    xyxy = detected.astype(np.float64)
    box = _corners(rules.kind, filters[0])
    joined = _associate(rows, box, xyxy, score, class_id, stages, rules, now, before)
    _absorb(rows, filters, joined, detected, xyxy, score, class_id, kalman, rules, now)
    cols = _births(joined, detected, score, rules.new)
    keep, gone = _remembered(rows, rules, now)
    if gone or len(cols):
        first = len(rows) - gone
        rows, filters = _kept(rows, filters, keep, len(cols))
        _begin(rows, filters, first, cols, detected, xyxy, score, class_id, kalman, start, rules, now, number)
    box = _corners(rules.kind, filters[0])
    if rules.duplicate_iou < 1:
        keep, everybody = _not_doubled(rows, box, rules, now)
        if not everybody:
            rows, filters = _kept(rows, filters, keep, 0)
            box = box[keep]
    ids, boxes, scores, classes, det_index, last_id = _report(rows, box, index, rules, now, number, last_id)
    return rows, filters, last_id, ids, boxes, scores, classes, det_index
