"""eval/ranking/retrieval.py: what stands around the ranking."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.eval.ranking.ranks import evaluate_ranking
from retrace.eval.ranking.retrieval import (
    camera_pairs,
    identity_intervals,
    pool_queries,
    single_gallery_shot,
)
from tests.eval.ranking.people import exact, people, slow

# --- intervals ---------------------------------------------------------------------------------------------------


def test_intervals_hold_the_score_and_repeat_with_the_seed() -> None:
    m = evaluate_ranking(*people())
    found = identity_intervals(m)
    assert found["mAP"][0] < m.mAP < found["mAP"][1]
    assert found["rank-1"][0] < m.rank[0] < found["rank-1"][1]
    assert found == identity_intervals(m)
    assert found != identity_intervals(m, seed=1)


def test_intervals_equal_drawing_identities_one_by_one() -> None:
    m = evaluate_ranking(*people())
    rng, kinds = np.random.default_rng(3), np.unique(m.query_ids[m.valid])
    drawn = []
    for _ in range(50):
        chosen = kinds[rng.integers(0, len(kinds), len(kinds))]
        drawn.append(np.mean(np.concatenate([m.ap[m.valid & (m.query_ids == k)] for k in chosen])))
    low, high = np.quantile(drawn, [0.05, 0.95])
    found = identity_intervals(m, draws=50, level=0.9, seed=3, names=["mAP"])
    assert found["mAP"] == pytest.approx((low, high))


def test_more_pictures_of_the_same_people_promise_no_more() -> None:
    """Every query three times: an interval over queries would shrink by the root of three."""
    data = people()
    tripled = tuple(np.repeat(x, 3, 0) if k < 3 else x for k, x in enumerate(data))
    once, thrice = (identity_intervals(evaluate_ranking(*d), names=["mAP"]) for d in (data, tripled))
    assert thrice["mAP"] == pytest.approx(once["mAP"])


def test_paired_intervals() -> None:
    data = people()
    worse = (data[0] + 2 * np.random.default_rng(0).standard_normal(data[0].shape), *data[1:])
    a, b = evaluate_ranking(*data), evaluate_ranking(*worse)
    assert identity_intervals(a, a)["mAP"] == (0, 0)
    low, high = identity_intervals(a, b)["mAP"]
    assert 0 < low < a.mAP - b.mAP < high
    with pytest.raises(InputError, match="same queries"):
        identity_intervals(a, evaluate_ranking(*people(1)))
    with pytest.raises(InputError, match="'map': expected rank-K or one of mAP"):
        identity_intervals(a, names=["map"])


# --- camera pairs ------------------------------------------------------------------------------------------------


def test_camera_pairs_equal_scoring_each_pair_alone() -> None:
    qf, q, qc, gf, g, gc = people()
    d = exact(qf, gf)
    table = camera_pairs(qf, q, qc, gf, g, gc)
    assert [(r["query_camera"], r["gallery_camera"]) for r in table] == [
        (a, b) for a, b in product(range(3), range(3)) if a != b
    ]
    for row in table:
        a, b = qc == row["query_camera"], gc == row["gallery_camera"]
        twin = slow(d[np.ix_(a, b)], q[a], qc[a], g[b], gc[b])
        assert (row["rank-1"], row["mAP"], row["queries"]) == pytest.approx(
            (twin["curve"][0], twin["ap"], twin["valid"])
        )
    for given in (d, lambda start, stop: d[start:stop]):
        assert camera_pairs(None, q, qc, None, g, gc, distances=given) == table


def test_camera_pairs_without_any() -> None:
    with pytest.raises(InputError, match="no query has a match on another camera"):
        camera_pairs(None, [1], [0], None, [1, 2], [0, 0], distances=np.zeros((1, 2)))


# --- multi-query -------------------------------------------------------------------------------------------------


def test_pooling() -> None:
    x = np.array([[1.0, 4], [5, 0], [3, 2], [0, 1]])
    ids, cameras = np.array([2, 1, 2, 2]), np.array([0, 0, 0, 1])
    pooled, one, cam = pool_queries(x, ids, cameras)
    assert (one.tolist(), cam.tolist()) == ([1, 2, 2], [0, 0, 1])
    assert pooled.tolist() == [[5, 0], [2, 3], [0, 1]]
    assert pool_queries(x, ids, cameras, "max")[0].tolist() == [[5, 0], [3, 4], [0, 1]]
    assert pooled.dtype == np.float32
    assert pool_queries(x[:0], ids[:0], cameras[:0])[0].shape == (0, 2)
    with pytest.raises(InputError, match="pooling 'sum'"):
        pool_queries(x, ids, cameras, "sum")  # type: ignore[arg-type]


def test_multi_query_helps() -> None:
    qf, q, qc, gf, g, gc = people(2, queries=200)
    assert (
        evaluate_ranking(*pool_queries(qf, q, qc), gf, g, gc).mAP
        > evaluate_ranking(qf, q, qc, gf, g, gc).mAP + 0.05
    )


# --- CUHK03, classic ---------------------------------------------------------------------------------------------


def test_single_shot_with_one_image_each_is_the_plain_curve() -> None:
    rng = np.random.default_rng(0)
    d = rng.random((20, 20))
    ids = np.arange(1, 21)
    args = (None, ids, np.zeros(20, int), None, ids, np.ones(20, int))
    assert single_gallery_shot(*args, distances=d) == pytest.approx(
        evaluate_ranking(*args, distances=d).rank[:20]
    )


def test_single_shot_tends_to_the_mean_over_all_galleries() -> None:
    """Two images each of three identities: all 8 galleries by hand, weighed alike."""
    d = np.array([[0.5, 0.2, 0.4, 0.6, 0.1, 0.3]])
    ids = [1, 1, 2, 2, 3, 3]
    ranks = [1 + sum(d[0, j] < d[0, own] for j in (b, c)) for own, b, c in product((0, 1), (2, 3), (4, 5))]
    expected = [np.mean(np.array(ranks) <= k) for k in (1, 2, 3)]
    found = single_gallery_shot(None, [1], [0], None, ids, [1] * 6, distances=d, draws=20000)
    assert found == pytest.approx(expected, abs=0.015)


def test_single_shot_draws_the_own_identity_elsewhere_and_repeats() -> None:
    """The near image is of the own camera, the one of the other camera lies behind the wrong identity."""
    d = np.array([[0.0, 0.9, 0.5, 0.1]])
    args: tuple[Any, ...] = (None, [1], [0], None, [1, 1, 2, 0], [0, 1, 1, 1])  # a distractor is never drawn
    assert single_gallery_shot(*args, distances=d, draws=50).tolist() == [0, 1]
    # equal: the wrong one first
    assert single_gallery_shot(*args, distances=np.zeros((1, 4))).tolist() == [0, 1]
    data = people(3)
    a, b, c = (single_gallery_shot(*data, seed=s, block=n) for s, n in ((1, None), (1, 3), (2, None)))
    assert a.tolist() == b.tolist() != c.tolist()
    assert np.all(np.diff(a) >= 0)


def test_single_shot_bad_input() -> None:
    with pytest.raises(InputError, match="draws 0"):
        single_gallery_shot(*people(), draws=0)
    with pytest.raises(InputError, match="no query has a match"):
        single_gallery_shot(None, [1], [0], None, [1, 2], [0, 0], distances=np.zeros((1, 2)))
