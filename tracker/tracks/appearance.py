"""What tracks look like: distances to detections, and what is remembered of them."""

from __future__ import annotations

import numpy as np

from retrace.tracker.config import Memory, TrackerConfig
from retrace.tracker.data import Detections
from retrace.tracker.tracks.state import LOST, LiveTracks

ALIKE = 1e-3  # mean 1 - cosine up to which a network tells nobody apart, and nothing is stretched


def distances(live: LiveTracks, detections: Detections, config: TrackerConfig) -> np.ndarray | None:
    """(T, N) 1 - cosine between tracks and detections; NaN where one has no appearance; None: nobody has.

    GHOST (sec. 3.2): active tracks are compared by what they look like now, lost ones by the mean of the
    distances to all their views, which is one minus the dot product with the mean of the vectors.
    """
    seen = detections.embedding
    if seen is None or not live.views.any():
        return None
    distance = _by(config.active_appearance, live, seen)
    if config.lost_appearance != config.active_appearance:
        lost = (live.status == LOST).nonzero()[0]
        if len(lost):
            distance[lost] = _by(config.lost_appearance, live.take(lost), seen)
    distance[live.views == 0] = np.nan
    distance[:, ~seen.any(1)] = np.nan
    if not config.class_agnostic:
        distance[live.class_id[:, None] != detections.class_id] = np.nan
    return None if np.isnan(distance).all() else distance


def spread(vectors: np.ndarray) -> np.ndarray:
    """(N, D) unit rows of one frame -> (2,) float64: the sum of 1 - cosine over all pairs, and their number.

    Two boxes of one frame are two people, so the mean tells without labels what "different" is to this network
    on this video. sum_ij cos = |sum_i v_i|^2, so it costs one pass over the vectors.
    """
    count = len(vectors)
    if count < 2:  # no pair: not even a rounding error may count as a distance
        return np.zeros(2)
    total, own = vectors.sum(0, dtype=np.float64), np.square(vectors, dtype=np.float64).sum()
    pairs = count * (count - 1) / 2
    return np.array([pairs - (total @ total - own) / 2, pairs])


def _by(memory: Memory, live: LiveTracks, seen: np.ndarray) -> np.ndarray:
    if memory in ("recent", "history"):
        return 1.0 - ((live.recent if memory == "recent" else live.history) @ seen.T).astype(np.float64)
    count, size, dimension = live.bank.shape
    each = 1.0 - (live.bank.reshape(-1, dimension) @ seen.T).astype(np.float64).reshape(
        count, size, len(seen)
    )
    each[np.arange(size) >= live.views[:, None]] = np.nan  # places not filled yet
    each[live.views == 0] = 0.0  # their distance is unknown, whatever comes out
    return np.nanmin(each, axis=1) if memory == "minimum" else np.nanmedian(each, axis=1)


def remember(
    live: LiveTracks, config: TrackerConfig, rows: np.ndarray, vector: np.ndarray, score: np.ndarray
) -> None:
    """Let tracks ``rows`` (K,) take in the vectors (K, D) of detections with these scores (K,), in place."""
    momentum = np.full((len(rows), 1), config.recent_momentum, np.float32)
    if config.momentum_from is not None:  # Deep OC-SORT, eq. 4
        trust = (score - config.momentum_from) / (1 - config.momentum_from)
        momentum += (1 - momentum) * (1 - np.clip(trust, 0, 1))[:, None].astype(np.float32)
    momentum[live.views[rows] == 0] = 0  # the first vector is all there is
    live.recent[rows] = _unit(momentum * live.recent[rows] + (1 - momentum) * vector)
    live.views[rows] += 1
    live.history[rows] += (vector - live.history[rows]) / live.views[rows, None].astype(np.float32)
    if live.bank.shape[1]:
        live.bank[rows] = np.concatenate((vector[:, None], live.bank[rows, :-1]), axis=1)


def _unit(vectors: np.ndarray) -> np.ndarray:
    """(K, D) rows scaled to norm 1; zero rows stay zero."""
    norm = np.sqrt(np.einsum("kd,kd->k", vectors, vectors))[:, None]
    return vectors / np.maximum(norm, np.float32(1e-12))
