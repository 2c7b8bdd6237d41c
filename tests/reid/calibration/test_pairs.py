"""Pairs that need no labels."""

from __future__ import annotations

import numpy as np
import pytest

from retrace.reid.calibration.pairs import overlaps, strangers


def test_overlaps_by_hand() -> None:
    # Two squares of 4 that share 2: 2 / (4 + 4 - 2). The third touches, the fourth has no area.
    boxes = np.array([[0, 0, 2, 2], [1, 0, 3, 2], [3, 0, 5, 2], [0, 0, 0, 2]])
    want = np.zeros((4, 4))
    want[:3, :3] = np.eye(3)
    want[0, 1] = want[1, 0] = 1 / 3
    np.testing.assert_allclose(overlaps(boxes), want)
    assert overlaps(np.zeros((0, 4))).shape == (0, 0)


def test_strangers_are_boxes_apart_that_have_an_appearance() -> None:
    a, b = np.array([1.0, 0.0]), np.array([0.6, 0.8])
    features = np.stack([a, b, np.zeros(2), b])
    boxes = np.array([[0, 0, 2, 2], [10, 0, 12, 2], [20, 0, 22, 2], [10.1, 0, 12.1, 2]])
    # 0-1 and 0-3 are apart, 1-3 is one place, 2 was not seen.
    np.testing.assert_allclose(strangers(features, boxes), [0.6, 0.6])


@pytest.mark.parametrize("seed", range(5))
def test_strangers_one_by_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(9, 4))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    corner = rng.uniform(0, 30, (9, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(5, 20, (9, 2))], 1)
    want = []
    for i in range(9):
        for j in range(i + 1, 9):
            w = min(boxes[i][2], boxes[j][2]) - max(boxes[i][0], boxes[j][0])
            h = min(boxes[i][3], boxes[j][3]) - max(boxes[i][1], boxes[j][1])
            both = max(w, 0) * max(h, 0)
            area = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (boxes[i], boxes[j]))
            if both / (area - both) < 0.2:
                want.append(sum(x * y for x, y in zip(features[i], features[j], strict=True)))
    np.testing.assert_allclose(strangers(features, boxes), want)
    assert strangers(features[:0], boxes[:0]).shape == (0,)
