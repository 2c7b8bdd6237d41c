"""Ranks of right answers by counting who comes before them, in a whole gallery or in a part of it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

_MANY = 800  # images: from here on one more pass over the row is cheaper than gathering and sorting them


def images_before(
    d: np.ndarray, row: np.ndarray, col: np.ndarray, value: np.ndarray, ties: str
) -> np.ndarray:
    """(P,) how many images come before each right answer. With ``ties`` "pessimistic": that or are as near.

    Args:
        d: (B, G) distances of a gallery, or of a part of it; infinite where an image is left out.
        row: (P,) of ``d``, ascending.
        col: (P,) where the right answer lies; before 0 and from G on: outside this part.
        value: (P,) its distance, ascending within a row, equal ones in the order of ``col``.
    """
    nearer, upto = np.empty(len(row), np.int64), np.empty(len(row), np.int64)
    col, inside = np.clip(col, 0, d.shape[1]), (col >= 0) & (col < d.shape[1])
    bound = np.searchsorted(row, np.arange(len(d) + 1)).tolist()
    mask = np.empty(d.shape[1], bool)
    for line, (a, b) in zip(d, pairwise(bound), strict=True):
        if a == b:
            continue
        np.less_equal(line, value[b - 1], out=mask)
        # A few far right answers have most of the gallery before them: count there, do not gather and sort it.
        while ties == "stable" and b - a > 1 and (count := np.count_nonzero(mask)) > _MANY:
            b -= 1
            nearer[b] = count - np.count_nonzero(line[col[b] :] == value[b])
            upto[b] = nearer[b]
            np.less_equal(line, value[b - 1], out=mask)
        near = line.compress(mask)
        near.sort()
        nearer[a:b] = near.searchsorted(value[a:b])
        upto[a:b] = near.searchsorted(value[a:b], "right")
    if ties == "pessimistic":
        return upto
    for p in np.flatnonzero(upto - nearer > inside):  # equal distances; rare
        nearer[p] += np.count_nonzero(d[row[p], : col[p]] == value[p])
    return nearer


def ranks_of(before: np.ndarray, row: np.ndarray, value: np.ndarray, ties: str) -> np.ndarray:
    """Ranks from 1 of right answers that are sorted by row and value, from :func:`images_before`."""
    if ties == "stable":
        return before + 1
    new = np.ones(len(row), bool)  # the first of those of a query that are equally near
    new[1:] = (np.diff(row) != 0) | (value[1:] != value[:-1])
    start = np.flatnonzero(new)
    size = np.diff(np.append(start, len(row)))
    found: np.ndarray = before - np.repeat(size, size) + np.arange(len(row)) - np.repeat(start, size) + 1
    return found
