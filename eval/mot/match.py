"""Maximum-weight matching of sparse pairs: exactly what a dense Hungarian assignment per frame would give.

TrackEval solves one dense assignment per frame. Nearly all of it is decided by a glance, so here
1. a pair that outweighs the best rivals of its two boxes together is in every optimal matching (swap it in:
   at most those two leave); taking such pairs away decides the next ones, for all frames at once;
2. what is left falls apart into small components, solved each on its own;
3. a component whose best and second-best matching are within ``TOLERANCE`` is a tie. Nothing but the same
   solver fed with the same matrix breaks a tie the same way: its frame is solved densely as TrackEval does.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

TOLERANCE = 1e-9  # far above the solver's rounding (1e-13 at weights of 1000), far below real differences
SMALL = 4  # components of up to 4 x 4 boxes are solved by trying all 24 assignments at once
ORDERS = np.array(list(permutations(range(SMALL))))
EMPTY = np.zeros(0, np.int64)


def decide(row: np.ndarray, col: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort the pairs of many frames into taken and undecided.

    Args:
        row, col: (P,) int64 boxes from 0; a box belongs to one frame, so frames never mix.
        weight: (P,) float64 above 0.

    Returns:
        (taken, tied): indices of the pairs that every maximum-weight matching (within TOLERANCE) takes, and
        indices of pairs in components with a tie, of which none is in ``taken``.
    """
    taken, rest = _peel(row, col, weight)
    if not len(rest):
        return taken, EMPTY
    solved, tied = _components(row[rest], col[rest], weight[rest])
    return np.concatenate((taken, rest[solved])), rest[tied]


def _peel(row: np.ndarray, col: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Take pairs that outweigh their rivals, until none does: (taken, left) indices."""
    row_count, col_count = int(row.max(initial=-1)) + 1, int(col.max(initial=-1)) + 1
    left, taken = np.arange(len(row)), []
    while len(left):
        best_row, best_col = _maxima(row, weight, row_count), _maxima(col, weight, col_count)
        peak = (weight == best_row[row]) & (weight == best_col[col])
        others = ~peak
        best_row = _maxima(row[others], weight[others], row_count)
        best_col = _maxima(col[others], weight[others], col_count)
        peak = np.flatnonzero(peak)
        r, c = row[peak], col[peak]
        sure = weight[peak] > best_row[r] + best_col[c] + TOLERANCE
        sure &= (np.bincount(r, minlength=row_count)[r] == 1) & (np.bincount(c, minlength=col_count)[c] == 1)
        if not sure.any():
            break
        taken.append(left[peak[sure]])
        gone_row, gone_col = np.zeros(row_count, bool), np.zeros(col_count, bool)
        gone_row[r[sure]] = True
        gone_col[c[sure]] = True
        stay = ~(gone_row[row] | gone_col[col])
        left, row, col, weight = left[stay], row[stay], col[stay], weight[stay]
    return np.concatenate([EMPTY, *taken]), left


def _maxima(group: np.ndarray, value: np.ndarray, count: int) -> np.ndarray:
    """(count,) largest value of each group, 0 for an empty one."""
    found = np.zeros(count)
    np.maximum.at(found, group, value)
    return found


def _components(row: np.ndarray, col: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Solve each connected component: (indices of matched pairs, indices of pairs in tied components)."""
    rows, row = np.unique(row, return_inverse=True)
    cols, col = np.unique(col, return_inverse=True)
    size = len(rows) + len(cols)
    graph = coo_array((np.ones(len(row), bool), (row, col + len(rows))), shape=(size, size))
    count, label = connected_components(graph, directed=False)
    row_place, col_place = _place_in_group(label[: len(rows)]), _place_in_group(label[len(rows) :])
    r, c, component = row_place[row], col_place[col], label[row]
    spread = np.zeros(count, np.int64)
    np.maximum.at(spread, component, np.maximum(r, c))
    small = spread[component] < SMALL
    solved, tied = _solve_small(np.flatnonzero(small), r[small], c[small], component[small], weight[small])
    large = np.flatnonzero(~small)
    large = large[np.argsort(component[large], kind="stable")]
    starts = np.flatnonzero(np.diff(component[large], prepend=-1))
    for pairs in np.split(large, starts[1:]) if len(large) else []:
        chosen = _solve_one(r[pairs], c[pairs], weight[pairs])
        if chosen is None:
            tied.append(pairs)
        else:
            solved.append(pairs[chosen])
    return np.concatenate([EMPTY, *solved]), np.concatenate([EMPTY, *tied])


def best_pairs(row: np.ndarray, col: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(M,) indices of the (P,) pairs of a maximum-weight matching; weights are above 0, each pair is there once."""
    taken, left = _peel(row, col, weight)
    if not len(left):
        return taken
    rows, row = np.unique(row[left], return_inverse=True)
    cols, col = np.unique(col[left], return_inverse=True)
    table = np.zeros((len(rows), len(cols)))
    table[row, col] = weight[left]
    partner = np.full(len(rows), -1)
    matched_row, matched_col = linear_sum_assignment(table, maximize=True)
    partner[matched_row] = matched_col
    return np.concatenate((taken, left[partner[row] == col]))


def _place_in_group(label: np.ndarray) -> np.ndarray:
    """Each element's place (0, 1, ...) among those with its label."""
    order = np.argsort(label, kind="stable")
    ordered = label[order]
    first = np.searchsorted(ordered, ordered)
    place = np.empty(len(label), np.int64)
    place[order] = np.arange(len(label)) - first
    return place


def _solve_small(
    pair: np.ndarray, r: np.ndarray, c: np.ndarray, component: np.ndarray, weight: np.ndarray
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """All components of at most SMALL x SMALL boxes at once, by trying every assignment."""
    labels, which = np.unique(component, return_inverse=True)
    table = np.zeros((len(labels), SMALL, SMALL))
    table[which, r, c] = weight
    along = np.arange(SMALL)
    picked = table[:, along, ORDERS]  # (n, 24, SMALL)
    total = picked.sum(2)
    # assignments that differ in empty cells only are the same matching: compare the sets of real pairs
    code = ((picked > 0) << (along * SMALL + ORDERS)).sum(2)
    best = total.argmax(1)
    here = np.arange(len(labels))
    good = total >= total[here, best][:, None] - TOLERANCE
    tied = (good & (code != code[here, best][:, None])).any(1)
    chosen = ORDERS[best][which, r] == c
    return [pair[chosen & ~tied[which]]], [pair[tied[which]]]


def _solve_one(r: np.ndarray, c: np.ndarray, weight: np.ndarray) -> np.ndarray | None:
    """Indices of the matched pairs of one component, None if another matching is as good.

    Another matching lacks at least one of the chosen pairs: forbid each in turn and look what is lost.
    """
    table = np.zeros((r.max() + 1, c.max() + 1))
    table[r, c] = weight
    rows, cols = linear_sum_assignment(table, maximize=True)
    total = table[rows, cols].sum()
    partner = np.full(table.shape[0], -1)
    partner[rows] = cols
    chosen = np.flatnonzero(partner[r] == c)
    for k in chosen:
        table[r[k], c[k]] = 0
        if table[linear_sum_assignment(table, maximize=True)].sum() >= total - TOLERANCE:
            return None
        table[r[k], c[k]] = weight[k]
    return chosen


def match_frames(
    row: np.ndarray,
    col: np.ndarray,
    weight: np.ndarray,
    row_cut: np.ndarray,
    col_cut: np.ndarray,
) -> np.ndarray:
    """The pairs that one dense assignment per frame takes; pairs of weight 0 are never reported.

    Args:
        row, col: (P,) int64 boxes, counted through all frames.
        weight: (P,) float64, at least 0.
        row_cut, col_cut: (F + 1,) first box of every frame.

    Returns:
        (M,) indices into the pairs, in no order.
    """
    positive = np.flatnonzero(weight > 0)
    taken, tied = decide(row[positive], col[positive], weight[positive])
    taken, tied = positive[taken], positive[tied]
    if len(tied):
        frame = np.searchsorted(row_cut, row, side="right") - 1
        again = np.unique(frame[tied])
        taken = taken[~np.isin(frame[taken], again)]
        dense = [solve_frame(row, col, weight, row_cut[f : f + 2], col_cut[f : f + 2]) for f in again]
        taken = np.concatenate((taken, *dense))
    return taken


def solve_frame(
    row: np.ndarray,
    col: np.ndarray,
    weight: np.ndarray,
    rows: np.ndarray,
    cols: np.ndarray,
) -> np.ndarray:
    """One frame by the dense solver, on the matrix that TrackEval would hand it: indices of its pairs.

    ``row`` is sorted; ``rows`` and ``cols`` are the frame's first box and the next frame's first box.
    """
    start, stop = np.searchsorted(row, rows)
    pair = np.arange(start, stop)
    r, c = row[pair] - rows[0], col[pair] - cols[0]
    table = np.zeros((rows[1] - rows[0], cols[1] - cols[0]))
    table[r, c] = weight[pair]
    partner = np.full(len(table), -1)
    matched_row, matched_col = linear_sum_assignment(-table)
    partner[matched_row] = matched_col
    return pair[(partner[r] == c) & (weight[pair] > 0)]
