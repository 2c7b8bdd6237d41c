"""Whom tracklets look like: the people of the most similar mean vectors, exactly, and right while people change."""

from __future__ import annotations

import numpy as np

from retrace.tracker.memory.people import People

MOST = 32  # people by looks who are asked when they were last seen; all others are too unlike
BLOCK = 8_192  # people compared at once: what bounds the room that a window takes
GROUP = 32  # columns of which only the best is looked at first


def nearest(vectors: np.ndarray, people: np.ndarray, most: int = MOST) -> tuple[np.ndarray, np.ndarray]:
    """The ``most`` people of the greatest cosine, in no order.

    Args:
        vectors: (K, D) float32 unit.
        people: (P, D) float32 unit, or 0.

    Returns:
        (K, min(most, P)) int64 rows of people, and their cosines, float32.
    """
    row: np.ndarray = np.zeros((len(vectors), 0), np.int64)
    cosine: np.ndarray = np.zeros((len(vectors), 0), np.float32)
    # one for all: pages that are new cost more
    room = np.empty(len(vectors) * min(BLOCK, len(people)), np.float32)
    for start in range(0, len(people), BLOCK):
        some = people[start : start + BLOCK]
        now = np.matmul(
            vectors, some.T, out=room[: len(vectors) * len(some)].reshape(len(vectors), len(some))
        )
        column = top(now, most)
        row = np.concatenate((row, column + start), axis=1)
        cosine = np.concatenate((cosine, np.take_along_axis(now, column, axis=1)), axis=1)
        if row.shape[1] > most:
            keep = np.argpartition(-cosine, most - 1, axis=1)[:, :most]
            row, cosine = np.take_along_axis(row, keep, axis=1), np.take_along_axis(cosine, keep, axis=1)
    return row, cosine


def top(score: np.ndarray, most: int) -> np.ndarray:
    """(K, min(most, P)) columns of the greatest of each row of (K, P), in no order.

    Whoever is among the first ``most`` is in one of the ``most`` groups of the greatest maxima, so most columns are
    read once and never sorted.
    """
    count = score.shape[1]
    groups = count // GROUP
    if groups <= most:
        keep = min(most, count)
        return (
            np.argpartition(-score, keep - 1, axis=1)[:, :keep] if count else np.zeros(score.shape, np.int64)
        )
    best = score[:, : groups * GROUP].reshape(len(score), GROUP, groups).max(1)
    # (K, most); group g has the columns g, g + groups, ...
    group = np.argpartition(-best, most - 1, axis=1)[:, :most]
    column = (group[:, :, None] + groups * np.arange(GROUP)).reshape(len(score), -1)
    rest = np.broadcast_to(np.arange(groups * GROUP, count), (len(score), count - groups * GROUP))
    column = np.concatenate((column, rest), axis=1)
    keep = np.argpartition(-np.take_along_axis(score, column, axis=1), most - 1, axis=1)[:, :most]
    return np.take_along_axis(column, keep, axis=1)


class Nearest:
    """The candidates of one window's tracklets. Everybody is compared once, when the window begins; whom its decisions
    have changed or added is compared anew."""

    def __init__(self, people: People, rows: np.ndarray) -> None:
        """
        Args:
            people: all, as they are when the window begins.
            rows: (K,) of the tracklets to be decided.
        """
        self._people, self._place = people, {int(row): k for k, row in enumerate(rows)}
        self._row, self._cosine = nearest(people.directions_of(rows), people.directions())
        self.changed: set[int] = set()  # rows of people

    def of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(K, C) rows of people, and their distances from tracklets ``rows``, 1 - cosine; inf: he is there twice."""
        place = [self._place[int(row)] for row in rows]
        changed = np.array(sorted(self.changed), np.int64)
        row, cosine = self._row[place], self._cosine[place]
        cosine[np.isin(row, changed)] = -np.inf
        now = self._people.directions_of(np.asarray(rows)) @ self._people.mean[changed].T
        row = np.concatenate((row, np.broadcast_to(changed, now.shape)), axis=1)
        return row, 1.0 - np.concatenate((cosine, now), axis=1).astype(np.float64)
