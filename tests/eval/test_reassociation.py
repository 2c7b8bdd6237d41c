"""Looks alone after a gap: worked numbers, a slow twin, what is left out."""

from __future__ import annotations

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.eval.reassociation import CROWDED, Reassociation, auc, pooled, reassociation


def test_worked_numbers() -> None:
    """Frame 0: A, B. Frame 5: A looks like A, B looks like A did; C is new."""
    a, b = np.eye(2)
    features = np.array([a, b, a, a, b])
    found = reassociation(features, np.array([1, 2, 1, 2, 3]), np.array([0, 0, 5, 5, 5]), [5, 4])
    five, four = found
    assert (five.gap, five.queries) == (5, 2)
    assert five.rank1 == 0.5  # A is nearest to A (the first of two that tie); B is nearest to C
    assert five.chance == pytest.approx(1 / 3)
    # same: A-A 0, B-B 1; others: A-B 0, A-C 1, B-A 1, B-C 0: 2 wins and 2 ties of 4, then 2 ties of 4
    assert five.auc == pytest.approx((2 + 1 + 0 + 1) / 8)
    assert four.queries == 0
    assert np.isnan(four.rank1)


def slow(features: np.ndarray, ids: np.ndarray, frames: np.ndarray, gap: int, overlap: np.ndarray) -> dict:
    hits, crowded, same, other = [], [], [], []
    for q in range(len(ids)):
        there = [
            g for g in range(len(ids)) if frames[g] == frames[q] + gap and ids[g] > 0 and features[g].any()
        ]
        if ids[q] < 1 or not features[q].any() or len(there) < 2:
            continue
        distances = [1 - features[q] @ features[g] for g in there]
        for g, d in zip(there, distances, strict=True):
            (same if ids[g] == ids[q] else other).append(d)
        mates = [g for g in there if ids[g] == ids[q]]
        if mates:
            hits.append(ids[there[int(np.argmin(distances))]] == ids[q])
            crowded.append(overlap[q] >= CROWDED or any(overlap[g] >= CROWDED for g in mates))
    wins = sum((s < o) + 0.5 * (s == o) for s in same for o in other)
    return {
        "queries": len(hits),
        "rank1": np.mean(hits),
        "crowded": sum(crowded),
        "auc": wins / (len(same) * len(other)),
    }


@pytest.mark.parametrize("seed", range(5))
def test_slow_twin(seed: int) -> None:
    rng = np.random.default_rng(seed)
    frames = np.repeat(np.arange(12), 5)
    ids = np.concatenate([rng.permutation(7)[:5] for _ in range(12)])  # 0: nobody
    features = np.eye(8)[ids] + rng.normal(0, 0.5, (60, 8))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    features[rng.integers(0, 60, 4)] = 0
    overlap = rng.random(60) * 0.6
    order = rng.permutation(60)
    for found in reassociation(features[order], ids[order], frames[order], [1, 3], overlap[order]):
        twin = slow(features, ids, frames, found.gap, overlap)
        for name, value in twin.items():
            assert getattr(found, name) == pytest.approx(value), name


def test_pooled_is_weighted_by_queries() -> None:
    nan = float("nan")
    parts = [
        Reassociation(5, 30, 0.9, 0.5, 0.8, 0, nan),
        Reassociation(7, 10, 0.5, 0.1, 0.4, 10, 0.2),
        Reassociation(7, 0, nan, nan, nan, 0, nan),
    ]
    assert pooled(parts) == Reassociation(
        5, 40, pytest.approx(0.8), pytest.approx(0.4), pytest.approx(0.7), 10, 0.2
    )


def test_nobody_and_nothing() -> None:
    (found,) = reassociation(np.zeros((0, 4)), np.zeros(0), np.zeros(0), [3])
    assert found.queries == 0
    assert np.isnan(auc(np.zeros(0), np.ones(3)))


def test_refusals() -> None:
    with pytest.raises(InputError, match=r"gaps are frames from 1, got 0"):
        reassociation(np.eye(2), np.ones(2), np.ones(2), [0])
    with pytest.raises(InputError, match=r"expected features \(N, D\)"):
        reassociation(np.eye(2), np.ones(3), np.ones(2), [1])
