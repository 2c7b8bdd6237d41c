"""Protocol audit: the score again under each mistake that published numbers contain, beside the honest one.

A reader who finds a number that nobody else reaches can look for it here. None of the rows but the first is a result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from eval.pairing import DISTRACTOR, JUNK, Metric, checked_features, unit_rows
from eval.ranking import RankingMetrics, evaluate_ranking
from eval.reranking import Variant, rerank

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

    def score(
        gallery: np.ndarray = gallery_features, labels: np.ndarray = ids, **options: Any
    ) -> RankingMetrics:
        camera = options.pop("cameras", cameras)
        return evaluate_ranking(
            query_features,
            query_ids,
            query_cameras,
            gallery,
            labels,
            camera,
            metric=metric,
            block=block,
            **options,
        )

    honest = honest or score()
    unfiltered = score(camera_filter=False)
    found = [
        _row(
            HONEST, "the protocol: rectangle AP, junk out, distractors in, camera filter on", honest, honest
        ),
        _row("camera filter off", "matches of the query's own camera count", unfiltered, honest),
        _row(
            "junk kept",
            f"{honest.junk} junk images stay as wrong answers",
            score(labels=np.where(ids == JUNK, DISTRACTOR, ids)),
            honest,
        ),
        _row(
            "distractors dropped",
            f"{honest.distractors} distractors leave the gallery",
            score(labels=np.where(ids == DISTRACTOR, JUNK, ids)),
            honest,
        ),
        _row(
            f"AP over top {top}",
            f"list cut after {top}, AP divided by the matches found in it",
            honest,
            honest,
            truncated_map(honest, top),
        ),
        _row(
            f"camera filter off, AP over top {top}",
            "both of the above, as in LA-Transformer's 98.3",
            unfiltered,
            honest,
            truncated_map(unfiltered, top),
        ),
        _row(
            "trapezoid AP",
            "not wrong but lower: the AP of Market-1501's own script",
            honest,
            honest,
            honest.mAP_trapezoid,
        ),
    ]
    features, labels = centroid_gallery(gallery_features, ids, metric)
    centroids = score(features, labels, cameras=np.zeros(len(labels), np.int64), camera_filter=False)
    what = "each identity's gallery images, of all cameras, become one mean vector by the true labels"
    found.append(_row("centroid gallery", what, centroids, honest))
    if reranking is not None:
        distances = rerank(
            query_features, gallery_features, variant=reranking, metric=metric, gallery_ids=ids
        )
        what = f"{distances.name}: transductive, it looks at all queries at once"
        found.append(_row("re-ranked", what, score(distances=distances), honest))
    return found


def truncated_map(metrics: RankingMetrics, top: int) -> float:
    """Mean over queries of AP in a list of ``top``, divided by the matches in the list; 0 where it has none.

    The denominator is the mistake: matches that were not found cost nothing.
    """
    query = np.repeat(np.arange(metrics.queries), metrics.positives)
    k = np.arange(1, len(query) + 1) - np.repeat(
        np.cumsum(metrics.positives) - metrics.positives, metrics.positives
    )
    inside = metrics.positive_ranks <= top
    total = np.bincount(query[inside], (k / metrics.positive_ranks)[inside], minlength=metrics.queries)
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


def _row(
    name: str, what: str, metrics: RankingMetrics, honest: RankingMetrics, value: float | None = None
) -> AuditRow:
    """A row; ``value`` goes before the metrics' own mAP."""
    rank1, mean = metrics.rank_at(1), metrics.mAP if value is None else value
    return AuditRow(
        name,
        what,
        rank1,
        mean,
        rank1 - honest.rank_at(1),
        mean - honest.mAP,
        metrics.valid_queries,
        metrics.gallery,
    )
