"""eval/ranking/ranked_lists.py: by hand, and against a full sort."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrace.configs import InputError
from retrace.eval.ranking.ranked_lists import (
    JUNK_IMAGE,
    NOTHING,
    RIGHT,
    SAME_CAMERA,
    WRONG,
    choose_queries,
    fixed_and_broken,
    hardest_first,
    rank_lists,
)
from retrace.eval.ranking.ranks import RankingMetrics, evaluate_ranking
from retrace.eval.ranking.reranking import rerank


def angle(*degrees: float) -> np.ndarray:
    """Unit vectors in the plane: 1 - cosine grows with the angle to 0."""
    return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], 1).astype(np.float32)


# One query of person 7 by camera 1. Nearest first: same camera, wrong, junk, right, distractor, right.
HAND: dict[str, Any] = {
    "query_features": angle(0),
    "query_ids": np.array([7]),
    "query_cameras": np.array([1]),
    "gallery_features": angle(50, 10, 30, 20, 60, 40),
    "gallery_ids": np.array([0, 7, -1, 3, 7, 7]),
    "gallery_cameras": np.array([1, 1, 1, 1, 2, 3]),
}


def test_marks_ranks_and_the_hardest_by_hand() -> None:
    lists = rank_lists(**HAND, length=4)
    assert lists.gallery[0].tolist() == [1, 3, 2, 5, 0, 4, -1, -1]
    assert lists.mark[0].tolist() == [
        *(SAME_CAMERA, WRONG, JUNK_IMAGE, RIGHT, WRONG, RIGHT),
        *(NOTHING, NOTHING),
    ]
    assert lists.rank[0].tolist() == [0, 1, 0, 2, 3, 4, 0, 0]
    np.testing.assert_allclose(
        lists.distance[0, :6], 1 - np.cos(np.radians([10, 20, 30, 40, 50, 60])), atol=1e-6
    )
    assert np.isnan(lists.distance[0, 6:]).all()
    assert (lists.hardest.tolist(), lists.hardest_rank.tolist()) == ([4], [4])


def test_a_short_list_still_knows_the_hardest() -> None:
    lists = rank_lists(**HAND, length=1)
    assert lists.gallery.tolist() == [[1, 3]]
    assert (lists.hardest.tolist(), lists.hardest_rank.tolist()) == ([4], [4])


def test_at_most_as_many_unranked_as_ranked() -> None:
    case = HAND | {"gallery_ids": np.array([0, -1, -1, -1, -1, 7])}
    lists = rank_lists(**case, length=2)
    assert lists.gallery.tolist() == [[1, 3, 5, 0]]  # 10 and 20 degrees; the junk at 30 is one too many
    assert lists.rank.tolist() == [[0, 0, 1, 2]]


def test_camera_filter_off() -> None:
    assert rank_lists(**HAND, length=4, camera_filter=False).mark[0, 0] == RIGHT


def test_no_right_answer_and_nothing_at_all() -> None:
    lists = rank_lists(**HAND | {"gallery_ids": np.array([0, 7, -1, 3, 4, 5])}, length=4)
    assert (lists.hardest.tolist(), lists.hardest_rank.tolist()) == ([-1], [0])
    only_junk = rank_lists(**HAND | {"gallery_ids": np.full(6, -1)}, length=3)
    assert only_junk.mark.tolist() == [[NOTHING] * 6]
    none = rank_lists(**HAND, queries=np.array([], np.int64))
    assert none.gallery.shape == (0, 20)


def test_euclidean_distances_are_true_ones() -> None:
    lists = rank_lists(
        **HAND
        | {
            "query_features": np.array([[1.0, 1]]),
            "gallery_features": np.array([[4.0, 5], [1, 1], [9, 9], [1, 2], [0, 1], [1, 4]]),
        },
        length=2,
        metric="euclidean",
    )
    assert lists.gallery[0, :3].tolist() == [1, 3, 4]
    np.testing.assert_allclose(lists.distance[0, :3], [0, 1, 1], atol=1e-6)


def obvious(d: np.ndarray, case: dict[str, Any], query: int, length: int) -> list[tuple[int, int, int]]:
    """(gallery row, mark, rank) by sorting everything and walking down the list."""
    found, rank, unranked, limit = [], 0, 0, None
    same = case["gallery_ids"] == case["query_ids"][query]
    junk = case["gallery_ids"] == -1
    out = junk | (same & (case["gallery_cameras"] == case["query_cameras"][query]))
    if out.all():
        return []
    length_here = min(length, int((~out).sum()))  # the list ends with its last ranked image
    for row in np.argsort(d[query], kind="stable"):
        if limit is not None and d[query, row] > limit:
            break
        if out[row]:
            unranked += 1
            if unranked <= length:
                found.append((int(row), JUNK_IMAGE if junk[row] else SAME_CAMERA, 0))
        elif rank < length_here:
            rank += 1
            found.append((int(row), RIGHT if same[row] else WRONG, rank))
            limit = d[query, row] if rank == length_here else None
    return found


def ranked_case(seed: int, queries: int, gallery: int) -> tuple[dict[str, Any], np.ndarray]:
    """Labels, and distances with many equal ones."""
    rng = np.random.default_rng(seed)
    labels = {
        "query_ids": rng.integers(1, 4, queries),
        "query_cameras": rng.integers(1, 4, queries),
        "gallery_ids": rng.integers(-1, 4, gallery),
        "gallery_cameras": rng.integers(1, 4, gallery),
    }
    return labels, rng.integers(0, 6, (queries, gallery)).astype(np.float32)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32), gallery=st.integers(1, 30), length=st.integers(1, 8))
def test_equal_to_a_full_sort_with_ties(seed: int, gallery: int, length: int) -> None:
    case, d = ranked_case(seed, 5, gallery)
    order = np.random.default_rng(seed).permutation(5)[:3]
    lists = rank_lists(
        None, gallery_features=None, **case, distances=d, queries=order, length=length, block=2
    )
    for at, query in enumerate(order):
        n = np.count_nonzero(lists.mark[at])
        mine = zip(lists.gallery[at, :n], lists.mark[at, :n], lists.rank[at, :n], strict=True)
        assert [tuple(map(int, row)) for row in mine] == obvious(d, case, query, length)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32))
def test_ranks_are_those_of_the_metrics(seed: int) -> None:
    case, d = ranked_case(seed, 6, 20)
    try:
        metrics = evaluate_ranking(None, gallery_features=None, **case, distances=d)
    except InputError:  # no query has a right answer
        return
    lists = rank_lists(None, gallery_features=None, **case, distances=d, length=20)
    ends = np.cumsum(metrics.positives)
    for query in range(6):
        ranks = lists.rank[query][lists.mark[query] == RIGHT].tolist()
        assert ranks == metrics.positive_ranks[ends[query] - metrics.positives[query] : ends[query]].tolist()
        assert lists.hardest_rank[query] == max(ranks, default=0)


def test_reranked_distances_leave_junk_out() -> None:
    distances = rerank(
        HAND["query_features"], HAND["gallery_features"], gallery_ids=HAND["gallery_ids"], k1=2, k2=1
    )
    lists = rank_lists(**HAND, length=4, distances=distances)
    assert 2 not in lists.gallery
    assert lists.rank.max() == 4


def metrics_of(ap: list[float], first: list[int], inp: list[float] | None = None) -> RankingMetrics:
    """Three queries with these per-query scores."""
    real = evaluate_ranking(
        angle(0, 1, 2),
        np.array([1, 2, 3]),
        np.zeros(3, np.int64),
        angle(0, 1, 2),
        np.array([1, 2, 3]),
        np.ones(3, np.int64),
    )
    valid = ~np.isnan(ap)
    return replace(
        real,
        ap=np.array(ap),
        first_rank=np.array(first),
        valid=valid,
        inp=np.array(ap if inp is None else inp),
    )


def test_hardest_first() -> None:
    mine = metrics_of([0.5, 0.2, 0.5], [1, 3, 1], [0.5, 0.2, 0.4])
    assert hardest_first(mine).tolist() == [1, 2, 0]  # equal AP: the lower INP first
    other = metrics_of([0.1, 0.9, 0.9], [5, 1, 1])
    assert hardest_first(mine, other).tolist() == [0, 1, 2]
    assert hardest_first(metrics_of([np.nan, 0.2, 0.1], [0, 2, 3])).tolist() == [2, 1]


def test_fixed_and_broken() -> None:
    fixed, broken = fixed_and_broken(
        metrics_of([1, 0.4, 0.3], [1, 2, 2]), metrics_of([0.5, 1, 0.2], [2, 1, 3])
    )
    assert (fixed.tolist(), broken.tolist()) == ([True, False, False], [False, True, False])


def test_changed_queries_have_a_place_among_the_hardest() -> None:
    mine, other = metrics_of([0.1, 1, 0.3], [4, 1, 2]), metrics_of([0.1, 0.5, 0.3], [4, 2, 2])
    assert hardest_first(mine, other).tolist() == [0, 2, 1]
    assert choose_queries(2, mine).tolist() == [0, 2]
    assert choose_queries(2, mine, other).tolist() == [0, 1]  # 1 is fixed, so 2 leaves
    assert choose_queries(9, mine, other).tolist() == [0, 2, 1]
    more = metrics_of([0.1, 0.5, 0.2], [4, 2, 2])
    assert choose_queries(2, metrics_of([0.1, 1, 0.8], [4, 1, 1]), more).tolist() == [0, 2]  # 2 changed most


def test_mistakes() -> None:
    with pytest.raises(InputError, match="length from 1, got 0"):
        rank_lists(**HAND, length=0)
    mine = metrics_of([0.5, 0.2, 0.5], [1, 3, 1])
    with pytest.raises(InputError, match="same queries"):
        hardest_first(mine, replace(mine, query_ids=np.array([1, 2, 4])))
