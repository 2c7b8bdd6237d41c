"""Strangers by decade: the ends are known, more of them never help on average."""

from __future__ import annotations

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.eval.ranking.distractors import distractor_decades
from retrace.eval.ranking.ranks import evaluate_ranking


def data(strangers: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    ids = np.arange(1, 16)
    own = rng.standard_normal((15, 6))
    q, g = (own + 0.7 * rng.standard_normal(own.shape) for _ in range(2))
    g = np.concatenate([g, rng.standard_normal((strangers, 6))])
    # distractors, and who is no query
    others = np.where(np.arange(strangers) % 3 == 0, 0, 100 + np.arange(strangers))
    return q, ids, np.ones(15, int), g, np.concatenate([ids, others]), np.full(15 + strangers, 2)


def test_from_none_to_all() -> None:
    arrays = data(250)
    found = distractor_decades(*arrays)
    assert [row["distractors"] for row in found] == [0, 10, 100, 250]
    assert found[-1]["mAP"] == evaluate_ranking(*arrays).mAP
    kept = tuple(a[:15] if k > 2 else a for k, a in enumerate(arrays))
    assert found[0]["mAP"] == evaluate_ranking(*kept).mAP
    values = [row["mAP"] for row in found]
    assert values == sorted(values, reverse=True)
    assert distractor_decades(*arrays) == found


def test_nobody_to_add() -> None:
    with pytest.raises(InputError, match="everybody in the gallery is asked for"):
        distractor_decades(*data(0))
