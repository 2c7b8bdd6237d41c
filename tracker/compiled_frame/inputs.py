"""What the steps of a compiled frame hand each other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from retrace.tracker.rows import FrameTime

# For what `run_frame` alone calls: a way in from Python for each function would cost compiling, and nobody takes it
inner = njit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)  # type: ignore[call-overload]


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
    bank: np.ndarray
    stretch: float  # what 1 - cosine is multiplied by


class Inputs(NamedTuple):
    """The frame as its costs see it, see `tracker.association.inputs.CostInputs`."""

    rows: np.ndarray  # (T,) ROW
    filters: np.ndarray  # (5, T or more, 4)
    memory: np.ndarray  # (T, M), see `tracker.tracks.state.Depth`
    box: np.ndarray  # (T, 4) px, predicted
    z: np.ndarray  # (N, 4), as the filter measures them
    found: Found
    vectors: Vectors
    matrix: np.ndarray  # (T, N) how all look to each other, NaN: unknown; (0, 0): that is asked pair by pair
    now: FrameTime
    step: float  # s, a nominal frame
