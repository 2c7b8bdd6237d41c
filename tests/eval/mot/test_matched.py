"""Which boxes are whose: as many of each as CLEAR counts, and the rows themselves."""

from __future__ import annotations

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.eval.mot import evaluate
from retrace.eval.mot.ground import evaluate_on_ground
from retrace.eval.mot.identity_switches import identity_switches
from retrace.eval.mot.matched import matched_rows
from retrace.tracker.data import MotTable


def boxes(rows: list[tuple[int, int, float]]) -> MotTable:
    """(frame, id, x) -> boxes of 10 by 10 px."""
    frame, ids, x = (np.array(column) for column in zip(*rows, strict=True))
    corner = np.stack((x, 0 * x, x + 10, 0 * x + 10), axis=1).astype(float)
    n = len(rows)
    return MotTable(frame, ids, corner, np.ones(n), np.ones(n, np.int64), np.ones(n))


def test_by_hand() -> None:
    """Frame 0: 1 is found 2 px away (IoU 8/12). Frame 1: 1 is missed, a box lies elsewhere."""
    gt, result = boxes([(0, 1, 0), (0, 2, 50), (1, 1, 0)]), boxes([(0, 8, 2), (0, 9, 50), (1, 8, 30)])
    found = matched_rows(gt, result, 2)
    assert [column.tolist() for column in found] == [[0, 1], [0, 1], [2], [2]]


@pytest.mark.parametrize("seed", range(4))
def test_as_many_as_clear_counts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gt = boxes([(f, i, 20 * i + f) for f in range(20) for i in range(1, 5) if rng.random() < 0.8])
    result = boxes(
        [
            (f, i, 20 * i + f + rng.integers(-5, 6))
            for f in range(20)
            for i in range(1, 6)
            if rng.random() < 0.8
        ]
    )
    found, counts = matched_rows(gt, result, 20), evaluate(gt, result, 20).clear
    assert (len(found.gt), len(found.missed), len(found.false)) == (counts.TP, counts.FN, counts.FP)
    assert (gt.frame[found.gt] == result.frame[found.result]).all()
    assert len(np.unique(found.result)) == len(found.result)


def test_nobody_on_one_side() -> None:
    one = boxes([(0, 1, 0)])
    assert [c.tolist() for c in matched_rows(one, one.take(slice(0)), 1)] == [[], [], [0], []]
    assert [c.tolist() for c in matched_rows(one.take(slice(0)), one, 1)] == [[], [], [], [0]]


def test_a_benchmark_that_is_none_is_refused() -> None:
    table = boxes([(0, 1, 0)])
    for count in (matched_rows, identity_switches):
        with pytest.raises(InputError, match="unknown benchmark 'MOT21'"):
            count(table, table, 1, "MOT21")
    with pytest.raises(InputError, match="unknown benchmark 'MOT21'"):
        evaluate_on_ground({}, {}, benchmark="MOT21")
