"""ReID ranking: rank-k, both average precisions, mINP, MAP@R and R-precision, without sorting the gallery.

All of them follow from the ranks of the right answers alone, and such a rank is one more than the number of
gallery images that are nearer. A query has some 15 right answers and 16 000 gallery images, so counting is far
less work than sorting, needs no index matrix, and goes through the queries block by block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from retrace.configs import InputError
from retrace.configs.errors import number, one_of
from retrace.eval.ranking.counting import images_before, ranks_of
from retrace.eval.ranking.pairing import DISTRACTOR, Metric, Pairing, Rows, blocks, distance_rows, pair_up
from retrace.eval.ranking.reranking import Reranked
from retrace.eval.ranking.shards import ShardPool, parts_of_features, ranks_in_shards

TIES = ("stable", "pessimistic")
Ties = Literal["stable", "pessimistic"]


@dataclass(frozen=True, slots=True)
class RankingMetrics:
    """Scores of Q queries; fractions in [0, 1]. Means are over valid queries: those with a right answer left.

    Per-query arrays hold NaN (``first_rank``: 0) where a query is not valid; fractions are float64, ids, cameras, ranks
    and counts int64.

    Example:
        >>> import numpy as np
        >>> from retrace.eval.ranking import evaluate_ranking
        >>> looks = np.array([[1, 0], [0, 1], [0.6, 0.8]])  # the third looks more like the second
        >>> found = evaluate_ranking(looks[:2], [1, 3], [1, 1], looks[1:], [2, 1], [2, 2])
        >>> found.valid.tolist(), found.first_rank.tolist(), found.ap.tolist()  # person 3 is not in the gallery
        ([True, False], [1, 0], [1.0, nan])
        >>> found.rank_at(1), found.row()["mAP"], found.row()["valid_queries"]
        (1.0, 1.0, 1)
    """

    rank: np.ndarray  # (max_rank,): rank[k - 1] is the share of queries with a right answer among the first k
    mAP: float
    mAP_trapezoid: float
    mINP: float
    map_at_r: float
    r_precision: float
    queries: int
    valid_queries: int
    gallery: int  # images ranked: distractors, no junk
    distractors: int
    junk: int
    query_ids: np.ndarray  # (Q,)
    query_cameras: np.ndarray  # (Q,)
    valid: np.ndarray  # (Q,) bool
    ap: np.ndarray  # (Q,)
    ap_trapezoid: np.ndarray  # (Q,)
    inp: np.ndarray  # (Q,)
    ap_at_r: np.ndarray  # (Q,)
    precision_at_r: np.ndarray  # (Q,)
    first_rank: np.ndarray  # (Q,) from 1
    positives: np.ndarray  # (Q,) right answers
    positive_ranks: np.ndarray  # (sum of positives,) from 1, query by query, ascending
    ties: str
    distance: str  # "cosine", "euclidean", "given", or the name of a re-ranking
    camera_filter: bool
    transductive: bool  # re-ranked: the distances know all queries at once

    def rank_at(self, k: int) -> float:
        """Rank-k, a share in [0, 1]; beyond the curve's end the curve's last value if the gallery ends there.

        Raises:
            InputError: k is no whole number, or not on the curve.
        """
        number("k", k, whole=True)
        if k < 1 or (k > len(self.rank) and self.gallery > len(self.rank)):
            raise InputError(
                f"rank-{k}: the curve goes from 1 to {len(self.rank)}; ask for a larger max_rank"
            )
        return float(self.rank[min(k, len(self.rank)) - 1])

    def row(self) -> dict[str, Any]:
        """What goes to JSON: rank-1, -5 and -10, means over queries, counts, and how they came about.

        Raises:
            InputError: the curve ends before rank 10 and the gallery does not.
        """
        same = ("mAP", "mAP_trapezoid", "mINP", "queries", "valid_queries", "gallery", "distractors", "junk")
        how = ("distance", "ties", "camera_filter", "transductive")
        return {
            "rank": {str(k): self.rank_at(k) for k in (1, 5, 10)},
            **{name: getattr(self, name) for name in same},
            "MAP@R": self.map_at_r,
            "R-precision": self.r_precision,
            **{name: getattr(self, name) for name in how},
        }


def evaluate_ranking(
    query_features: np.ndarray | None,
    query_ids: np.ndarray,
    query_cameras: np.ndarray,
    gallery_features: np.ndarray | None,
    gallery_ids: np.ndarray,
    gallery_cameras: np.ndarray,
    *,
    metric: Metric = "cosine",
    distances: np.ndarray | Rows | None = None,
    camera_filter: bool = True,
    ties: Ties = "stable",
    max_rank: int = 50,
    block: int | None = None,
    shards: ShardPool | None = None,
) -> RankingMetrics:
    """Rank the gallery for each query and score it, by the single-query protocol of Market-1501.

    Args:
        query_features: (Q, D) real; with ``distances`` it may be None, as may the gallery's.
        query_ids: (Q,) whole numbers from 1.
        query_cameras: (Q,) whole numbers; equal = same camera.
        gallery_features: (G, D) real. A copy is made only if there is junk to drop, if rows are not float32, or
            if cosine finds rows that are no unit vectors.
        gallery_ids: (G,) an identity from 1, 0 for a distractor (stays, always wrong), -1 for junk (leaves).
        gallery_cameras: (G,).
        metric: how features compare; the squared Euclidean distance ranks as the root does.
        distances: (Q, G) ready distances, or a function (start, stop) -> rows of them, e.g. a re-ranking.
        camera_filter: leave out gallery images of the query's identity and camera. Off, the result is not
            comparable with anybody's.
        ties: "stable": of equal distances the lower gallery index comes first, as in a stable argsort;
            "pessimistic": wrong answers come first.
        max_rank: where the rank-k curve ends (at the gallery's size at the latest).
        block: queries at a time; memory is 4 G bytes for each, whatever Q is.
        shards: who ranks a part of the gallery each, of features or of a re-ranking; the same numbers come of it.

    mAP is the rectangle rule (mean precision at the right answers), mAP_trapezoid the one of Market-1501's own
    script, mINP that of Ye et al. (TPAMI 2021), MAP@R that of Musgrave et al. (ECCV 2020).

    Raises:
        InputError: wrong shapes, labels or numbers; no query with a right answer (one camera only, for one).

    Example:
        >>> import numpy as np
        >>> from retrace import evaluate_ranking
        >>> looks = np.array([[1, 0], [0, 1], [0.6, 0.8]])  # the third looks more like the second
        >>> found = evaluate_ranking(looks[:1], [1], [1], looks[1:], [2, 1], [2, 2])
        >>> found.rank_at(1), found.mAP
        (1.0, 1.0)
    """
    if not isinstance(ties, str) or ties not in TIES:
        raise InputError(f"ties {ties!r}: expected one of {', '.join(TIES)}")
    number("max_rank", max_rank, 1, whole=True)
    pairing = pair_up(query_ids, query_cameras, gallery_ids, gallery_cameras, camera_filter)
    if shards is None:
        rows = distance_rows(pairing, query_features, gallery_features, metric, distances)
    elif distances is None:
        parts = parts_of_features(pairing, query_features, gallery_features, metric, shards)
    elif isinstance(distances, Reranked):
        if not np.array_equal(distances.kept, pairing.kept):
            raise InputError(
                "shards: a re-ranking with junk in its graph lies here; leave one of the two out"
            )
        parts = distances.parts(shards)
    else:
        raise InputError("shards: distances that are given lie here; leave one of the two out")
    positives = np.bincount(pairing.row[~pairing.left_out], minlength=len(pairing.query_ids))
    if not positives.any():
        raise InputError(_why_none(pairing))
    if shards is None:
        ranks = _positive_ranks(rows, pairing, ties, block)
    else:
        ranks = ranks_in_shards(shards, parts, pairing, ties, block)
    distance = metric if distances is None else str(getattr(distances, "name", "given"))
    return _metrics(
        pairing,
        positives,
        ranks,
        max_rank,
        ties=ties,
        distance=distance,
        camera_filter=camera_filter,
        transductive=bool(getattr(distances, "transductive", False)),
    )


def average_precision(ranks: np.ndarray, positives: np.ndarray, rule: str = "rectangle") -> np.ndarray:
    """(Q,) AP from the ascending ranks of each query's positives, laid end to end; NaN where there are none.

    "rectangle": mean over positives of k / r_k. "trapezoid": mean of (k / r_k + (k - 1) / (r_k - 1)) / 2, with 1
    for the second term at r_k = 1.

    Raises:
        InputError: another rule.
    """
    one_of("rule", rule, ("rectangle", "trapezoid"))
    k = ordinals(positives)
    precision = k / ranks
    if rule == "trapezoid":
        before = np.ones(len(k))
        np.divide(k - 1, ranks - 1, out=before, where=ranks > 1)
        precision = (precision + before) / 2
    return _mean_per_query(precision, positives)


def _metrics(
    pairing: Pairing, positives: np.ndarray, ranks: np.ndarray, max_rank: int, **how: Any
) -> RankingMetrics:
    valid = positives > 0
    end = np.cumsum(positives)
    first, last = np.zeros(len(valid), np.int64), np.full(len(valid), np.nan)
    first[valid], last[valid] = ranks[(end - positives)[valid]], ranks[end[valid] - 1]
    inside = ranks <= np.repeat(positives, positives)
    per_query = {
        "ap": average_precision(ranks, positives),
        "ap_trapezoid": average_precision(ranks, positives, "trapezoid"),
        "inp": positives / last,
        "ap_at_r": _mean_per_query(np.where(inside, ordinals(positives) / ranks, 0), positives),
        "precision_at_r": _mean_per_query(inside.astype(float), positives),
    }
    mean = {name: float(values[valid].mean()) for name, values in per_query.items()}
    length = min(max_rank, len(pairing.kept))
    curve = np.cumsum(np.bincount(np.minimum(first[valid], length + 1), minlength=length + 2)[1 : length + 1])
    return RankingMetrics(
        rank=curve / valid.sum(),
        mAP=mean["ap"],
        mAP_trapezoid=mean["ap_trapezoid"],
        mINP=mean["inp"],
        map_at_r=mean["ap_at_r"],
        r_precision=mean["precision_at_r"],
        queries=len(valid),
        valid_queries=int(valid.sum()),
        gallery=len(pairing.kept),
        distractors=int((pairing.gallery_ids == DISTRACTOR).sum()),
        junk=pairing.junk,
        query_ids=pairing.query_ids,
        query_cameras=pairing.query_cameras,
        valid=valid,
        first_rank=first,
        positives=positives,
        positive_ranks=ranks,
        **per_query,
        **how,
    )


def _positive_ranks(rows: Rows, pairing: Pairing, ties: str, size: int | None) -> np.ndarray:
    """Ranks from 1 of all right answers, query by query, ascending."""
    found = []
    for start, stop, d in blocks(rows, pairing, size):
        a, b = np.searchsorted(pairing.row, (start, stop))
        row, col, left_out = pairing.row[a:b] - start, pairing.col[a:b], pairing.left_out[a:b]
        value = d[row, col][~left_out]
        d[row[left_out], col[left_out]] = np.inf
        row, col = row[~left_out], col[~left_out]
        order = np.lexsort((value, row))  # stable: equal values stay in the gallery's order
        row, value = row[order], value[order]
        found.append(ranks_of(images_before(d, row, col[order], value, ties), row, value, ties))
    return np.concatenate(found)


def ordinals(positives: np.ndarray) -> np.ndarray:
    """1, 2, ... within each query, laid end to end like ``positive_ranks``."""
    return np.arange(1, positives.sum() + 1) - np.repeat(np.cumsum(positives) - positives, positives)


def _mean_per_query(values: np.ndarray, positives: np.ndarray) -> np.ndarray:
    query = np.repeat(np.arange(len(positives)), positives)
    total = np.bincount(query, values, minlength=len(positives))
    return np.divide(total, positives, out=np.full(len(positives), np.nan), where=positives > 0)


def _why_none(pairing: Pairing) -> str:
    """Why no query has a right answer."""
    if not len(pairing.query_ids) or not len(pairing.kept):
        return (
            f"expected queries and a gallery, got {len(pairing.query_ids)} queries and {len(pairing.kept)} gallery "
            "images without junk"
        )
    if not len(pairing.row):
        return "no identity of the queries is in the gallery: rank-k and mAP are undefined; check the ids"
    cameras = np.unique(np.concatenate([pairing.query_cameras, pairing.gallery_cameras]))
    if len(cameras) == 1:
        return (
            f"one camera only ({cameras[0]}): rank-k and mAP are undefined, since matches of the query's own camera do "
            "not count; give the true cameras"
        )
    return (
        "every match is of its query's own camera, and those do not count: rank-k and mAP are undefined; "
        "check the cameras"
    )
