"""The calibration as it travels in a card: back unchanged, refused when broken or of other weights."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.reid import Embedder
from retrace.reid.calibration import Map
from retrace.reid.calibration.card import KEY, Calibration, calibrate, fingerprint, refit
from retrace.reid.calibration.pairs import RELATIONS, LabelledPairs, labelled_pairs, video_pairs


def people(seed: int, count: int = 30, images: int = 8, dim: int = 16) -> dict[str, np.ndarray]:
    """Vectors around one direction a person, a shift for each camera; images 0-3 by camera 1, 4-7 by camera 2."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(1, count + 1), images)
    camera = np.tile(np.repeat([1, 2], images // 2), count)
    visit = np.arange(count * images) // 2  # two images a stay
    centre, tint = rng.normal(size=(count + 1, dim)), rng.normal(size=(3, dim)) * 0.4
    vectors = centre[who] + tint[camera] + rng.normal(size=(len(who), dim)) * 0.6
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return {"features": vectors, "ids": who, "cameras": camera, "visits": visit}


def test_labelled_pairs_one_by_one() -> None:
    data = people(0, 5)
    found = labelled_pairs(**data)
    slow: dict[str, list[list[float]]] = {name: [[], []] for name in RELATIONS}
    v, who, cam, visit = data.values()
    for i in range(len(v)):
        for j in range(i + 1, len(v)):
            d = 1 - float(v[i] @ v[j])
            near = cam[i] == cam[j]
            if who[i] == who[j]:
                slow["tracklet" if near and visit[i] == visit[j] else "later" if near else "camera"][
                    0
                ].append(d)
            else:
                for name in ("tracklet", "later") if near else ("camera",):
                    slow[name][1].append(d)
    for name in RELATIONS:
        same, different = slow[name]
        np.testing.assert_allclose(found[name].distance[found[name].same], same)
        np.testing.assert_allclose(found[name].distance[~found[name].same], different)


def test_junk_makes_no_pair_and_without_visits_no_tracklet() -> None:
    data = people(0, 5)
    data["ids"] = np.where(data["ids"] == 1, -1, data["ids"])
    found = labelled_pairs(data["features"], data["ids"], data["cameras"])
    assert not found["tracklet"].same.any()
    assert found["camera"].same.sum() == 4 * 16
    few = labelled_pairs(data["features"], data["ids"], data["cameras"], most=10)
    assert few["camera"].same.sum() == 10
    assert (
        few["camera"].distance
        == labelled_pairs(data["features"], data["ids"], data["cameras"], most=10)["camera"].distance
    ).all()


def fitted(seed: int = 0) -> Calibration:
    return calibrate(
        [labelled_pairs(**people(seed)), labelled_pairs(**people(seed + 1))], "two drawn sets", (0.5,)
    )


def test_what_is_stored_comes_back() -> None:
    card = fitted()
    assert {*card.maps} == {*RELATIONS}
    again = Calibration.from_card(json.loads(json.dumps(card.to_card())), "x")
    assert again == card
    assert card.map("tracklet").distance(0) != card.map("camera").distance(0)  # a map each
    # 2 sets of 30 people: 30 * 29 / 2 * 64 / 2 * 2 strangers: 1e-3 is supported, 1e-4 is not.
    assert {*card.thresholds["camera"]} == {0.1, 0.01, 0.001}
    with pytest.raises(
        InputError, match=r"no threshold for 'camera' at a false-match rate of 0\.0001; known: 0\.1, 0\.01"
    ):
        card.limit("camera", 1e-4)


@pytest.mark.parametrize("rate", [0.05, 0.03, 4e-3, 2e-3, 5e-4, 1.5e-4])
def test_a_rate_between_those_that_are_stored(rate: float) -> None:
    """Against the quantiles of a million drawn distances, of which only those of four rates are stored."""
    drawn = np.random.default_rng(0).normal(0.8, 0.1, 1_000_000)
    known = {told: float(np.quantile(drawn, told)) for told in (0.1, 0.01, 0.001, 0.0001)}
    card = Calibration({}, {"later": known})
    found = card.limit("later", rate)
    assert found == pytest.approx(np.quantile(drawn, rate), abs=0.006)
    assert (drawn < found).mean() == pytest.approx(rate, rel=1 / 7)
    assert [card.limit("later", told) for told in known] == [*known.values()]
    for beyond in (0.11, 9e-5, 0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match=r"known: 0\.1, 0\.01, 0\.001, 0\.0001, and what lies between"):
            card.limit("later", beyond)


def test_what_limits_cannot_tell() -> None:
    """One known rate has nothing between, and a word that is no relation has no thresholds to lack."""
    card = Calibration({}, {"camera": {0.01: 0.4}})
    with pytest.raises(InputError, match=r"rate of 0\.02; known: 0\.01$"):
        card.limit("camera", 0.02)
    for ask in (card.map, partial(card.limit, rate=0.01)):
        with pytest.raises(InputError, match="unknown relation 'nonsense'"):
            ask("nonsense")


def test_distances_as_a_list_are_distances() -> None:
    card = Calibration({}, {"later": {0.1: 0.3}}, strangers=0.5, spread=0.1)
    seen = np.random.default_rng(0).normal(0.6, 0.1, 200)
    assert card.suited(seen.tolist()) == card.suited(seen)
    assert card.suited(seen).limit("later", 0.1) == pytest.approx(np.quantile(seen, 0.1), abs=0.01)
    assert card.suited(np.array(0.6)) == card.suited(0.6)


def test_a_relation_with_too_few_pairs_is_absent_and_says_so() -> None:
    data = people(0)
    card = calibrate([labelled_pairs(data["features"], data["ids"], data["cameras"])])
    assert {*card.maps} == {"later", "camera"}
    with pytest.raises(
        InputError, match=r"no calibration for 'tracklet' \(there is later, camera\): too few pairs"
    ):
        card.map("tracklet")
    with pytest.raises(InputError, match="unknown relation 'camra'; did you mean 'camera'"):
        card.map("camra")
    with pytest.raises(InputError, match="at least 100 of each"):
        calibrate([labelled_pairs(**people(0, 3))])
    with pytest.raises(InputError, match="nothing to calibrate on"):
        calibrate([])


@pytest.mark.parametrize(
    "change",
    [
        lambda card: None,
        lambda card: [],
        lambda card: "text",
        lambda card: {},
        lambda card: card | {"format": 2},
        lambda card: card | {"distance": "euclidean"},
        lambda card: card | {"relations": []},
        lambda card: card | {"print": "abc"},
        lambda card: card | {"print": [float("nan")]},
        lambda card: card | {"relations": {"else": {}}},
        lambda card: card | {"relations": {"camera": {"knots": [0, 1]}}},
        lambda card: {**card, "relations": {"camera": card["relations"]["camera"] | {"knots": [1, 0]}}},
        lambda card: {**card, "relations": {"camera": card["relations"]["camera"] | {"log_odds": [1, 2]}}},
        lambda card: {**card, "relations": {"camera": card["relations"]["camera"] | {"log_odds": [1]}}},
        lambda card: card | {"print": [1e999]},
        lambda card: card | {"strangers": -1},
        lambda card: card | {"strangers": "far"},
        lambda card: card | {"spread": 0},
        lambda card: card | {"relations": {"camera": 3}},
        lambda card: card | {"relations": {"camera": {}}},
        lambda card: card | {"print": [10**400]},
        lambda card: {**card, "relations": {"camera": card["relations"]["camera"] | {"same": "many"}}},
        lambda card: {**card, "relations": {"camera": card["relations"]["camera"] | {"source": 1}}},
        lambda card: {**card, "relations": {"camera": card["relations"]["camera"] | {"thresholds": {"7": 1}}}},
        lambda card: {**card, "relations": {"camera": card["relations"]["camera"] | {"thresholds": {"a": 1}}}},
    ],
)  # fmt: skip
def test_a_corrupt_card_is_one_line(change: Any) -> None:
    said = r"w\.onnx: its calibration is not readable: .*(expected|unknown) .*or go on without it \(`uncalibrated`\)"
    with pytest.raises(InputError, match=said) as error:
        Calibration.from_card(change(fitted().to_card()), "w.onnx")
    assert len(str(error.value)) <= 500
    assert not re.search("Error|object has no|NoneType|float|literal|indices|iterable", str(error.value))


def test_a_calibration_of_other_weights_is_refused() -> None:
    shipped = Embedder.from_weights("auto", "cpu", threads=1)
    cosines = fingerprint(shipped.crops, shipped.size)
    card = replace(fitted(), print=cosines)
    card.belongs_to(cosines, "a")
    card.belongs_to([value + 0.01 for value in cosines], "half precision")
    with pytest.raises(InputError, match="b: the calibration is of other weights"):
        card.belongs_to([value + 0.1 for value in cosines], "b")
    with pytest.raises(InputError, match="of other weights"):
        card.belongs_to([], "b")
    shipped.card = dict(shipped.card) | {KEY: card.to_card()}
    assert shipped.calibration is not None
    shipped.card[KEY]["print"] = [0.0] * 6
    with pytest.raises(InputError, match="of other weights"):
        shipped.calibration  # noqa: B018


def test_no_calibration_is_no_error() -> None:
    embedder = Embedder.from_weights("auto", "cpu", threads=1)
    embedder.card = {}
    assert embedder.calibration is None


# ---- videos


def video(tracks: int = 12, frames: int = 60, seed: int = 0) -> dict[str, np.ndarray]:
    """Tracks side by side, 100 px apart, at 10 frames a second; vectors drift slowly around each one's direction."""
    rng = np.random.default_rng(seed)
    who = np.tile(np.arange(tracks), frames)
    seconds = np.repeat(np.arange(frames) / 10, tracks)
    left = who * 100.0
    boxes = np.stack([left, 0 * left, left + 40, 0 * left + 80], 1)
    centre = rng.normal(size=(tracks, 16))
    vectors = centre[who] + rng.normal(size=(len(who), 16)) * 0.5
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return {"features": vectors, "tracks": who, "seconds": seconds, "xyxy": boxes}


def test_free_pairs_by_hand() -> None:
    """One track of six images at 0 ... 5 s and a second one beside it: thirds are 0-1 and 4-5."""
    data = video(2, 6)
    data["seconds"] = np.repeat(np.arange(6.0), 2)
    found = video_pairs(**data, gap=4.0)
    v = data["features"].reshape(6, 2, 16)
    same = [1 - float(v[a, t] @ v[b, t]) for t in (0, 1) for a, b in ((0, 4), (0, 5), (1, 5))]
    strange = [1 - float(v[k, 0] @ v[k, 1]) for k in range(6)]
    np.testing.assert_allclose(found.distance, same + strange)
    assert found.same.tolist() == [True] * 6 + [False] * 6


def test_boxes_that_overlap_score_low_or_were_not_seen_make_no_pair() -> None:
    data = video(2, 6)
    crowd = data | {"xyxy": data["xyxy"] * [0.1, 1, 1, 1]}
    crowd["xyxy"][:, 2] = crowd["xyxy"][:, 0] + 40
    assert not len(video_pairs(**crowd, gap=0).distance)
    assert not len(video_pairs(**data, scores=np.full(12, 0.3), gap=0).distance)
    assert not len(video_pairs(**(data | {"features": data["features"] * 0}), gap=0).distance)
    assert not len(video_pairs(**{key: value[:0] for key, value in data.items()}).distance)


def test_where_strangers_are_nearer_distances_count_for_more() -> None:
    """Twice as near: thresholds are halved, maps follow by 0.5 ** 0.25 = 0.841."""
    card = fitted()
    slow = [
        1 - float(a @ b)
        for data in (people(0), people(1))
        for i, a in enumerate(data["features"])
        for j, b in enumerate(data["features"])
        if i < j and data["ids"][i] != data["ids"][j] and data["cameras"][i] == data["cameras"][j]
    ]
    assert card.strangers == pytest.approx(np.mean(slow))  # both sets have as many
    found = card.suited(card.strangers / 2)
    for name in ("tracklet", "later", "camera"):
        assert found.limit(name, 0.01) == pytest.approx(card.limit(name, 0.01) / 2)
        near = np.array([0.3, 0.5, 0.7])
        np.testing.assert_allclose(found.map(name).odds(near * 0.8409), card.map(name).odds(near), atol=2e-3)
    again = found.suited(card.strangers)
    assert again.limit("later", 0.1) == pytest.approx(card.limit("later", 0.1))
    assert card.suited(card.strangers) == card
    assert card.spread == pytest.approx(np.std(slow), rel=0.01)  # the mean of both sets' own
    # the mean is the card's; one in ten is nearer than a fifth of it
    apart = np.linspace(0, 2 * card.strangers, 101)
    seen = card.suited(apart)
    assert seen.limit("later", 0.1) == pytest.approx(0.2 * card.strangers)
    assert seen.limit("camera", 0.1) == pytest.approx(card.limit("camera", 0.1))
    with pytest.raises(InputError, match=r"no threshold .* 0\.001"):
        seen.limit("later", 0.001)  # a hundred strangers say nothing about one in a thousand
    with pytest.raises(InputError, match="mean distance of strangers above 0"):
        card.suited(np.zeros(0))
    with pytest.raises(InputError, match="mean distance of strangers above 0, got 0"):
        card.suited(0.0)
    with pytest.raises(InputError, match="calibrate again"):
        replace(card, strangers=None).suited(0.9)


def test_where_strangers_are_apart_now_less_now_more_a_distance_says_less() -> None:
    """Fitted where two people are .9 +- .15 apart. At .6 +- .2 a map follows by (2/3) ** .25; the spread is 1/3 of the
    mean where it was 1/6, so log-odds are halved. Thresholds are the mean's alone."""
    card = Calibration(
        {"later": Map((0.3, 0.9), (4.0, -4.0), 9, 9)}, {"later": {0.1: 0.6}}, strangers=0.9, spread=0.15
    )
    found = card.suited(0.6, 0.2)
    assert found.map("later").knots == pytest.approx((0.3 * (2 / 3) ** 0.25, 0.9 * (2 / 3) ** 0.25))
    assert found.map("later").log_odds == pytest.approx((2, -2))
    assert found.limit("later", 0.1) == pytest.approx(0.4)
    assert (found.strangers, found.spread) == (pytest.approx(0.6), pytest.approx(0.2))
    # unknown here or there: as steep as it was, and as far spread beside the mean
    assert card.suited(0.6).map("later").log_odds == (4, -4)
    assert card.suited(0.6).spread == pytest.approx(0.1)
    assert replace(card, spread=None).suited(0.6, 0.2).map("later").log_odds == (4, -4)
    # distances tell it from a hundred on, unless all are equal
    apart = 0.6 + 0.2 * np.tile([-1.0, 1.0], 50)
    assert card.suited(apart).map("later").log_odds == pytest.approx((2, -2))
    assert card.suited(apart[:99]).map("later").log_odds == (4, -4)
    for all_alike in (0.6, 0.4, 0.7):  # the deviation of a hundred .4 or .7 is 1e-16
        assert card.suited(np.full(100, all_alike)).map("later").log_odds == (4, -4)
    with pytest.raises(InputError, match="expected a spread of strangers above 0, got 0"):
        card.suited(0.6, 0.0)
    with pytest.raises(InputError, match="expected a spread of strangers above 0, got 1e-12"):
        card.suited(0.6, 1e-12)


def test_refitting_changes_only_what_the_video_knows() -> None:
    card, old = fitted(), replace(fitted(), strangers=None)
    pairs = video_pairs(**video())
    strange = pairs.distance[~pairs.same]
    found = refit(card, **video())
    assert found.map("camera") == card.suited(strange).map("camera")
    assert found.map("camera").log_odds != card.map("camera").log_odds
    # a card that does not know what to compare with
    assert refit(old, **video()).map("camera") == card.map("camera")
    assert found.map("tracklet").source == "video"
    own = np.quantile(pairs.distance[~pairs.same], 0.1)
    assert found.limit("later", 0.1) == found.limit("tracklet", 0.1) == pytest.approx(own, abs=5e-3)
    assert refit(card, **video()) == found
    assert {*refit(None, **video()).maps} == {"tracklet"}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("one person", video(1)),
        ("tracklets too short", video(12, 2)),
        ("nobody at once", video() | {"seconds": np.arange(720) / 10}),
        ("nothing", {key: value[:0] for key, value in video().items()}),
    ],
)
def test_a_video_that_cannot_calibrate_says_why(name: str, data: dict[str, np.ndarray]) -> None:
    with pytest.raises(InputError, match=r"pairs of one person and .* of two: at least 100 of each"):
        refit(fitted(), **data)


def test_arrays_of_different_lengths_are_refused() -> None:
    with pytest.raises(
        InputError, match="expected N vectors, tracks, seconds and boxes, got 720, 1, 720, 720"
    ):
        video_pairs(**(video() | {"tracks": np.zeros(1)}))


def test_a_card_in_a_file_reaches_the_embedder(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    from retrace.reid.recipe import KEY as RECIPE
    from retrace.reid.recipe import NETWORK_SUM, SUM
    from retrace.reid.weights.shipped import shipped_weights

    source = shipped_weights()
    assert source is not None
    shipped = Embedder.from_weights(source, "cpu", threads=1)
    card = replace(fitted(), print=fingerprint(shipped.crops, shipped.size))
    model = onnx.load(source)
    for entry in model.metadata_props:
        if entry.key == RECIPE:
            told = json.loads(entry.value)
            told["card"][KEY] = card.to_card()
            entry.value = json.dumps(told)
    kept = [(e.key, e.value) for e in model.metadata_props if e.key not in (SUM, NETWORK_SUM)]
    del model.metadata_props[:]
    for key, value in kept:
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, tmp_path / "a.onnx")
    found = Embedder.from_weights(tmp_path / "a.onnx", "cpu", threads=1).calibration
    assert found is not None
    assert found.maps == card.maps


def test_pairs_are_plain() -> None:
    assert LabelledPairs(np.zeros(1), np.ones(1, bool)).same.all()
