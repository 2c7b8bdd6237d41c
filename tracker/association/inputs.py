"""One frame as the association's costs see it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrace.tracker.config import TrackerConfig
from retrace.tracker.data import Detections
from retrace.tracker.motion.models import MotionModel
from retrace.tracker.tracks.state import LiveTracks


@dataclass(frozen=True, slots=True)
class CostInputs:
    """One frame as the costs see it: T live tracks, moved to now, and N detections."""

    config: TrackerConfig
    live: LiveTracks
    detections: Detections
    model: MotionModel
    box: np.ndarray  # (T, 4) float64 xyxy px, predicted
    appearance: np.ndarray | None  # (T, N) float64 1 - cosine, NaN: unknown; None: nobody's is known
    time: float  # s
    interval: float  # s, of a nominal frame
    stretch: float = 1.0  # what 1 - cosine was multiplied by, so that networks compare
