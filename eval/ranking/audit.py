"""Protocol audit: the score again under each mistake that published numbers contain, beside the honest one.

A reader who finds a number that nobody else reaches can look for it here. None of the rows but the first is a result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from retrace.eval.ranking.pairing import DISTRACTOR, JUNK, Metric, checked_features, unit_rows
from retrace.eval.ranking.ranks import RankingMetrics, evaluate_ranking, ordinals
from retrace.eval.ranking.reranking import Variant, rerank

HONEST = "honest"


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One switch; differences are this row minus the honest one, in fractions."""

    name: str
    what: str
    rank1: float
    mAP: float
    rank1_difference: float
    mAP_difference: float
    queries: int  # valid ones
    gallery: int

    def row(self) -> dict[str, Any]:
        """What goes to JSON."""
        return {
            "name": self.name,
            "what": self.what,
            "rank-1": self.rank1,
            "mAP": self.mAP,
            "rank-1 difference": self.rank1_difference,
            "mAP difference": self.mAP_difference,
            "queries": self.queries,
            "gallery": self.gallery,
        }


def audit(
    query_features: np.ndarray,
    query_ids: np.ndarray,
    query_cameras: np.ndarray,
    gallery_features: np.ndarray,
    gallery_ids: np.ndarray,
    gallery_cameras: np.ndarray,
    *,
    metric: Metric = "cosine",
    top: int = 100,
    reranking: Variant | None = "zhong-d2",
    honest: RankingMetrics | None = None,
    block: int | None = None,
) -> list[AuditRow]:
    """Score once honestly, then with one switch at a time set wrong; arguments as ``evaluate_ranking``.

    ``top`` is where a cut list ends. ``reranking`` None leaves out that row (it costs some ten times a scoring). An
    ``honest`` score that is at hand already is not computed again. Junk and distractor rows say nothing new where the
    gallery has none.

    Raises:
        InputError: as ``evaluate_ranking`` and ``rerank``.
    """
    ids, cameras = np.asarray(gallery_ids), np.asarray(gallery_cameras)

    def score(labels: np.ndarray = ids, **options: Any) -> RankingMetrics:
        query = (query_features, query_ids, query_cameras)
        return evaluate_ranking(
            *query, gallery_features, labels, cameras, metric=metric, block=block, **options
        )

    honest = honest or score()
    unfiltered = score(camera_filter=False)
    with_junk = score(np.where(ids == JUNK, DISTRACTOR, ids))
    without_distractors = score(np.where(ids == DISTRACTOR, JUNK, ids))
    features, labels = centroid_gallery(gallery_features, ids, metric)
    none = np.zeros(len(labels), np.int64)
    options: dict[str, Any] = {"metric": metric, "block": block, "camera_filter": False}
    centroids = evaluate_ranking(query_features, query_ids, query_cameras, features, labels, none, **options)
    cut, cut_unfiltered = truncated_map(honest, top), truncated_map(unfiltered, top)
    table: list[tuple[str, str, RankingMetrics, float]] = [
        (HONEST, "junk out, distractors in, own camera left out, rectangle AP", honest, honest.mAP),
        ("camera filter off", "matches of the query's own camera count", unfiltered, unfiltered.mAP),
        (f"AP over top {top}", "divided by the matches found in the list, not by all", honest, cut),
        (f"camera filter off, AP over top {top}", "LA-Transformer's two", unfiltered, cut_unfiltered),
        ("junk kept", f"{honest.junk} junk images are wrong answers", with_junk, with_junk.mAP),
        (
            "distractors dropped",
            f"{honest.distractors} wrong answers less",
            without_distractors,
            without_distractors.mAP,
        ),
        ("centroid gallery", "one mean vector an identity, by true labels", centroids, centroids.mAP),
        ("trapezoid AP", "not wrong: Market-1501's own script", honest, honest.mAP_trapezoid),
    ]
    if reranking is not None:
        made = rerank(query_features, gallery_features, variant=reranking, metric=metric, gallery_ids=ids)
        reranked = score(distances=made)
        table.append(("re-ranked (transductive)", made.name, reranked, reranked.mAP))
    return [_row(*entry, honest) for entry in table]


def truncated_map(metrics: RankingMetrics, top: int) -> float:
    """Mean over queries of AP in a list of ``top``, divided by the matches in the list; 0 where it has none.

    The denominator is the mistake: matches that were not found cost nothing.
    """
    query = np.repeat(np.arange(metrics.queries), metrics.positives)
    precision = ordinals(metrics.positives) / metrics.positive_ranks
    inside = metrics.positive_ranks <= top
    total = np.bincount(query[inside], precision[inside], minlength=metrics.queries)
    found = np.bincount(query[inside], minlength=metrics.queries)
    return float((total / np.maximum(found, 1))[metrics.valid].mean())


def centroid_gallery(features: np.ndarray, ids: np.ndarray, metric: Metric) -> tuple[np.ndarray, np.ndarray]:
    """One mean feature an identity; distractors stay single, junk leaves. (M, D) float32 and (M,) ids."""
    x, norms = checked_features(features, "gallery_features")
    if metric == "cosine":
        x = unit_rows(x, norms)
    order = np.argsort(ids, kind="stable")
    order = order[ids[order] != JUNK]
    single = order[ids[order] == DISTRACTOR]
    order = order[len(single) :]
    kinds, start, count = np.unique(ids[order], return_index=True, return_counts=True)
    if not len(kinds):
        return x[single], ids[single]
    means = np.add.reduceat(x[order], start) / count[:, None].astype(np.float32)
    return np.concatenate([x[single], means]), np.concatenate([ids[single], kinds])


def _row(name: str, what: str, metrics: RankingMetrics, mean: float, honest: RankingMetrics) -> AuditRow:
    rank1 = metrics.rank_at(1)
    gain = rank1 - honest.rank_at(1), mean - honest.mAP
    return AuditRow(name, what, rank1, mean, *gain, metrics.valid_queries, metrics.gallery)
