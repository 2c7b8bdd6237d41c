"""What a score is worth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from retrace.tracker.detection import scores


def test_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "CALIBRATION", {"some": (2.0, 1.0)})
    found = scores.calibrated(np.array([0.5, 0.2, 0.0, 1.0]), "some")
    # logit 0.5 = 0 -> sigmoid(1); logit 0.2 = log(1 / 4) -> sigmoid(2 log(1 / 4) + 1)
    want = [1 / (1 + math.exp(-1)), 1 / (1 + math.exp(-2 * math.log(0.25) - 1))]
    np.testing.assert_allclose(found[:2], want, rtol=1e-6)
    assert 0 <= found[2] < 1e-9
    assert 1 - 1e-6 < found[3] <= 1
    assert found.dtype == np.float32
    assert scores.calibrated(np.array([0.3]), "another").tolist() == [np.float32(0.3)]


@pytest.mark.parametrize("family", [*scores.CALIBRATION, "one that is not listed"])
def test_the_order_stays_and_the_way_back_is_the_way_back(family: str) -> None:
    steps = np.linspace(0.02, 0.98, 999)  # beyond, float32 has no room between neighbours
    there = scores.calibrated(steps, family)
    assert (np.diff(there) > 0).all()
    for value in (0.05, 0.1, 0.5, 0.9):
        back = scores.raw(value, family)
        assert scores.calibrated(np.array([back]), family)[0] == pytest.approx(value, abs=1e-6)
    assert scores.raw(0.0, family) == 0
    assert scores.raw(1.0, family) == 1
