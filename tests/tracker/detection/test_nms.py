"""Greedy suppression against its slow twin."""

from __future__ import annotations

import numpy as np
import pytest

from retrace.tracker.detection.nms import nms


def slow(xyxy: np.ndarray, score: np.ndarray, class_id: np.ndarray, limit: float) -> list[int]:
    """One pair after the other."""
    kept: list[int] = []
    for row in sorted(range(len(score)), key=lambda row: -score[row]):  # stable
        x1, y1, x2, y2 = map(float, xyxy[row])
        for other in kept:
            a1, b1, a2, b2 = map(float, xyxy[other])
            inter = max(0.0, min(x2, a2) - max(x1, a1)) * max(0.0, min(y2, b2) - max(y1, b1))
            union = (x2 - x1) * (y2 - y1) + (a2 - a1) * (b2 - b1) - inter
            if class_id[row] == class_id[other] and inter > limit * union:
                break
        else:
            kept.append(row)
    return kept


def test_by_hand() -> None:
    # 10 x 10 boxes; shifted by 2: IoU 80 / 120 = 0.667; by 5: 50 / 150 = 0.333
    boxes = np.array([[0, 0, 10, 10], [2, 0, 12, 10], [5, 0, 15, 10]], float)
    score, same = np.array([0.5, 0.9, 0.7]), np.zeros(3, int)
    assert nms(boxes, score, same, 0.7).tolist() == [1, 2, 0]
    assert nms(boxes, score, same, 0.6).tolist() == [1, 2]  # 2 and 1: shifted by 3, 70 / 130 = 0.538
    assert nms(boxes, score, same, 0.5).tolist() == [1]
    assert nms(boxes, score, np.array([0, 0, 1]), 0.5).tolist() == [1, 2]  # another class
    assert nms(boxes, score, same, 1.0, most=2).tolist() == [1, 2]
    assert nms(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int), 0.5).tolist() == []


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("classes", [1, 3])
def test_as_its_slow_twin(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    low = rng.uniform(-20, 60, (120, 2))
    boxes = np.concatenate([low, low + rng.uniform(5, 40, (120, 2))], axis=1).astype(np.float32)
    score = rng.integers(1, 30, 120) / 30  # many are equal
    class_id = rng.integers(0, classes, 120)
    for limit in (0.3, 0.65):
        assert nms(boxes, score, class_id, limit).tolist() == slow(boxes, score, class_id, limit)
