"""Tracklet linking: the ids that a tracker gave one person are joined, offline, over the whole sequence.

The frame is AFLink's (StrongSORT, Du 2023, arXiv 2202.13514, sec. 3.4): pairs inside a window of time and space,
a cost for each, one global assignment. AFLink's cost is a small network's; here it is the mean of how late, how far
off and how differently sized the second one is. What people look like is :mod:`tracker.offline.reconnect`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from pydantic import Field

from retrace.configs.loader import Strict
from retrace.tracker.association.assignment import solve
from retrace.tracker.config import Seconds, Unit
from retrace.tracker.data import MotTable

CHUNK = 1 << 17  # pairs looked at in one go: some 30 MB, whatever the number of tracklets
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class LinkConfig(Strict):
    """What two tracklets may differ by and still be one person; beyond any of these they are never joined."""

    gap: Annotated[Seconds, Field(gt=0)]  # from the last box of one to the first of the other
    distance: Positive  # box heights between where either is expected across the gap and where the other is
    size: Annotated[float, Field(gt=1, allow_inf_nan=False)]  # ratio of their heights, either way
    cost: Unit  # mean of the above, each as a share of its limit; raising it joins more, and errs more
    window: Seconds  # of boxes beside the gap, which speed and height are taken from


@dataclass(frozen=True, slots=True)
class Tracklets:
    """The ends of K tracklets, ordered by first frame, then id; an axis of two is (begin, end)."""

    id: np.ndarray  # (K,) int64
    class_id: np.ndarray  # (K,) int64
    frame: np.ndarray  # (K, 2) int64
    centre: np.ndarray  # (K, 2, 2) px
    speed: np.ndarray  # (K, 2, 2) px a frame, over the window
    height: np.ndarray  # (K, 2) px, mean over the window


@dataclass(frozen=True, slots=True)
class Links:
    """L pairs that are one person, ordered by the first frame of the earlier; a tracklet may be in two."""

    earlier: np.ndarray  # (L,) int64 id
    later: np.ndarray  # (L,) int64 id; each once
    cost: np.ndarray  # (L,) from 0, small = sure


def link(table: MotTable, fps: float, config: LinkConfig) -> MotTable:
    """Join the tracklets of one person under the id that began first: :func:`find_links`, then :func:`rename`."""
    return rename(table, find_links(table, fps, config))


def rename(table: MotTable, links: Links) -> MotTable:
    """The table with linked tracklets under the id that began first, sorted by frame, then id."""
    ids, row = np.unique(table.id, return_inverse=True)
    table = replace(table, id=renamed(ids, links)[row])
    return table.take(np.lexsort((table.id, table.frame)))


def renamed(ids: np.ndarray, links: Links) -> np.ndarray:
    """(K,) what ids (K,), in any order, are called when everybody linked is called as the first of the chain."""
    known = np.unique(np.concatenate((ids, links.earlier, links.later)))
    root = np.arange(len(known))
    root[np.searchsorted(known, links.later)] = np.searchsorted(known, links.earlier)
    while (root != root[root]).any():  # halves every chain; there are no cycles, time runs one way
        root = root[root]
    return known[root[np.searchsorted(known, ids)]]


def find_links(table: MotTable, fps: float, config: LinkConfig) -> Links:
    """Who is who by motion: a gated global assignment of ends to beginnings.

    A pair is looked at when one begins after the other has ended, at most ``config.gap`` later, in the same
    class: two that overlap in time are never joined, nor are their chains. Each end is given at most one
    beginning, so that the sum of ``config.cost - cost`` is largest.

    Args:
        table: a whole sequence's result in any order, no id twice in a frame.
        fps: frames a second.
        config: the limits.
    """
    ends = tracklets(table, config.window * fps)
    return assigned(candidates(ends, config, fps), ends.id, config.cost)


def assigned(found: Sequence[Links], ids: np.ndarray, limit: float) -> Links:
    """The pairs that stay: each tracklet once as the earlier, once as the later, ``limit - cost`` largest in sum
    (:func:`tracker.association.solve`).

    Args:
        found: pairs of rows of ``ids``, in order; their costs lie below ``limit``.
        ids: (K,) by first frame.
        limit: of the cost.
    """
    row, col, cost = (
        np.concatenate([getattr(part, name) for part in found]) for name in ("earlier", "later", "cost")
    )
    rows, cols = solve(row, col, limit - cost)
    key = row * len(ids) + col
    return Links(ids[rows], ids[cols], cost[np.searchsorted(key, rows * len(ids) + cols)])


def none_linked() -> Links:
    return Links(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))


def by_beginning(table: MotTable) -> tuple[MotTable, np.ndarray, np.ndarray]:
    """The table by id, then frame, and the rows of every id's first and last box, by first frame, then id."""
    table = table.take(np.lexsort((table.frame, table.id)))
    begin = np.flatnonzero(np.diff(table.id, prepend=table.id[:1] - 1))
    end = np.append(begin[1:], len(table)) - 1 if len(table) else begin
    order = np.lexsort((table.id[begin], table.frame[begin]))
    return table, begin[order], end[order]


def tracklets(table: MotTable, window: float) -> Tracklets:
    """The ends of every id; ``window`` in frames, at least two boxes are looked at."""
    table, begin, end = by_beginning(table)
    reach = max(int(window), 1)  # rows from one edge of a window to the other
    edges = np.stack((begin, end), 1)
    lower = np.stack((begin, np.maximum(end - reach, begin)), 1)  # (K, 2) first row of each window
    upper = np.stack((np.minimum(begin + reach, end), end), 1)  # and the last
    centre = (table.xyxy[:, :2] + table.xyxy[:, 2:]) / 2
    spans = np.maximum(table.frame[upper] - table.frame[lower], 1)[:, :, None]
    total = np.append(0, np.cumsum(table.xyxy[:, 3] - table.xyxy[:, 1]))
    return Tracklets(
        table.id[begin],
        table.class_id[begin],
        table.frame[edges],
        centre[edges],
        (centre[upper] - centre[lower]) / spans,
        (total[upper + 1] - total[lower]) / (upper + 1 - lower),
    )


def candidates(ends: Tracklets, config: LinkConfig, fps: float) -> list[Links]:
    """The pairs inside every limit, as rows; ordered by the earlier, then the later."""
    start = np.searchsorted(ends.frame[:, 0], ends.frame[:, 1], side="right")
    stop = np.searchsorted(ends.frame[:, 0], ends.frame[:, 1] + config.gap * fps + 1e-9, side="right")
    found = [none_linked()]
    for row, col in pairs(start, stop, CHUNK):
        cost = pair_cost(ends, row, col, config, fps)
        near = cost < config.cost
        found.append(Links(row[near], col[near], cost[near]))
    return found


def pairs(start: np.ndarray, stop: np.ndarray, most: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each row k with each of start[k] ... stop[k] - 1, in order, about ``most`` at a time."""
    for rows in chunks(stop - start, most):
        n = (stop - start)[rows]
        yield np.repeat(rows, n), np.arange(n.sum()) + np.repeat(start[rows] - (np.cumsum(n) - n), n)


def chunks(count: np.ndarray, most: int) -> Iterator[np.ndarray]:
    """Rows in order, cut where their counts would add up to more than ``most``; rows that count 0 are left out."""
    rows = np.flatnonzero(count)
    part = np.cumsum(count[rows]) // most
    return iter(np.split(rows, np.flatnonzero(np.diff(part)) + 1) if len(rows) else [])


def pair_cost(
    ends: Tracklets, row: np.ndarray, col: np.ndarray, config: LinkConfig, fps: float
) -> np.ndarray:
    """(P,) mean of the parts, each as a share of its limit; +inf beyond a limit or across classes."""
    gap = (ends.frame[col, 0] - ends.frame[row, 1]).astype(np.float64)
    height, later = ends.height[row, 1], ends.height[col, 0]
    across = ends.centre[col, 0] - ends.centre[row, 1]
    ahead = across - ends.speed[row, 1] * gap[:, None]  # the earlier goes on, and misses the later by this
    back = across - ends.speed[col, 0] * gap[:, None]  # the later is followed back
    miss = (np.linalg.norm(ahead, axis=1) + np.linalg.norm(back, axis=1)) / (height + later)
    size = np.abs(np.log(later / height))
    parts = np.stack((gap / fps / config.gap, miss / config.distance, size / np.log(config.size)))
    inside = (parts <= 1 + 1e-9).all(0) & (ends.class_id[row] == ends.class_id[col])
    return np.where(inside, parts.mean(0), np.inf)
