"""eval/ranking/normalising.py: by hand, entry by entry, and as `retrace.reid.calibration` has it for whole matrices."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.eval.ranking import normalising, pairing
from retrace.eval.ranking.features import Features, Side
from retrace.eval.ranking.normalising import Normalised, check_cohort, normalise
from retrace.eval.ranking.ranks import evaluate_ranking
from retrace.eval.ranking.tables import ALONE, Wanted, score_features
from retrace.eval.ranking.verification import evaluate_verification
from retrace.reid.calibration import adaptive_s_norm, s_norm, scores, z_norm
from tests.eval.ranking.people import exact, people, slow, slow_verification

FEW = 20  # strangers that the adaptive one looks at here


def side(vectors: Any, ids: list[int], camera: int) -> Side:
    return Side(np.array(vectors, np.float32), np.array(ids), np.full(len(ids), camera), None)


# Person 1 asks. Person 2 is nearer (cosine distance .2) than she herself (.4), but 2 is near to everybody.
ASKED = Features("mine", side([[1, 0]], [1], 1), side([[0.8, 0.6], [0.6, -0.8]], [2, 1], 2), (), {})
STRANGERS = Features("others", side([[0.6, 0.8]], [7], 1), side([[0, 1], [1, 0]], [8, -1], 1), ("two",), {})
# Strangers' distances to: the query .4 and 1 (mean .7, deviation .3); person 2 .04 and .4 (.22, .18); person 1 1.28 and
# 1.8 (1.54, .26). The third is junk.
BY_GALLERY = [(0.2 - 0.22) / 0.18, (0.4 - 1.54) / 0.26]
BY_QUERY = [(0.2 - 0.7) / 0.3, (0.4 - 0.7) / 0.3]
HAND = {
    "z": BY_GALLERY,
    "s": [(g + q) / 2 for g, q in zip(BY_GALLERY, BY_QUERY, strict=True)],
}


def as_features(name: str, data: tuple[Any, ...], **about: Any) -> Features:
    query, gallery = Side(*data[:3], None), Side(*data[3:], None)
    return Features(name, query, gallery, (f"{name}: drawn",), about)


def drawn() -> tuple[Features, Features]:
    """40 queries and 260 images with junk and distractors; 60 strangers, junk among them."""
    return as_features("mine", people(1)), as_features("others", people(2, queries=10, gallery=50))


def slow_normalised(features: Features, cohort: Features, how: str) -> np.ndarray:
    """Entry by entry, of sorted lists."""
    q, g = features.query.features, features.gallery.features
    every = [(x, i) for s in (cohort.query, cohort.gallery) for x, i in zip(s.features, s.ids, strict=True)]
    c = np.array([x for x, i in every if i != -1])
    d, far_q, far_g = exact(q, g), exact(q, c), exact(g, c)

    def mean_and_deviation(far: np.ndarray) -> tuple[float, float]:
        one = sorted(far.tolist())[: FEW if how == "adaptive" else None]
        return statistics.fmean(one), statistics.pstdev(one)

    of_query, of_gallery = ([mean_and_deviation(far) for far in every] for every in (far_q, far_g))
    found = np.empty(d.shape)
    for i, (mean_q, deviation_q) in enumerate(of_query):
        for j, (mean_g, deviation_g) in enumerate(of_gallery):
            z, t = (d[i, j] - mean_g) / deviation_g, (d[i, j] - mean_q) / deviation_q
            found[i, j] = z if how == "z" else (z + t) / 2
    return found


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Blocks of 7 rows also for the cohort; gives the rows of every matrix that is made."""
    made: list[int] = []
    monkeypatch.setattr(normalising, "NEAREST", FEW)
    monkeypatch.setattr(normalising, "block_ends", lambda n, c: pairing.block_ends(n, c, 7))
    monkeypatch.setattr(normalising, "products", lambda a, b: made.append(len(a)) or pairing.products(a, b))
    return made


@pytest.mark.parametrize("how", ["z", "s"])
def test_by_hand(how: Any) -> None:
    found = normalise(ASKED, STRANGERS, how)
    np.testing.assert_allclose(found(0, 1), [HAND[how]], rtol=1e-5)
    assert found.told == f"{how}-normalised by 2 images of others"
    plain, moved = (evaluate_ranking(*ASKED.arrays, distances=d) for d in (None, found))
    assert (plain.rank_at(1), plain.mAP, plain.mINP) == (0.0, 0.5, 0.5)
    assert (moved.rank_at(1), moved.mAP, moved.mINP) == (1.0, 1.0, 1.0)
    assert moved.transductive is False


def test_the_nearest_by_hand() -> None:
    """Of strangers at .04, .4 and 1.8 from person 2 only the first two count, and so on."""
    far = side([[0, 1], [-0.8, -0.6]], [8, 9], 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(normalising, "NEAREST", 2)
        found = normalise(ASKED, replace(STRANGERS, gallery=far), "adaptive")
        # Person 1: strangers at 1.28, 1.8 and 1 - (-.48 + .48) = 1; the two nearest 1 and 1.28 (1.14, .14).
        z = [(0.2 - 0.22) / 0.18, (0.4 - 1.14) / 0.14]
        np.testing.assert_allclose(
            found(0, 1), [[(a + b) / 2 for a, b in zip(z, BY_QUERY, strict=True)]], rtol=1e-5
        )
        assert found.told == "adaptively s-normalised by the nearest 2 of 3 images of others"


@pytest.mark.parametrize("how", ["z", "s", "adaptive"])
def test_equals_its_slow_twin(how: Any, small_blocks: list[int]) -> None:
    mine, cohort = drawn()
    d = slow_normalised(mine, cohort, how)
    found = normalise(mine, cohort, how)
    np.testing.assert_allclose(found(0, 40), d, atol=1e-4)
    del small_blocks[-1]
    _, q, qc, _, g, gc = mine.arrays
    m, twin = evaluate_ranking(*mine.arrays, distances=found, block=7), slow(d, q, qc, g, gc)
    assert m.rank[:20] == pytest.approx(twin["curve"])
    assert (m.mAP, m.mINP, m.map_at_r) == pytest.approx((twin["ap"], twin["inp"], twin["at_r"]))
    assert m.mAP != pytest.approx(evaluate_ranking(*mine.arrays).mAP, abs=1e-3)
    (point,) = evaluate_verification(*mine.arrays, distances=found, fpr=[0.01], block=7).points
    assert (point.tpr, point.fpr) == pytest.approx(slow_verification(d, q, qc, g, gc, 0.01))
    assert max(small_blocks) == 7  # nothing of all queries, or of the whole gallery, by all others at once


def test_equals_the_functions_of_whole_matrices(small_blocks: list[int]) -> None:
    mine, cohort = drawn()
    c = np.concatenate([s.features[s.ids != -1] for s in (cohort.query, cohort.gallery)])
    d, q, g = (
        exact(a, b)
        for a, b in (
            (mine.query.features, mine.gallery.features),
            (mine.query.features, c),
            (mine.gallery.features, c),
        )
    )
    whole = {"z": z_norm(d, g), "s": s_norm(d, q, g), "adaptive": adaptive_s_norm(d, q, g, FEW)}
    for how, values in whole.items():
        np.testing.assert_allclose(normalise(mine, cohort, how)(0, 40), values, atol=1e-4)  # type: ignore[arg-type]


def test_what_two_places_say_is_one() -> None:
    for name in ("NEAREST", "LEAST", "FLAT"):
        assert getattr(normalising, name) == getattr(scores, name)


def test_a_cohort_that_says_nothing_gives_numbers() -> None:
    alike = replace(STRANGERS, gallery=side([[0.6, 0.8]], [8], 1))
    assert np.isfinite(normalise(ASKED, alike, "s")(0, 1)).all()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda c: replace(c, gallery=side([[0, 1, 0]], [8], 1)),
            "vectors of 3 numbers, mine of 2; both must",
        ),
        (lambda c: replace(c, gallery=side([[0, 1]], [-1], 1)), "others: expected 2 or more images, got 1"),
        (
            lambda c: replace(c, gallery=side([[0, 1]], [7], 1)),
            "others: expected 2 or more people, got 2 images of one",
        ),
        (lambda c: replace(c, gallery=side([[0, 0]], [8], 1)), "`cohort` others: row 1 is all zero"),
        (lambda c: replace(c, gallery=ASKED.gallery), "others: is the very set that is scored"),
        (
            lambda c: replace(c, about={"features": "o.npz", "weights_sha256": "b"}),
            "o.npz: was made by other w",
        ),
        (
            lambda c: replace(c, about={"data": "Mall", "flip": True}),
            "Mall: was made with `flip`, unlike mine",
        ),
    ],
)
def test_cohorts_that_do_not_fit(change: Callable[[Features], Features], says: str) -> None:
    asked = replace(ASKED, about={"weights_sha256": "a", "flip": False})
    check_cohort(asked, replace(STRANGERS, about={"weights_sha256": "a", "flip": False}))
    with pytest.raises(InputError, match=says):
        normalise(asked, change(STRANGERS), "z")


def test_nobody_who_is_asked_for_is_a_stranger() -> None:
    """The same images in another order, on the other side, with longer vectors, or all but some of them."""
    mine, cohort = drawn()
    query, gallery = mine.query, mine.gallery
    rows = np.arange(len(gallery.ids))[::-1]

    def side(one: Side, at: np.ndarray, by: float = 1.0) -> Side:
        return replace(
            one, features=one.features[at] * by, ids=one.ids[at], cameras=one.cameras[at], paths=None
        )

    for other in (
        replace(mine, query=side(query, np.arange(3)), gallery=side(gallery, rows)),
        replace(mine, query=side(gallery, rows, 3.0), gallery=side(query, np.arange(len(query.ids)))),
        replace(cohort, query=side(query, np.arange(1))),
    ):
        with pytest.raises(InputError, match=r"of its .* images are among those that are scored"):
            normalise(mine, replace(other, name="others"), "s")


def test_junk_may_be_anything() -> None:
    mine, cohort = drawn()
    ids, features = mine.gallery.ids.copy(), mine.gallery.features.copy()
    ids[0], features[0] = -1, 0
    other = replace(mine, gallery=replace(mine.gallery, ids=ids, features=features))
    features = features.copy()
    features[0] = 5
    again = replace(mine, gallery=replace(mine.gallery, ids=ids, features=features))
    scores = [score_features([one], Wanted(normalise="s"), cohorts=[cohort]) for one in (other, again)]
    assert scores[0].networks[0].metrics.mAP == scores[1].networks[0].metrics.mAP


def test_cohorts_of_the_wrong_kind() -> None:
    for given in ("b.npz", STRANGERS, [None], ["b.npz"]):
        with pytest.raises(InputError, match="`cohorts` must be a list of Features, got"):
            score_features([ASKED], Wanted(normalise="z"), cohorts=given)  # type: ignore[arg-type]


def test_what_does_not_go_together() -> None:
    with pytest.raises(InputError, match="`normalise` t: known: adaptive, s, z"):
        score_features([ASKED], Wanted(normalise="t"), cohorts=[STRANGERS])  # type: ignore[arg-type]
    with pytest.raises(InputError, match="leave it or `normalise` out"):
        score_features([ASKED], Wanted(normalise="z", rerank="zhong-d2"), cohorts=[STRANGERS])
    for wanted, cohorts in ((Wanted(normalise="z"), []), (Wanted(), [STRANGERS])):
        with pytest.raises(InputError, match="`normalise` and a `cohort` by each network go together"):
            score_features([ASKED], wanted, cohorts=cohorts)


def test_scores_say_so() -> None:
    mine, cohort = drawn()
    images = 60 - int((cohort.gallery.ids == -1).sum())
    told = f"s-normalised by {images} images of others"
    extras = {"intervals": True, "per_camera": True, "single_shot": True, "verification": True, "audit": True}
    score = score_features([mine], Wanted(normalise="s", **extras, also=("space",)), cohorts=[cohort])
    row = score.as_json()
    assert (row["normalise"], row["cohort"], row["cohort_images"]) == ("s", "others", images)
    assert (row["distance"], row["transductive"]) == (f"cosine, {told}", False)
    assert row["verification"]["distance"] == f"cosine, {told}"
    assert score.under[-1].endswith(told)
    assert score.notes == ("mine: drawn", "cohort, others: drawn")
    figures, *others = score.sections
    assert figures.lines[1][-1] == told
    for section in others:
        flagged = section.key not in ("audit", "space")
        assert (told in section.title) == ("normalised" in str(section.lines[0][0])) == flagged
        assert (ALONE in section.notes) != flagged
    (verification,) = (s for s in others if s.key == "verification")
    assert verification.lines[0][-1] == "accept if distance below"
    assert all(len(line) == 4 for line in verification.lines)
    plain = score_features([mine], Wanted(**extras))
    assert plain.as_json()["audit"] == row["audit"]
    for key in ("camera_pairs", "single_gallery_shot", "verification"):
        assert plain.as_json()[key] != row[key]


def test_two_networks_have_two_cohorts() -> None:
    mine, cohort = drawn()
    other = replace(as_features("another", people(1)), gallery=mine.gallery)
    other = replace(other, query=replace(mine.query, features=mine.query.features[:, ::-1].copy()))
    score = score_features([mine, other], Wanted(normalise="z"), cohorts=[cohort, cohort])
    alone = score_features([other], Wanted(normalise="z"), cohorts=[cohort])
    assert score.networks[1].metrics.mAP == alone.networks[0].metrics.mAP
    assert "z-normalised by" in score.sections[1].title


def test_strangers_are_centred_where_people_are() -> None:
    mine, cohort = drawn()
    many = as_features("others", people(2, queries=60, gallery=300))
    score = score_features([mine], Wanted(normalise="z", centre="camera"), cohorts=[many])
    (found,) = (network.distances for network in score.networks)
    assert isinstance(found, Normalised)
    assert abs(found.of_gallery.mean.mean() - 1) < 0.05  # strangers have no direction in common with anybody
    assert "less the mean of each camera's images, transductive" in score.under[-1]
    with pytest.raises(InputError, match="says little of camera"):
        score_features([mine], Wanted(normalise="s", centre="camera"), cohorts=[cohort])
