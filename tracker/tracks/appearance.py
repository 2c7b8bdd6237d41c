"""What tracks look like: distances to detections, and what is remembered of them."""

from __future__ import annotations

import numpy as np

from retrace.tracker.association.assignment import CandidatePairs
from retrace.tracker.config import Memory, TrackerConfig
from retrace.tracker.data import Detections
from retrace.tracker.kernels import compiled
from retrace.tracker.rows import LOST
from retrace.tracker.tracks.state import LiveTracks

ALIKE = 1e-3  # mean 1 - cosine up to which a network tells nobody apart, and nothing is stretched
MEANS = ("recent", "history")  # memories that are one vector a track
# Those that compiled frames know, by their place here: sums whose order is ours.
SUMMED = (*MEANS, "minimum")


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


def pair_distances(
    live: LiveTracks,
    detections: Detections,
    config: TrackerConfig,
    pairs: CandidatePairs,
    stretch: float,
    distance: np.ndarray,
) -> None:
    """Of these pairs, in place, :func:`distances` (T, N) times ``stretch``, summed in an order that we know.

    A matrix product sums as its library likes; a compiled frame, which looks at few pairs, could not give the same.
    """
    seen = detections.embedding
    if seen is None or not {config.active_appearance, config.lost_appearance} <= {*SUMMED}:
        return
    known = ~np.isnan(distance[pairs.row, pairs.col])
    row, col = pairs.row[known], pairs.col[known]
    status, slot, value = live.status[row], live.slot[row], np.zeros(len(row))
    for memory in {config.active_appearance, config.lost_appearance}:
        lost, active = memory == config.lost_appearance, memory == config.active_appearance
        which = np.where(status == LOST, lost, active).nonzero()[0]
        if memory == "minimum":
            cosine = nearest(live.vectors.bank, slot[which], live.views[row[which]], seen, col[which])
        else:
            cosine = dots(getattr(live.vectors, memory), slot[which], seen, col[which])
        value[which] = 1.0 - cosine
    distance[row, col] = value * stretch


def dots(a: np.ndarray, i: np.ndarray, b: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Dot products of float32 rows: (S, D), (P,), (N, D), (P,) -> (P,) float32 as float64, see :func:`folded`."""
    if fast := compiled():
        return fast.dots(a, i, b, j)
    return folded(a[i] * b[j]).astype(np.float64)


def nearest(bank: np.ndarray, i: np.ndarray, views: np.ndarray, b: np.ndarray, j: np.ndarray) -> np.ndarray:
    """The largest of :func:`dots` with the last vectors of a track (DeepSORT): (S, B, D), (P,), (P,) vectors seen so
    far, at least one, (N, D), (P,) -> (P,) float64."""
    if fast := compiled():
        return fast.nearest(bank, i, views, b, j)
    places, size, dimension = bank.shape
    flat, best = bank.reshape(places * size, dimension), np.full(len(i), -np.inf)
    for k in range(min(size, views.max(initial=0))):  # over places in the bank, not pairs
        some = (views > k).nonzero()[0]
        best[some] = np.maximum(best[some], dots(flat, i[some] * size + k, b, j[some]))
    return best


def folded(values: np.ndarray) -> np.ndarray:
    """(K, D) float32 -> (K,) sums of rows, the second half added to the first again and again; ``values`` is spent."""
    size = values.shape[1]
    while size > 1:
        half = (size + 1) // 2
        values[:, : size - half] += values[:, half:size]
        size = half
    return values[:, 0]


def spread(vectors: np.ndarray) -> np.ndarray:
    """(N, D) unit rows of one frame -> (2,) float64: the sum of 1 - cosine over all pairs, and their number.

    Two boxes of one frame are two people, so the mean tells without labels what "different" is to this network
    on this video. sum_ij cos = |sum_i v_i|^2, so it costs one pass over the vectors.
    """
    count = len(vectors)
    if count < 2:  # no pair: not even a rounding error may count as a distance
        return np.zeros(2)
    total, own = vectors.sum(0, dtype=np.float64), np.square(vectors, dtype=np.float64).sum(0)
    pairs = count * (count - 1) / 2
    apart = np.add.accumulate(np.square(total) - own)[-1]
    return np.array([pairs - apart / 2, pairs])


def stretch_by(scale: float | None, spread_so_far: np.ndarray) -> float:
    """What 1 - cosine is multiplied by, so that two boxes of one frame are on average ``scale`` apart."""
    apart = spread_so_far[0] > ALIKE * spread_so_far[1]
    return scale * spread_so_far[1] / spread_so_far[0] if scale is not None and apart else 1.0


def _by(memory: Memory, live: LiveTracks, seen: np.ndarray) -> np.ndarray:
    if memory in MEANS:
        return 1.0 - ((live.recent if memory == "recent" else live.history) @ seen.T).astype(np.float64)
    bank = live.bank
    count, size, dimension = bank.shape
    each = 1.0 - (bank.reshape(-1, dimension) @ seen.T).astype(np.float64).reshape(count, size, len(seen))
    each[np.arange(size) >= live.views[:, None]] = np.nan  # places not filled yet
    each[live.views == 0] = 0.0  # their distance is unknown, whatever comes out
    return np.nanmin(each, axis=1) if memory == "minimum" else np.nanmedian(each, axis=1)


def remember(
    live: LiveTracks, config: TrackerConfig, rows: np.ndarray, vector: np.ndarray, score: np.ndarray
) -> None:
    """Let tracks ``rows`` (K,) take in the vectors (K, D) of detections with these scores (K,), in place.

    ``recent`` is a running mean that sure detections change more (StrongSORT, eq. 3; Deep OC-SORT, eq. 4), ``history``
    the mean of all (GHOST, sec. 3.2), ``bank`` the last ones (DeepSORT).
    """
    momentum = np.full((len(rows), 1), config.recent_momentum, np.float32)
    if config.momentum_from is not None:  # Deep OC-SORT, eq. 4
        trust = (score - config.momentum_from) / (1 - config.momentum_from)
        momentum += (1 - momentum) * (1 - np.clip(trust, 0, 1))[:, None].astype(np.float32)
    momentum[live.views[rows] == 0] = 0  # the first vector is all there is
    live.views[rows] += 1
    vectors, slots = live.vectors, live.slot[rows]
    vectors.recent[slots] = _unit(momentum * vectors.recent[slots] + (1 - momentum) * vector)
    history = vectors.history[slots]
    vectors.history[slots] = history + (vector - history) / live.views[rows, None].astype(np.float32)
    if vectors.bank.shape[1]:
        vectors.bank[slots] = np.concatenate((vector[:, None], vectors.bank[slots, :-1]), axis=1)


def _unit(vectors: np.ndarray) -> np.ndarray:
    """(K, D) rows scaled to norm 1; zero rows stay zero."""
    norm = np.sqrt(folded(np.square(vectors)))[:, None]
    return vectors / np.maximum(norm, np.float32(1e-12))
