"""What a compiled frame is about."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Boxes(NamedTuple):
    """The detections of the frame."""

    given: np.ndarray  # (N, 4) float32 xyxy px
    xyxy: np.ndarray  # the same as float64
    score: np.ndarray  # (N,) float32
    class_id: np.ndarray  # (N,) int32
    place: np.ndarray  # (N,) int64 Detections.index


class Now(NamedTuple):
    """As `life.Clock` has it."""

    number: int
    time: float
    before: float
