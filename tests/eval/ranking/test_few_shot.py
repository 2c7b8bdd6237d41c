"""Episodes: what must come out, chance, cameras kept apart, a slow twin."""

from __future__ import annotations

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.eval.ranking import few_shot
from retrace.eval.ranking.few_shot import evaluate_few_shot


def people(count: int = 12, images: int = 6, noise: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    ids = np.repeat(np.arange(1, count + 1), images)
    x = rng.standard_normal((count, 8))[ids - 1] + noise * rng.standard_normal((len(ids), 8))
    return x, ids, np.tile(np.arange(images) % 2, count)


def test_clear_people_are_told_apart_and_noise_is_chance() -> None:
    assert evaluate_few_shot(*people()).accuracy == 1
    x, ids, cameras = people()
    found = evaluate_few_shot(np.random.default_rng(1).standard_normal(x.shape), ids, cameras, ways=4)
    assert abs(found.accuracy - 0.25) < 3 * found.half
    assert evaluate_few_shot(*people(noise=1)) == evaluate_few_shot(*people(noise=1))


def test_an_episode_is_the_slow_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The draws of an episode are looked at and scored by loops."""
    x, ids, cameras = people(noise=2)
    unit = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    chosen = [np.flatnonzero(ids == k) for k in (2, 5, 7)]
    for across in (False, True):
        got = few_shot._episode(unit, chosen, cameras, 2, across, np.random.default_rng(4))
        rng = np.random.default_rng(4)
        supports, asked = [], []
        for rows in chosen:
            pools = [[r for r in rows if cameras[r] == c] for c in (0, 1)] if across else [list(rows)]
            pool = pools[rng.integers(len(pools))]
            support = list(rng.choice(pool, 2, replace=False))
            supports.append(support)
            asked.append([r for r in rows if r not in (pool if across else support)])
        right = []
        for way, queries in enumerate(asked):
            for q in queries:
                gaps = [sum((unit[q] - unit[s].mean(0)) ** 2) for s in supports]
                right.append(gaps.index(min(gaps)) == way)
        assert got == pytest.approx(np.mean(right))


def test_across_cameras_asks_other_cameras() -> None:
    """Colour of the camera in the vectors: easy within a camera, hopeless where support is of another."""
    x, ids, cameras = people()
    x = np.where(cameras[:, None] == 0, x, -x)
    assert evaluate_few_shot(x, ids, cameras, ways=2, across=True).accuracy < 0.1
    assert evaluate_few_shot(x, ids, cameras, ways=2).accuracy > 0.3


def test_too_few_people() -> None:
    with pytest.raises(InputError, match="5-way 6-shot: only 0 people have enough images"):
        evaluate_few_shot(*people(), shots=6)
    with pytest.raises(InputError, match="20-way 1-shot across cameras: only 12 people"):
        evaluate_few_shot(*people(), ways=20, across=True)
