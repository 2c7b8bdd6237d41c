"""Boxes to a filter's coordinates and back. The noise of the models is test_motion.py's textbook."""

import numpy as np
import pytest

from retrace.tracker.motion.models import MODELS
from tests.tracker.textbook import boxes


@pytest.mark.parametrize("kind", MODELS)
def test_boxes_survive_the_round_trip(kind):
    model = MODELS[kind]
    given = boxes(np.random.default_rng(0), 9).astype(np.float32)
    assert np.allclose(model.to_xyxy(model.from_xyxy(given)), given, atol=1e-3)
    assert model.to_xyxy(model.from_xyxy(np.zeros((0, 4)))).shape == (0, 4)
