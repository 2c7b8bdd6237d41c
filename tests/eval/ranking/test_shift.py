"""Ladders: worked numbers of the Frechet distance and of a swap, its properties, slopes."""

from __future__ import annotations

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.eval.ranking.shift import (
    camera_ladder,
    frechet,
    harder_splits,
    people_ladder,
    principal,
    slope_of,
)
from tests.eval.ranking.people import people


def test_worked_numbers() -> None:
    """1-d, train means 0, 2, 4, test 1, 5, 9: 13; the rule swaps 4 and 1: 27.708."""
    x = np.array([[0.0], [2.0], [4.0], [1.0], [5.0], [9.0]])
    assert frechet(x[:3], x[3:]) == pytest.approx(13, abs=1e-4)
    first, second = harder_splits(x, [0, 1, 2], swaps=1, rungs=2)
    assert first.distance == pytest.approx(13, abs=1e-4)
    assert sorted(x[second.train, 0].tolist()) == [0, 1, 2]
    assert second.distance == pytest.approx(27.708, abs=1e-3)


def test_frechet_of_normal_distributions() -> None:
    """Diagonal covariances commute: |m|^2 + sum (s1 - s2)^2."""
    rng = np.random.default_rng(0)
    base = rng.standard_normal((4000, 3))
    base = (base - base.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(base, rowvar=False))).T
    got = frechet(base * [1, 2, 3], base * [2, 2, 1] + [1, 0, 2])
    assert got == pytest.approx(1 + 4 + 1 + 0 + 4, rel=1e-6)
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    a, b = rng.standard_normal((30, 3)), rng.standard_normal((20, 3)) + 1
    assert frechet(a @ turn, b @ turn) == pytest.approx(frechet(a, b))
    assert frechet(a, a) == pytest.approx(0, abs=1e-6)
    assert frechet(a, b) == pytest.approx(frechet(b, a))
    with pytest.raises(InputError, match="2 rows or more"):
        frechet(a[:1], b)


def test_a_ladder_rises_and_keeps_its_sides_apart() -> None:
    x = np.random.default_rng(1).standard_normal((40, 5))
    found = harder_splits(x, range(20), swaps=2, rungs=6)
    assert len(found) == 6
    distances = [one.distance for one in found]
    assert distances == sorted(distances)
    for one in found:
        assert not set(one.train.tolist()) & set(one.test.tolist())
    with pytest.raises(InputError, match="2 classes or more on each side, got 1 and 39"):
        harder_splits(x, [3])


def test_principal_directions_keep_distances() -> None:
    x = np.random.default_rng(2).standard_normal((30, 8))
    kept = principal(x, 8)
    assert np.linalg.norm(kept[3] - kept[7]) == pytest.approx(np.linalg.norm(x[3] - x[7]))
    assert principal(x, 2).shape == (30, 2)


def test_slopes() -> None:
    line = slope_of([0, 1, 2, 3], [1.0, 0.8, 0.6, 0.4])
    assert line is not None
    assert (line.slope, line.correlation, line.points) == pytest.approx((-0.2, -1, 4))
    assert slope_of([1, 1, 2], [0, 0, 0]) is None


def test_ladders_of_features() -> None:
    data = people()
    pairs = camera_ladder(*data)
    assert [p["distance"] for p in pairs] == sorted(p["distance"] for p in pairs)
    ids = np.repeat(np.arange(1, 21), 4)
    x = np.random.default_rng(3).standard_normal((20, 6))[ids - 1]
    rungs = people_ladder(x, ids)
    assert all(rung["mAP"] == 1 for rung in rungs)
    with pytest.raises(InputError, match="8 people or more"):
        people_ladder(x[:8], ids[:8])
