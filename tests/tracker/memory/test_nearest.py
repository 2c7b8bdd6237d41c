"""The most similar people, beside sorting everybody; and after some have changed, beside comparing all anew."""

from __future__ import annotations

import numpy as np
import pytest

from retrace.tracker.memory import nearest as home
from retrace.tracker.memory.camera_means import CameraMeans
from retrace.tracker.memory.nearest import Nearest, nearest, top
from retrace.tracker.memory.people import People
from tests.tracker.memory.passersby import vector_of


@pytest.mark.parametrize("count", [0, 1, 5, 63, 64, 65, 200, 1000, 1037])
@pytest.mark.parametrize("most", [1, 4, 8])
def test_top_equals_sorting(count: int, most: int) -> None:
    score = np.random.default_rng(count).permutation(7 * count).reshape(7, count).astype(np.float32)
    want = np.sort(np.argsort(-score, axis=1)[:, :most], axis=1)
    np.testing.assert_array_equal(np.sort(top(score, most), axis=1), want)


@pytest.mark.parametrize("people", [0, 3, 40, 300])
def test_blocks_do_not_matter(people: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    known = (
        np.array([vector_of(k, rng) for k in range(people)]).reshape(people, -1)
        if people
        else np.zeros((0, 128))
    )
    asked = np.array([vector_of(k, rng) for k in range(9)])
    whole = nearest(asked, known.astype(np.float32))
    monkeypatch.setattr(home, "BLOCK", 37)
    row, cosine = nearest(asked, known.astype(np.float32))
    for k in range(9):
        assert {*row[k].tolist()} == {*whole[0][k].tolist()}
        np.testing.assert_allclose(cosine[k], known[row[k]] @ asked[k], atol=1e-5)


def filled(seed: int, count: int) -> People:
    rng, people = np.random.default_rng(seed), People(128, CameraMeans(128, None))
    people.vectors, people.total, people.mean = (np.zeros((0, 128), np.float32) for _ in range(3))
    people.add_camera(0, "door")
    for k in range(count):
        row = people.add_tracklet(k + 1, 0, "s", k, float(k), k + 1.0, vector_of(k % 60, rng))
        if k < 200:
            people.put(row, people.add_person(k + 1) if k < 60 else k % 60)
    return people


def test_whom_decisions_change_is_compared_anew() -> None:
    """Two join, one is new: the nearest distances are those of a fresh look."""
    people = filled(1, 210)
    rows = np.arange(200, 210)
    near = Nearest(people, rows)
    for row, person in ((200, 20), (201, people.add_person(999)), (202, 22)):
        people.put(row, person)
        near.changed.add(person)
    person, distance = near.of(rows[3:])
    fresh = Nearest(people, rows)
    again, want = fresh.of(rows[3:])
    for k in range(7):
        told = {p: d for p, d in zip(person[k].tolist(), distance[k].tolist(), strict=True) if np.isfinite(d)}
        best = sorted(zip(want[k].tolist(), again[k].tolist(), strict=True))[: home.MOST - 3]
        for d, p in best:
            assert told[p] == pytest.approx(d, abs=1e-5)
        assert {20, 60, 22} <= {*told}
