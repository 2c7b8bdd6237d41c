"""Twins of motion/filters.py, and of the conversions in motion/models.py."""

from __future__ import annotations

import numpy as np
from numba import njit

XYSR, XYAH, XYWH, XYHR = range(4)


@njit(cache=True, error_model="numpy")
def measured(kind: int, xyxy: np.ndarray) -> np.ndarray:
    """(N, 4) xyxy float64 -> (N, 4) coordinates: twin of `MotionModel.from_xyxy`."""
    z = np.empty_like(xyxy)
    for n in range(len(xyxy)):
        width, height = xyxy[n, 2] - xyxy[n, 0], xyxy[n, 3] - xyxy[n, 1]
        z[n, 0], z[n, 1] = xyxy[n, 0] + width * 0.5, xyxy[n, 1] + height * 0.5
        if kind == XYSR:
            z[n, 2], z[n, 3] = width * height, width / height
        elif kind == XYAH:
            z[n, 2], z[n, 3] = width / height, height
        elif kind == XYHR:
            z[n, 2], z[n, 3] = height, width / height
        else:
            z[n, 2], z[n, 3] = width, height
    return z


@njit(cache=True, error_model="numpy")
def corners(kind: int, x: np.ndarray) -> np.ndarray:
    """(T, 4) coordinates -> (T, 4) xyxy: twin of `MotionModel.to_xyxy`."""
    xyxy = np.empty_like(x)
    for t in range(len(x)):
        if kind == XYSR:
            width = np.sqrt(x[t, 2] * x[t, 3])
            height = x[t, 2] / width
        elif kind == XYAH:
            width, height = x[t, 2] * x[t, 3], x[t, 3]
        elif kind == XYHR:
            width, height = x[t, 2] * x[t, 3], x[t, 2]
        else:
            width, height = x[t, 2], x[t, 3]
        width, height = width * 0.5, height * 0.5
        xyxy[t, 0], xyxy[t, 1] = x[t, 0] - width, x[t, 1] - height
        xyxy[t, 2], xyxy[t, 3] = x[t, 0] + width, x[t, 1] + height
    return xyxy


@njit(cache=True, error_model="numpy")
def predict(
    filters: np.ndarray,
    count: int,
    steps: float,
    scale_of: np.ndarray,
    weight: np.ndarray,
    constant: np.ndarray,
) -> None:
    """Twin of `filters.predict`, in place: the first ``count`` of filters (5, T, 4); noise: `MotionModel.compiled`."""
    scale = np.empty(4)
    for t in range(count):
        for k in range(4):
            scale[k] = filters[0, t, scale_of[k]] if scale_of[k] >= 0 else 0.0
        for k in range(4):
            process = scale[k] * scale[k] * weight[0] + constant[0, k]
            process_speed = scale[k] * scale[k] * weight[1] + constant[1, k]
            xx, xv, vv = filters[2, t, k], filters[3, t, k], filters[4, t, k]
            if steps == 1.0:
                xx = xx + process + xv
                xv = xv + vv
                filters[2, t, k] = xx + xv
                filters[3, t, k] = xv
            else:
                filters[2, t, k] = xx + steps * (2.0 * xv + steps * vv + process)
                filters[3, t, k] = xv + steps * vv
            filters[4, t, k] = vv + steps * process_speed
            moved = filters[0, t, k] + steps * filters[1, t, k]
            if k >= 2 and moved <= 0:
                moved -= steps * filters[1, t, k]
                filters[1, t, k] = 0.0
            filters[0, t, k] = moved


@njit(cache=True, error_model="numpy")
def update(
    filters: np.ndarray,
    rows: np.ndarray,
    z: np.ndarray,
    doubt: np.ndarray,
    scale_of: np.ndarray,
    weight: np.ndarray,
    constant: np.ndarray,
) -> None:
    """Twin of `filters.update`, in place: rows (K,), z (K, 4), doubt (K,)."""
    inverse = np.empty(4)
    for i in range(len(rows)):
        t = rows[i]
        for k in range(4):
            scale = filters[0, t, scale_of[k]] if scale_of[k] >= 0 else 0.0
            inverse[k] = 1.0 / ((scale * scale * weight[2] + constant[2, k]) * doubt[i] + filters[2, t, k])
        for k in range(4):
            xx, xv = filters[2, t, k], filters[3, t, k]
            gain, gain_speed = xx * inverse[k], xv * inverse[k]
            surprise = z[i, k] - filters[0, t, k]
            filters[0, t, k] += gain * surprise
            filters[1, t, k] += gain_speed * surprise
            filters[4, t, k] -= gain_speed * xv
            filters[3, t, k] = xv - gain * xv
            filters[2, t, k] = xx - gain * xx


@njit(cache=True, error_model="numpy")
def reupdate(
    filters: np.ndarray,
    last: np.ndarray,
    found: np.ndarray,
    steps: np.ndarray,
    kind: int,
    scale_of: np.ndarray,
    weight: np.ndarray,
    constant: np.ndarray,
) -> None:
    """Twin of `filters.reupdate`, in place: filters (5, K, 4), last and found (K, 4), steps (K,)."""
    one, box, own, sure = np.empty((5, 1, 4)), np.empty((1, 4)), np.zeros(1, np.int64), np.ones(1)
    for i in range(len(steps)):
        for part in range(5):
            for k in range(4):
                one[part, 0, k] = filters[part, i, k]
        for step in range(1, steps[i] + 1):
            predict(one, 1, 1.0, scale_of, weight, constant)
            if step < steps[i]:
                share = step / steps[i]
                for k in range(4):
                    box[0, k] = last[i, k] + share * (found[i, k] - last[i, k])
                update(one, own, measured(kind, box), sure, scale_of, weight, constant)
        for part in range(5):
            for k in range(4):
                filters[part, i, k] = one[part, 0, k]
