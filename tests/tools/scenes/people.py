"""People of a drawn scene: where they walk, or stand."""

from __future__ import annotations

import numpy as np

from retrace.tools.scenes.walks import Walks, annotate, figure_boxes, plan_walks, pose
from retrace.tracker.data import MotTable


def walks_of(seed: int = 0, frames: int = 400, people: int = 8) -> Walks:
    return plan_walks(frames, 25.0, people, np.random.default_rng(seed))


def truth_of(walks: Walks) -> MotTable:
    return annotate(walks, figure_boxes(walks, *pose(walks)))


def standing(x: list[float], height: list[float], heading: float = 0.0, gait: float = 0.7) -> Walks:
    """One frame with people at the given places."""
    rows = np.array([x]), np.array([height])
    return Walks(*rows, np.full((1, len(x)), heading), np.full((1, len(x)), gait))
