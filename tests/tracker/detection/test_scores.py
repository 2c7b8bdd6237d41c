"""What a score is worth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from retrace.tracker.detection.formats import FAMILIES
from retrace.tracker.detection.scores import FITS, Fit, calibrated, fit_of, raw


def test_by_hand() -> None:
    found = calibrated(np.array([0.5, 0.2, 0.0, 1.0]), Fit(2.0, 1.0))
    # logit 0.5 = 0 -> sigmoid(1); logit 0.2 = log(1 / 4) -> sigmoid(2 log(1 / 4) + 1)
    want = [1 / (1 + math.exp(-1)), 1 / (1 + math.exp(-2 * math.log(0.25) - 1))]
    np.testing.assert_allclose(found[:2], want, rtol=1e-6)
    assert 0 <= found[2] < 1e-9
    assert 1 - 1e-6 < found[3] <= 1
    assert found.dtype == np.float32
    assert calibrated(np.array([0.3]), Fit()).tolist() == [np.float32(0.3)]


@pytest.mark.parametrize("fit", [*FITS.values(), Fit()], ids=[*FITS, "none"])
def test_the_order_stays_and_the_way_back_is_the_way_back(fit: Fit) -> None:
    steps = np.linspace(0.02, 0.98, 999)  # beyond, float32 has no room between neighbours
    assert (np.diff(calibrated(steps, fit)) > 0).all()
    back = raw(np.array([0.05, 0.1, 0.5, 0.9]), fit)
    np.testing.assert_allclose(calibrated(back, fit), [0.05, 0.1, 0.5, 0.9], atol=1e-6)
    assert raw(np.array([0.0, 1.0]), fit).tolist() == [0, 1]


def test_every_fit_is_a_family_s_and_says_what_it_was_made_on() -> None:
    assert FITS.keys() <= FAMILIES.keys()
    assert all(fit.source and fit.slope > 0 for fit in FITS.values())
    assert not fit_of("one that nobody labelled").source
