"""How good probabilities are: by hand, by a slow twin, and on data whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.reid.calibration.measures import interval, missed, reliability, threshold


def test_two_bins_by_hand() -> None:
    """0.2, 0.2 (none came true), 0.8, 0.8 (one did): gaps 0.2 and 0.3, half the weight each."""
    found = reliability(np.array([0.2, 0.8, 0.8, 0.2]), np.array([0, 1, 0, 0], bool), np.ones(4), bins=2)
    np.testing.assert_allclose(found.stated, [0.2, 0.8])
    np.testing.assert_allclose(found.true, [0.0, 0.5])
    assert found.pairs.tolist() == [2, 2]
    assert found.ece == pytest.approx(0.5 * 0.2 + 0.5 * 0.3)
    assert found.brier == pytest.approx((0.04 + 0.04 + 0.04 + 0.64) / 4)
    assert found.log_loss == pytest.approx(-(3 * math.log(0.8) + math.log(0.2)) / 4)


@pytest.mark.parametrize("seed", range(3))
def test_the_slow_twin(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p, same = rng.uniform(size=97), rng.uniform(size=97) < 0.3
    weight = [0.5 / same.sum() if s else 0.5 / (~same).sum() for s in same]
    bins: list[list[int]] = [[] for _ in range(15)]
    passed = 0.0
    for k in sorted(range(97), key=lambda k: p[k]):
        bins[min(int((passed + weight[k] / 2) * 15), 14)].append(k)
        passed += weight[k]
    ece = sum(abs(sum(weight[k] * (p[k] - same[k]) for k in rows)) for rows in bins)
    found = reliability(p, same)
    assert found.ece == pytest.approx(ece)
    assert found.pairs.tolist() == [len(rows) for rows in bins if rows]


def test_true_probabilities_are_calibrated_and_others_are_not() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(size=50_000)
    same = rng.uniform(size=50_000) < p
    assert reliability(p, same, np.ones(50_000)).ece < 0.01
    assert reliability(p**2, same, np.ones(50_000)).ece == pytest.approx(1 / 2 - 1 / 3, abs=0.01)


def test_a_threshold_keeps_its_rate_on_others() -> None:
    rng = np.random.default_rng(1)
    strangers, others = rng.normal(1, 0.1, 100_000), rng.normal(1, 0.1, 100_000)
    for rate in (0.1, 0.01, 0.001):
        found = threshold(strangers, rate)
        assert found.rate <= rate
        assert found.errors == int(rate * 100_000)
        assert rate / 2 < (others < found.distance).mean() < rate * 2
        assert found.low < rate < found.high


def test_ties_do_not_break_the_rate() -> None:
    found = threshold(np.repeat([0.5, 1.0], [10, 90]), 0.05)
    assert (found.distance, found.errors, found.rate) == (0.5, 0, 0.0)  # 0.5 itself would let 10 % in


def test_missed_is_the_share_that_does_not_match() -> None:
    assert missed(np.array([0.1, 0.5, 0.6]), 0.5) == pytest.approx(2 / 3)
    assert math.isnan(missed(np.zeros(0), 0.5))


def test_interval_by_the_rule_of_three() -> None:
    low, high = interval(0, 1000)
    assert low == 0
    assert high == pytest.approx(1 - 0.025 ** (1 / 1000))  # exact for no error
    assert interval(1000, 1000)[1] == 1
    assert interval(30, 1000)[0] == pytest.approx(0.0203, abs=1e-3)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: threshold(np.zeros(200), 1e-3), r"needs 3,000 pairs .*, there are 200; ask for 0\.015"),
        (lambda: threshold(np.zeros(0), 0.1), "needs 30 pairs"),
        (lambda: threshold(np.zeros(100), 0.0), "between 0 and 1"),
        (lambda: threshold(np.array([np.inf] * 100), 0.1), "finite"),
        (lambda: reliability(np.array([0.5]), np.array([True])), "pairs of one person and pairs of two"),
        (lambda: reliability(np.array([0.5, 1.5]), np.array([True, False])), "between 0 and 1"),
        (lambda: reliability(np.zeros(3), np.zeros(2, bool)), "expected probability"),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_is_refused(call: object, said: str) -> None:
    assert callable(call)
    with pytest.raises(InputError, match=said):
        call()
