import itertools

import lap
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from retrace.configs import InputError
from retrace.tracker.association import assignment as association
from retrace.tracker.association.assignment import assign, overlapping_pairs, solve
from tests.tracker.slow_boxes import random_boxes, slow_iou


def never():
    """In place of `compiled`: the NumPy path."""


def brute_force(gain):
    """The best total gain over every way to match rows to columns, pairs of gain <= 0 left out."""
    rows, cols = gain.shape
    if rows > cols:
        return brute_force(gain.T)
    return max(
        sum(max(0.0, gain[r, c]) for r, c in enumerate(pick))
        for pick in itertools.permutations(range(cols), rows)
    )


def total(gain, rows, cols):
    return float(gain[rows, cols].sum())


def test_gate_inside_the_optimisation_by_hand():
    """The cheapest full matching is (0,0), (1,1) = .1 + .9. Its second pair is over the limit .5, and dropping
    it afterwards leaves one match; gating inside finds two: (0,1), (1,0)."""
    cost = np.array([[0.1, 0.45], [0.45, 0.9]])
    rows, cols = assign(cost, 0.5)
    # gain of both: .05 + .05 = .1 against .4 for (0,0) alone: one match is better
    assert (rows.tolist(), cols.tolist()) == ([0], [0])
    rows, cols = assign(cost, 0.85)  # .4 + .4 = .8 against .75 alone
    assert (rows.tolist(), cols.tolist()) == ([0, 1], [1, 0])


def test_pairs_at_the_limit_are_not_used():
    assert len(assign(np.array([[0.5]]), 0.5)[0]) == 0
    assert len(assign(np.array([[0.5]]), 0.5000001)[0]) == 1


def test_one_limit_for_each_row():
    cost = np.array([[0.6, 9], [9, 0.6]])
    rows, cols = assign(cost, np.array([[0.7], [0.5]]))
    assert (rows.tolist(), cols.tolist()) == ([0], [0])


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (4, 0)])
def test_empty(shape):
    rows, cols = assign(np.zeros(shape), 1.0)
    assert len(rows) == len(cols) == 0
    assert len(overlapping_pairs(np.zeros((shape[0], 4)), np.ones((shape[1], 4))).row) == 0


def test_nan_is_refused_and_inf_means_never():
    with pytest.raises(InputError, match=r"cost\[0, 1\]"):
        assign(np.array([[0.1, np.nan]]), 1.0)
    assert len(assign(np.array([[np.inf]]), 1.0)[0]) == 0


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 6), st.floats(0.1, 0.9))
def test_is_optimal(seed, height, width, limit):
    cost = np.random.default_rng(seed).random((height, width))
    rows, cols = assign(cost, limit)
    assert len(set(rows.tolist())) == len(rows)
    assert len(set(cols.tolist())) == len(cols)
    assert (cost[rows, cols] < limit).all()
    assert np.isclose(total(limit - cost, rows, cols), brute_force(limit - cost))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 60), st.sampled_from([0.02, 0.1, 0.5, 1.0])
)
def test_splitting_changes_nothing(seed, height, width, density):
    """Dominant pairs and components, compiled or not, against the dense solver, and against lap as the reference."""
    rng = np.random.default_rng(seed)
    cost = np.where(rng.random((height, width)) < density, rng.random((height, width)), 1e3)
    fast = assign(cost, 0.8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(association, "compiled", never)
        whole = assign(cost, 0.8)
        patch.setattr(association, "SPLIT_FROM", 1)
        split = assign(cost, 0.8)
    for other in (split, fast):
        assert whole[0].tolist() == other[0].tolist()
        assert whole[1].tolist() == other[1].tolist()
    _, column, _ = lap.lapjv(cost, extend_cost=True, cost_limit=0.8)
    reference = np.flatnonzero(column >= 0)
    assert whole[0].tolist() == reference.tolist()
    assert whole[1].tolist() == column[reference].tolist()


def test_ties_do_not_break_the_split():
    """All gains equal: every split must still match as many as there are, each row and column once."""
    for way in (association.compiled, never):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(association, "compiled", way)
            patch.setattr(association, "SPLIT_FROM", 1)
            rows, cols = assign(np.full((30, 20), 0.5), 0.9)
        assert len(rows) == 20
        assert len(set(rows.tolist())) == len(set(cols.tolist())) == 20


def test_a_component_without_gaps_takes_lap_and_stays_optimal(monkeypatch):
    cost = np.random.default_rng(4).random((association.LAP_FROM, association.LAP_FROM))
    calls = []
    monkeypatch.setattr(association, "compiled", never)
    monkeypatch.setattr(lap, "lapjv", lambda *a, real=lap.lapjv, **k: calls.append(1) or real(*a, **k))
    rows, cols = assign(cost, 2.0)
    expected = linear_sum_assignment(cost)
    assert calls
    assert np.isclose(cost[rows, cols].sum(), cost[expected].sum())


@pytest.mark.parametrize("way", [association.compiled, never])
@pytest.mark.parametrize("sweep_from", [1, 10**9])
@pytest.mark.parametrize("n", [1, 7, 40, 90])
def test_overlapping_pairs_equal_their_slow_twin(monkeypatch, way, sweep_from, n):
    monkeypatch.setattr(association, "compiled", way)
    monkeypatch.setattr(association, "SWEEP_FROM", sweep_from)
    rng = np.random.default_rng(n)
    a, b = random_boxes(rng, n), random_boxes(rng, n + 3)
    pairs = overlapping_pairs(a, b)
    expected = [(i, j) for i in range(n) for j in range(n + 3) if slow_iou(a[i], b[j]) > 0]
    assert list(zip(pairs.row.tolist(), pairs.col.tolist(), strict=True)) == expected
    assert np.allclose(pairs.iou, [slow_iou(a[i], b[j]) for i, j in expected])


def test_touching_boxes_are_no_pair():
    assert (
        len(overlapping_pairs(np.array([[0.0, 0, 5, 5]]), np.array([[5.0, 0, 9, 5], [0, 5, 5, 9]])).row) == 0
    )


def test_solve_needs_no_pairs():
    none = np.zeros(0, np.int64)
    assert len(solve(none, none, np.zeros(0))[0]) == 0
