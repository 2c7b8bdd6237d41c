"""Reconnecting: tracklets of people who look the same are joined, offline, across gaps too long for motion.

Two rules keep it honest. A distance counts in units of the video: people who are there at the same time are
different people, so the mean distance between their looks is what "different" means to this network here. And who
left the picture is not joined with who comes in: MOTChallenge's ground truth gives a person who returns another
identity (PETS09-S2L1, for one), so the joins that looks are surest of would be the wrong ones there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from retrace.configs import InputError
from retrace.configs.loader import Strict
from retrace.tracker.config import Seconds
from retrace.tracker.data import Detections, MotTable, Tracks
from retrace.tracker.offline.linking import (
    Links,
    Positive,
    assigned,
    by_beginning,
    none_linked,
    pairs,
    renamed,
)
from retrace.tracker.tracks.appearance import ALIKE

PAIRS = 1 << 13  # compared in one go: 32 MB of vectors of 512


class ReconnectConfig(Strict):
    """What two tracklets may differ by and still be one person; beyond any of these they are never joined."""

    gap: Annotated[Seconds, Field(gt=0)]  # from the last box of one to the first of the other
    distance: Positive  # between their mean vectors; 1 is the mean of people who are there at the same time
    # Widths of the box that must lie between it and every edge of the picture, or he left, or came in; null: who
    # returns keeps his identity.
    edge: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """What K tracklets look like."""

    id: np.ndarray  # (K,) int64, ascending
    total: np.ndarray  # (K, D) float64, sum of the vectors of its boxes
    count: np.ndarray  # (K,) int64, of how many, above 0

    def __len__(self) -> int:
        return len(self.id)

    @classmethod
    def of(cls, ids: np.ndarray, vectors: np.ndarray, count: np.ndarray | None = None) -> Looks:
        """Added up by id: ids (R,), vectors (R, D), each the sum of ``count`` (R,), default 1; zero rows are
        unknown.

        Raises:
            InputError: vectors that are not finite.
        """
        if not np.isfinite(vectors).all():
            raise InputError("appearance vectors must be finite")
        known = vectors.any(1)
        found, row = np.unique(ids[known], return_inverse=True)
        total, number = np.zeros((len(found), vectors.shape[1])), np.zeros(len(found), np.int64)
        np.add.at(total, row, vectors[known])
        np.add.at(number, row, 1 if count is None else count[known])
        return cls(found, total, number)

    def joined(self, links: Links) -> Looks:
        """The looks of what the links make of these ids."""
        return Looks.of(renamed(self.id, links), self.total, self.count)

    def directions(self, ids: np.ndarray) -> np.ndarray:
        """(len(ids), D) float32 unit rows, zero where unknown."""
        rows = np.zeros((len(ids), self.total.shape[1]), np.float32)
        _, here, there = np.intersect1d(ids, self.id, assume_unique=True, return_indices=True)
        norm = np.linalg.norm(self.total[there], axis=1, keepdims=True)
        rows[here] = self.total[there] / np.maximum(norm, 1e-12)
        return rows


class LooksSoFar:
    """Looks of a tracker's identities, gathered frame by frame.

    Only boxes that score ``least`` count, as in the tracker's own memory: what scores low is mostly somebody
    else's shoulder.
    """

    def __init__(self, least: float) -> None:
        self._least = least
        self._total = np.zeros((0, 0))  # row: identity; more rows than there are
        self._count = np.zeros(0, np.int64)

    def take(self, tracks: Tracks, detections: Detections) -> None:
        """Take in a frame; both as the tracker took and gave them."""
        seen = (tracks.det_index >= 0) & (tracks.score >= self._least)
        if detections.embedding is None or not seen.any():
            return
        order = np.argsort(detections.index)
        row = order[np.searchsorted(detections.index, tracks.det_index[seen], sorter=order)]
        vectors = detections.embedding[row]
        ids = tracks.id[seen]
        self._grow(int(ids.max()) + 1, vectors.shape[1])
        self._total[ids] += vectors
        self._count[ids] += vectors.any(1)

    def _grow(self, rows: int, dimension: int) -> None:
        have = len(self._count)
        if rows > have:
            total, count = np.zeros((2 * rows, dimension)), np.zeros(2 * rows, np.int64)
            if have:
                total[:have], count[:have] = self._total, self._count
            self._total, self._count = total, count

    def looks(self) -> Looks:
        ids = self._count.nonzero()[0]
        return Looks(ids, self._total[ids], self._count[ids])

    def state_dict(self) -> dict[str, np.ndarray]:
        looks = self.looks()
        return {"id": looks.id, "total": looks.total, "count": looks.count}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        ids, total = state["id"], state["total"]
        self._total, self._count = np.zeros((0, 0)), np.zeros(0, np.int64)
        if len(ids):
            self._grow(int(ids.max()) + 1, total.shape[1])
            self._total[ids], self._count[ids] = total, state["count"]


def find_reconnections(
    table: MotTable, fps: float, config: ReconnectConfig, looks: Looks, size: tuple[int, int]
) -> Links:
    """Who is who by looks: a gated global assignment of ends to beginnings.

    A pair is looked at when one begins after the other has ended, at most ``config.gap`` later, in the same
    class, and neither end lies at the edge of the picture. Each end is given at most one beginning, so that the
    sum of ``config.distance - distance`` is largest. Where no two people whose looks are known are there at the
    same time, or the network tells nobody apart, there is no unit and nobody is joined.

    Args:
        table: a whole sequence's result in any order, no id twice in a frame.
        fps: frames a second.
        config: the limits.
        looks: of ids of the table; some may be missing.
        size: px, (height, width) of the picture.
    """
    table, begin, end = by_beginning(table)
    ids, kinds = table.id[begin], table.class_id[begin]
    first, last = table.frame[begin], table.frame[end]
    rows = looks.directions(ids)
    entered, left = (at_edge(table.xyxy[place], size, config.edge) for place in (begin, end))

    def compared(start: np.ndarray, stop: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Pairs of one class whose looks are known, and their distance."""
        known = np.asarray(rows.any(1))
        for a, b in pairs(start, np.where(known, stop, start), PAIRS):
            fit = known[b] & (kinds[a] == kinds[b])
            a, b = a[fit], b[fit]
            yield a, b, 1 - np.einsum("pd,pd->p", rows[a], rows[b]).astype(np.float64)

    after = np.searchsorted(first, last, side="right")  # who begins when this one has ended
    unit = typical(compared(np.arange(len(ids)) + 1, after))
    if not unit > ALIKE:
        return none_linked()
    stop = np.searchsorted(first, last + config.gap * fps + 1e-9, side="right")
    found = [none_linked()]
    for a, b, distance in compared(after, np.where(left, after, stop)):
        near = ~entered[b] & (distance < config.distance * unit)
        found.append(Links(a[near], b[near], distance[near] / unit))
    return assigned(found, ids, config.distance)


def typical(compared: Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> float:
    """The mean distance of the pairs; NaN: there is none."""
    total, count = 0.0, 0
    for _, _, distance in compared:
        total, count = total + float(distance.sum()), count + len(distance)
    return total / count if count else np.nan


def at_edge(xyxy: np.ndarray, size: tuple[int, int], edge: float | None) -> np.ndarray:
    """(K,) bool: less than ``edge`` widths of the box (K, 4) lie between it and an edge; null: nobody is there."""
    if edge is None:
        return np.zeros(len(xyxy), bool)
    height, width = size
    room = np.minimum(xyxy[:, :2], (width, height) - xyxy[:, 2:]).min(1)
    return room < edge * (xyxy[:, 2] - xyxy[:, 0])
