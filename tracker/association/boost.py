"""Detection scores raised by what the tracks expect (BoostTrack, Stanojevic and Todorovic 2024, sec. 3.4 and 3.5)."""

from __future__ import annotations

import numpy as np

from retrace.tracker.association.assignment import CandidatePairs, overlapping_pairs
from retrace.tracker.association.inputs import CostInputs
from retrace.tracker.config import Boost
from retrace.tracker.motion.filters import nearby
from retrace.tracker.tracks.state import kinds

CROWDED = 0.3  # of unlikely boxes that overlap more only the best counts


def boosted(
    inputs: CostInputs, near: CandidatePairs, believed: np.ndarray, rule: Boost, high: float
) -> np.ndarray:
    """(N,) float32 scores.

    Likely objects (DLO): a box that overlaps a track by IoU is at least ``rule.likely`` x IoU sure. Unlikely
    ones (DUO): of what still scores below ``high``, a box further than ``rule.distance`` from every track is
    somebody new and ``high`` sure, unless it overlaps a better one of its like by more than 0.3. What scores
    below ``low`` stays ignored.

    Args:
        near: the pairs that overlap and may match.
        believed: (T,) bool, the tracks whose predicted box counts.
    """
    detections = inputs.detections
    score = detections.score.copy()
    eligible = score >= inputs.config.low
    best = np.zeros(len(score))
    np.maximum.at(best, near.col, near.iou)
    np.maximum(score, np.float32(rule.likely) * best.astype(np.float32), out=score, where=eligible)
    if rule.unlikely and believed.any():
        far = _far(inputs, believed, rule.distance) & eligible & (score < high)
        score[_best(inputs, far.nonzero()[0], score)] = high
    return np.minimum(score, np.float32(1))


def _far(inputs: CostInputs, believed: np.ndarray, distance: float) -> np.ndarray:
    """(N,) bool, who is further away from every believed track of its class."""
    live, detections, config = inputs.live, inputs.detections, inputs.config
    row, col, _ = nearby(live.filters, inputs.model.from_xyxy(detections.xyxy), distance)
    known = believed[row] & (kinds(live.class_id, config)[row] == kinds(detections.class_id, config)[col])
    far = np.ones(len(detections), bool)
    far[col[known]] = False
    return far


def _best(inputs: CostInputs, which: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Of the detections ``which`` (K,) those that overlap no better one of them."""
    xyxy, kind = inputs.detections.xyxy[which], kinds(inputs.detections.class_id[which], inputs.config)
    pairs = overlapping_pairs(xyxy, xyxy)
    worse = score[which[pairs.row]] < score[which[pairs.col]]
    worse &= (pairs.iou > CROWDED) & (kind[pairs.row] == kind[pairs.col])
    return np.delete(which, pairs.row[worse])
