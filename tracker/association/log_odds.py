"""One cost instead of rules: minus the log-odds that a box is this track's next one, a sum of calibrated terms.

Each term is a quantity of a pair and a piecewise linear table of nats (`tracker.config.LogOdds`), fitted together by
`tools/calibrate.py`: what one term knows the others do not count again. A quantity that is not known adds nothing.
"""

from __future__ import annotations

import numpy as np

from retrace.tracker.association.arithmetic import log
from retrace.tracker.association.assignment import CandidatePairs
from retrace.tracker.association.inputs import CostInputs
from retrace.tracker.config import LogOdds, Table
from retrace.tracker.motion import filters
from retrace.tracker.rows import EPSILON
from retrace.tracker.tracks.state import kinds

REACH = 100.0  # squared Mahalanobis of the centre: boxes that are further, and apart, are nobody's next ones
NEAREST = 1e-3  # the least squared distance of which the logarithm is taken


def quantities(inputs: CostInputs, pairs: CandidatePairs) -> dict[str, np.ndarray]:
    """What the terms of :data:`LogOdds` look at: (P,) float64 each; NaN: not known.

    overlap: IoU x IoU of the heights with the predicted box, 0 where it is no longer believed. place: log of the
    squared Mahalanobis distance of the centre. size: |log| of the heights' ratio, against the last box. score: the
    box's. fall: the track's last score minus it. look: 1 - cosine in units of what strangers are apart
    (`appearance_scale: 1`).
    """
    live, found = inputs.live, inputs.detections
    row, col = pairs.row, pairs.col
    box, last = found.xyxy[col].astype(np.float64), live.box[row].astype(np.float64)
    mine = inputs.box[row]
    shared = np.minimum(mine[:, 3], box[:, 3]) - np.maximum(mine[:, 1], box[:, 1])
    both = np.maximum(mine[:, 3], box[:, 3]) - np.minimum(mine[:, 1], box[:, 1])
    far = filters.distance(inputs.model, live.filters, row, inputs.model.from_xyxy(box), 2)
    score = found.score[col].astype(np.float64)
    looks = inputs.appearance
    return {
        "overlap": np.maximum(shared, 0.0) / both * pairs.iou,
        "place": log(np.maximum(far, NEAREST)),
        "size": np.abs(log((box[:, 3] - box[:, 1]) / (last[:, 3] - last[:, 1]))),
        "score": score,
        "fall": live.score[row] - score,
        "look": np.full(len(row), np.nan) if looks is None else looks[row, col],
    }


def ages(inputs: CostInputs, rows: np.ndarray, gaps: tuple[float, ...]) -> np.ndarray:
    """(P,) which row of a table counts: 0: the track was seen in the last frame; else 1 + how many gaps have passed."""
    since = (inputs.time - inputs.live.seen)[rows]
    passed = np.searchsorted(gaps, since + EPSILON, side="right")
    return np.where(since < 1.5 * inputs.interval, 0, 1 + passed)


def nats(table: Table, age: np.ndarray, value: np.ndarray) -> np.ndarray:
    """(P,) of ``value`` (P,) by the table, linear between knots, constant beyond them; 0 for NaN."""
    at, told = np.array(table.at), np.array(table.nats)
    row = age if len(told) > 1 else np.zeros_like(age)
    inside = np.fmin(np.fmax(value, at[0]), at[-1])  # of NaN the first knot
    left = np.minimum(at.searchsorted(inside, side="right") - 1, len(at) - 2)
    share = (inside - at[left]) / (at[left + 1] - at[left])
    return np.where(np.isnan(value), 0.0, told[row, left] * (1 - share) + told[row, left + 1] * share)


def log_odds(inputs: CostInputs, pairs: CandidatePairs) -> np.ndarray:
    """(P,) nats: above 0 it is rather the same person than another."""
    told = inputs.config.log_odds
    if told is None:  # a preset without tables is refused where it is read
        raise ValueError("log_odds")
    age = ages(inputs, pairs.row, told.gaps)
    values = quantities(inputs, pairs)
    total = np.full(len(pairs.row), told.bias)
    for name in LogOdds.TERMS:
        total += nats(getattr(told, name), age, values[name])
    return total


def thinkable(
    inputs: CostInputs, limit: np.ndarray, free: np.ndarray, near: CandidatePairs
) -> CandidatePairs:
    """The pairs of which odds are asked: those ``near`` that overlap, and those of one class within ``REACH``.

    Args:
        limit: (T,) of each track; 0: not in this stage.
        free: (N,) bool, the detections of this stage.
    """
    live, found, config = inputs.live, inputs.detections, inputs.config
    rows, cols = (limit > 0).nonzero()[0], free.nonzero()[0]
    row, col = np.repeat(rows, len(cols)), np.tile(cols, len(rows))
    iou = np.zeros((len(live), len(found)))
    iou[near.row, near.col] = near.iou
    overlap = iou[row, col]
    far = filters.distance(inputs.model, live.filters, row, inputs.model.from_xyxy(found.xyxy)[col], 2)
    alike = kinds(live.class_id, config)[row] == kinds(found.class_id, config)[col]
    which = ((overlap > 0) | (alike & (far < REACH))).nonzero()[0]
    return CandidatePairs(row[which], col[which], overlap[which])
