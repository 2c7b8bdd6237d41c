"""Distance -> probability: the arithmetic, a slow twin, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.reid.calibration.maps import Map, fit_map, logit

BY_HAND = Map((0.2, 0.6), (3.0, -1.0), 100, 100)


def world(seed: int = 0, count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Distances N(0.4, 0.1) of one person, N(0.8, 0.1) of two: log-odds 60 (0.6 - d) / 1 ... by Bayes' rule."""
    rng = np.random.default_rng(seed)
    same = np.arange(count) % 2 == 0
    return rng.normal(np.where(same, 0.4, 0.8), 0.1), same


def test_odds_by_hand() -> None:
    # Halfway between the knots: (3 - 1) / 2 = 1. Outside nothing is extrapolated.
    np.testing.assert_allclose(BY_HAND.odds(np.array([0.2, 0.4, 0.6, 0.0, 2.0])), [3, 1, -1, 3, -1])
    assert BY_HAND.probability(np.array(0.4)) == pytest.approx(1 / (1 + math.exp(-1)))
    # A prior of 1 % takes ln 99 off.
    assert BY_HAND.odds(np.array(0.4), prior=0.01) == pytest.approx(1 - math.log(99))
    assert BY_HAND.distance(0.0) == pytest.approx(0.5)  # 3 - 10 (d - 0.2) = 0
    assert BY_HAND.distance(0.0, prior=0.01) == pytest.approx(0.2)  # never so likely: the nearest knot
    assert BY_HAND.distance(-9) == pytest.approx(0.6)


def test_a_logistic_map_finds_what_made_the_data() -> None:
    """Two normals of one spread s have log-odds (m2 - m1) / s^2 (middle - d) = 0.4 / 0.01 (0.6 - d)."""
    distance, same = world(count=40_000)
    found = fit_map(distance, same)
    slope = (found.log_odds[1] - found.log_odds[0]) / (found.knots[1] - found.knots[0])
    assert slope == pytest.approx(-40, rel=0.05)
    assert found.distance(0) == pytest.approx(0.6, abs=0.005)
    assert found.knots == (distance.min(), distance.max())
    assert (found.same, found.different, found.source) == (20_000, 20_000, "labels")


def test_the_slow_twin_finds_the_same_curve() -> None:
    """Plain gradient descent on the mean log loss, one pair at a time."""
    distance, same = world(3, 240)
    weights = [0.5 / 120] * 240
    targets = [121 / 122 if s else 1 / 122 for s in same]
    a, b = 0.0, 0.0
    for _ in range(6000):
        ga = gb = 0.0
        for d, t, w in zip(distance, targets, weights, strict=True):
            error = 1 / (1 + math.exp(-(a * (d - 0.6) + b))) - t
            ga, gb = ga + w * error * (d - 0.6), gb + w * error
        a, b = a - 60 * ga, b - 2 * gb
    found = fit_map(distance, same)
    np.testing.assert_allclose(
        found.odds(np.array([0.4, 0.6, 0.8])), [a * -0.2 + b, b, a * 0.2 + b], atol=0.05
    )


def test_kinds_count_alike_whatever_their_numbers() -> None:
    distance, same = world(1)
    more = np.concatenate([distance, np.tile(distance[~same], 20)])
    labels = np.concatenate([same, np.zeros(20 * int((~same).sum()), bool)])
    assert fit_map(more, labels).distance(0) == pytest.approx(fit_map(distance, same).distance(0), abs=0.003)


def test_weights_make_sets_count_alike() -> None:
    """A large set and a small one that is 0.2 nearer: with equal weight the middle of the two."""
    d1, s1 = world(1, 8000)
    d2, s2 = world(2, 400)
    distance, same = np.concatenate([d1, d2 - 0.2]), np.concatenate([s1, s2])
    weight = np.concatenate([np.full(8000, 1 / 8000), np.full(400, 1 / 400)])
    assert fit_map(distance, same, weight=weight).distance(0) == pytest.approx(0.5, abs=0.02)
    assert fit_map(distance, same).distance(0) == pytest.approx(0.59, abs=0.02)


def test_an_isotonic_map_falls_and_follows() -> None:
    distance, same = world(5, 20_000)
    found = fit_map(distance, same, kind="isotonic")
    assert len(found.knots) <= 24
    assert all(a < b for a, b in zip(found.knots, found.knots[1:], strict=False))
    assert all(a >= b for a, b in zip(found.log_odds, found.log_odds[1:], strict=False))
    places = np.array([0.5, 0.6, 0.7])
    np.testing.assert_allclose(found.odds(places), 40 * (0.6 - places), atol=0.6)


def test_the_same_pairs_give_the_same_bytes() -> None:
    distance, same = world(7)
    assert fit_map(distance, same) == fit_map(distance.copy(), same.copy())


def test_pairs_that_do_not_overlap_give_finite_odds() -> None:
    distance = np.concatenate([np.full(150, 0.1), np.full(150, 0.9)])
    found = fit_map(distance, distance < 0.5)
    assert np.isfinite(found.log_odds).all()
    assert found.log_odds[0] < 10


@pytest.mark.parametrize(
    ("distance", "same", "said"),
    [
        (np.zeros(300), np.arange(300) < 40, "40 pairs of one person and 260 of two: at least 100"),
        (np.zeros(300), np.zeros(300, bool), "0 pairs of one person"),
        (np.zeros(300), np.zeros(200, bool), "expected finite distances"),
        (np.full(300, np.nan), np.arange(300) < 150, "expected finite distances"),
        (np.arange(300) * -1.0, np.arange(300) < 150, "no nearer to each other"),
        (np.ones(300), np.arange(300) < 150, "no nearer to each other"),
    ],
)  # fmt: skip
def test_what_cannot_be_fitted_is_refused(distance: np.ndarray, same: np.ndarray, said: str) -> None:
    with pytest.raises(InputError, match=said):
        fit_map(distance, same)


@pytest.mark.parametrize("prior", [0.0, 1.0, -1.0, 2.0])
def test_a_prior_is_a_share(prior: float) -> None:
    with pytest.raises(InputError, match="a prior is a share between 0 and 1"):
        logit(prior)
