"""The costs of association/costs.py, each a loop over candidate pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from retrace.tracker.association.arithmetic import length
from retrace.tracker.association.assignment import CandidatePairs
from retrace.tracker.association.costs import (
    ADAPTIVE_CAP,
    ADAPTIVE_WEIGHT,
    ALIKE,
    CORNERS,
    RELIEF,
    SPANS,
    heights_iou,
    on_a_line,
    smaller_cue,
    turn,
    turn_from_mean,
    within,
)
from retrace.tracker.compiled_frame.inputs import Inputs
from retrace.tracker.rules import COSTS

(
    IOU,
    IOU_SCORE,
    HMIOU,
    SCORE_GAP,
    APPEARANCE,
    HALF_APPEARANCE,
    NEAREST_CUE,
    MAHALANOBIS,
    CENTRE_MAHALANOBIS,
    SCORE_FORECAST,
    DIRECTION,
    CORNER_DIRECTION,
    ADAPTIVE_APPEARANCE,
    IOU_UNLESS_ALIKE,
) = range(len(COSTS))


@njit(error_model="numpy")
def add_cost(
    total: np.ndarray,
    weight: float,
    kind: int,
    pairs: CandidatePairs,
    look: np.ndarray,
    inputs: Inputs,
    stage: Any,
    rules: Any,
) -> None:
    """Add so much of one cost to ``total`` (P,), in place; look (P,): NaN where it is unknown."""
    row, col, iou, rows, box = pairs.row, pairs.col, pairs.iou, inputs.rows, inputs.box
    score, exact = inputs.found.score, inputs.found.exact
    if kind == IOU:
        for p in range(len(row)):
            total[p] += weight * (1.0 - iou[p])
    elif kind == IOU_SCORE:
        for p in range(len(row)):
            total[p] += weight * (1.0 - iou[p] * score[col[p]])
    elif kind == HMIOU:
        mine = inputs.memory if stage.observed else box
        for p in range(len(row)):
            t, n = row[p], col[p]
            heights = heights_iou(mine[t, 1], mine[t, 3], exact[n, 1], exact[n, 3])
            total[p] += weight * (1.0 - heights * iou[p])
    elif kind == SCORE_GAP:
        for p in range(len(row)):
            t = row[p]
            gap = on_a_line(rows[t].score, rows[t].score_before) - score[col[p]]
            total[p] += weight * np.float64(abs(gap))
    elif kind == APPEARANCE or kind == HALF_APPEARANCE:
        parts = 1.0 if kind == APPEARANCE else 2.0
        for p in range(len(row)):
            total[p] += weight * (_known_or(look[p], stage.neutral) / parts)
    elif kind == NEAREST_CUE:
        for p in range(len(row)):
            overlap = 1.0 - iou[p] * score[col[p]]
            total[p] += weight * smaller_cue(overlap, iou[p], _known_or(look[p], stage.neutral) / 2, stage)
    elif kind == SCORE_FORECAST:
        for p in range(len(row)):
            total[p] += weight * _score_gap(row[p], score[col[p]], inputs, rules)
    elif kind == DIRECTION:
        _add_direction(total, weight, row, col, inputs, rules)
    elif kind == CORNER_DIRECTION:
        _add_corners(total, weight, row, col, inputs, rules)
    elif kind == ADAPTIVE_APPEARANCE:
        _add_adaptive(total, weight, row, col, inputs.matrix)
    elif kind == IOU_UNLESS_ALIKE:
        for p in range(len(row)):
            total[p] += weight * (1.0 - iou[p] - (RELIEF if look[p] <= 1.0 - ALIKE else 0.0))
    else:
        coordinates = 4 if kind == MAHALANOBIS else 2
        for p in range(len(row)):
            total[p] += weight * distance(inputs.filters, row[p], inputs.z, col[p], coordinates, rules)


@njit(error_model="numpy")
def _known_or(look: float, neutral: float) -> float:
    return neutral if np.isnan(look) else look


@njit(error_model="numpy")
def distance(filters: np.ndarray, t: int, z: np.ndarray, n: Any, coordinates: int, rules: Any) -> float:
    """Twin of `filters.distance`, of one pair."""
    total = 0.0
    for k in range(coordinates):
        scale = filters[0, t, rules.scale_of[k]] if rules.scale_of[k] >= 0 else 0.0
        variance = filters[2, t, k] + (scale * scale * rules.weight[2] + rules.constant[2, k])
        off = z[n, k] - filters[0, t, k]
        total += off * off / variance
    return total


@njit(error_model="numpy")
def _score_gap(t: int, score: Any, inputs: Inputs, rules: Any) -> float:
    """`costs.score_forecast`, of one pair."""
    mine = inputs.rows[t]
    if score >= rules.high:
        filtered = inputs.memory[t, rules.at_scores]
        return abs(within(filtered, np.float64(rules.high), 1.0) - np.float64(score))
    line = np.float32(2) * mine.score - mine.score_before if mine.streak > 0 else mine.score
    return abs(np.float64(within(line, rules.low, rules.high)) - np.float64(score))


@njit(error_model="numpy")
def _since(memory: np.ndarray, time: float, newest: int, rules: Any) -> int:
    """`costs._since`, of one track's memory (M,): where in it the box begins."""
    oldest = newest
    for k in range(rules.at_past_time // 4):
        if memory[rules.at_past_time + k] >= time:
            oldest = max(oldest, k)
    return 4 * oldest


@njit(error_model="numpy")
def _add_direction(
    total: np.ndarray, weight: float, row: np.ndarray, col: np.ndarray, inputs: Inputs, rules: Any
) -> None:
    """`costs.direction`."""
    exact, score, last = inputs.found.exact, inputs.found.score, -1
    back = rules.direction_span * inputs.step * (1 + 1e-6)
    came_x = came_y = from_x = from_y = 0.0
    for p in range(len(row)):
        t, n = row[p], col[p]
        mine = inputs.memory[t]
        if np.isnan(mine[rules.at_past_time + 1]):
            continue
        if t != last:
            last = t
            a = _since(mine, mine[rules.at_past_time] - back, 1, rules)
            b = _since(mine, inputs.now.time - back, 0, rules)
            came_x = (mine[0] + mine[2]) * 0.5 - (mine[a] + mine[a + 2]) * 0.5
            came_y = (mine[1] + mine[3]) * 0.5 - (mine[a + 1] + mine[a + 3]) * 0.5
            from_x, from_y = (mine[b] + mine[b + 2]) * 0.5, (mine[b + 1] + mine[b + 3]) * 0.5
        goes_x = (exact[n, 0] + exact[n, 2]) * 0.5 - from_x
        goes_y = (exact[n, 1] + exact[n, 3]) * 0.5 - from_y
        total[p] += weight * ((turn(came_x, came_y, goes_x, goes_y) / np.pi - 0.5) * score[n])


@njit(error_model="numpy")
def _add_corners(
    total: np.ndarray, weight: float, row: np.ndarray, col: np.ndarray, inputs: Inputs, rules: Any
) -> None:
    """`costs.corner_direction`."""
    exact, score, last, goes_from = inputs.found.exact, inputs.found.score, -1, 0
    back = len(SPANS) * inputs.step * (1 + 1e-6)
    came = np.zeros((len(CORNERS), 2))
    for p in range(len(row)):
        t, n = row[p], col[p]
        mine = inputs.memory[t]
        if t != last:
            last, goes_from = t, _since(mine, inputs.now.time - back, 0, rules)
            for c in range(len(CORNERS)):
                i, j = CORNERS[c]
                came[c, 0] = came[c, 1] = 0.0
                for k in SPANS:
                    if np.isnan(mine[rules.at_past_time + k]):
                        continue
                    x, y = mine[i] - mine[4 * k + i], mine[j] - mine[4 * k + j]
                    size = length(x, y)
                    size += size == 0
                    came[c, 0] += x / size / (k * len(SPANS))
                    came[c, 1] += y / size / (k * len(SPANS))
        turned = 0.0
        for c in range(len(CORNERS)):
            i, j = CORNERS[c]
            x, y = exact[n, i] - mine[goes_from + i], exact[n, j] - mine[goes_from + j]
            turned += turn_from_mean(came[c, 0], came[c, 1], x, y)
        total[p] += weight * (turned / (np.pi * len(CORNERS)) * score[n])


@njit(error_model="numpy")
def _add_adaptive(
    total: np.ndarray, weight: float, row: np.ndarray, col: np.ndarray, matrix: np.ndarray
) -> None:
    """`costs.adaptive_appearance`; no matrix: nobody's looks are known."""
    if len(matrix) == 0:
        return
    of_row, of_col = _margins(matrix, False), _margins(matrix, True)
    for p in range(len(row)):
        look = matrix[row[p], col[p]]
        own = 0.0 if np.isnan(look) else 1.0 - look
        total[p] += weight * (-(ADAPTIVE_WEIGHT + (of_row[row[p]] + of_col[col[p]]) / 2) * own)


@njit(error_model="numpy")
def _margins(look: np.ndarray, of_columns: bool) -> np.ndarray:
    """(T, N) -> (T,) or (N,): `costs._margin` of 1 - look."""
    height, width = look.shape
    if of_columns:
        height, width = width, height
    margin = np.zeros(height)
    for t in range(height):
        best = second = -np.inf
        for n in range(width):
            cosine = 1.0 - (look[n, t] if of_columns else look[t, n])
            if cosine > best:
                best, second = cosine, best
            elif cosine > second:
                second = cosine
        if second > -np.inf:
            margin[t] = min(best - second, ADAPTIVE_CAP)
    return margin
