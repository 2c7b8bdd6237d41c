"""Each image against all others: worked numbers and a slow twin."""

from __future__ import annotations

import numpy as np
import pytest

from retrace.eval.ranking.whole_set import evaluate_whole_set


def test_worked_numbers() -> None:
    """Points 0, 1, 3, 4 of a, 2 of b (twice, at 2 and 2.1), Euclid; query 0 sees a b b a a: rel 1, 0, 0, 1, 1, R 3."""
    x = np.array([[0.0], [1.0], [3.0], [4.0], [2.0], [2.1]])
    m = evaluate_whole_set(x, np.array([1, 1, 1, 1, 2, 2]), metric="euclidean")
    assert m.ap[0] == pytest.approx((1 + 2 / 4 + 3 / 5) / 3)
    assert m.precision_at_r[0] == pytest.approx(1 / 3)
    assert m.ap_at_r[0] == pytest.approx(1 / 3)
    assert m.first_rank.tolist() == [1, 1, 2, 1, 1, 1]  # the last right one of two at distance 1
    assert m.rank_at(1) == pytest.approx(5 / 6)


def test_is_the_slow_one() -> None:
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 9, 60)  # 0: distractors, left out
    x = rng.standard_normal((60, 5))
    m = evaluate_whole_set(x, ids)
    kept = [i for i in range(60) if ids[i] > 0]
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    recall, map_at_r, precision = [], [], []
    for i in kept:
        others = sorted((j for j in kept if j != i), key=lambda j: -unit[i] @ unit[j])
        rel = [ids[j] == ids[i] for j in others]
        r = sum(rel)
        if not r:
            continue
        recall.append([any(rel[:k]) for k in (1, 2, 4)])
        precision.append(sum(rel[:r]) / r)
        map_at_r.append(sum(rel[k] * sum(rel[: k + 1]) / (k + 1) for k in range(r)) / r)
    assert [m.rank_at(k) for k in (1, 2, 4)] == pytest.approx(np.mean(recall, 0))
    assert m.map_at_r == pytest.approx(np.mean(map_at_r))
    assert m.r_precision == pytest.approx(np.mean(precision))
    assert m.gallery == len(kept)


def test_somebody_with_one_image_is_no_query() -> None:
    m = evaluate_whole_set(np.eye(3), np.array([1, 1, 2]))
    assert (m.valid_queries, m.gallery) == (2, 3)
