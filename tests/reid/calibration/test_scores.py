"""Score normalisation: the textbook, one number at a time."""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.reid.calibration.scores import adaptive_s_norm, s_norm, t_norm, z_norm

RNG = np.random.default_rng(0)
DISTANCE, QUERY, GALLERY = RNG.uniform(size=(3, 4)), RNG.uniform(size=(3, 9)), RNG.uniform(size=(4, 9))


def slow(cohort: list[float], value: float, nearest: int | None = None) -> float:
    cohort = sorted(cohort)[:nearest]
    return (value - statistics.fmean(cohort)) / statistics.pstdev(cohort)


def test_the_slow_twins() -> None:
    for q in range(3):
        for g in range(4):
            d = DISTANCE[q, g]
            z, t = slow(GALLERY[g].tolist(), d), slow(QUERY[q].tolist(), d)
            assert z_norm(DISTANCE, GALLERY)[q, g] == pytest.approx(z)
            assert t_norm(DISTANCE, QUERY)[q, g] == pytest.approx(t)
            assert s_norm(DISTANCE, QUERY, GALLERY)[q, g] == pytest.approx((z + t) / 2)
            z, t = slow(GALLERY[g].tolist(), d, 5), slow(QUERY[q].tolist(), d, 5)
            assert adaptive_s_norm(DISTANCE, QUERY, GALLERY, 5)[q, g] == pytest.approx((z + t) / 2)


def test_a_small_cohort_is_taken_whole() -> None:
    np.testing.assert_array_equal(adaptive_s_norm(DISTANCE, QUERY, GALLERY), s_norm(DISTANCE, QUERY, GALLERY))


def test_who_looks_like_everybody_is_no_longer_near_to_everybody() -> None:
    """A gallery entry 0.3 nearer to all strangers: after z-norm both are as far as a stranger."""
    cohort = np.linspace(0.8, 1.2, 20)
    found = z_norm(np.array([[1.0, 0.7]]), np.stack([cohort, cohort - 0.3]))
    np.testing.assert_allclose(found, 0, atol=1e-9)


def test_a_flat_cohort_gives_numbers() -> None:
    assert np.isfinite(z_norm(DISTANCE, np.ones((4, 9)))).all()


@pytest.mark.parametrize("cohort", [np.zeros((4, 1)), np.zeros((5, 9)), np.zeros(4)])
def test_cohorts_that_do_not_fit_are_refused(cohort: Any) -> None:
    with pytest.raises(InputError, match=r"expected gallery_cohort \(4, C\) with at least 2 strangers"):
        z_norm(DISTANCE, cohort)
    with pytest.raises(InputError, match="nearest must be at least 2"):
        adaptive_s_norm(DISTANCE, QUERY, GALLERY, 1)
