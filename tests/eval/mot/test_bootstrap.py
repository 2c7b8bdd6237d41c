"""Bootstrap intervals: what must hold whatever the draw."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from retrace.eval.mot.bootstrap import intervals, paired_intervals
from retrace.eval.mot.score import Metrics, combine, evaluate
from tests.eval.scenes import random_scene, table


def parts(seed: int, count: int = 4) -> list[Metrics]:
    rng = np.random.default_rng(seed)
    return [evaluate(*random_scene(rng, 10, 6), 10, "MOT17") for _ in range(count)]


def test_interval_is_the_draws_quantiles() -> None:
    """By hand: all ten ways to draw three of three, each as often as chance has it (27 equally likely)."""
    found = parts(0, 3)
    draws = [combine([found[k] for k in draw]).row()["HOTA"] for draw in product(range(3), repeat=3)]
    low, high = intervals(found, draws=20_000)["HOTA"]
    assert low == pytest.approx(min(draws), abs=1e-12)  # 1 of 27 lies beyond 2.5 %
    assert high == pytest.approx(max(draws), abs=1e-12)
    # the sixth of 27 holds the share 5/27 .. 6/27, the sixth from above as much
    assert intervals(found, draws=20_000, level=1 - 2 * 5.5 / 27)["HOTA"] == pytest.approx(
        (sorted(draws)[5], sorted(draws)[21]), abs=1e-12
    )
    assert low < combine(found).row()["HOTA"] < high


def test_same_seed_same_interval() -> None:
    found = parts(0)
    assert intervals(found, seed=3) == intervals(found, seed=3)


def test_one_sequence_has_no_width() -> None:
    (found,) = parts(0, 1)
    score = found.row()["MOTA"]
    assert intervals([found])["MOTA"] == (score, score)


def test_difference_to_itself_is_zero() -> None:
    found = parts(1)
    assert set(paired_intervals(found, found).values()) == {(0.0, 0.0)}


def test_pairing_takes_out_what_sequences_share() -> None:
    # sequences of very different difficulty, one result better by the same step everywhere
    box = (0, 0, 10, 10)
    gt = [table([(t, 1, *box) for t in range(20)])] * 4
    base = [table([(t, 1, *box) for t in range(n)]) for n in (4, 8, 12, 16)]
    better = [table([(t, 1, *box) for t in range(n + 2)]) for n in (4, 8, 12, 16)]
    a = [evaluate(g, r, 20) for g, r in zip(gt, better, strict=True)]
    b = [evaluate(g, r, 20) for g, r in zip(gt, base, strict=True)]
    assert paired_intervals(a, b)["MOTA"] == pytest.approx((0.1, 0.1))  # 2 of 20 boxes
    low, high = intervals(a)["MOTA"]
    assert high - low > 0.2


def test_unlike_lengths() -> None:
    with pytest.raises(ValueError, match="same sequences, got 4 and 3"):
        paired_intervals(parts(0), parts(0, 3))
