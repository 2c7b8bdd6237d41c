"""The parts of HOTA that must have the reference's very bits."""

from __future__ import annotations

import numpy as np
import pytest

from retrace.eval.mot.hota import ALPHAS, _blocked_sum, hota
from retrace.eval.mot.preprocess import prepare
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
