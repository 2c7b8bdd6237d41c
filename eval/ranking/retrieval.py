"""ReID, around the ranking: intervals by identity, camera pairs, multi-query, CUHK03's classic CMC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from retrace.configs import InputError
from retrace.eval.ranking.pairing import (
    DISTRACTOR,
    Metric,
    Pairing,
    Rows,
    blocks,
    checked_features,
    distance_rows,
    pair_up,
)
from retrace.eval.ranking.ranks import RankingMetrics, evaluate_ranking

SHOWN = ("rank-1", "rank-5", "rank-10", "mAP", "mAP_trapezoid", "mINP")
PER_QUERY = {"mAP": "ap", "mAP_trapezoid": "ap_trapezoid", "mINP": "inp", "MAP@R": "ap_at_r"}


def identity_intervals(
    metrics: RankingMetrics,
    other: RankingMetrics | None = None,
    *,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    names: Sequence[str] = SHOWN,
) -> dict[str, tuple[float, float]]:
    """Percentile bootstrap by identity: name -> (low, high); with ``other`` of ``metrics`` minus ``other``, paired.

    Identities are drawn with replacement, each with all its valid queries: pictures of one person fail together,
    so drawing queries would promise too much. Names are "rank-k", "mAP", "mAP_trapezoid", "mINP", "MAP@R".

    Raises:
        InputError: two results that are not of the same queries; an unknown name.
    """
    for name in names:
        if name not in PER_QUERY and not (name.startswith("rank-") and name[5:].isdigit()):
            raise InputError(f"{name!r}: expected rank-K or one of {', '.join(PER_QUERY)}")
    if other is not None and not (
        np.array_equal(metrics.query_ids, other.query_ids) and np.array_equal(metrics.valid, other.valid)
    ):
        raise InputError("a paired interval needs two results of the same queries in the same order")
    _, identity = np.unique(metrics.query_ids[metrics.valid], return_inverse=True)
    count = int(identity.max()) + 1
    rng = np.random.default_rng(seed)
    taken = np.stack([np.bincount(rng.integers(0, count, count), minlength=count) for _ in range(draws)])
    queries = taken @ np.bincount(identity)
    found = {}
    for name in names:
        values = _values(metrics, name) - (0 if other is None else _values(other, name))
        drawn = taken @ np.bincount(identity, values) / queries
        low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
        found[name] = (float(low), float(high))
    return found


def _values(metrics: RankingMetrics, name: str) -> np.ndarray:
    """Per valid query."""
    if name in PER_QUERY:
        values: np.ndarray = getattr(metrics, PER_QUERY[name])[metrics.valid]
        return values
    return (metrics.first_rank[metrics.valid] <= int(name[5:])).astype(float)


def camera_pairs(
    query_features: np.ndarray | None,
    query_ids: np.ndarray,
    query_cameras: np.ndarray,
    gallery_features: np.ndarray | None,
    gallery_ids: np.ndarray,
    gallery_cameras: np.ndarray,
    *,
    distances: np.ndarray | Rows | None = None,
    **options: Any,
) -> list[dict[str, Any]]:
    """One row a camera pair: {"query_camera", "gallery_camera", "queries", "rank-1", "mAP"}; options as ranking's.

    The gallery is narrowed to one camera, distractors and all, and the queries of each other camera are scored on
    it. Pairs without a valid query have no row.

    Raises:
        InputError: as ``evaluate_ranking``; not one pair has a valid query.
    """
    checked = pair_up(query_ids, query_cameras, gallery_ids, gallery_cameras)
    cameras, table = np.asarray(gallery_cameras), []
    for camera in np.unique(checked.gallery_cameras):
        matched = (checked.gallery_cameras[checked.col] == camera) & ~checked.left_out
        if not matched.any():
            continue
        here = np.flatnonzero(cameras == camera)
        scores = evaluate_ranking(
            query_features,
            query_ids,
            query_cameras,
            None if gallery_features is None else np.asarray(gallery_features)[here],
            np.asarray(gallery_ids)[here],
            cameras[here],
            distances=None if distances is None else _columns(distances, here),
            **options,
        )
        for source in np.unique(scores.query_cameras[scores.valid]):
            mine = scores.valid & (scores.query_cameras == source)
            table.append(
                {
                    "query_camera": int(source),
                    "gallery_camera": int(camera),
                    "queries": int(mine.sum()),
                    "rank-1": float((scores.first_rank[mine] == 1).mean()),
                    "mAP": float(scores.ap[mine].mean()),
                }
            )
    if not table:
        raise InputError("no query has a match on another camera: there are no camera pairs to compare")
    return sorted(table, key=lambda row: (row["query_camera"], row["gallery_camera"]))


def _columns(distances: np.ndarray | Rows, here: np.ndarray) -> Rows:
    if callable(distances):
        return lambda start, stop: distances(start, stop)[:, here]
    return lambda start, stop: distances[start:stop, here]


def pool_queries(
    features: np.ndarray, ids: np.ndarray, cameras: np.ndarray, mode: Literal["mean", "max"] = "mean"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Multi-query: one (D,) float32 feature for all images of an identity on a camera; (features, ids, cameras).

    Rows come out sorted by identity, then camera. Features are pooled as they are and not normalised again.

    Raises:
        InputError: wrong shapes or numbers, an unknown mode.
    """
    if mode not in ("mean", "max"):
        raise InputError(f"pooling {mode!r}: expected mean or max")
    x, _ = checked_features(features, "query_features", len(np.asarray(ids)))
    labels = np.stack([np.asarray(ids), np.asarray(cameras)], 1)
    kinds, which, count = np.unique(labels, axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(which.ravel(), kind="stable")
    start = np.cumsum(count) - count
    if not len(count):
        pooled = x
    elif mode == "max":
        pooled = np.maximum.reduceat(x[order], start)
    else:
        pooled = np.add.reduceat(x[order], start) / count[:, None].astype(np.float32)
    return pooled, kinds[:, 0], kinds[:, 1]


def single_gallery_shot(
    query_features: np.ndarray | None,
    query_ids: np.ndarray,
    query_cameras: np.ndarray,
    gallery_features: np.ndarray | None,
    gallery_ids: np.ndarray,
    gallery_cameras: np.ndarray,
    *,
    draws: int = 10,
    seed: int = 0,
    max_rank: int = 20,
    metric: Metric = "cosine",
    distances: np.ndarray | Rows | None = None,
    block: int | None = None,
) -> np.ndarray:
    """CUHK03's classic rank-k (max_rank,): one random gallery image of each identity, mean over ``draws``.

    Li et al., CVPR 2014. The query's own identity is drawn among its other cameras. Distractors have no identity to
    draw and are left out. Of equal distances the wrong one comes first. The same seed draws the same images.

    Raises:
        InputError: as ``evaluate_ranking``.
    """
    if draws < 1:
        raise InputError(f"draws {draws}: expected at least 1")
    pairing = pair_up(query_ids, query_cameras, gallery_ids, gallery_cameras)
    rows = distance_rows(pairing, query_features, gallery_features, metric, distances)
    own = np.flatnonzero(~pairing.left_out)
    if not len(own):
        raise InputError("no query has a match on another camera: rank-k is undefined; check ids and cameras")
    rng = np.random.default_rng(seed)
    order, start, count = _identities(pairing)
    shots = order[start + (rng.random((draws, len(start))) * count).astype(np.int64)]  # (draws, identities)
    counts = np.bincount(pairing.row[own], minlength=len(pairing.query_ids))
    queries = np.flatnonzero(counts)
    first = np.cumsum(counts) - counts
    pick = (rng.random((draws, len(queries))) * counts[queries]).astype(np.int64)
    mine = np.zeros((draws, len(counts)), np.int64)
    mine[:, queries] = pairing.col[own[first[queries] + pick]]
    hits = np.zeros(len(start) + 1, np.int64)
    for a, b, d in blocks(rows, pairing, block):
        for q in queries[(queries >= a) & (queries < b)]:
            value = d[q - a, mine[:, q]]
            wrong = pairing.gallery_ids[shots] != pairing.query_ids[q]
            ahead = ((d[q - a, shots] <= value[:, None]) & wrong).sum(1)
            np.add.at(hits, ahead, 1)
    return np.cumsum(hits)[: min(max_rank, len(start))] / (draws * len(queries))


def _identities(pairing: Pairing) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gallery images sorted by identity without distractors; where each identity starts, and its images."""
    order = np.argsort(pairing.gallery_ids, kind="stable")
    order = order[np.searchsorted(pairing.gallery_ids[order], DISTRACTOR, "right") :]
    _, start, count = np.unique(pairing.gallery_ids[order], return_index=True, return_counts=True)
    return order, start, count
