"""Who is who: candidate pairs, and the assignment that joins them.

Costs are distances (small = same), tracks are rows, detections columns. Only a few pairs overlap, whatever
the number of people, so the problem is kept as a list of pairs and solved by connected component.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from retrace.configs import InputError
from retrace.tracker.kernels import compiled

# Measured by `tools/bench.py assign` (ratios in LOG.md): below these sizes the dense way is the faster one.
SWEEP_FROM = 8_000  # boxes times boxes from which candidates come from a sweep instead of a full comparison
SPLIT_FROM = 12_000  # rows times columns from which the assignment is cut into components
LAP_FROM = 40  # rows of a component without gaps from which lap is faster than scipy


class CandidatePairs(NamedTuple):
    """P candidate pairs, ordered by row, then column."""

    row: np.ndarray  # (P,) int64 track
    col: np.ndarray  # (P,) int64 detection
    iou: np.ndarray  # (P,) float64 in (0, 1]

    def take(self, which: np.ndarray) -> CandidatePairs:
        return CandidatePairs(self.row[which], self.col[which], self.iou[which])


def overlapping_pairs(a: np.ndarray, b: np.ndarray) -> CandidatePairs:
    """All pairs of boxes that overlap, with their IoU: (T, 4), (N, 4) xyxy px -> CandidatePairs.

    Equal to what `boxes.iou_matrix` has above 0, but for rounding.

    Small inputs compare every pair along x; larger ones sweep over x, so that the cost follows the number of
    overlaps instead of T x N.
    """
    if fast := compiled():
        return CandidatePairs(
            *fast.overlapping_pairs(a.astype(np.float64, copy=False), b.astype(np.float64, copy=False))
        )
    (ax1, ay1, ax2, ay2) = at = np.ascontiguousarray(a.T, np.float64)
    (bx1, by1, bx2, by2) = bt = np.ascontiguousarray(b.T, np.float64)
    if len(a) * len(b) < SWEEP_FROM:
        meet = ax1[:, None] < bx2
        meet &= bx1 < ax2[:, None]
        meet &= ay1[:, None] < by2
        meet &= by1 < ay2[:, None]
        row, col = meet.nonzero()
    else:
        row, col = _sweep(ax1, ax2, bx1, bx2)
        meet = (ay1[row] < by2[col]) & (by1[col] < ay2[row])
        row, col = row[meet], col[meet]
    box_a, box_b = at.take(row, axis=1), bt.take(col, axis=1)  # (4, P)
    inter = np.minimum(box_a[2:], box_b[2:])
    inter -= np.maximum(box_a[:2], box_b[:2])
    inter = inter[0] * inter[1]
    size_a, size_b = box_a[2:] - box_a[:2], box_b[2:] - box_b[:2]
    union = size_a[0] * size_a[1]
    union += size_b[0] * size_b[1]
    union -= inter
    return CandidatePairs(row, col, inter / union)


def _sweep(
    ax1: np.ndarray, ax2: np.ndarray, bx1: np.ndarray, bx2: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """CandidatePairs of intervals that meet, ordered by row, then column: each row looks only at the columns that begin
    between its own begin minus the widest column and its own end."""
    order = np.argsort(bx1, kind="stable")
    begin = bx1[order]
    first = np.searchsorted(begin, ax1 - (bx2 - bx1).max(), side="left")
    count = np.searchsorted(begin, ax2, side="left") - first
    np.maximum(count, 0, out=count)
    row = np.repeat(np.arange(len(ax1)), count)
    col = order[np.arange(len(row)) + np.repeat(first - (np.cumsum(count) - count), count)]
    meet = (bx2[col] > ax1[row]).nonzero()[0]
    row, col = row[meet], col[meet]
    tidy = np.argsort(row * len(bx1) + col, kind="stable")  # the dense way's order: ties end the same
    return row[tidy], col[tidy]


def assign(cost: np.ndarray, limit: float | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The assignment that gates inside the optimisation.

    Maximises the sum of ``limit - cost`` over the matched pairs, of which only those with ``cost < limit`` may
    be used: leaving a row and a column unmatched is never worse than a pair above the limit. Equal to
    ``lap.lapjv(cost, extend_cost=True, cost_limit=limit)``.

    Args:
        cost: (T, N) distances; +inf is 'never'.
        limit: a scalar, or one for each row (T, 1).

    Returns:
        rows, cols: (K,) each, ordered by row.

    Raises:
        InputError: a NaN in ``cost`` (lap would match it without a word).
    """
    cost = np.asarray(cost, np.float64)
    if np.isnan(cost).any():
        row, col = np.argwhere(np.isnan(cost))[0]
        raise InputError(f"cost must not be NaN; cost[{row}, {col}] is")
    gain = limit - cost
    row, col = np.nonzero(gain > 0)
    return solve(row, col, gain[row, col])


def solve(row: np.ndarray, col: np.ndarray, gain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The matching of largest total gain, over P pairs with gain > 0, ordered by row, then column.

    Exact, whatever the size: the total of scipy's ``linear_sum_assignment`` on the whole table, 0 where there is no
    pair. Large problems settle first the pairs that no optimum can do without, then solve what is left component by
    component.

    Returns:
        rows, cols: (K,) each, ordered by row.
    """
    if len(row) <= 1:
        return row, col
    if fast := compiled():
        column = fast.solve(row, col, gain)
        rows = (column >= 0).nonzero()[0]
        return rows, column[rows]
    height, width = int(row[-1]) + 1, int(col.max()) + 1
    if height * width < SPLIT_FROM:
        return _solve_dense(row, col, gain, height, width)
    settled = _dominant(row, col, gain, height, width)
    row_free, col_free = np.ones(height, bool), np.ones(width, bool)
    row_free[row[settled]] = False
    col_free[col[settled]] = False
    open_ = (row_free[row] & col_free[col]).nonzero()[0]
    rest = _solve_components(row[open_], col[open_], gain[open_])
    rows = np.concatenate((row[settled], rest[0]))
    cols = np.concatenate((col[settled], rest[1]))
    order = np.argsort(rows)
    return rows[order], cols[order]


def _solve_dense(
    row: np.ndarray, col: np.ndarray, gain: np.ndarray, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    import lap  # both late: they take a while, and the compiled way needs neither
    from scipy.optimize import linear_sum_assignment

    benefit = np.zeros((height, width))
    benefit[row, col] = gain
    if height == width and height >= LAP_FROM and len(row) == height * width:
        rows, cols = np.arange(height), lap.lapjv(-benefit, return_cost=False)[0]
    else:
        rows, cols = linear_sum_assignment(benefit, maximize=True)
    used = (benefit[rows, cols] > 0).nonzero()[0]
    return rows[used], cols[used]


def _dominant(row: np.ndarray, col: np.ndarray, gain: np.ndarray, height: int, width: int) -> np.ndarray:
    """Indices of the pairs that every optimal matching contains.

    A pair that gains more than the best rival of its row plus the best rival of its column: a matching without
    it can swap it in for at most those two, and is better for it. Lone pairs are the simplest case.
    """
    best_row, rival_row = _best_two(row, gain, height)
    best_col, rival_col = _best_two(col, gain, width)
    best = (gain == best_row[row]) & (gain == best_col[col])
    return (best & (gain > rival_row[row] + rival_col[col])).nonzero()[0]


def _best_two(group: np.ndarray, gain: np.ndarray, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """The largest and second largest gain of each group, 0 where there is none; a tie for first counts twice."""
    best, other = np.zeros(groups), np.zeros(groups)
    order = np.lexsort((gain, group))
    last = np.diff(group[order], append=-1).nonzero()[0]
    best[group[order[last]]] = gain[order[last]]
    before = last[last > 0] - 1
    inside = before[group[order[before]] == group[order[before + 1]]]
    other[group[order[inside]]] = gain[order[inside]]
    return best, other


def _solve_components(row: np.ndarray, col: np.ndarray, gain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each connected component of the pairs on its own: the sum of small problems, which is the large one's optimum."""
    from scipy.sparse import coo_array  # late, as above
    from scipy.sparse.csgraph import connected_components

    if not len(row):
        return row, col
    rows, row_of = np.unique(row, return_inverse=True)
    cols, col_of = np.unique(col, return_inverse=True)
    if len(rows) * len(cols) < SPLIT_FROM:
        found = _solve_dense(row_of, col_of, gain, len(rows), len(cols))
        return rows[found[0]], cols[found[1]]
    size = len(rows) + len(cols)
    graph = coo_array((np.ones(len(row), np.int8), (row_of, len(rows) + col_of)), shape=(size, size))
    _, label = connected_components(graph, directed=False)
    order = np.argsort(label[row_of], kind="stable")
    parts = np.split(order, np.diff(label[row_of[order]]).nonzero()[0] + 1)
    # A loop over components, not over tracks: only what the dominant pairs left open gets here.
    found_rows, found_cols = [], []
    for part in parts:
        r, r_of = np.unique(row_of[part], return_inverse=True)
        c, c_of = np.unique(col_of[part], return_inverse=True)
        found = _solve_dense(r_of, c_of, gain[part], len(r), len(c))
        found_rows.append(r[found[0]])
        found_cols.append(c[found[1]])
    return rows[np.concatenate(found_rows)], cols[np.concatenate(found_cols)]
