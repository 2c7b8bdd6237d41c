"""eval/ranking/verification.py: by hand, and against sorting all pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.eval.ranking.verification import evaluate_verification
from tests.eval.ranking.people import exact, people, slow_verification


def test_by_hand() -> None:
    """Wrong 1 3 5 7, right 0 2 4: one wrong pair in four allowed, so everything below 3: two of three right."""
    ids, cameras = [2, 2, 2, 2, 1, 1, 1, 1, -1], [1] * 7 + [0, 1]
    d = np.array([[1.0, 3, 5, 7, 0, 2, 4, 0, 0]])  # the last two: own camera, junk
    m = evaluate_verification(None, [1], [0], None, ids, cameras, distances=d, fpr=[0.3, 0.1])
    assert (m.positives, m.negatives) == (3, 4)
    tight, loose = m.points
    assert (loose.target_fpr, loose.tpr, loose.fpr, loose.threshold) == (0.3, pytest.approx(2 / 3), 0.25, 3.0)
    assert (tight.tpr, tight.fpr, tight.threshold) == (pytest.approx(1 / 3), 0.0, 1.0)  # finer than 1/4: none


def test_ties_fall_on_the_safe_side() -> None:
    d = np.array([[1.0, 1, 1, 1, 1]])
    m = evaluate_verification(None, [1], [0], None, [1, 2, 2, 2, 2], [1] * 5, distances=d, fpr=[0.5])
    assert (m.points[0].tpr, m.points[0].fpr) == (0, 0)


@pytest.mark.parametrize("block", [None, 1, 7])
@pytest.mark.parametrize("levels", [0, 30])
def test_equals_sorting_all_pairs(block: int | None, levels: int) -> None:
    """With a block of one query and small targets the held distances are cut down many times."""
    qf, q, qc, gf, g, gc = people(8, queries=20, gallery=120)
    d = exact(qf, gf)
    if levels:
        d = np.round(d * levels) / levels
    few, many = (0.001, 0.004, 0.01), (0.1, 0.7)
    data = (None, q, qc, None, g, gc)
    found = [evaluate_verification(*data, distances=d, fpr=fpr, block=block) for fpr in (few, many)]
    for point, target in zip(found[0].points + found[1].points, few + many, strict=True):
        assert (point.tpr, point.fpr) == pytest.approx(slow_verification(d, q, qc, g, gc, target)), target
        assert point.fpr <= target


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_threshold_is_in_the_metric(metric: Any) -> None:
    qf, q, qc, gf, g, gc = people(9)
    m = evaluate_verification(qf, q, qc, gf, g, gc, metric=metric)
    ready = evaluate_verification(None, q, qc, None, g, gc, distances=exact(qf, gf, metric))
    for a, b in zip(m.points, ready.points, strict=True):
        assert a.threshold == pytest.approx(b.threshold, abs=1e-5)
        assert (a.tpr, a.fpr) == pytest.approx((b.tpr, b.fpr))
    assert (m.distance, ready.distance) == (metric, "given")
    assert list(m.row()["tpr_at_fpr"]) == ["0.0001", "0.001", "0.01"]


@pytest.mark.parametrize("fpr", [(), (0.0,), (1e-3, 1.0)])
def test_bad_fpr(fpr: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match=r"`fpr` .*: expected one or more fractions"):
        evaluate_verification(*people(), fpr=fpr)


def test_needs_both_kinds_of_pairs() -> None:
    with pytest.raises(InputError, match="got 0 of one identity on two cameras and 1 of two"):
        evaluate_verification(None, [1], [0], None, [1, 2], [0, 0], distances=np.zeros((1, 2)))
    with pytest.raises(InputError, match="got 1 of one identity on two cameras and 0 of two"):
        evaluate_verification(None, [1], [0], None, [1], [1], distances=np.zeros((1, 1)))
