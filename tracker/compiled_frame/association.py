"""Who gets which detection: the stages of a preset, one after the other; as association/matching.py and stages.py."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from retrace.tracker.association.assignment import CandidatePairs
from retrace.tracker.compiled import by_column, corners, measured, overlapping_pairs, solve
from retrace.tracker.compiled_frame.appearance import anybody_looks, look_costs
from retrace.tracker.compiled_frame.costs import add_cost, distance
from retrace.tracker.compiled_frame.inputs import Found, Vectors
from retrace.tracker.rows import FrameTime, expected
from retrace.tracker.rules import MOST
from retrace.tracker.tracks.overlaps import alike


@njit(error_model="numpy")
def associate(
    rows: np.ndarray,
    filters: np.ndarray,
    found: Found,
    vectors: Vectors,
    stages: np.ndarray,
    rules: Any,
    now: FrameTime,
) -> np.ndarray:
    """(T,) the detection of each track, -1: none; as `matching.associate`."""
    joined, taken = np.full(len(rows), -1), np.zeros(len(found.score), np.bool_)
    if len(rows) == 0 or len(taken) == 0:
        return joined
    box, z = corners(rules.kind, filters[0, : len(rows)]), measured(rules.kind, found.exact)
    believed, limit, free = np.zeros(len(rows), np.bool_), np.zeros(len(rows)), np.zeros(len(taken), np.bool_)
    for t in range(len(rows)):
        believed[t] = expected(rows[t].seen, rules.believed_age, now)
    row, col, iou = overlapping_pairs(box, found.exact)
    blind = not anybody_looks(rows, found, rules)
    for s in range(len(stages)):
        stage = stages[s]
        if stage.blind != blind:
            continue
        for t in range(len(rows)):
            limit[t] = 0.0
            if joined[t] < 0 and (
                believed[t] if stage.by_place else expected(rows[t].seen, rules.max_age, now)
            ):
                limit[t] = stage.limit[rows[t].status]
        for n in range(len(taken)):
            high = found.score[n] >= rules.high
            free[n] = not taken[n] and high == stage.high and (high or found.score[n] >= rules.low)
        if stage.apart and not blind:
            pairs = _apart(rows, filters, z, row, col, iou, limit, free, believed, stage, found, rules)
        else:
            pairs = _open(rows, row, col, iou, limit, free, believed, found, rules)
        for k in range(MOST):
            if stage.gates[k] >= 0 and len(pairs.row):
                pairs = _through_gate(
                    stage.gates[k], stage.most[k], stage, pairs, rows, filters, box, z, found, rules
                )
        if len(pairs.row) == 0:
            continue
        gain = np.zeros(len(pairs.row))
        look = look_costs(pairs, rows, found, vectors, stage.neutral, rules) if stage.looks else gain
        for k in range(MOST):
            if stage.terms[k] >= 0:
                add_cost(
                    gain,
                    stage.weights[k],
                    stage.terms[k],
                    pairs,
                    rows,
                    filters,
                    box,
                    z,
                    look,
                    stage,
                    found,
                    rules,
                )
        which, count = np.empty(len(gain), np.int64), 0
        for p in range(len(gain)):
            gain[count] = limit[pairs.row[p]] - gain[p]
            if gain[count] > 0:
                which[count] = p
                count += 1
        if count:
            column = solve(pairs.row[which[:count]], pairs.col[which[:count]], gain[:count])
            for t in range(len(column)):
                if column[t] >= 0:
                    joined[t], taken[column[t]] = column[t], True
    return joined


@njit(error_model="numpy")
def _open(
    rows: np.ndarray,
    row: np.ndarray,
    col: np.ndarray,
    iou: np.ndarray,
    limit: np.ndarray,
    free: np.ndarray,
    believed: np.ndarray,
    found: Found,
    rules: Any,
) -> CandidatePairs:
    """Of the pairs that overlap those of this stage."""
    which, count = np.empty(len(row), np.int64), 0
    for p in range(len(row)):
        t, n = row[p], col[p]
        if limit[t] > 0 and free[n] and believed[t] and alike(rows[t].class_id, found.class_id[n], rules):
            which[count] = p
            count += 1
    which = which[:count]
    return CandidatePairs(row[which], col[which], iou[which])


@njit(error_model="numpy")
def _apart(
    rows: np.ndarray,
    filters: np.ndarray,
    z: np.ndarray,
    row: np.ndarray,
    col: np.ndarray,
    iou: np.ndarray,
    limit: np.ndarray,
    free: np.ndarray,
    believed: np.ndarray,
    stage: Any,
    found: Found,
    rules: Any,
) -> CandidatePairs:
    """All pairs of this stage whose centres are within its reach, overlapping or not, by row, then column."""
    cols, anywhere = np.nonzero(free)[0], stage.reach == np.inf
    by_x = cols[np.argsort(z[cols, 0])]
    x = z[by_x, 0]
    size, count, first = 4 * len(rows) + 16, 0, 0
    rows_, cols_, ious = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size)
    overlap = np.zeros(len(free))
    for t in range(len(rows)):
        while first < len(row) and row[first] < t:
            first += 1
        if limit[t] <= 0:
            continue
        last, near = first, cols
        if not anywhere:
            scale = filters[0, t, rules.scale_of[0]] if rules.scale_of[0] >= 0 else 0.0
            variance = filters[2, t, 0] + (scale * scale * rules.weight[2] + rules.constant[2, 0])
            reach = np.sqrt(stage.reach * variance) * (1 + 1e-9)
            begin_ = np.searchsorted(x, filters[0, t, 0] - reach)
            end = np.searchsorted(x, filters[0, t, 0] + reach, side="right")
            near = by_x[begin_:end].copy()
            by_column(near, np.empty(len(near)))
        while last < len(row) and row[last] == t:
            overlap[col[last]] = iou[last] if believed[t] else 0.0
            last += 1
        for n in near:
            if not alike(rows[t].class_id, found.class_id[n], rules):
                continue
            unknown = rows[t].views == 0 or not found.known[n]
            if overlap[n] == 0 and unknown and stage.neutral == np.inf:
                continue
            if not anywhere and distance(filters, t, z, n, 2, rules) > stage.reach:
                continue
            if count == len(rows_):
                rows_, cols_, ious = _doubled(rows_), _doubled(cols_), _doubled(ious)
            rows_[count], cols_[count], ious[count] = t, n, overlap[n]
            count += 1
        for p in range(first, last):
            overlap[col[p]] = 0.0
    return CandidatePairs(rows_[:count], cols_[:count], ious[:count])


@njit(error_model="numpy")
def _doubled(values: np.ndarray) -> np.ndarray:
    more = np.empty(2 * len(values), values.dtype)
    for k in range(len(values)):
        more[k] = values[k]
    return more


@njit(error_model="numpy")
def _through_gate(
    kind: int,
    most: float,
    stage: Any,
    pairs: CandidatePairs,
    rows: np.ndarray,
    filters: np.ndarray,
    box: np.ndarray,
    z: np.ndarray,
    found: Found,
    rules: Any,
) -> CandidatePairs:
    """The pairs that a gate, which does not look, lets through."""
    value = np.zeros(len(pairs.row))
    add_cost(value, 1.0, kind, pairs, rows, filters, box, z, value, stage, found, rules)
    which = np.nonzero(value <= most)[0]
    return CandidatePairs(pairs.row[which], pairs.col[which], pairs.iou[which])
