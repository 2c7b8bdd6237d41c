"""Twins of association/assignment.py: overlapping pairs, and the best matching of them."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, error_model="numpy")
def _more(row: np.ndarray, col: np.ndarray, iou: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    size = len(row)
    rows, cols, ious = np.empty(2 * size, np.int64), np.empty(2 * size, np.int64), np.empty(2 * size)
    for p in range(size):  # slices would compile for seconds
        rows[p], cols[p], ious[p] = row[p], col[p], iou[p]
    return rows, cols, ious


@njit(cache=True, error_model="numpy")
def by_column(col: np.ndarray, iou: np.ndarray) -> None:
    """Sort (P,) columns and what belongs to them, in place; mostly there are a few."""
    if len(col) > 32:
        order = np.argsort(col)
        sorted_col, sorted_iou = col[order], iou[order]
        for p in range(len(col)):
            col[p], iou[p] = sorted_col[p], sorted_iou[p]
        return
    for p in range(1, len(col)):
        n, of, place = col[p], iou[p], p
        while place > 0 and col[place - 1] > n:
            col[place], iou[place] = col[place - 1], iou[place - 1]
            place -= 1
        col[place], iou[place] = n, of


@njit(cache=True, error_model="numpy")
def overlapping_pairs(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Twin of `association.overlapping_pairs`: (T, 4), (N, 4) float64 -> row, column, IoU (P,), by row, then column.

    Each row looks only at the columns that begin between its own begin minus the widest column and its own end.
    """
    height, width = len(a), len(b)
    size = 4 * height + 16
    row, col, iou = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size)
    if height == 0 or width == 0:
        return row[:0], col[:0], iou[:0]
    order = np.argsort(b[:, 0])
    x1, y1, x2, y2 = b[order, 0], b[order, 1], b[order, 2], b[order, 3]
    widest, count = (x2 - x1).max(), 0
    for t in range(height):
        left, top, right, bottom = a[t, 0], a[t, 1], a[t, 2], a[t, 3]
        first, at, end = count, 0, width
        while at < end:  # np.searchsorted is a call for each row, and counts who holds its array
            middle = (at + end) // 2
            if x1[middle] < left - widest:
                at = middle + 1
            else:
                end = middle
        while at < width and x1[at] < right:
            if x2[at] > left and y1[at] < bottom and y2[at] > top:
                inter = (min(right, x2[at]) - max(left, x1[at])) * (min(bottom, y2[at]) - max(top, y1[at]))
                union = (right - left) * (bottom - top)
                union += (x2[at] - x1[at]) * (y2[at] - y1[at])
                union -= inter
                if count == len(row):
                    row, col, iou = _more(row, col, iou)
                row[count], col[count], iou[count] = t, order[at], inter / union
                count += 1
            at += 1
        if count - first > 1:
            by_column(col[first:count], iou[first:count])
    return row[:count], col[:count], iou[:count]


@njit(cache=True, error_model="numpy")
def solve(row: np.ndarray, col: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Twin of `association.solve`: (height,) the column of each row in the matching of largest total gain, -1: none.

    Shortest augmenting paths over the pairs themselves (Jonker and Volgenant 1987, on a sparse graph): each row
    in turn takes the column that costs the others least, with prices on columns that keep every path's costs at
    0 or above. A path may end by leaving a row without a column. Only columns that a row can reach are looked at.

    Args:
        row, col, gain: (P,) pairs with gain > 0, ordered by row.
    """
    height, width = row.max() + 1, col.max() + 1
    first = np.zeros(height + 1, np.int64)
    for p in range(len(row)):
        first[row[p] + 1] += 1
    first = np.cumsum(first)
    column, owner = np.full(height, -1), np.full(width, -1)
    price, profit = np.zeros(width), np.zeros(height)
    far = np.full(width, np.inf)  # the cheapest way to each column
    before, done, reached = np.empty(width, np.int64), np.zeros(width, np.bool_), np.empty(width, np.int64)
    for start in range(height):
        for p in range(first[start], first[start + 1]):
            profit[start] = max(profit[start], gain[p] - price[col[p]])
        here, length, count = start, 0.0, 0
        end_row, end_col, shortest = start, -1, np.inf
        while True:
            if length + profit[here] < shortest:  # this row could do without
                shortest, end_row = length + profit[here], here
            for p in range(first[here], first[here + 1]):
                c = col[p]
                if not done[c]:
                    way = length + profit[here] - (gain[p] - price[c])
                    if way < far[c]:
                        if far[c] == np.inf:
                            reached[count] = c
                            count += 1
                        far[c], before[c] = way, here
            best = -1
            for k in range(count):
                c = reached[k]
                if done[c]:
                    continue
                equal = best >= 0 and far[c] == far[best]
                if best < 0 or far[c] < far[best] or (equal and owner[c] < 0):  # a free one ends the search
                    best = c
            if best < 0 or far[best] >= shortest:
                break
            done[best] = True
            if owner[best] < 0:
                end_col, shortest = best, far[best]
                break
            here, length = owner[best], far[best]
        for k in range(count):
            c = reached[k]
            if done[c] and far[c] < shortest:
                profit[owner[c]] -= shortest - far[c]
                price[c] += shortest - far[c]
            far[c] = np.inf
            done[c] = False
        profit[start] = max(profit[start] - shortest, 0.0)
        if end_col < 0:  # end_row gives its column up
            c = column[end_row]
            column[end_row] = -1
            if end_row == start:
                continue
            end_col = c
        c = end_col
        while True:
            r = before[c]
            given_up = column[r]
            column[r], owner[c] = c, r
            if r == start:
                break
            c = given_up
    return column
