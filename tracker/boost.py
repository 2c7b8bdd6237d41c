"""Detection scores raised by what the tracks expect (BoostTrack, Stanojevic and Todorovic 2024, sec. 3.4 and 3.5)."""

from __future__ import annotations

import numpy as np

from tracker.association import Pairs
from tracker.config import Boost
from tracker.costs import Scene
from tracker.motion import distances
from tracker.overlaps import doubles, kinds


def boosted(scene: Scene, near: Pairs, rule: Boost, high: float) -> np.ndarray:
    """(N,) float32 scores.

    Likely objects (DLO): a box that overlaps a track by IoU is at least ``rule.likely`` x IoU sure. Unlikely
    ones (DUO): a box further than ``rule.distance`` from every track is somebody new and at least ``high``
    sure, the best of those that overlap by more than 0.3. What scores below ``low`` stays ignored.

    Args:
        near: the pairs that overlap and may match.
    """
    detections = scene.detections
    score = detections.score.copy()
    heard = score >= scene.config.low
    best = np.zeros(len(score))
    np.maximum.at(best, near.col, near.iou)
    np.maximum(score, np.float32(rule.likely) * best.astype(np.float32), out=score, where=heard)
    if rule.unlikely and len(scene.live):
        every = distances(scene.model, scene.live.filters, scene.model.from_xyxy(detections.xyxy))
        mine = kinds(scene.live.class_id, scene.config)
        theirs = kinds(detections.class_id, scene.config)
        every[mine[:, None] != theirs] = np.inf
        far = ((every.min(0) > rule.distance) & heard).nonzero()[0]
        again = doubles(detections.xyxy[far], detections.score[far], theirs[far], 0.3)
        new = far[~again]
        score[new] = np.maximum(score[new], np.float32(high))
    return np.minimum(score, np.float32(1))
