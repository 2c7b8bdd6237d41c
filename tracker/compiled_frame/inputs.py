"""What the steps of a compiled frame hand each other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from retrace.tracker.rows import FrameTime

# For what `run_frame` alone calls: a way in from Python for each function would cost compiling, and nobody takes it
inner = njit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)  # type: ignore[call-overload]


# One record a detection, as ROW is of a track: every array that a call hands on is counted, and costs its time
BOX = np.dtype(
    [
        ("xyxy", np.float32, 4),  # px
        ("score", np.float32),
        ("class_id", np.int32),
        ("known", np.bool_),  # whose appearance is known
    ],
    align=True,
)


class FrameDetections(NamedTuple):
    """The detections of the frame, see `tracker.data.Detections`."""

    boxes: np.ndarray  # (N,) BOX
    exact: np.ndarray  # (N, 4) float64 px, the same boxes


class FrameLooks(NamedTuple):
    """What detections and tracks look like, see `tracker.tracks.state.Vectors`."""

    embedding: np.ndarray  # (N, D) float32; D = 0: nobody looks
    recent: np.ndarray
    history: np.ndarray
    bank: np.ndarray
    matrix: np.ndarray  # (T, N) how all look to each other, NaN: unknown; (0, 0): that is asked pair by pair
    stretch: float  # what 1 - cosine is multiplied by


class Inputs(NamedTuple):
    """The frame as its costs see it, see `tracker.association.inputs.CostInputs`; looks stand apart."""

    rows: np.ndarray  # (T,) ROW
    filters: np.ndarray  # (5, T or more, 4)
    memory: np.ndarray  # (T, M), see `tracker.tracks.state.Depth`
    box: np.ndarray  # (T, 4) px, predicted
    z: np.ndarray  # (N, 4), as the filter measures them
    found: FrameDetections
    now: FrameTime
    interval: float  # s, of a nominal frame
