"""Curves by hand, and beside the obvious way."""

from __future__ import annotations

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.eval.person_search import CameraStays, evaluate_search, open_set_curve


def test_by_hand() -> None:
    """Known: .9, .6, and .8 with somebody else before him. Strangers: .7, .2."""
    score, known = np.array([0.9, 0.6, 0.8, 0.7, 0.2]), np.array([1, 1, 1, 0, 0], bool)
    found = open_set_curve(score, known, np.array([1, 1, 2, 0, 0]))
    assert found.gate.tolist() == [np.inf, 0.9, 0.8, 0.7, 0.6, 0.2]
    assert found.fpir.tolist() == [0, 0, 0, 0.5, 0.5, 1]
    assert found.fnir == pytest.approx([1, 2 / 3, 2 / 3, 2 / 3, 1 / 3, 1 / 3])
    assert (found.known, found.strangers) == (3, 2)
    assert found.fnir_at(0.4) == pytest.approx(2 / 3)
    assert found.fnir_at(0.5) == pytest.approx(1 / 3)
    assert open_set_curve(score, known, np.array([1, 1, 2, 0, 0]), within=2).fnir[-1] == 0


def test_one_side_is_empty() -> None:
    found = open_set_curve(np.array([0.5]), np.array([True]))
    assert np.isnan(found.fpir).all()
    assert np.isnan(found.fnir_at(0.1))
    assert found.fnir.tolist() == [1, 0]
    assert len(open_set_curve(np.zeros(0), np.zeros(0, bool)).gate) == 1


@pytest.mark.parametrize("seed", range(5))
def test_curve_equal_to_the_obvious_way(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 40
    score, known, rank = rng.integers(0, 12, n) / 12, rng.random(n) < 0.6, rng.integers(1, 4, n)
    found = open_set_curve(score, known, rank, within=2)
    for gate, fpir, fnir in zip(found.gate, found.fpir, found.fnir, strict=True):
        wrong = [s >= gate for s, k in zip(score, known, strict=True) if not k]
        hit = [s >= gate and r <= 2 for s, k, r in zip(score, known, rank, strict=True) if k]
        assert fpir == pytest.approx(sum(wrong) / len(wrong))
        assert fnir == pytest.approx(1 - sum(hit) / len(hit))
    assert (np.diff(found.fpir) >= 0).all()
    assert (np.diff(found.fnir) <= 0).all()


def visits(*rows: tuple[int, float, float]) -> CameraStays:
    camera, begin, end = np.array(rows, float).reshape(-1, 3).T
    return CameraStays(camera, begin, end)


def test_where_and_when_by_hand() -> None:
    """Right at ranks 1 and 4 of three true visits: AP = (1/1 + 2/4) / 3. Rank 2 is a second answer for a taken visit,
    rank 3 the right time in another camera; [0, 10] and [0, 20] overlap by exactly a half."""
    truth = visits((1, 0, 10), (2, 0, 10), (3, 50, 60))
    found = evaluate_search([visits((1, 0, 20), (1, 1, 10), (4, 0, 10), (3, 51, 60))], [truth])
    assert found.mAP == pytest.approx((1 + 2 / 4) / 3)
    assert found.recall == pytest.approx({1: 1 / 3, 5: 2 / 3, 10: 2 / 3})
    assert found.first.tolist() == [1]


def test_the_visit_that_was_asked_with_counts_neither_way() -> None:
    truth = visits((1, 0, 10), (2, 0, 10))
    answers = visits((1, 0, 10), (1, 9, 30), (2, 0, 10))
    found = evaluate_search([answers], [truth], [visits((1, 0, 10))])
    assert found.mAP == 1
    assert found.first.tolist() == [1]


def test_nothing_to_be_found_is_left_out_of_the_mean() -> None:
    one, none = visits((1, 0, 10)), visits()
    found = evaluate_search([one, one, none], [one, none, one])
    assert found.mAP == 0.5
    assert np.isnan(found.ap[1])
    assert found.first.tolist() == [1, 0, 0]
    assert np.isnan(evaluate_search([], []).mAP)


@pytest.mark.parametrize("seed", range(6))
def test_search_equal_to_the_obvious_way(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def some(n: int) -> list[tuple[int, float, float]]:
        begin = rng.uniform(0, 30, n)
        return [
            (int(c), b, b + d)
            for c, b, d in zip(rng.integers(0, 2, n), begin, rng.uniform(2, 12, n), strict=True)
        ]

    answers, truth = some(12), some(6)
    left, hits, total = list(truth), 0, 0.0
    for rank, (camera, begin, end) in enumerate(answers, 1):
        best, which = 0.0, None
        for one in left:
            both = min(end, one[2]) - max(begin, one[1])
            if one[0] == camera and both > 0:
                like = both / (end - begin + one[2] - one[1] - both)
                best, which = (like, one) if like > best else (best, which)
        if which is not None and best >= 0.3:
            left.remove(which)
            hits += 1
            total += hits / rank
    found = evaluate_search([visits(*answers)], [visits(*truth)], overlap=0.3)
    assert found.mAP == pytest.approx(total / 6)
    assert found.recall[10] <= 1


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: open_set_curve(np.zeros(2), np.zeros(3, bool)), "one length"),
        (lambda: open_set_curve(np.array([np.nan]), np.ones(1, bool)), "score 0 is no number"),
        (lambda: open_set_curve(np.zeros(1), np.ones(1, bool), np.zeros(1)), "from 1"),
        (lambda: evaluate_search([visits()], []), "one length"),
        (lambda: visits((1, 5, 5)), "after its begin"),
        (lambda: CameraStays(np.zeros(1), np.zeros(2), np.zeros(2)), "one length"),
    ],
)
def test_refused(call, said: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=said):
        call()
