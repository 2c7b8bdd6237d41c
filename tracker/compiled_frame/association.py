"""Who gets which detection: the stages of a preset, one after the other; as association/matching.py and stages.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from retrace.tracker.association.assignment import CandidatePairs
from retrace.tracker.compiled import by_column, overlapping_pairs, solve
from retrace.tracker.compiled_frame.appearance import anybody_looks, looks_of
from retrace.tracker.compiled_frame.costs import distance, sum_of_costs
from retrace.tracker.compiled_frame.inputs import FrameLooks, Inputs, inner
from retrace.tracker.rows import FrameTime, expected
from retrace.tracker.rules import BANDS, MOST
from retrace.tracker.tracks.overlaps import alike

HIGH, LOW, DELETED = range(3)  # of rules.BANDS


@inner
def associate(
    inputs: Inputs, looks: FrameLooks, stages: np.ndarray, deleted: np.ndarray, rules: Any
) -> np.ndarray:
    """(T,) the detection of each track, -1: none; as `matching.associate`."""
    rows, boxes, now = inputs.rows, inputs.found.boxes, inputs.now
    joined, taken = np.full(len(rows), -1), np.zeros(len(boxes), np.bool_)
    if len(rows) == 0 or len(taken) == 0:
        return joined
    believed, limit, band = who_is_believed(rows, rules, now), np.zeros(len(rows)), np.full(len(taken), -1)
    for n in range(len(taken)):
        if boxes[n].score >= rules.high:
            band[n] = DELETED if deleted[n] else HIGH
        elif boxes[n].score >= rules.low and not deleted[n]:
            band[n] = LOW
    added = np.zeros(len(BANDS))
    free, blind = np.zeros(len(taken), np.bool_), not anybody_looks(rows, boxes, rules)
    near, near_observed, near_buffer = nearby_boxes(inputs, believed, False, 0.0, rules), False, 0.0
    for s in range(len(stages)):
        stage = stages[s]
        if stage.blind != blind:
            continue
        if stage.observed != near_observed or stage.buffer != near_buffer:
            near_observed, near_buffer = stage.observed, stage.buffer
            near = nearby_boxes(inputs, believed, near_observed, near_buffer, rules)
        for t in range(len(rows)):
            limit[t] = 0.0
            if joined[t] < 0 and (
                believed[t] if stage.by_place else expected(rows[t].seen, rules.max_age, now)
            ):
                limit[t] = stage.limit[rows[t].status]
        for b in range(len(BANDS)):
            added[b] = stage.bands[b]
        for n in range(len(taken)):
            free[n] = not taken[n] and band[n] >= 0 and not np.isnan(added[band[n]])
        if stage.odds:
            pairs = _thinkable(inputs, near, limit, free, stage.reach, rules)
        elif blind or not stage.apart:
            pairs = _open(near, limit, free)
        elif stage.from_matrix:
            pairs = _alike_by_matrix(inputs, looks.matrix, near, limit, free, stage, rules)
        else:
            pairs = _apart(inputs, near, limit, free, stage, rules)
        if len(pairs.row) == 0:
            continue
        look = pairs.iou  # where nobody's looks are asked: anything
        if stage.looks or stage.gates[0] >= 0:
            pairs, look = _let_through(inputs, looks, pairs, stage, rules)
        cost = sum_of_costs(stage.terms, stage.weights, pairs, look, inputs, looks.matrix, stage, rules)
        which, count = np.empty(len(cost), np.int64), 0
        gain = cost
        for p in range(len(cost)):
            gain[count] = limit[pairs.row[p]] - (cost[p] + added[band[pairs.col[p]]])
            if gain[count] > 0:
                which[count] = p
                count += 1
        if count == 0:
            continue
        row, col = pairs.row, pairs.col
        if count < len(cost):
            row, col, gain = row[which[:count]], col[which[:count]], gain[:count]
        if stage.cascade:
            _cascade(row, col, gain, inputs, joined, taken)
        elif stage.limit_step > 0:
            _mutual(row, col, gain, stage.limit_step, joined, taken)
        else:
            _join(row, col, gain, joined, taken)
    return joined


@inner
def _let_through(
    inputs: Inputs, looks: FrameLooks, pairs: CandidatePairs, stage: Any, rules: Any
) -> tuple[CandidatePairs, np.ndarray]:
    """The pairs that the gates let through, and (P,) `looks_of` them, where the stage compares looks."""
    look, first = pairs.iou, False
    if stage.looks and len(pairs.row) and (stage.gate_looks or len(looks.matrix)):
        look, first = looks_of(pairs, inputs, looks, rules), True
    for k in range(MOST):
        if stage.gates[k] >= 0 and len(pairs.row):
            value = sum_of_costs(
                stage.gates[k : k + 1], np.ones(1), pairs, look, inputs, looks.matrix, stage, rules
            )
            which = np.nonzero(value <= stage.most[k])[0]
            if len(which) < len(value):
                pairs = CandidatePairs(pairs.row[which], pairs.col[which], pairs.iou[which])
                look = look[which] if first else look
    if stage.looks and len(pairs.row) and not first:
        look = looks_of(pairs, inputs, looks, rules)
    return pairs, look


@inner
def _mutual(
    row: np.ndarray, col: np.ndarray, gain: np.ndarray, step: float, joined: np.ndarray, taken: np.ndarray
) -> None:
    """`stages.mutual_nearest`, in place."""
    best_row, best_col = np.zeros(len(joined)), np.zeros(len(taken))
    alive, fallen = np.arange(len(gain)), 0.0
    while len(alive):
        best_row[:] = 0.0
        best_col[:] = 0.0
        for p in alive:
            best_row[row[p]] = max(best_row[row[p]], gain[p])
            best_col[col[p]] = max(best_col[col[p]], gain[p])
        count = 0
        for p in alive:  # of ties the first: who is joined or taken by then is not asked
            if joined[row[p]] < 0 and not taken[col[p]]:
                g = gain[p]
                if g == best_row[row[p]] and g == best_col[col[p]] and g > fallen:
                    joined[row[p]], taken[col[p]] = col[p], True
                    count += 1
        if count == 0:
            return
        count = 0
        for p in alive:
            if joined[row[p]] < 0 and not taken[col[p]]:
                alive[count] = p
                count += 1
        alive = alive[:count]
        fallen += step


@inner
def _cascade(
    row: np.ndarray, col: np.ndarray, gain: np.ndarray, inputs: Inputs, joined: np.ndarray, taken: np.ndarray
) -> None:
    """One assignment for each age, the youngest first, in place; as `stages._cascade`."""
    age = np.rint((inputs.now.time - inputs.rows["seen"][row]) / inputs.interval)
    for value in np.unique(age):
        which, count = np.empty(len(row), np.int64), 0
        for p in range(len(row)):
            if age[p] == value and not taken[col[p]]:
                which[count] = p
                count += 1
        which = which[:count]
        if count:
            _join(row[which], col[which], gain[which], joined, taken)


@inner
def _join(row: np.ndarray, col: np.ndarray, gain: np.ndarray, joined: np.ndarray, taken: np.ndarray) -> None:
    """The best matching of these pairs, in place."""
    column = solve(row, col, gain)
    for t in range(len(column)):
        if column[t] >= 0:
            joined[t], taken[column[t]] = column[t], True


@inner
def who_is_believed(rows: np.ndarray, rules: Any, now: FrameTime) -> np.ndarray:
    """(T,) bool, whose predicted box counts; as in `Tracker._associate`."""
    believed = np.zeros(len(rows), np.bool_)
    for t in range(len(rows)):
        believed[t] = expected(rows[t].seen, rules.believed_age, now)
    return believed


@inner
def nearby_boxes(
    inputs: Inputs, believed: np.ndarray, observed: bool, buffer: float, rules: Any
) -> CandidatePairs:
    """As `matching.overlaps_of`."""
    rows, exact = inputs.rows, inputs.found.exact
    mine = inputs.memory[:, :4].copy() if observed else inputs.box
    if buffer > 0:
        mine, exact = _grown(mine, buffer), _grown(exact, buffer)
    row, col, iou = overlapping_pairs(mine, exact)
    which, count = np.empty(len(row), np.int64), 0
    for p in range(len(row)):
        if (observed or believed[row[p]]) and alike(
            rows[row[p]].class_id, inputs.found.boxes[col[p]].class_id, rules
        ):
            which[count] = p
            count += 1
    if count == len(row):
        return CandidatePairs(row, col, iou)
    which = which[:count]
    return CandidatePairs(row[which], col[which], iou[which])


@inner
def _grown(xyxy: np.ndarray, by: float) -> np.ndarray:
    """As `boxes.grown`."""
    grown = np.empty_like(xyxy)
    for n in range(len(xyxy)):
        for k in range(2):
            margin = (xyxy[n, 2 + k] - xyxy[n, k]) * by
            grown[n, k], grown[n, 2 + k] = xyxy[n, k] - margin, xyxy[n, 2 + k] + margin
    return grown


@inner
def _open(near: CandidatePairs, limit: np.ndarray, free: np.ndarray) -> CandidatePairs:
    """Of the pairs that overlap those of this stage."""
    row, col, count = near.row, near.col, 0
    for p in range(len(row)):
        count += limit[row[p]] > 0 and free[col[p]]
    if count == len(row):
        return near
    which, count = np.empty(count, np.int64), 0
    for p in range(len(row)):
        if limit[row[p]] > 0 and free[col[p]]:
            which[count] = p
            count += 1
    return CandidatePairs(row[which], col[which], near.iou[which])


@inner
def _alike_by_matrix(
    inputs: Inputs,
    matrix: np.ndarray,
    near: CandidatePairs,
    limit: np.ndarray,
    free: np.ndarray,
    stage: Any,
    rules: Any,
) -> CandidatePairs:
    """The pairs of this stage that overlap, and those apart that look alike enough, by row, then column."""
    rows, boxes = inputs.rows, inputs.found.boxes
    size, count, first = 4 * len(rows) + 16, 0, 0
    row, col, iou = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size)
    overlap = np.zeros(len(free))
    for t in range(len(rows)):
        while first < len(near.row) and near.row[first] < t:
            first += 1
        if limit[t] <= 0:
            continue
        last, bound = first, stage.bound[rows[t].status]
        while last < len(near.row) and near.row[last] == t:
            overlap[near.col[last]] = near.iou[last]
            last += 1
        for n in range(len(free)):
            if not free[n]:
                continue
            look = matrix[t, n]
            if np.isnan(look) and alike(rows[t].class_id, boxes[n].class_id, rules):
                look = stage.neutral
            if look < bound or overlap[n] > 0:  # False for NaN
                if count == len(row):
                    row, col, iou = _doubled(row), _doubled(col), _doubled(iou)
                row[count], col[count], iou[count] = t, n, overlap[n]
                count += 1
        for p in range(first, last):
            overlap[near.col[p]] = 0.0
    return CandidatePairs(row[:count], col[:count], iou[:count])


@inner
def _apart(
    inputs: Inputs, near: CandidatePairs, limit: np.ndarray, free: np.ndarray, stage: Any, rules: Any
) -> CandidatePairs:
    """All pairs of this stage whose centres are within its reach, overlapping or not, by row, then column."""
    rows, filters, z, found = inputs.rows, inputs.filters, inputs.z, inputs.found
    cols, anywhere = np.nonzero(free)[0], stage.reach == np.inf
    by_x = cols[np.argsort(z[cols, 0])]
    x = z[by_x, 0]
    size, count, first = 4 * len(rows) + 16, 0, 0
    rows_, cols_, ious = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size)
    overlap = np.zeros(len(free))
    for t in range(len(rows)):
        while first < len(near.row) and near.row[first] < t:
            first += 1
        if limit[t] <= 0:
            continue
        last, by = first, cols
        if not anywhere:
            scale = filters[0, t, rules.scale_of[0]] if rules.scale_of[0] >= 0 else 0.0
            variance = filters[2, t, 0] + (scale * scale * rules.weight[2] + rules.constant[2, 0])
            reach = np.sqrt(stage.reach * variance) * (1 + 1e-9)
            begin_ = np.searchsorted(x, filters[0, t, 0] - reach)
            end = np.searchsorted(x, filters[0, t, 0] + reach, side="right")
            by = by_x[begin_:end].copy()
            by_column(by, np.empty(len(by)))
        while last < len(near.row) and near.row[last] == t:
            overlap[near.col[last]] = near.iou[last]
            last += 1
        for n in by:
            if not alike(rows[t].class_id, found.boxes[n].class_id, rules):
                continue
            unknown = rows[t].views == 0 or not found.boxes[n].known
            if overlap[n] == 0 and unknown and stage.neutral == np.inf:
                continue
            if not anywhere and distance(filters, t, z, n, 2, rules) > stage.reach:
                continue
            if count == len(rows_):
                rows_, cols_, ious = _doubled(rows_), _doubled(cols_), _doubled(ious)
            rows_[count], cols_[count], ious[count] = t, n, overlap[n]
            count += 1
        for p in range(first, last):
            overlap[near.col[p]] = 0.0
    return CandidatePairs(rows_[:count], cols_[:count], ious[:count])


@inner
def _thinkable(
    inputs: Inputs, near: CandidatePairs, limit: np.ndarray, free: np.ndarray, reach: float, rules: Any
) -> CandidatePairs:
    """`log_odds.thinkable`: the pairs that overlap, and those of one class whose centres are within reach."""
    rows, filters, z, boxes = inputs.rows, inputs.filters, inputs.z, inputs.found.boxes
    cols = np.nonzero(free)[0]
    by_x = cols[np.argsort(z[cols, 0])]
    x = z[by_x, 0]
    size, count, p = 4 * len(rows) + 16, 0, 0
    row, col, iou = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size)
    for t in range(len(rows)):
        while p < len(near.row) and near.row[p] < t:
            p += 1
        if limit[t] <= 0:
            continue
        while count + len(free) > len(row):
            row, col, iou = _doubled(row), _doubled(col), _doubled(iou)
        first = count
        while p < len(near.row) and near.row[p] == t:
            if free[near.col[p]]:
                col[count], iou[count] = near.col[p], near.iou[p]
                count += 1
            p += 1
        overlapping = count
        scale = filters[0, t, rules.scale_of[0]] if rules.scale_of[0] >= 0 else 0.0
        variance = filters[2, t, 0] + (scale * scale * rules.weight[2] + rules.constant[2, 0])
        far = np.sqrt(reach * variance) * (1 + 1e-9)
        at = np.searchsorted(x, filters[0, t, 0] - far)
        while at < len(x) and x[at] <= filters[0, t, 0] + far:
            n = by_x[at]
            at += 1
            if not alike(rows[t].class_id, boxes[n].class_id, rules):
                continue
            if not distance(filters, t, z, n, 2, rules) < reach:
                continue
            known = False
            for k in range(first, overlapping):
                known = known or col[k] == n
            if not known:
                col[count], iou[count] = n, 0.0
                count += 1
        by_column(col[first:count], iou[first:count])
        for k in range(first, count):
            row[k] = t
    return CandidatePairs(row[:count], col[:count], iou[:count])


@inner
def _doubled(values: np.ndarray) -> np.ndarray:
    more = np.empty(2 * len(values), values.dtype)
    for k in range(len(values)):
        more[k] = values[k]
    return more
