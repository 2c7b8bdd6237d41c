"""The parts of HOTA that must have the reference's very bits."""

from __future__ import annotations

import numpy as np
import pytest

from retrace.eval.mot.hota import ALPHAS, _blocked_sum, combine_hota, hota, hota_by_person
from retrace.eval.mot.preprocess import prepare
from retrace.tracker.data import MotTable
from tests.eval.scenes import random_scene


@pytest.mark.parametrize("length", [1, 3, 7, 8, 9, 64, 127, 128, 129, 150, 257, 300, 600])
def test_blocked_sum_has_the_bits_of_numpy(length: int) -> None:
    rng = np.random.default_rng(length)
    matrix = rng.random((40, length)) * (rng.random((40, length)) < 0.3)
    owner, place = np.nonzero(matrix)
    ours = _blocked_sum(owner, place, matrix[owner, place], np.full(40, length))
    assert ours.tolist() == matrix.sum(1).tolist()


def test_runs_of_different_lengths() -> None:
    rng = np.random.default_rng(1)
    runs = [rng.random(n) for n in (0, 5, 300, 8, 131)]
    owner = np.repeat(np.arange(5), [len(r) for r in runs])
    place = np.concatenate([np.arange(len(r)) for r in runs])
    ours = _blocked_sum(owner, place, np.concatenate(runs), np.array([len(r) for r in runs]))
    assert ours.tolist() == [float(r.sum()) for r in runs]


def test_alphas_are_the_reference_s() -> None:
    trackeval = pytest.importorskip("trackeval")
    assert ALPHAS.tolist() == trackeval.metrics.HOTA().array_labels.tolist()


def test_many_identities_take_the_other_way_to_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    gt, result = random_scene(np.random.default_rng(2), 20, 15)
    scene = prepare(gt, result, 20, "MOT17")
    direct = hota(scene)
    monkeypatch.setattr("retrace.eval.mot.hota.DENSE", 3)
    assert hota(scene).HOTA.tolist() == direct.HOTA.tolist()


@pytest.mark.parametrize("seed", range(4))
def test_people_add_up_to_the_whole(seed: int) -> None:
    gt, result = random_scene(np.random.default_rng(seed), 20, 12)
    scene = prepare(gt, result, 20, "custom")
    people, whole = hota_by_person(scene), hota(scene)
    assert len(people) == scene.gt_ids
    together = combine_hota(people)
    for name in ("TP", "FN", "FP", "AssA", "AssRe", "AssPr", "LocA", "HOTA"):
        assert getattr(together, name) == pytest.approx(getattr(whole, name)), name


def test_a_person_s_own_numbers() -> None:
    """Two people of four frames each; one track follows both halves of the first, another half of the second."""
    gt = table([(f, 1, 0) for f in range(4)] + [(f, 2, 100) for f in range(4)])
    result = table([(f, 7, 0) for f in range(4)] + [(f, 8, 100) for f in range(2)])
    first, second = hota_by_person(prepare(gt, result, 4, "custom"))
    assert (first.TP[0], first.FN[0], first.AssA[0]) == (4, 0, 1)
    assert (second.TP[0], second.FN[0], second.AssA[0]) == (2, 2, 0.5)  # 2 shared of 4 + 2 - 2


def table(rows: list[tuple[int, int, int]]) -> MotTable:
    """Boxes of 10 x 10 px: (frame, id, left)."""
    frame, number, left = np.array(sorted(rows)).T
    one = np.ones(len(frame))
    xyxy = np.stack([left, 0 * left, left + 10, 0 * left + 10], 1).astype(float)
    return MotTable(frame, number, xyxy, one, one.astype(np.int64), one)
