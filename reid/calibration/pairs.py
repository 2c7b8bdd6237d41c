"""Pairs of boxes of which it is known, without labels, whether they show one person or two.

Boxes of one frame that hardly overlap are different people; the beginning and the end of a confident tracklet
are one person.
"""

from __future__ import annotations

import numpy as np

APART = 0.2  # IoU from which two boxes of a frame may be one person twice, or hold parts of each other


def overlaps(xyxy: np.ndarray) -> np.ndarray:
    """(N, 4) px -> (N, N) IoU of every box with every other; 0 where one has no area."""
    boxes = np.asarray(xyxy, np.float64).reshape(-1, 4)
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    area = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1)
    union = area[:, None] + area - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def strangers(features: np.ndarray, xyxy: np.ndarray, apart: float = APART) -> np.ndarray:
    """Cosines of the people of one frame who are certainly different.

    Args:
        features: (N, D) unit rows; a row of zeros is a box without appearance and makes no pair.
        xyxy: (N, 4) px.
        apart: boxes that overlap as much (IoU) make no pair.

    Returns:
        (P,) float64 in [-1, 1], pairs (i, j) with i < j in order.
    """
    features = np.asarray(features, np.float64)
    known = (features != 0).any(axis=1)
    pair = known[:, None] & known & (overlaps(xyxy) < apart)
    rows, columns = np.nonzero(np.triu(pair, 1))
    return (features @ features.T)[rows, columns]
