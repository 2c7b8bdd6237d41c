"""The costs of association/costs.py, each a loop over candidate pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from retrace.tracker.association.assignment import CandidatePairs
from retrace.tracker.association.costs import heights_iou, on_a_line, smaller_cue
from retrace.tracker.compiled_frame.inputs import Found
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
) = range(len(COSTS))


@njit(error_model="numpy")
def add_cost(
    total: np.ndarray,
    weight: float,
    kind: int,
    pairs: CandidatePairs,
    rows: np.ndarray,
    filters: np.ndarray,
    box: np.ndarray,
    z: np.ndarray,
    look: np.ndarray,
    stage: Any,
    found: Found,
    rules: Any,
) -> None:
    """Add so much of one cost to ``total`` (P,), in place: see association/costs.py."""
    row, col, iou, score, exact = pairs.row, pairs.col, pairs.iou, found.score, found.exact
    if kind == IOU:
        for p in range(len(row)):
            total[p] += weight * (1.0 - iou[p])
    elif kind == IOU_SCORE:
        for p in range(len(row)):
            total[p] += weight * (1.0 - iou[p] * score[col[p]])
    elif kind == HMIOU:
        for p in range(len(row)):
            t, n = row[p], col[p]
            heights = heights_iou(box[t, 1], box[t, 3], exact[n, 1], exact[n, 3])
            total[p] += weight * (1.0 - heights * iou[p])
    elif kind == SCORE_GAP:
        for p in range(len(row)):
            t = row[p]
            gap = on_a_line(rows[t].score, rows[t].score_before) - score[col[p]]
            total[p] += weight * np.float64(abs(gap))
    elif kind == APPEARANCE:
        for p in range(len(row)):
            total[p] += weight * look[p]
    elif kind == HALF_APPEARANCE:
        for p in range(len(row)):
            total[p] += weight * (look[p] / 2)
    elif kind == NEAREST_CUE:
        for p in range(len(row)):
            overlap = 1.0 - iou[p] * score[col[p]]
            total[p] += weight * smaller_cue(overlap, iou[p], look[p] / 2, stage)
    else:
        coordinates = 4 if kind == MAHALANOBIS else 2
        for p in range(len(row)):
            total[p] += weight * distance(filters, row[p], z, col[p], coordinates, rules)


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
