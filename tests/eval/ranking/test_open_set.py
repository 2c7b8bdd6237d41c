"""Strangers: worked numbers, a slow twin, thresholds by person."""

from __future__ import annotations

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.eval.ranking.open_set import dir_at_far, equal_error_rate, evaluate_open_set, evaluate_thresholds
from tests.eval.ranking.people import people


def test_worked_numbers() -> None:
    """Known .9 right, .8 right, .7 wrong, .6 right; strangers .75, .5, .4, .3."""
    known, right = np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, True, False, True])
    strangers = np.array([0.5, 0.75, 0.3, 0.4])
    assert dir_at_far(known, right, strangers, 0) == 0.5
    assert dir_at_far(known, right, strangers, 0.25) == 0.75
    assert dir_at_far(known, np.zeros(4, bool), strangers, 0.25) == 0


def test_equal_error_rate_by_hand() -> None:
    """Right .1 .2 .3 .6, wrong .25 .5 .7 .8: at .3 one right is refused and one wrong accepted, a quarter each."""
    assert equal_error_rate(np.array([0.1, 0.2, 0.3, 0.6]), np.array([0.25, 0.5, 0.7, 0.8])) == 0.25
    assert equal_error_rate(np.array([0.1, 0.2]), np.array([0.5, 0.7])) == 0


def test_is_the_slow_one() -> None:
    q, q_ids, q_cams, g, g_ids, g_cams = people()
    found = evaluate_open_set(q, q_ids, q_cams, g, g_ids, g_cams, far=(0.2,), draws=3, seed=5)
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (q, g)]

    def usable(i: int, j: int) -> bool:
        return g_ids[j] != -1 and not (g_ids[j] == q_ids[i] and g_cams[j] == q_cams[i])

    has = [any(usable(i, j) and g_ids[j] == q_ids[i] for j in range(len(g))) for i in range(len(q))]
    who = np.array(sorted({int(q_ids[i]) for i in range(len(q)) if has[i]}))
    rng, values = np.random.default_rng(5), []
    for _ in range(3):
        out = set(rng.choice(who, max(1, round(0.5 * len(who))), replace=False).tolist())
        known, strangers = [], []
        for i in range(len(q)):
            scores = [
                (unit[0][i] @ unit[1][j], g_ids[j])
                for j in range(len(g))
                if usable(i, j) and g_ids[j] not in out
            ]
            score, best = max(scores)
            if q_ids[i] in out:
                strangers.append(score)
            elif has[i]:
                known.append((score, best == q_ids[i]))
        limit = sorted(strangers, reverse=True)[int(0.2 * len(strangers))]
        values.append(np.mean([ok and score > limit for score, ok in known]))
    assert found.dir[0] == pytest.approx(np.mean(values))


def test_perfect_vectors_know_everybody_and_no_stranger() -> None:
    ids = np.repeat(np.arange(1, 9), 2)
    x, cameras = np.eye(8)[ids - 1], np.tile([1, 2], 8)
    first, second = cameras == 1, cameras == 2
    arrays = (x[first], ids[first], cameras[first], x[second], ids[second], cameras[second])
    assert evaluate_open_set(*arrays, far=(0.0,)).dir == (1.0,)
    found = evaluate_thresholds(*arrays, far=0.2)
    assert (found.eer, found.spread, found.people) == (0, 0, 8)


def test_thresholds_differ_by_person() -> None:
    """Person 1 has others near, person 2 has none: 10 wrong pairs each, the 1st smallest (floor(.1 x 10) + 1 = 2nd)."""
    angles = np.radians([0, 0, 90, 90, *range(10, 19), 60])
    x = np.stack([np.cos(angles), np.sin(angles)], 1)
    ids, cameras = np.array([1, 1, 2, 2, *[0] * 10]), np.array([1, 2, 1, 2, *[3] * 10])
    q, g = np.array([0, 2]), np.array([1, 3, *range(4, 14)])
    found = evaluate_thresholds(x[q], ids[q], cameras[q], x[g], ids[g], cameras[g], far=0.1)
    near, far = 1 - np.cos(np.radians(11)), 1 - np.cos(np.radians(72))
    assert found.spread == pytest.approx(np.std([near, far], ddof=1), abs=1e-5)


def test_what_cannot_be_asked() -> None:
    x = np.eye(2)
    ids, cameras = np.array([1, 2]), np.array([1, 1])
    with pytest.raises(InputError, match="at least 4 people"):
        evaluate_open_set(x, ids, cameras, x, ids, cameras + 1)
    with pytest.raises(InputError, match="expected fractions"):
        evaluate_open_set(x, ids, cameras, x, ids, cameras + 1, share=1.5)
