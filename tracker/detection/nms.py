"""Greedy non-maximum suppression within each class."""

from __future__ import annotations

import numpy as np

MOST = 300  # boxes of one picture; Ultralytics, DETR and torchvision keep 100 to 300


def nms(
    xyxy: np.ndarray, score: np.ndarray, class_id: np.ndarray, limit: float, most: int = MOST
) -> np.ndarray:
    """Which boxes stay: the best, then the best of those that do not overlap it by more than ``limit``, and so on.

    Boxes of different classes never compete. Of equal scores the earlier row is the better one.

    Args:
        xyxy: (N, 4) px.
        score, class_id: (N,).
        limit: IoU in [0, 1].
        most: how many stay at most.

    Returns:
        (K,) int64 rows, best first.
    """
    order = np.argsort(-score, kind="stable")
    boxes: np.ndarray = xyxy[order].astype(np.float32)
    if len(order) and (class_id != class_id[0]).any():  # classes side by side, out of each other's reach
        span = boxes.max() - min(boxes.min(), 0) + 1
        boxes = boxes.astype(np.float64) + (class_id[order] * float(span))[:, None]
    x1, y1, x2, y2 = np.ascontiguousarray(boxes.T)
    area = (x2 - x1) * (y2 - y1)
    rows = np.arange(len(order))
    kept: list[int] = []
    while len(rows) and len(kept) < most:
        best, rows = rows[0], rows[1:]
        kept.append(best)
        wide = np.minimum(x2[rows], x2[best]) - np.maximum(x1[rows], x1[best])
        high = np.minimum(y2[rows], y2[best]) - np.maximum(y1[rows], y1[best])
        inter = np.maximum(wide, 0) * np.maximum(high, 0)
        rows = rows[inter <= limit * (area[best] + area[rows] - inter)]
    return order[np.array(kept, np.int64)]
