"""K-means against identities: worked numbers, slow twins, scikit-learn."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.eval.ranking.clusters import (
    ami,
    clustering_scores,
    contingency,
    expected_information,
    nmi,
    pair_f1,
)

L, K = np.array([0, 0, 1, 1, 1]), np.array([0, 0, 0, 0, 1])


def test_of_clear_and_of_hopeless_clusters() -> None:
    rng = np.random.default_rng(0)
    ids = np.repeat([3, 5], 50)
    x = np.where(ids[:, None] == 3, [10.0, 0], [0, 10.0]) + 0.1 * rng.standard_normal((100, 2))
    assert clustering_scores(x, ids).nmi == pytest.approx(1)
    found = clustering_scores(x, rng.permutation(ids))
    assert found.nmi < 0.1
    assert abs(found.ami) < 0.1
    noise = np.concatenate([x, -x[:20]]), np.concatenate([ids, np.repeat([0, -1], 10)])
    found = clustering_scores(*noise)  # distractors and junk are left out
    assert (found.nmi, found.ami, found.f1) == pytest.approx((1, 1, 1))


def test_by_hand() -> None:
    """NMI .2020 of the two labellings above; F1 of 0,0,1,1,1 and 0,0,0,1,1: 2 of 4 pairs either way."""
    assert nmi(contingency(L, K)) == pytest.approx(0.2020, abs=5e-5)
    assert pair_f1(contingency(L, np.array([0, 0, 0, 1, 1]))) == 0.5
    ids, x = np.array([1, 1, 2, 2]), np.array([[0.0], [0.1], [0.2], [9.0]])
    quarter, half = -0.25 * math.log(0.25), -0.5 * math.log(0.5)
    a, b, ab = 2 * half, quarter - 0.75 * math.log(0.75), half + 2 * quarter
    assert clustering_scores(x, ids, metric="euclidean").nmi == pytest.approx(2 * (a + b - ab) / (a + b))
    with pytest.raises(InputError, match="two identities or more, got 1"):
        clustering_scores(x, np.array([1, 1, 0, -1]))


def slow_information(a: np.ndarray, b: np.ndarray) -> float:
    found = 0.0
    for i, j in itertools.product(set(a), set(b)):
        both = np.mean((a == i) & (b == j))
        if both:
            found += both * math.log(both / np.mean(a == i) / np.mean(b == j))
    return found


def test_expected_information_is_the_mean_over_all_orders() -> None:
    """All 720 orders of six labels."""
    a, b = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 1, 1])
    want = np.mean([slow_information(a, b[list(order)]) for order in itertools.permutations(range(6))])
    assert expected_information(np.bincount(a), np.bincount(b)) == pytest.approx(want)


def test_pairs_are_counted_as_by_loops() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 5, 40), rng.integers(0, 7, 40)
    pairs = list(itertools.combinations(range(40), 2))
    both = sum(a[i] == a[j] and b[i] == b[j] for i, j in pairs)
    precision, recall = both / sum(b[i] == b[j] for i, j in pairs), both / sum(a[i] == a[j] for i, j in pairs)
    assert pair_f1(contingency(a, b)) == pytest.approx(2 * precision * recall / (precision + recall))


def test_equal_to_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(2)
    for _ in range(10):
        a, b = rng.integers(0, 12, 200), rng.integers(0, 9, 200)
        assert nmi(contingency(a, b)) == pytest.approx(metrics.normalized_mutual_info_score(a, b))
        assert ami(contingency(a, b)) == pytest.approx(metrics.adjusted_mutual_info_score(a, b))
    same = np.zeros(5, int)
    assert ami(contingency(same, same)) == metrics.adjusted_mutual_info_score(same, same)


def test_a_metric_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="`metric` cosin: did you mean 'cosine'"):
        clustering_scores(np.eye(4), np.array([1, 1, 2, 2]), metric="cosin")  # type: ignore[arg-type]
