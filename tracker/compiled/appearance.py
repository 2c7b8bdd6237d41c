"""Twins of tracks/appearance.py: float32 vectors, one row at a time."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, error_model="numpy")
def dots(a: np.ndarray, i: np.ndarray, b: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Twin of `appearance.dots`; each sum as `appearance.folded` has it."""
    found, values = np.zeros(len(i)), np.empty(a.shape[1], np.float32)
    for p in range(len(i) if len(values) else 0):
        r, c, size = i[p], j[p], len(values)
        half = (size + 1) // 2
        for k in range(size - half):
            values[k] = a[r, k] * b[c, k] + a[r, half + k] * b[c, half + k]
        if size - half < half:
            values[half - 1] = a[r, half - 1] * b[c, half - 1]
        while half > 1:
            size, half = half, (half + 1) // 2
            for k in range(size - half):
                values[k] += values[k + half]
        found[p] = values[0]
    return found


@njit(cache=True, error_model="numpy")
def nearest(bank: np.ndarray, i: np.ndarray, views: np.ndarray, b: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Twin of `appearance.nearest`."""
    places, size, dimension = bank.shape
    best, own = np.full(len(i), -np.inf), np.empty(size, np.int64)
    for p in range(len(i)):
        count = min(size, views[p])
        for k in range(count):
            own[k] = i[p] * size + k
        for cosine in dots(bank.reshape(places * size, dimension), own[:count], b, np.full(count, j[p])):
            best[p] = max(best[p], cosine)
    return best


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
    dimension, least = recent.shape[1], np.float32(1e-12)
    for i in range(len(slots)):
        s, n, m = slots[i], cols[i], momentum[i]
        rest, share = np.float32(1) - m, np.float32(views[i])
        for k in range(dimension):
            recent[s, k] = m * recent[s, k] + rest * vectors[n, k]
        for k in range(dimension):
            history[s, k] += (vectors[n, k] - history[s, k]) / share
    squared = dots(recent, slots, recent, slots)
    for i in range(len(slots)):
        s, norm = slots[i], max(np.sqrt(np.float32(squared[i])), least)
        for k in range(dimension):
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
