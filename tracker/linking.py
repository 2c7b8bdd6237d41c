"""Tracklet linking: the ids that a tracker gave one person are joined, offline, over the whole sequence.

The frame is AFLink's (StrongSORT, Du 2023, arXiv 2202.13514, sec. 3.4): pairs inside a window of time and space,
a cost for each, one global assignment. AFLink's cost is a small network's; here it is the mean of how late, how far
off, how differently sized and, where that is known, how differently looking the second one is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from configs import InputError
from tracker.association import solve
from tracker.config import Seconds, Unit
from tracker.data import MotTable

CHUNK = 1 << 17  # pairs looked at in one go: some 30 MB, whatever the number of tracklets
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class LinkConfig(BaseModel):
    """What two tracklets may differ by and still be one person; beyond any of these they are never joined."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    gap: Annotated[Seconds, Field(gt=0)]  # from the last box of one to the first of the other
    distance: Positive  # box heights between where either is expected across the gap and where the other is
    size: Annotated[float, Field(gt=1, allow_inf_nan=False)]  # ratio of their heights, either way
    appearance: Annotated[float, Field(gt=0, le=2)]  # cosine distance of their mean vectors
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
    look: np.ndarray  # (K, D) unit rows, zero where unknown; D = 0 where nothing is known


@dataclass(frozen=True, slots=True)
class Links:
    """L pairs that are one person, ordered by the first frame of the earlier; a tracklet may be in two."""

    earlier: np.ndarray  # (L,) int64 id
    later: np.ndarray  # (L,) int64 id; each once
    cost: np.ndarray  # (L,) in [0, 1), small = sure


def link(
    table: MotTable, fps: float, config: LinkConfig, appearance: Mapping[int, np.ndarray] | None = None
) -> MotTable:
    """Join the tracklets of one person under the id that began first: :func:`find_links`, then renaming.

    Returns:
        The table, sorted by frame, then id, with as many boxes as before.
    """
    links = find_links(table, fps, config, appearance)
    ids, row = np.unique(table.id, return_inverse=True)
    root = np.arange(len(ids))
    root[np.searchsorted(ids, links.later)] = np.searchsorted(ids, links.earlier)
    while (root != root[root]).any():  # halves every chain; there are no cycles, time runs one way
        root = root[root]
    table = replace(table, id=ids[root[row]])
    return table.take(np.lexsort((table.id, table.frame)))


def find_links(
    table: MotTable, fps: float, config: LinkConfig, appearance: Mapping[int, np.ndarray] | None = None
) -> Links:
    """Who is who: a gated global assignment of ends to beginnings.

    A pair is looked at when one begins after the other has ended, at most ``config.gap`` later, in the same
    class: two that overlap in time are never joined, nor are their chains. Each end is given at most one
    beginning, so that the sum of ``config.cost - cost`` is largest (:func:`tracker.association.solve`).

    Args:
        table: a whole sequence's result in any order, no id twice in a frame.
        fps: frames a second.
        config: the limits.
        appearance: id -> (D,) mean vector of its boxes, of any norm; ids may be missing.

    Raises:
        InputError: appearance vectors that are not finite or of several lengths.
    """
    ends = tracklets(table, config.window * fps, appearance or {})
    row, col, cost = candidates(ends, config, fps)
    rows, cols = solve(row, col, config.cost - cost)
    key, found = row * len(ends.id) + col, rows * len(ends.id) + cols
    return Links(ends.id[rows], ends.id[cols], cost[np.searchsorted(key, found)])


def tracklets(table: MotTable, window: float, appearance: Mapping[int, np.ndarray]) -> Tracklets:
    """The ends of every id; ``window`` in frames, at least two boxes are looked at."""
    table = table.take(np.lexsort((table.frame, table.id)))
    begin = np.flatnonzero(np.diff(table.id, prepend=table.id[:1] - 1))
    end = np.append(begin[1:], len(table)) - 1 if len(table) else begin
    order = np.lexsort((table.id[begin], table.frame[begin]))
    begin, end = begin[order], end[order]
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
        unit_rows(table.id[begin], appearance),
    )


def unit_rows(ids: np.ndarray, appearance: Mapping[int, np.ndarray]) -> np.ndarray:
    """(K, D) unit vectors of the ids, zero where unknown; D is 0 where nothing is known."""
    known = {k: np.asarray(appearance[i], np.float64) for k, i in enumerate(ids.tolist()) if i in appearance}
    shapes = {vector.shape for vector in known.values()}
    if len(shapes) > 1 or any(len(shape) != 1 for shape in shapes):
        raise InputError(f"appearance must be id -> (D,) of one length D, got shapes {sorted(shapes)}")
    rows = np.zeros((len(ids), *(shapes.pop() if shapes else (0,))))
    for k, vector in known.items():
        if not np.isfinite(vector).all():
            raise InputError(f"appearance of id {ids[k]} must be finite")
        rows[k] = vector
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, norm, out=np.zeros_like(rows), where=norm > 0)


def candidates(ends: Tracklets, config: LinkConfig, fps: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pairs inside every limit: row of the earlier, row of the later, cost; ordered by them."""
    start = np.searchsorted(ends.frame[:, 0], ends.frame[:, 1], side="right")
    stop = np.searchsorted(ends.frame[:, 0], ends.frame[:, 1] + config.gap * fps + 1e-9, side="right")
    found = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    for rows in chunks(stop - start):
        n = (stop - start)[rows]
        row = np.repeat(rows, n)
        col = np.arange(len(row)) + np.repeat(start[rows] - (np.cumsum(n) - n), n)
        cost = pair_cost(ends, row, col, config, fps)
        near = cost < config.cost
        found.append((row[near], col[near], cost[near]))
    row, col, cost = (np.concatenate(part) for part in zip(*found, strict=True))
    return row, col, cost


def chunks(count: np.ndarray) -> Iterator[np.ndarray]:
    """Rows in order, cut where their counts would add up to more than CHUNK; rows that count 0 are left out."""
    rows = np.flatnonzero(count)
    part = np.cumsum(count[rows]) // CHUNK
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
    known = ends.look[row].any(1) & ends.look[col].any(1)
    unlike = (1 - np.einsum("pd,pd->p", ends.look[row], ends.look[col])) / config.appearance
    inside = (
        (parts <= 1 + 1e-9).all(0) & (~known | (unlike <= 1)) & (ends.class_id[row] == ends.class_id[col])
    )
    return np.where(inside, (parts.sum(0) + np.where(known, unlike, 0)) / (len(parts) + known), np.inf)
