"""eval/ranking/ranks.py and pairing.py: by hand, against a slow twin, against torchreid live and on record."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrace.configs import InputError
from retrace.eval.ranking import counting
from retrace.eval.ranking.pairing import distance_rows, pair_up
from retrace.eval.ranking.ranks import average_precision, evaluate_ranking
from tests.eval.ranking.people import exact, people, slow, torchreid_module


def agree(mine: Any, twin: dict[str, Any], tolerance: float = 1e-12) -> None:
    assert mine.valid_queries == twin["valid"]
    for value, name in (
        (mine.mAP, "ap"),
        (mine.mAP_trapezoid, "trapezoid"),
        (mine.mINP, "inp"),
        (mine.map_at_r, "at_r"),
        (mine.r_precision, "p_at_r"),
    ):
        assert value == pytest.approx(twin[name], abs=tolerance), name
    length = min(20, len(mine.rank))
    assert mine.rank[:length] == pytest.approx(twin["curve"][:length], abs=tolerance)


# --- by hand -----------------------------------------------------------------------------------------------------

#            right  wrong  right  junk   own camera  distractor  wrong  right
DISTANCES = [[0.10, 0.20, 0.30, 0.05, 0.01, 0.40, 0.50, 0.60]]
IDS, CAMERAS = [7, 8, 7, -1, 7, 0, 9, 7], [1, 0, 2, 1, 0, 1, 0, 1]


def by_hand(**options: Any) -> Any:
    options = {"distances": np.array(DISTANCES), **options}
    return evaluate_ranking(None, [7], [0], None, IDS, CAMERAS, **options)


def test_by_hand() -> None:
    """Ranked: right, wrong, right, distractor, wrong, right; ranks of the right ones 1, 3, 6."""
    m = by_hand()
    assert m.positive_ranks.tolist() == [1, 3, 6]
    assert m.mAP == pytest.approx((1 / 1 + 2 / 3 + 3 / 6) / 3)
    assert m.mAP_trapezoid == pytest.approx((1 + (2 / 3 + 1 / 2) / 2 + (3 / 6 + 2 / 5) / 2) / 3)
    assert m.mINP == pytest.approx(3 / 6)
    assert m.map_at_r == pytest.approx((1 / 1 + 2 / 3) / 3)
    assert m.r_precision == pytest.approx(2 / 3)
    assert m.rank.tolist() == [1] * 7  # the curve ends with the gallery of 7 without junk, or at max_rank
    assert (m.queries, m.valid_queries, m.gallery, m.distractors, m.junk) == (1, 1, 7, 1, 1)


def test_without_the_camera_filter_the_own_camera_counts() -> None:
    assert by_hand(camera_filter=False).positive_ranks.tolist() == [1, 2, 4, 7]


def test_ties_by_hand() -> None:
    """All at one distance: by index the right ones are 1st, 3rd, 6th of the six; pessimistic they are the last."""
    same = np.zeros((1, 8))
    assert by_hand(distances=same).positive_ranks.tolist() == [1, 3, 6]
    assert by_hand(distances=same, ties="pessimistic").positive_ranks.tolist() == [4, 5, 6]


def test_trapezoid_of_a_perfect_ranking_is_one() -> None:
    m = evaluate_ranking(None, [1], [0], None, [1, 1, 2], [1, 1, 1], distances=np.array([[1.0, 2.0, 3.0]]))
    assert (m.mAP, m.mAP_trapezoid, m.mINP, m.map_at_r) == (1, 1, 1, 1)


def test_queries_without_a_match_are_skipped_and_counted() -> None:
    d = np.array([[0.5, 0.1], [0.1, 0.5], [0.1, 0.5]])
    m = evaluate_ranking(None, [1, 2, 3], [0, 0, 0], None, [1, 2], [1, 0], distances=d)
    assert (m.queries, m.valid_queries, m.valid.tolist()) == (3, 1, [True, False, False])
    assert m.rank.tolist() == [0, 1]  # divided by one query, not three
    assert (m.mAP, m.first_rank.tolist()) == (0.5, [2, 0, 0])
    assert np.isnan(m.ap[1:]).all()


# --- twins -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("camera_filter", [True, False])
def test_equals_the_slow_twin(metric: str, camera_filter: bool) -> None:
    for seed in range(3):
        data = people(seed)
        twin = slow(exact(data[0], data[3], metric), *data[1:3], *data[4:], camera_filter)
        agree(evaluate_ranking(*data, metric=metric, camera_filter=camera_filter), twin)


@given(st.integers(0, 10**6), st.integers(1, 4), st.booleans(), st.sampled_from([0, 5, 800]))
@settings(max_examples=60, deadline=None)
def test_equals_the_slow_twin_where_most_distances_are_equal(
    seed: int, levels: int, pessimistic: bool, many: int
) -> None:
    rng = np.random.default_rng(seed)
    q, g = rng.integers(1, 4, 6), rng.integers(-1, 4, 30)
    qc, gc = rng.integers(0, 2, 6), rng.integers(0, 2, 30)
    d = rng.integers(0, levels, (6, 30)).astype(np.float32)
    twin = slow(d, q, qc, g, gc, pessimistic=pessimistic)
    ties = "pessimistic" if pessimistic else "stable"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "_MANY", many)  # when to count instead of sorting
        agree(evaluate_ranking(None, q, qc, None, g, gc, distances=d, ties=ties, block=4), twin)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_equals_torchreid(metric: str) -> None:
    rank = torchreid_module("metrics/rank.py")
    qf, q, qc, gf, g, gc = people(5, ids=30, queries=90, gallery=700)
    real = g != -1  # torchreid deletes junk when it reads the data
    d = exact(qf, gf[real], metric) ** (2 if metric == "euclidean" else 1)
    valid = [bool(((g == a) & (gc != c)).any()) for a, c in zip(q, qc, strict=True)]
    assert all(valid)
    cmc, mean = rank.evaluate_rank(d, q, g[real], qc, gc[real], max_rank=50, use_cython=False)
    m = evaluate_ranking(qf, q, qc, gf, g, gc, metric=metric)
    assert m.mAP == pytest.approx(mean, abs=1e-6)
    assert m.rank == pytest.approx(cmc, abs=1e-6)


def test_golden_numbers() -> None:
    """torchreid 0.2.5 (``metrics.rank.evaluate_rank``, Python), float64 cosine distances of people(5, 30, 90, 700)."""
    m = evaluate_ranking(*people(5, ids=30, queries=90, gallery=700))
    assert m.mAP == pytest.approx(0.2531854923901257, abs=1e-6)
    assert m.rank[[0, 4, 9]] == pytest.approx([28 / 90, 52 / 90, 69 / 90], abs=1e-6)


# --- ways in -----------------------------------------------------------------------------------------------------


def test_blocks_do_not_matter_and_bound_the_rows_asked_for() -> None:
    data = people(1)
    whole, asked = evaluate_ranking(*data), []
    d = exact(data[0], data[3])

    def rows(start: int, stop: int) -> np.ndarray:
        asked.append(stop - start)
        return d[start:stop]

    parts = evaluate_ranking(None, *data[1:3], None, *data[4:], distances=rows, block=7)
    assert (max(asked), sum(asked)) == (7, len(d))
    assert parts.positive_ranks.tolist() == whole.positive_ranks.tolist()
    assert (whole.distance, parts.distance, parts.transductive) == ("cosine", "given", False)


def test_input_is_left_as_it_was() -> None:
    data = people(2)
    d = exact(data[0], data[3])
    copies = [np.copy(x) for x in (*data, d)]
    evaluate_ranking(*data, distances=d)
    evaluate_ranking(*data, metric="euclidean")
    for mine, copy in zip((*data, d), copies, strict=True):
        assert np.array_equal(mine, copy)


def test_scale_does_not_matter_to_cosine_but_to_euclid() -> None:
    data = list(people(3))
    plain = [evaluate_ranking(*data, metric=metric) for metric in ("cosine", "euclidean")]
    data[3] = data[3] * np.linspace(0.2, 4, len(data[3]), dtype=np.float32)[:, None]
    scaled = [evaluate_ranking(*data, metric=metric) for metric in ("cosine", "euclidean")]
    assert plain[0].mAP == pytest.approx(scaled[0].mAP, abs=1e-9)
    assert plain[1].mAP > scaled[1].mAP + 0.1


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_exact_distances(metric: Any) -> None:
    qf, q, qc, gf, g, gc = people(4)
    pairing = pair_up(q, qc, g, gc)
    mine = distance_rows(pairing, qf, gf, metric, exact=True)(3, 9)
    assert mine == pytest.approx(
        exact(qf, gf, metric)[3:9, g != -1], abs=2e-6 if metric == "cosine" else 2e-5
    )


def test_row_for_json() -> None:
    row = evaluate_ranking(*people()).row()
    assert set(row) >= {"rank", "mAP", "mAP_trapezoid", "mINP", "queries", "gallery"}
    assert list(row["rank"]) == ["1", "5", "10"]
    assert all(
        type(v) in (int, float, str, bool) for v in [*row["rank"].values(), *row.values()] if v != row["rank"]
    )


def test_rank_beyond_a_short_curve() -> None:
    m = evaluate_ranking(*people(), max_rank=3)
    with pytest.raises(InputError, match=r"rank-10: the curve goes from 1 to 3"):
        m.rank_at(10)
    with pytest.raises(InputError, match="`k` must be a whole number"):
        m.rank_at(1.5)  # type: ignore[arg-type]


# --- what can be wrong -------------------------------------------------------------------------------------------


def change(at: int, value: Any) -> tuple[Any, ...]:
    data = list(people())
    data[at] = value(np.array(data[at])) if callable(value) else value
    return tuple(data)


def nan(x: np.ndarray) -> np.ndarray:
    x[3, 2] = np.nan
    return x


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (change(0, nan), {}, "query_features: row 3 has NaN"),
        (change(3, lambda x: x[:-1]), {}, r"gallery_features: expected \(260, D\)"),
        (change(3, lambda x: x[:, :5]), {}, "query_features have 24 numbers a row, gallery_features 5"),
        (change(3, None), {}, "gallery_features: expected"),
        (change(3, lambda x: x * (np.arange(len(x)) != 1)[:, None]), {}, "row .* is all zero"),
        (change(1, lambda x: x - x), {}, "query_ids: expected identities from 1, got 0 in row 0"),
        (change(1, lambda x: x + 0.5), {}, "query_ids: expected whole numbers"),
        (
            change(4, lambda x: x.astype(np.uint64) + np.uint64(2**63)),
            {},
            "gallery_ids: .* is beyond 64 bits",
        ),
        (change(2, lambda x: x[:-1]), {}, "expected one camera an image, got 40 ids and 39 cameras"),
        (change(4, lambda x: x - 1), {}, "gallery_ids: expected -1"),
        (change(1, lambda x: x + 100), {}, "no identity of the queries is in the gallery"),
        (change(1, np.empty(0, int)), {"distances": np.empty((0, 260))}, "one camera an image, got 0 ids"),
        (people(), {"metric": "l1"}, "metric 'l1': expected one of cosine, euclidean"),
        (people(), {"ties": "random"}, "ties 'random'"),
        (people(), {"block": 0}, "`block` must be a whole number from 1"),
        (people(), {"max_rank": 0}, "`max_rank` must be a whole number from 1"),
        (people(), {"distances": np.zeros((40, 259))}, r"distances: expected .*\(40, 260\); got \(40, 259\)"),
        (
            people(),
            {"distances": np.full((40, 260), np.nan)},
            "distances: row 0 has a number that is not finite",
        ),
        (people(), {"distances": lambda a, b: np.zeros((1, 1))}, r"distances\(0, 40\): expected \(40, 260\)"),
    ],
)
def test_bad_input(data: tuple[Any, ...], options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        evaluate_ranking(*data, **options)
    assert "\n" not in str(error.value)


def test_one_camera_has_no_map() -> None:
    data = list(people())
    data[2], data[5] = np.full(40, 4), np.full(260, 4)
    with pytest.raises(InputError, match=r"one camera only \(4\): rank-k and mAP are undefined"):
        evaluate_ranking(*data)
    assert evaluate_ranking(*data, camera_filter=False).valid_queries == 40


def test_every_match_on_the_own_camera() -> None:
    with pytest.raises(InputError, match="every match is of its query's own camera"):
        evaluate_ranking(None, [1, 2], [0, 1], None, [1, 2], [0, 1], distances=np.zeros((2, 2)))


def test_nothing_to_rank() -> None:
    none = np.empty((0, 4), np.float32), np.empty(0, int), np.empty(0, int)
    with pytest.raises(InputError, match="got 0 queries and 0 gallery images"):
        evaluate_ranking(*none, *none)
    data = people()
    with pytest.raises(InputError, match="got 40 queries and 0 gallery images"):
        evaluate_ranking(*data[:4], np.full(260, -1), data[5])


def test_a_rule_of_precision_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="`rule` trapez: did you mean 'trapezoid'"):
        average_precision(np.array([1, 2]), np.array([2]), "trapez")
