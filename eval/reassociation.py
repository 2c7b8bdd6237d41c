"""Can looks alone tell who is who after a gap? Boxes of known people, compared some time apart.

At each gap every box of a person who is there again so much later is a query; the gallery is everybody who is there
then. What a tracker needs of an embedder is this, not the rank on a data set of cut-out people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retrace.configs import InputError

CROWDED = 0.3  # IoU with another box from which a box shows parts of somebody else


@dataclass(frozen=True, slots=True)
class Reassociation:
    """What looks are worth after one gap.

    Attributes:
        gap: frames.
        queries: boxes whose person is there again, beside at least one other.
        rank1: share of them whose nearest box is of the same person; NaN without queries.
        chance: what guessing would have: the mean of one over how many are there.
        auc: probability that a pair of one person is nearer than a pair of two; NaN without both.
        crowded, rank1_crowded: of queries where either box overlaps another one.
    """

    gap: int
    queries: int
    rank1: float
    chance: float
    auc: float
    crowded: int
    rank1_crowded: float


def reassociation(
    features: np.ndarray,
    ids: np.ndarray,
    frames: np.ndarray,
    gaps: Sequence[int],
    overlap: np.ndarray | None = None,
) -> list[Reassociation]:
    """Rank-1 and AUC at each gap.

    Args:
        features: (N, D) unit rows; rows of zeros are left out.
        ids: (N,) int, who it is; below 1 nobody, left out.
        frames: (N,) int.
        gaps: frames, from 1.
        overlap: (N,) the largest IoU with another box of the frame; None: nobody is crowded.

    Returns:
        One for each gap, in order.

    Raises:
        InputError: arrays that do not fit, or a gap below 1.
    """
    features, ids, frames = np.asarray(features, np.float64), np.asarray(ids), np.asarray(frames)
    if features.ndim != 2 or not len(features) == len(ids) == len(frames):
        raise InputError(
            f"expected features (N, D), ids (N,) and frames (N,), got {features.shape}, {ids.shape}, {frames.shape}"
        )
    if min(gaps, default=1) < 1:
        raise InputError(f"gaps are frames from 1, got {min(gaps)}")
    crowd = np.zeros(len(ids), bool) if overlap is None else np.asarray(overlap) >= CROWDED
    known = np.flatnonzero((features != 0).any(axis=1) & (ids > 0))
    rows = known[np.argsort(frames[known], kind="stable")]
    features, ids, frames, crowd = features[rows], ids[rows], frames[rows], crowd[rows]
    return [_after(features, ids, frames, crowd, int(gap)) for gap in gaps]


def _after(
    features: np.ndarray, ids: np.ndarray, frames: np.ndarray, crowd: np.ndarray, gap: int
) -> Reassociation:
    """``frames`` ascend."""
    same, other, hit, crowded, guess = ([np.zeros(0)] for _ in range(5))
    for now in np.unique(frames):
        start, stop, first, last = np.searchsorted(frames, (now, now + 1, now + gap, now + gap + 1))
        if start == stop or last - first < 2:
            continue
        distance = 1 - features[start:stop] @ features[first:last].T
        one = ids[start:stop, None] == ids[first:last]
        again = one.any(axis=1)
        same.append(distance[one])
        other.append(distance[~one])
        nearest = distance[again].argmin(axis=1)
        hit.append(one[again, nearest])
        late = (one[again] & crowd[first:last]).any(axis=1)
        crowded.append(crowd[start:stop][again] | late)
        guess.append(np.full(int(again.sum()), 1 / (last - first)))
    hits, crowds = np.concatenate(hit).astype(bool), np.concatenate(crowded).astype(bool)
    return Reassociation(
        gap,
        len(hits),
        _mean(hits),
        _mean(np.concatenate(guess)),
        auc(np.concatenate(same), np.concatenate(other)),
        int(crowds.sum()),
        _mean(hits[crowds]),
    )


def auc(same: np.ndarray, other: np.ndarray) -> float:
    """Area under the ROC curve: the share of pairs (a same, an other) where same is nearer; a tie is a half."""
    from scipy.stats import rankdata  # late: it takes a while

    if not len(same) or not len(other):
        return float("nan")
    ranks = rankdata(np.concatenate((other, same)))[len(other) :]
    return float(1 - (ranks.sum() - len(same) * (len(same) + 1) / 2) / (len(same) * len(other)))


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def pooled(parts: Sequence[Reassociation]) -> Reassociation:
    """Several sequences as one: means weighted by queries. Their gaps in frames may differ; the first is told."""

    def mean(name: str, weights: Sequence[int]) -> float:
        pairs = [(getattr(p, name), w) for p, w in zip(parts, weights, strict=True)]
        pairs = [(v, w) for v, w in pairs if w and not np.isnan(v)]
        total = sum(w for _, w in pairs)
        return sum(v * w for v, w in pairs) / total if total else float("nan")

    queries, crowded = [p.queries for p in parts], [p.crowded for p in parts]
    return Reassociation(
        parts[0].gap,
        sum(queries),
        mean("rank1", queries),
        mean("chance", queries),
        mean("auc", queries),
        sum(crowded),
        mean("rank1_crowded", crowded),
    )
