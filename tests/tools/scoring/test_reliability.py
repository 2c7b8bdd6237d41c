"""Stated probabilities beside what comes true, on features whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from retrace.eval.ranking.features import Features, Side
from retrace.reid.calibration import Calibration, Map
from retrace.tools.scoring.reliability import as_data, as_svg, judged, sections


@pytest.fixture
def features() -> Features:
    """People on a circle: 20 in two cameras, images of one 12 degrees apart."""
    ids = np.repeat(np.arange(1, 21), 2)
    angle = np.deg2rad(18 * (ids - 1) + np.tile([0, 12], 20))
    vectors = np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32)
    cameras = np.tile([1, 2], 20)
    first = cameras == 1
    query, gallery = (Side(3 * vectors[rows], ids[rows], cameras[rows], ()) for rows in (first, ~first))
    return Features("mine", query, gallery, (), {})


def test_worked_numbers(features: Features) -> None:
    same, near = 1 - np.cos(np.deg2rad(12)), 1 - np.cos(np.deg2rad(6))
    sure = Map((0.0, 2.0), (30.0, -30.0), 10, 10)  # everything near is one person
    found = judged(features, Calibration({"camera": sure}, {"camera": {0.1: same}}))
    assert [*found] == ["camera"]  # "later" has no map here
    judge, pairs = found["camera"]
    assert pairs.same.sum() == 20
    assert (~pairs.same).sum() == 20 * 19
    assert pairs.distance[pairs.same] == pytest.approx(same, abs=1e-6)
    # the neighbour's other image is nearer
    assert pairs.distance[~pairs.same].min() == pytest.approx(near, abs=1e-6)
    assert 0 < judge.ece < 1
    table, bins = sections(features, Calibration({"camera": sure}, {"camera": {0.1: same}}))
    assert table.lines[1][:3] == ["another camera", 20, 380]
    assert table.lines[1][-1] == f"0.1: {20 / 380:.2g}"  # one neighbour each is nearer than oneself
    assert sum(line[3] for line in bins.lines[1:]) == 400


def test_rates_that_a_user_chooses(features: Features) -> None:
    """Between the card's own by its threshold there; beyond them none is known."""
    near, far = 1 - np.cos(np.deg2rad([7, 31]))  # 1 and 3 neighbours' images in the other camera are nearer
    card = Calibration({"camera": Map((0.0, 2.0), (30.0, -30.0), 10, 10)}, {"camera": {0.01: near, 0.1: far}})
    table, _ = sections(features, card, [0.1, 0.05, 0.001])
    limit = card.limit("camera", 0.05)
    assert near < limit < far
    shares = [
        sum(1 - np.cos(np.deg2rad(18 * k + 12)) < d for k in range(-10, 10) if k) / 19 for d in (limit, far)
    ]
    assert table.lines[1][-1] == f"0.001: -, 0.05: {shares[0]:.2g}, 0.1: {shares[1]:.2g}"


def test_honest_and_boasting_maps(features: Features) -> None:
    """At even priors a map that always says one half is right about nothing and everything."""
    half = Map((0.0, 2.0), (0.0, 0.0), 10, 10)
    boast = Map((0.0, 2.0), (9.0, 8.0), 10, 10)
    errors = [as_data(features, Calibration({"camera": m}))["camera"]["ece"] for m in (half, boast)]
    assert errors[1] == pytest.approx(0.5, abs=0.01)
    assert as_svg(features, Calibration({"camera": half})).count("<polyline") == 1
    assert errors[0] < errors[1]


def test_suited_false_matches_are_of_people_who_did_not_set_the_threshold() -> None:
    """Twin: person by person. Twelve people in one camera, three images each; the even ones stand closer together."""
    rng = np.random.default_rng(0)
    ids = np.repeat(np.arange(1, 13), 3)
    vectors = rng.normal(size=(36, 8)) + 0.6 * (ids[:, None] % 2 == 0)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    first = np.arange(36) % 3 == 0
    query, gallery = (
        Side(vectors[rows], ids[rows], np.ones(rows.sum(), int), ()) for rows in (first, ~first)
    )
    card = Calibration({"later": Map((0.0, 2.0), (5.0, -5.0), 10, 10)}, {"later": {0.1: 0.5}}, strangers=1.0)
    apart: list[list[float]] = [[], []]
    for i in range(36):
        for j in range(i):
            if ids[i] != ids[j] and ids[i] % 2 == ids[j] % 2:
                apart[(ids[i] + 1) % 2].append(1 - float(vectors[i].astype(float) @ vectors[j].astype(float)))
    limits = [sorted(one)[int(len(one) * 0.1)] for one in apart]  # as many are nearer
    rates = [np.mean(np.array(apart[half]) < limits[1 - half]) for half in (0, 1)]
    assert rates[1] > 2 * rates[0] > 0  # the halves are unlike
    table, _ = sections(Features("mine", query, gallery, (), {}), card)
    assert table.lines[2][0] == "same camera, later; suited"
    assert table.lines[2][-1] == f"0.1: {np.mean(rates):.2g}"
