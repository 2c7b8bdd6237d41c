"""Twins of tracks/appearance.py: float32 vectors, one row at a time."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, error_model="numpy")
def _folded(values: np.ndarray) -> float:
    """Twin of `appearance.folded`, of one row (D,); it is spent."""
    size = len(values)
    if size == 0:
        return 0.0
    while size > 1:
        half = (size + 1) // 2
        for k in range(size - half):
            values[k] += values[half + k]
        size = half
    return float(values[0])


@njit(cache=True, error_model="numpy")
def dots(a: np.ndarray, i: np.ndarray, b: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Twin of `appearance.dots`."""
    found, values = np.empty(len(i)), np.empty(a.shape[1], np.float32)
    for p in range(len(i)):
        for k in range(len(values)):
            values[k] = a[i[p], k] * b[j[p], k]
        found[p] = _folded(values)
    return found


@njit(cache=True, error_model="numpy")
def blend(
    recent: np.ndarray,
    history: np.ndarray,
    slots: np.ndarray,
    views: np.ndarray,
    momentum: np.ndarray,
    vectors: np.ndarray,
    cols: np.ndarray,
) -> None:
    """Twin of `appearance.remember`, in place: recent and history (S, D) at ``slots`` (K,) take in vectors (N, D).

    Args:
        views, momentum: (K,) of each how many vectors it has seen, this one included, and float32.
        cols: (K,) the vector each takes in.
    """
    values, least = np.empty(recent.shape[1], np.float32), np.float32(1e-12)
    for i in range(len(slots)):
        s, n, m = slots[i], cols[i], momentum[i]
        rest, share = np.float32(1) - m, np.float32(views[i])
        for k in range(len(values)):
            mixed = m * recent[s, k] + rest * vectors[n, k]
            recent[s, k] = mixed
            values[k] = mixed * mixed
            history[s, k] += (vectors[n, k] - history[s, k]) / share
        norm = max(np.sqrt(np.float32(_folded(values))), least)
        for k in range(len(values)):
            recent[s, k] /= norm


@njit(cache=True, error_model="numpy")
def sums(vectors: np.ndarray, which: np.ndarray) -> float:
    """Twin of the sum in `appearance.spread`: of sum^2 - sum of squares over columns, of ``which`` (K,) rows."""
    total, own = np.zeros(vectors.shape[1]), np.zeros(vectors.shape[1])
    for n in which:
        for k in range(len(total)):
            value = np.float64(vectors[n, k])
            total[k] += value
            own[k] += value * value
    apart = 0.0
    for k in range(len(total)):
        apart += total[k] * total[k] - own[k]
    return apart
