from typing import get_args

import numpy as np

from tracker.config import Stage
from tracker.stages import BELIEVES_MOTION, COSTS, REACH_ALL


def test_costs_by_hand():
    iou, score, look = np.array([0.5, 0.0]), np.array([0.8, 1.0]), np.array([0.3, np.nan])
    stage = Stage(
        tracks=["active"],
        detections="high",
        cost="blend",
        limit=1,
        motion_weight=0.25,
        neutral_appearance=0.4,
    )
    assert COSTS["iou"](iou, score, look, stage).tolist() == [0.5, 1]
    assert COSTS["iou_score"](iou, score, look, stage).tolist() == [1 - 0.5 * 0.8, 1]
    assert COSTS["appearance"](iou, score, look, stage).tolist() == [0.3, np.inf]
    assert np.allclose(COSTS["blend"](iou, score, look, stage), [0.25 * 0.5 + 0.75 * 0.3, 0.25 + 0.75 * 0.4])


def test_every_cost_a_preset_may_name_exists():
    assert set(get_args(Stage.model_fields["cost"].annotation)) == set(COSTS)
    assert set(COSTS) == REACH_ALL | BELIEVES_MOTION
