"""Bootstrap intervals: what must hold whatever the draw."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from retrace.eval.mot.bootstrap import OF_PEOPLE, _weighted, intervals, paired_intervals, people_intervals
from retrace.eval.mot.preprocess import prepare
from retrace.eval.mot.score import Metrics, PersonMetrics, combine, evaluate, score_people
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


@pytest.mark.parametrize("seed", range(4))
def test_people_add_up_to_the_sequence(seed: int) -> None:
    """Each taken once, also as a bootstrap adds them up; two sequences as `combine` has them."""
    rng = np.random.default_rng(seed)
    scenes = [random_scene(rng, 20, 12) for _ in range(2)]
    people = [score_people(prepare(*scene, 20, "custom")) for scene in scenes]
    whole = [evaluate(*scene, 20) for scene in scenes]
    assert [sum(p.IDSW for p in each) for each in people] == [one.clear.IDSW for one in whole]
    assert sum(one.clear.IDSW for one in whole)
    for name in ("IDTP", "IDFN", "IDFP"):
        parts = [sum(getattr(p.identity, name) for p in each) for each in people]
        assert parts == pytest.approx([getattr(one.identity, name) for one in whole]), name
    both = people[0] + people[1]
    row = combine(whole).row()
    assert _weighted(both, np.ones((1, len(both))))[0] == pytest.approx([row[name] for name in OF_PEOPLE])


def two_halves(cut: bool) -> list[PersonMetrics]:
    """Two people of ten frames; one is followed, of the other half the frames are, under two ids if ``cut``."""
    box = (0, 10, 10)
    gt = table([(t, who, 100 * who, *box) for t in range(10) for who in (1, 2)])
    first, last = (
        [(t, 8 + (cut and t > 2), 200, *box) for t in range(5)],
        [(t, 7, 100, *box) for t in range(10)],
    )
    return score_people(prepare(gt, table(first + last), 10, "custom"))


def test_intervals_over_people_by_hand() -> None:
    """A draw of two is both, or one twice. Cut, 2 of 15 boxes are of nobody: each of the two has one of them. The whole
    one twice: 20 of 20 boxes right and 2 false, instead of none; the other: 6 right, 14 missed and 2 false, instead of
    10, 10 and none, and two switches."""
    found = people_intervals(two_halves(True), two_halves(False))
    assert [*found] == [*OF_PEOPLE]
    assert found["IDSW"] == (0, 2)
    assert found["IDF1"] == pytest.approx((6 / (6 + 7 + 1) - 10 / (10 + 5), 20 / (20 + 1) - 1))
    assert found["DetA"] == (0, 0)
    assert found["AssA"][0] < 0


def test_unlike_people() -> None:
    with pytest.raises(ValueError, match="same people, got 2 and 1"):
        people_intervals(two_halves(True), two_halves(False)[:1])


def test_unlike_lengths() -> None:
    with pytest.raises(ValueError, match="same sequences, got 4 and 3"):
        paired_intervals(parts(0), parts(0, 3))
