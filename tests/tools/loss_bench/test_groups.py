"""Intervals over seeds and people, Holm's procedure, groups: worked numbers, and a slow twin."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t

from retrace.tools.loss_bench.groups import Sums, estimate, groups, rank_correlation, rejected


def test_worked_numbers() -> None:
    """2 seeds, 2 people with 1 and 3 queries: z = (1, 2), (0, 1); N = 4, D = 4 / 8 = .5.

    People: mean z = (.5, 1.5), less n D = (.5, 1.5): 0. Seeds: 3/4 and 1/4, variance .125, / 2 = .0625; 1 degree of
    freedom: half-width 12.706 x .25.
    """
    found = estimate(Sums(np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([1.0, 3.0])))
    assert found.value == 0.5
    assert found.high - found.value == pytest.approx(12.7062 * 0.25, rel=1e-4)
    assert found.p == pytest.approx(2 * (1 - t.cdf(2.0, 1)))


def slow_variance(z: np.ndarray, queries: np.ndarray) -> tuple[float, float]:
    """Shares of people and seeds, by loops."""
    seeds, people = z.shape
    total = sum(queries)
    value = sum(z[s, i] for s in range(seeds) for i in range(people)) / (seeds * total)
    by_people = 0.0
    for i in range(people):
        mean = sum(z[s, i] for s in range(seeds)) / seeds
        by_people += (mean - queries[i] * value) ** 2
    by_people *= people / (people - 1) / total**2
    each = [sum(z[s]) / total for s in range(seeds)]
    by_seeds = sum((v - value) ** 2 for v in each) / (seeds - 1) / seeds
    return by_people, by_seeds


def test_an_interval_is_the_slow_one() -> None:
    draw = np.random.default_rng(0)
    queries = draw.integers(1, 9, 20).astype(float)
    one, other = (Sums(draw.random((5, 20)) * queries, queries) for _ in range(2))
    people, seeds = slow_variance(one.values - other.values, queries)
    freedom = (people + seeds) ** 2 / (people**2 / 19 + seeds**2 / 4)
    found = estimate(one, other)
    assert found.high - found.low == pytest.approx(2 * t.ppf(0.975, freedom) * (people + seeds) ** 0.5)


def test_an_interval_holds_the_truth_as_often_as_it_says() -> None:
    """True difference 0.02; effects of people, of seeds, and of both: 95 % and on the safe side."""
    draw = np.random.default_rng(1)
    queries = np.full(40, 4.0)
    inside = 0
    for _ in range(400):
        z = (
            0.02
            + 0.1 * draw.normal(size=(1, 40))
            + 0.02 * draw.normal(size=(5, 1))
            + 0.1 * draw.normal(size=(5, 40))
        )
        found = estimate(Sums(z * queries, queries))
        inside += found.low <= 0.02 <= found.high
    assert 0.94 <= inside / 400 <= 0.995


def test_holm_by_hand() -> None:
    """.01 < .05 / 4, .015 < .05 / 3, .04 > .05 / 2: stops there, though .045 < .05."""
    assert rejected([0.04, 0.01, 0.045, 0.015]) == [False, True, False, True]
    assert rejected([]) == []


def test_groups_are_not_ranks() -> None:
    draw = np.random.default_rng(2)
    queries = np.full(30, 4.0)
    people = 0.2 * draw.normal(size=(1, 30))

    def runs(level: float) -> Sums:
        return Sums((level + people + 0.01 * draw.normal(size=(5, 30))) * queries, queries)

    found = groups({"poor": runs(0.3), "good": runs(0.6), "as good": runs(0.601), "middle": runs(0.5)})
    assert found["good"] == found["as good"] == 1
    assert found["middle"] == 2
    assert found["poor"] == 3
    assert list(found)[-1] == "poor"


def test_equal_results_cannot_be_told_apart() -> None:
    same = Sums(np.full((3, 4), 2.0), np.full(4, 4.0))
    assert estimate(same, same).p == 1
    assert groups({"a": same, "b": same}) == {"a": 1, "b": 1}


def test_rank_correlation_over_those_in_both() -> None:
    one = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0, "e": 9.0}
    assert rank_correlation(one, {"a": 1.0, "b": 2.0, "c": 3.0, "d": 5.0}) == (1.0, 0.0, 4)
    assert rank_correlation(one, {"a": 1.0, "b": 2.0}) is None
