"""ReID: what a person looks at, the nearest gallery images of each query and where the ranking goes wrong.

Ranks count as in ``evaluate_ranking``: junk and images of the query's own identity and camera have none. Here they
stay in the list, marked, for they are nearest of all and show that the features work.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrace.configs import InputError
from retrace.eval.ranking.pairing import DISTRACTOR, JUNK, Metric, Rows, blocks, distance_rows, pair_up
from retrace.eval.ranking.ranks import RankingMetrics

NOTHING, RIGHT, WRONG, SAME_CAMERA, JUNK_IMAGE = range(5)  # marks; the last two are not ranked


@dataclass(frozen=True, slots=True)
class RankedLists:
    """The heads of the ranked lists of n queries, each at most K ranked and K unranked images long."""

    queries: np.ndarray  # (n,) int64: which queries
    gallery: np.ndarray  # (n, 2K) int64: the gallery's row as it was given, nearest first; -1 after the end
    mark: np.ndarray  # (n, 2K) int8: RIGHT, WRONG, SAME_CAMERA, JUNK_IMAGE; NOTHING after the end
    rank: np.ndarray  # (n, 2K) int64 from 1; 0: not ranked
    distance: np.ndarray  # (n, 2K) float32: 1 - cosine, Euclidean, or as given; NaN after the end
    hardest: np.ndarray  # (n,) int64: the right answer that comes last; -1: there is no right answer
    hardest_rank: np.ndarray  # (n,) int64; 0: there is none


def rank_lists(
    query_features: np.ndarray | None,
    query_ids: np.ndarray,
    query_cameras: np.ndarray,
    gallery_features: np.ndarray | None,
    gallery_ids: np.ndarray,
    gallery_cameras: np.ndarray,
    *,
    queries: np.ndarray | None = None,
    length: int = 10,
    metric: Metric = "cosine",
    distances: np.ndarray | Rows | None = None,
    camera_filter: bool = True,
    block: int | None = None,
) -> RankedLists:
    """The ``length`` nearest ranked images of each query, and the unranked ones among them (``length`` at most).

    Args:
        query_features: (Q, D), and so on as for ``evaluate_ranking``.
        queries: (n,) rows of the queries to list, in this order; None: all.
        length: K.
        distances: as for ``evaluate_ranking``; images at infinite distance are not listed.

    Of equal distances the lower gallery row comes first.

    Raises:
        InputError: as ``evaluate_ranking``, but queries without a right answer are normal here; length below 1.
    """
    if length < 1:
        raise InputError(f"a ranked list needs a length from 1, got {length}")
    ids = np.asarray(gallery_ids)
    junk = ids == JUNK
    # Junk takes part as if it were a distractor, for it to have a place in the list.
    pairing = pair_up(
        query_ids, query_cameras, np.where(junk, DISTRACTOR, ids), gallery_cameras, camera_filter
    )
    wanted = np.arange(len(pairing.query_ids)) if queries is None else np.asarray(queries, np.int64)
    rows = (
        distance_rows(pairing, query_features, gallery_features, metric)
        if distances is None
        else _given(distances)
    )
    lists = _empty(wanted, length)
    order = np.argsort(wanted, kind="stable")
    for start, stop, d in blocks(rows, pairing, block):
        for at in order[np.searchsorted(wanted[order], start) : np.searchsorted(wanted[order], stop)]:
            query = int(wanted[at])
            mine = slice(*np.searchsorted(pairing.row, (query, query + 1)))
            mark = np.where(junk, JUNK_IMAGE, WRONG).astype(np.int8)
            mark[pairing.col[mine]] = np.where(pairing.left_out[mine], SAME_CAMERA, RIGHT)
            _fill(lists, at, d[query - start], mark, length)
    if distances is None:
        _true_distances(lists, metric, query_features)
    return lists


def hardest_first(*results: RankingMetrics) -> np.ndarray:
    """(n,) rows of the valid queries, the lowest AP first, then the lowest INP; of several results each query's worst.

    Raises:
        InputError: results that are not of the same queries.
    """
    _same_queries(*results)
    ap = np.min([r.ap for r in results], axis=0)
    inp = np.min([r.inp for r in results], axis=0)
    order = np.lexsort((inp, ap))
    return order[results[0].valid[order]]


def fixed_and_broken(mine: RankingMetrics, other: RankingMetrics) -> tuple[np.ndarray, np.ndarray]:
    """(Q,) bool twice: queries whose first answer is right by ``mine`` only, and by ``other`` only.

    Raises:
        InputError: results that are not of the same queries.
    """
    _same_queries(mine, other)
    right, before = mine.first_rank == 1, other.first_rank == 1
    return right & ~before, before & ~right


def choose_queries(count: int, mine: RankingMetrics, other: RankingMetrics | None = None) -> np.ndarray:
    """(n,) at most ``count`` queries worth a look, hardest first.

    Of two results, up to half are fixed or broken ones, those whose AP changed most: among the hardest alone there
    are few, for what is hard is hard for both.

    Raises:
        InputError: two results of other queries.
    """
    if other is None:
        return hardest_first(mine)[:count]
    order = hardest_first(mine, other)
    changed = np.flatnonzero(np.logical_or(*fixed_and_broken(mine, other)))
    change = np.abs(mine.ap - other.ap)[changed]
    changed = changed[np.argsort(-change, kind="stable")][: count // 2]
    hardest = order[~np.isin(order, changed)][: count - len(changed)]
    return order[np.isin(order, np.concatenate([changed, hardest]))]


def _same_queries(first: RankingMetrics, *others: RankingMetrics) -> None:
    for other in others:
        if not (
            np.array_equal(first.query_ids, other.query_ids)
            and np.array_equal(first.query_cameras, other.query_cameras)
            and np.array_equal(first.valid, other.valid)
        ):
            raise InputError("expected two results of the same queries in the same order")


def _given(distances: np.ndarray | Rows) -> Rows:
    return lambda start, stop: np.asarray(
        distances(start, stop) if callable(distances) else distances[start:stop]
    )


def _empty(queries: np.ndarray, length: int) -> RankedLists:
    shape = (len(queries), 2 * length)
    return RankedLists(
        queries,
        gallery=np.full(shape, -1, np.int64),
        mark=np.zeros(shape, np.int8),
        rank=np.zeros(shape, np.int64),
        distance=np.full(shape, np.nan, np.float32),
        hardest=np.full(len(queries), -1, np.int64),
        hardest_rank=np.zeros(len(queries), np.int64),
    )


def _fill(lists: RankedLists, at: int, d: np.ndarray, mark: np.ndarray, length: int) -> None:
    """One query's list from its (G,) distances and marks."""
    ranked = mark <= WRONG
    values = d[ranked]
    if not len(values):
        return
    limit = np.partition(values, min(length, len(values)) - 1)[min(length, len(values)) - 1]
    near = np.flatnonzero(d <= limit)
    near = near[np.argsort(d[near], kind="stable")]
    rank = np.cumsum(ranked[near])
    near = near[
        np.where(ranked[near], rank <= length, np.cumsum(~ranked[near]) <= length) & np.isfinite(d[near])
    ]
    row = slice(0, len(near))
    lists.gallery[at, row], lists.mark[at, row], lists.distance[at, row] = near, mark[near], d[near]
    lists.rank[at, row] = np.where(ranked[near], np.cumsum(ranked[near]), 0)
    right = np.flatnonzero(mark == RIGHT)
    if len(right):
        last = int(right[len(right) - 1 - np.argmax(d[right][::-1])])  # of equal ones the last
        lists.hardest[at] = last
        lists.hardest_rank[at] = (
            1 + np.count_nonzero(values < d[last]) + np.count_nonzero(d[:last][ranked[:last]] == d[last])
        )


def _true_distances(lists: RankedLists, metric: Metric, query_features: np.ndarray | None) -> None:
    """From the values that `distance_rows` orders by: -cosine, or |g|^2 / 2 - q.g."""
    d = lists.distance
    if metric == "cosine":
        d += 1
        return
    query = np.asarray(query_features, np.float32)[lists.queries]
    np.sqrt(np.maximum(2 * d + np.einsum("nd,nd->n", query, query)[:, None], 0), out=d)
