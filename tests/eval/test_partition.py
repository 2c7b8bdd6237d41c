"""Partitions by hand, and beside the obvious way."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from retrace.configs import InputError
from retrace.eval.partition import PartitionMetrics, evaluate_partition


def score(person: list[int], identity: list[int], weight: list[float] | None = None) -> PartitionMetrics:
    given = None if weight is None else np.array(weight)
    return evaluate_partition(np.array(person), np.array(identity), np.arange(len(person)), given)


def test_perfect() -> None:
    found = score([1, 2, 1, 2], [7, 9, 7, 9])
    assert (found.idf1, found.purity, found.b3_f1, found.pair_precision, found.pair_recall) == (1, 1, 1, 1, 1)
    assert (found.return_recall, found.stranger_acceptance, found.fragmentation) == (1, 0, 0)


def test_by_hand() -> None:
    """Person 1 comes three times, person 2 twice; the third visit of 1 goes to 2's identity."""
    found = score([1, 2, 1, 1, 2], [1, 2, 1, 2, 2])
    assert found.idf1 == 4 / 5
    assert found.purity == 4 / 5
    assert found.b3_precision == pytest.approx((2 * 1 + 3 * 0 + 1 / 3 + 2 * 2 / 3) / 5)
    assert found.b3_recall == pytest.approx((2 * 2 / 3 + 1 / 3 + 2 * 1) / 5)
    assert found.pair_precision == 2 / 4  # {0,2} right; {1,3} wrong, {1,4} right, {3,4} wrong
    assert found.pair_recall == 2 / 4
    assert (found.returns, found.return_recall) == (3, 2 / 3)
    assert (found.strangers, found.stranger_acceptance) == (2, 0)


def test_everybody_is_one() -> None:
    found = score([1, 2, 3, 1], [5, 5, 5, 5])
    assert found.purity == 0.5
    assert found.return_recall == 1
    assert found.stranger_acceptance == 2 / 3


def test_everybody_alone() -> None:
    found = score([1, 1, 1, 2], [1, 2, 3, 4])
    assert (found.purity, found.return_recall, found.stranger_acceptance) == (1, 0, 0)
    assert found.fragmentation == 1  # three identities of person 1, for two people: 2 / 2
    assert found.idf1 == 0.5
    assert np.isnan(found.pair_precision)


def test_weights() -> None:
    assert score([1, 1, 2], [1, 2, 2], [1, 8, 1]).idf1 == pytest.approx(0.8)


@pytest.mark.parametrize("seed", range(8))
def test_equal_to_the_obvious_way(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 30
    person, identity = rng.integers(0, 5, n), rng.integers(0, 6, n) * 7
    begin, weight = rng.permutation(n).astype(float), rng.uniform(1, 5, n)
    found = evaluate_partition(person, identity, begin, weight)
    names, people = sorted(set(identity.tolist())), sorted(set(person.tolist()))
    best = 0.0
    for choice in (
        itertools.permutations(names + [None] * len(people), len(people)) if len(people) < 4 else []
    ):
        got = sum(weight[(person == p) & (identity == k)].sum() for p, k in zip(people, choice, strict=True))
        best = max(best, got / weight.sum())
    assert best == 0 or found.idf1 == pytest.approx(best)
    purity = sum(max(weight[(identity == k) & (person == p)].sum() for p in people) for k in names)
    assert found.purity == pytest.approx(purity / weight.sum())
    precision = recall = 0.0
    for i in range(n):
        mine, same = identity == identity[i], person == person[i]
        precision += weight[i] * weight[mine & same].sum() / weight[mine].sum()
        recall += weight[i] * weight[mine & same].sum() / weight[same].sum()
    assert found.b3_precision == pytest.approx(precision / weight.sum())
    assert found.b3_recall == pytest.approx(recall / weight.sum())
    right = [
        person[i] == person[j] for i, j in itertools.combinations(range(n), 2) if identity[i] == identity[j]
    ]
    assert found.pair_precision == pytest.approx(np.mean(right))
    returned = strangers = hits = accepted = 0
    for i in np.argsort(begin):
        before = begin < begin[i]
        if (person[before] == person[i]).any():
            returned += 1
            hits += bool((identity[before & (person == person[i])] == identity[i]).any())
        else:
            strangers += 1
            accepted += bool((identity[before] == identity[i]).any())
    assert (found.returns, found.strangers) == (returned, strangers)
    assert found.return_recall == pytest.approx(hits / returned)
    assert found.stranger_acceptance == pytest.approx(accepted / strangers)


@pytest.mark.parametrize("seed", range(5))
def test_the_best_bijection(seed: int) -> None:
    """The parts of the graph, solved one by one, give what the whole table gives."""
    rng = np.random.default_rng(seed)
    person, weight = rng.integers(0, 12, 60), rng.uniform(1, 5, 60)
    identity = np.where(rng.random(60) < 0.3, rng.integers(0, 20, 60), person + 100)
    found = evaluate_partition(person, identity, np.arange(60.0), weight)
    table = np.zeros((120, 12))
    np.add.at(table, (identity, person), weight)
    assert found.idf1 == pytest.approx(
        table[linear_sum_assignment(table, maximize=True)].sum() / weight.sum()
    )


def test_many_people_take_little_room() -> None:
    """A table of 30,000 by 30,000 would be 7 GB."""
    alone = np.arange(30_000)
    found = evaluate_partition(alone // 2, alone, alone)
    assert (found.idf1, found.purity, found.people, found.identities) == (0.5, 1, 15_000, 30_000)


def test_nobody_and_mistakes() -> None:
    assert evaluate_partition(np.zeros(0), np.zeros(0), np.zeros(0)).people == 0
    with pytest.raises(InputError, match="one length"):
        evaluate_partition(np.zeros(2), np.zeros(3), np.zeros(2))
    with pytest.raises(InputError, match="positive"):
        evaluate_partition(np.zeros(1), np.zeros(1), np.zeros(1), np.zeros(1))
