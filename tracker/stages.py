"""What one association stage offers to the solver: costs, limits, and the gain of each pair.

A preset names its costs; COSTS is where a new one goes.
"""

from __future__ import annotations

import numpy as np

from tracker.association import Pairs
from tracker.config import Stage
from tracker.state import STATUS

NOTHING_KNOWN = np.array(np.nan)  # the appearance distance where nobody has an appearance
Matches = tuple[np.ndarray, np.ndarray, np.ndarray]  # row (P,), column (P,), gain (P,) > 0


def iou_cost(iou: np.ndarray, score: np.ndarray, appearance: np.ndarray, stage: Stage) -> np.ndarray:
    """1 - IoU (SORT)."""
    return 1.0 - iou


def iou_score_cost(iou: np.ndarray, score: np.ndarray, appearance: np.ndarray, stage: Stage) -> np.ndarray:
    """1 - IoU x detection score (ByteTrack's score fusion)."""
    return 1.0 - iou * score


def appearance_cost(iou: np.ndarray, score: np.ndarray, appearance: np.ndarray, stage: Stage) -> np.ndarray:
    """1 - cosine; never where a side has no appearance."""
    return np.where(np.isnan(appearance), np.inf, appearance)


def blend_cost(iou: np.ndarray, score: np.ndarray, appearance: np.ndarray, stage: Stage) -> np.ndarray:
    """w (1 - IoU) + (1 - w) (1 - cosine) (GHOST, sec. 3.4); an unknown appearance counts as a neutral one."""
    look = np.where(np.isnan(appearance), stage.neutral_appearance, appearance)
    return stage.motion_weight * (1.0 - iou) + (1.0 - stage.motion_weight) * look


# Elementwise: (IoU, detection score, appearance distance or NaN, stage) -> distance, all of one shape
COSTS = {"iou": iou_cost, "iou_score": iou_score_cost, "appearance": appearance_cost, "blend": blend_cost}
REACH_ALL = {"appearance", "blend"}  # these can join boxes that do not meet
BELIEVES_MOTION = {"iou", "iou_score", "blend"}  # these need a predicted box that is still believed


def with_limits(stages: tuple[Stage, ...]) -> list[tuple[Stage, np.ndarray]]:
    """Each stage with its limits by status (3,); 0: the stage leaves that status out."""
    return [(stage, np.array([stage.limit_of(name) for name in STATUS])) for stage in stages]


def gains_near(stage: Stage, limit: np.ndarray, open_: np.ndarray, near: Pairs, score: np.ndarray) -> Matches:
    """What each open pair of overlapping boxes (P,) would gain: limit - cost, where that is above 0."""
    gain = limit - COSTS[stage.cost](near.iou, score[near.col], NOTHING_KNOWN, stage)
    open_ &= gain > 0
    which = open_.nonzero()[0]
    return near.row[which], near.col[which], gain[which]


def gains_anywhere(
    stage: Stage, limit: np.ndarray, free: np.ndarray, near: Pairs, score: np.ndarray, appearance: np.ndarray
) -> Matches:
    """The same for every pair of a track (limit > 0) and a free detection, wherever they are."""
    rows, cols = (limit > 0).nonzero()[0], free.nonzero()[0]
    iou = np.zeros(appearance.shape)
    iou[near.row, near.col] = near.iou
    chosen = np.ix_(rows, cols)
    gain = limit[rows, None] - COSTS[stage.cost](iou[chosen], score[cols], appearance[chosen], stage)
    r, c = np.nonzero(gain > 0)
    return rows[r], cols[c], gain[r, c]
