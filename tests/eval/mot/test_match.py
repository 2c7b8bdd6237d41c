"""Sparse matching equals the dense solver frame by frame, ties included."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from retrace.eval.mot import match
from retrace.eval.mot.match import best_pairs, decide, match_frames


def frames(rng: np.random.Generator, count: int, size: int, density: float, levels: int) -> tuple:
    """Random frames: rows, cols, weights, cuts. Few levels of weight make ties."""
    row, col, weight, row_cut, col_cut = [], [], [], [0], [0]
    for _ in range(count):
        n, m = rng.integers(0, size + 1, 2)
        w = rng.integers(1, levels + 1, (n, m)) / levels * (rng.random((n, m)) < density)
        r, c = np.nonzero(w)
        row.append(r + row_cut[-1])
        col.append(c + col_cut[-1])
        weight.append(w[r, c])
        row_cut.append(row_cut[-1] + n)
        col_cut.append(col_cut[-1] + m)
    return *(np.concatenate(x) for x in (row, col, weight)), np.array(row_cut), np.array(col_cut)


def dense(
    row: np.ndarray, col: np.ndarray, weight: np.ndarray, row_cut: np.ndarray, col_cut: np.ndarray
) -> set:
    """TrackEval's way: one full matrix a frame; pairs of weight 0 are dropped."""
    found = set()
    for t in range(len(row_cut) - 1):
        table = np.zeros((row_cut[t + 1] - row_cut[t], col_cut[t + 1] - col_cut[t]))
        mine = (row >= row_cut[t]) & (row < row_cut[t + 1])
        table[row[mine] - row_cut[t], col[mine] - col_cut[t]] = weight[mine]
        r, c = linear_sum_assignment(-table)
        found |= {
            (int(i + row_cut[t]), int(j + col_cut[t])) for i, j in zip(r, c, strict=True) if table[i, j] > 0
        }
    return found


@pytest.mark.parametrize("levels", [1, 2, 3, 1 << 20])
@pytest.mark.parametrize("density", [0.1, 0.3, 1.0])
@pytest.mark.parametrize("size", [3, 6, 15])
def test_equals_dense_solver(levels: int, density: float, size: int) -> None:
    for seed in range(15):
        problem = frames(np.random.default_rng(seed), 4, size, density, levels)
        chosen = match_frames(*problem)
        found = list(zip(problem[0][chosen].tolist(), problem[1][chosen].tolist(), strict=True))
        assert len(found) == len(set(found))
        assert set(found) == dense(*problem)


def test_ties_are_handed_on_not_decided() -> None:
    row, col = np.array([0, 0, 1]), np.array([0, 1, 2])
    taken, tied = decide(row, col, np.array([0.5, 0.5, 0.7]))
    assert taken.tolist() == [2]
    assert sorted(tied.tolist()) == [0, 1]


def test_without_the_dense_solver_ties_would_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison above can fail: with ties decided by component it does."""
    monkeypatch.setattr(match, "TOLERANCE", -1.0)  # nothing counts as a tie
    wrong = 0
    for seed in range(30):
        problem = frames(np.random.default_rng(seed), 4, 6, 0.5, 2)
        chosen = match_frames(*problem)
        found = set(zip(problem[0][chosen].tolist(), problem[1][chosen].tolist(), strict=True))
        wrong += found != dense(*problem)
    assert wrong


def test_greedy_would_be_wrong() -> None:
    # the heaviest pair (0, 0) is not part of the best matching: 0.8 + 0.8 > 0.9 + 0.1
    row, col, weight = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), np.array([0.9, 0.8, 0.8, 0.1])
    cuts = np.array([0, 2])
    assert sorted(match_frames(row, col, weight, cuts, cuts).tolist()) == [1, 2]


@pytest.mark.parametrize("seed", range(20))
def test_best_pairs(seed: int) -> None:
    row, col, weight, _, _ = frames(np.random.default_rng(seed), 1, 12, 0.4, 5)
    table = np.zeros((13, 13))
    table[row, col] = weight
    taken = best_pairs(row, col, weight)
    assert weight[taken].sum() == pytest.approx(table[linear_sum_assignment(-table)].sum())
    assert len({*row[taken]}) == len({*col[taken]}) == len(taken)


def test_nothing_to_match() -> None:
    none = np.zeros(0, np.int64)
    cuts = np.zeros(3, np.int64)
    assert match_frames(none, none, np.zeros(0), cuts, cuts).tolist() == []
    assert best_pairs(none, none, np.zeros(0)).tolist() == []
