"""Tracklet linking: ids of one person that a tracker took for several are joined, offline, over the whole sequence.

The idea is AFLink's (StrongSORT, Du 2023, arXiv 2202.13514, sec. 3.4): who ends and who begins soon after, near
enough. AFLink judges a pair by a small network; here it is judged by time, by how far apart the two are when
each is continued across the gap, by size and, where it is known, by appearance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from configs import InputError
from tracker.association import solve
from tracker.data import MotTable

CHUNK = 1 << 18  # pairs looked at in one go: some 40 MB, whatever the number of tracklets


@dataclass(frozen=True, slots=True)
class Linking:
    """What a pair may differ by. Beyond any of these limits two tracklets are never joined."""

    max_gap: float = 1.0  # s between the last box of one and the first of the other
    reach: float = 1.0  # box heights between where each is expected and where the other is
    size: float = 1.6  # ratio of their heights, either way
    appearance: float = 0.3  # cosine distance of their mean vectors
    window: float = 0.5  # s of boxes beside the gap that the velocity is taken from
    limit: float = 0.5  # of the cost: the mean of the parts, each as a share of its limit above


@dataclass(frozen=True, slots=True)
class Merge:
    """Two tracklets that became one."""

    kept: int  # id, of the earlier
    gone: int  # id, of the later; its boxes bear ``kept`` now, or whatever that one was merged into
    last: int  # last frame of the earlier, 0-based
    first: int  # first frame of the later
    cost: float  # in [0, 1), small = sure


@dataclass(frozen=True, slots=True)
class Ends:
    """The two ends of K tracklets, ordered by their first frame; index 0 of an axis of two: begin, 1: end."""

    id: np.ndarray  # (K,) int64
    class_id: np.ndarray  # (K,) int64
    frame: np.ndarray  # (K, 2) int64 first and last
    centre: np.ndarray  # (K, 2, 2) px
    velocity: np.ndarray  # (K, 2, 2) px a frame
    height: np.ndarray  # (K, 2) px, mean over the window
    look: np.ndarray  # (K, D) unit rows, zero where unknown
    boxes: np.ndarray  # (K,) int64


def link(
    table: MotTable,
    fps: float,
    settings: Linking | None = None,
    appearance: Mapping[int, np.ndarray] | None = None,
) -> tuple[MotTable, list[Merge]]:
    """Join tracklets of one person: one gated global assignment, again until nothing changes.

    A pair (i, j) is looked at when j begins after i has ended, at most ``max_gap`` later, and the classes are
    equal: two that overlap in time never become one. Its cost is the mean of time, distance and size, each
    divided by its limit, and of the appearance distance where both vectors are known. Each end is joined to at
    most one beginning, so that the sum of ``limit - cost`` is largest (tracker.association.solve).

    Args:
        table: a whole sequence's result.
        fps: frames a second.
        settings: limits; default: :class:`Linking`'s.
        appearance: id -> (D,) mean vector of its boxes, of any length; ids may be missing.

    Returns:
        The table with the earlier id for each merged pair, sorted by frame, id; and what was merged, in order.

    Raises:
        InputError: fps not positive, an id twice in a frame, a limit out of range, or vectors that are not
            finite or of several lengths.
    """
    settings = checked(settings or Linking(), fps)
    t = by_id(table)
    look, log = dict(appearance or {}), []
    while len(ends := find_ends(t, settings.window * fps, look)):
        row, col, cost = candidates(ends, settings, settings.max_gap * fps)
        row, col, cost = best(row, col, cost, settings.limit)
        if not len(row):
            break
        log += [
            Merge(*pair)
            for pair in zip(
                ends.id[row].tolist(),
                ends.id[col].tolist(),
                ends.frame[row, 1].tolist(),
                ends.frame[col, 0].tolist(),
                cost.tolist(),
                strict=True,
            )
        ]
        t, look = merged(t, ends, row, col)
    return t.take(np.lexsort((t.id, t.frame))), log
