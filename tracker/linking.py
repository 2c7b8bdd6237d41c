"""Tracklet linking: the ids that a tracker gave one person are joined, offline, over the whole sequence.

The idea is AFLink's (StrongSORT, Du 2023, arXiv 2202.13514, sec. 3.4): who ends, and who begins soon after and
near enough. AFLink judges a pair by a small network; here it is judged by time, by how far apart the two are when
each is continued across the gap, by size and, where it is known, by appearance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from configs import InputError
from tracker.association import solve
from tracker.data import MotTable

CHUNK = 1 << 17  # pairs looked at in one go: some 30 MB, whatever the number of tracklets


@dataclass(frozen=True, slots=True)
class LinkLimits:
    """What two tracklets may differ by and still be one person; beyond any of these they are never joined."""

    gap: float = 1.0  # s from the last box of one to the first of the other
    distance: float = 1.0  # box heights between where one is expected and where the other is
    size: float = 1.6  # ratio of their heights, either way
    appearance: float = 0.3  # cosine distance of their mean vectors
    cost: float = 0.5  # mean of the four, each as a share of its limit
    window: float = 0.5  # no limit: s of boxes beside the gap from which velocity and height are taken


@dataclass(frozen=True, slots=True)
class Merge:
    """Two tracklets that became one. ``kept`` may itself be ``gone`` in another entry."""

    kept: int  # id of the earlier
    gone: int  # id of the later
    last: int  # frame (0-based) of the last box of the earlier
    first: int  # frame of the first box of the later
    cost: float  # in [0, 1), small = sure


@dataclass(frozen=True, slots=True)
class Tracklets:
    """The ends of K tracklets, ordered by first frame, then id; an axis of two is (begin, end)."""

    id: np.ndarray  # (K,) int64
    class_id: np.ndarray  # (K,) int64
    boxes: np.ndarray  # (K,) int64, how many
    frame: np.ndarray  # (K, 2) int64
    centre: np.ndarray  # (K, 2, 2) px
    velocity: np.ndarray  # (K, 2, 2) px a frame, over the window
    height: np.ndarray  # (K, 2) px, mean over the window
    look: np.ndarray  # (K, D) unit rows, zero where unknown


Pairs = tuple[
    np.ndarray, np.ndarray, np.ndarray
]  # row (the earlier), col (the later), cost; by row, then col


def link(
    table: MotTable,
    fps: float,
    limits: LinkLimits | None = None,
    appearance: Mapping[int, np.ndarray] | None = None,
) -> tuple[MotTable, list[Merge]]:
    """Join tracklets of one person: a gated global assignment, again until nothing changes.

    A pair is looked at when one begins after the other has ended, at most ``gap`` later, in the same class: two
    that overlap in time never become one. Each end is joined to at most one beginning, so that the sum of
    ``limits.cost - cost`` is largest (:func:`tracker.association.solve`).

    Args:
        table: a whole sequence's result, no id twice in a frame.
        fps: frames a second.
        limits: see :class:`LinkLimits`.
        appearance: id -> (D,) mean vector of its boxes, of any norm; ids may be missing.

    Returns:
        The table, sorted by frame, then id, in which all of a person's boxes have the id that began first; and
        what was merged, in that order.

    Raises:
        InputError: appearance vectors that are not finite or of several lengths.
    """
    limits = limits or LinkLimits()
    order = np.lexsort((table.frame, table.id))
    table, look = table.take(order), dict(appearance or {})
    log: list[Merge] = []
    while len(table):
        ends = tracklets(table, limits.window * fps, look)
        row, col, cost = best(*candidates(ends, limits, fps), limits.cost)
        if not len(row):
            break
        facts = (ends.id[row], ends.id[col], ends.frame[row, 1], ends.frame[col, 0], cost)
        log += [Merge(*one) for one in zip(*(fact.tolist() for fact in facts), strict=True)]
        table, look = merged(table, ends, row, col)
    return table.take(np.lexsort((table.id, table.frame))), log


def tracklets(table: MotTable, window: float, appearance: Mapping[int, np.ndarray]) -> Tracklets:
    """The ends of every id of a table sorted by id, then frame; ``window`` in frames."""
    begin = np.flatnonzero(np.diff(table.id, prepend=table.id[0] - 1))
    end = np.append(begin[1:], len(table)) - 1
    order = np.lexsort((table.id[begin], table.frame[begin]))
    begin, end = begin[order], end[order]
    # The other edge of each window: the last row inside it, counted from the begin, and the first from the end.
    key = np.cumsum(np.diff(table.id, prepend=table.id[0]) != 0) * (table.frame.max() + 2) + table.frame
    base = key[begin] - table.frame[begin]
    until = np.searchsorted(key, base + np.floor(table.frame[begin] + window), side="right") - 1
    since = np.searchsorted(
        key, base + np.ceil(table.frame[end] - window).clip(table.frame[begin]), side="left"
    )
    until = np.minimum(until, end)
    lower, upper = np.stack((begin, since), 1), np.stack((until, end), 1)  # (K, 2) rows
    centre = (table.xyxy[:, :2] + table.xyxy[:, 2:]) / 2
    spans = np.maximum(table.frame[upper] - table.frame[lower], 1)[:, :, None]
    total = np.append(0, np.cumsum(table.xyxy[:, 3] - table.xyxy[:, 1]))
    edges = np.stack((begin, end), 1)
    return Tracklets(
        table.id[begin],
        table.class_id[begin],
        end - begin + 1,
        table.frame[edges],
        centre[edges],
        (centre[upper] - centre[lower]) / spans,
        (total[upper + 1] - total[lower]) / (upper + 1 - lower),
        unit_rows(table.id[begin], appearance),
    )


def unit_rows(ids: np.ndarray, appearance: Mapping[int, np.ndarray]) -> np.ndarray:
    """(K, D) unit vectors of the ids, zero where unknown; D is 0 where nothing is known."""
    known = {i: np.asarray(appearance[i], np.float64) for i in ids.tolist() if i in appearance}
    shapes = {vector.shape for vector in known.values()}
    if len(shapes) > 1 or any(len(shape) != 1 for shape in shapes):
        raise InputError(
            f"appearance must be id -> vector (D,), of one length D; got shapes {sorted(shapes)}"
        )
    rows = np.zeros((len(ids), *(shapes.pop() if shapes else (0,))))
    for k, i in enumerate(ids.tolist()):
        if i in known:
            rows[k] = known[i]
            if not np.isfinite(rows[k]).all():
                raise InputError(f"appearance of id {i} must be finite")
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, norm, out=np.zeros_like(rows), where=norm > 0)


def candidates(ends: Tracklets, limits: LinkLimits, fps: float) -> Pairs:
    """All pairs inside every limit but the last, with their cost. Looks at CHUNK pairs at a time."""
    start = np.searchsorted(ends.frame[:, 0], ends.frame[:, 1], side="right")
    stop = np.searchsorted(ends.frame[:, 0], ends.frame[:, 1] + limits.gap * fps, side="right")
    count = stop - start
    found = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    for rows in chunks(count):
        n = count[rows]
        row = np.repeat(rows, n)
        col = np.arange(len(row)) + np.repeat(start[rows] - (np.cumsum(n) - n), n)
        cost = pair_cost(ends, row, col, limits, fps)
        inside = np.flatnonzero(np.isfinite(cost))
        found.append((row[inside], col[inside], cost[inside]))
    row, col, cost = (np.concatenate(part) for part in zip(*found, strict=True))
    return row, col, cost


def chunks(count: np.ndarray) -> Iterator[np.ndarray]:
    """Rows in order, cut where their counts would add up to more than CHUNK; rows without pairs are left out."""
    rows = np.flatnonzero(count)
    part = np.cumsum(count[rows]) // CHUNK
    return iter(np.split(rows, np.flatnonzero(np.diff(part)) + 1) if len(rows) else [])


def pair_cost(
    ends: Tracklets, row: np.ndarray, col: np.ndarray, limits: LinkLimits, fps: float
) -> np.ndarray:
    """(P,) mean of the parts, each as a share of its limit; +inf beyond a limit or across classes."""
    gap = (ends.frame[col, 0] - ends.frame[row, 1]).astype(np.float64)
    height, later = ends.height[row, 1], ends.height[col, 0]
    across = ends.centre[col, 0] - ends.centre[row, 1]
    ahead = across - ends.velocity[row, 1] * gap[:, None]  # the earlier goes on, and misses the later by this
    back = across - ends.velocity[col, 0] * gap[:, None]  # the later is followed back
    miss = (np.linalg.norm(ahead, axis=1) + np.linalg.norm(back, axis=1)) / (height + later)
    parts = np.stack(
        (
            gap / fps / limits.gap,
            miss / limits.distance,
            np.abs(np.log(later / height)) / np.log(limits.size),
        )
    )
    total, terms = parts.sum(0), np.full(len(row), len(parts))
    inside = (parts <= 1).all(0) & (ends.class_id[row] == ends.class_id[col])
    if ends.look.shape[1]:
        unlike = (1 - np.einsum("pd,pd->p", ends.look[row], ends.look[col])) / limits.appearance
        known = ends.look[row].any(1) & ends.look[col].any(1)
        inside &= ~known | (unlike <= 1)
        total, terms = total + np.where(known, unlike, 0), terms + known
    return np.where(inside, total / terms, np.inf)


def best(row: np.ndarray, col: np.ndarray, cost: np.ndarray, limit: float) -> Pairs:
    """The one-to-one pairs below ``limit`` of largest total ``limit - cost``."""
    usable = np.flatnonzero(cost < limit)
    row, col, cost = row[usable], col[usable], cost[usable]
    rows, cols = solve(row, col, limit - cost)
    width = int(col.max(initial=0)) + 1
    return rows, cols, cost[np.searchsorted(row * width + col, rows * width + cols)]


def merged(
    table: MotTable, ends: Tracklets, row: np.ndarray, col: np.ndarray
) -> tuple[MotTable, dict[int, np.ndarray]]:
    """The table with each later tracklet under the first id of its chain, sorted by id, then frame; and the
    mean vectors of the new tracklets, weighted by boxes."""
    root = np.arange(len(ends.id))
    root[col] = row  # always an earlier one, so following ends
    while (root != root[root]).any():
        root = root[root]
    by_id = np.argsort(ends.id)
    new = ends.id[root[by_id]][np.searchsorted(ends.id[by_id], table.id)]
    sums = np.zeros_like(ends.look)
    np.add.at(sums, root, ends.look * ends.boxes[:, None])
    look = {int(ends.id[k]): sums[k] for k in np.flatnonzero(sums.any(1))}
    order = np.lexsort((table.frame, new))
    return replace(table, id=new).take(order), look
