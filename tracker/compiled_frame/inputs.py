"""What the steps of a compiled frame hand each other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Found(NamedTuple):
    """The detections of the frame, see `tracker.data.Detections`."""

    xyxy: np.ndarray  # (N, 4) float32 px
    score: np.ndarray  # (N,) float32
    class_id: np.ndarray  # (N,) int32
    place: np.ndarray  # (N,) int64 Detections.index
    exact: np.ndarray  # (N, 4) float64 px, the same boxes
    embedding: np.ndarray  # (N, D) float32; D = 0: nobody looks
    known: np.ndarray  # (N,) bool, whose appearance is known


class Vectors(NamedTuple):
    """What tracks look like, see `tracker.tracks.state.Vectors`."""

    recent: np.ndarray
    history: np.ndarray
    stretch: float
