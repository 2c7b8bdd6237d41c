"""Every vector compared, in this process: the default, and the judge of all others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from retrace.configs import InputError
from retrace.tracker.memory.engines.engine import EVERYWHERE, SLACK, Rows, Where, ranked
from retrace.tracker.memory.nearest import nearest

BLOCK = 8_192  # vectors gathered at once where a search is narrowed: 16 MB at 512 numbers
AT_ONCE = 2**24  # numbers weighed again at once

# (K, D) and (N, D) float32, most -> (K, min(most, N)) places of the greatest float32 cosines, and those, in no order
Scan = Callable[[np.ndarray, np.ndarray, int], tuple[np.ndarray, np.ndarray]]


@dataclass(slots=True, eq=False)
class Labels:
    """All of `Rows` but the vectors, in arrays that grow; what was removed keeps its place until :meth:`squeeze`."""

    size: int = 0  # N; the arrays have room for more
    id: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    check: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    camera: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    begin: np.ndarray = field(default_factory=lambda: np.zeros(0))
    end: np.ndarray = field(default_factory=lambda: np.zeros(0))
    here: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))  # not removed

    def add(self, rows: Rows) -> None:
        start, self.size = self.size, self.size + len(rows.id)
        for name in ("id", "check", "camera", "begin", "end"):
            grown = with_room(getattr(self, name), self.size)
            grown[start : self.size] = getattr(rows, name)
            setattr(self, name, grown)
        self.here = with_room(self.here, self.size)
        self.here[start : self.size] = True

    def remove(self, ids: np.ndarray) -> None:
        self.here[: self.size] &= ~np.isin(self.id[: self.size], ids)

    def squeeze(self, keep: np.ndarray) -> None:
        """Only the places ``keep`` (M,) stay, in that order."""
        for name in ("id", "check", "camera", "begin", "end", "here"):
            setattr(self, name, getattr(self, name)[keep])
        self.size = len(keep)

    def fitting(self, where: Where) -> np.ndarray | None:
        """(M,) places of those that are here and fit; None: all of them."""
        there = slice(0, self.size)
        fits = self.here[there]
        if where.since is not None:
            fits = fits & (self.end[there] >= where.since)
        if where.until is not None:
            fits = fits & (self.begin[there] <= where.until)
        if where.cameras is not None:
            fits = fits & np.isin(self.camera[there], where.cameras)
        return None if fits.all() else fits.nonzero()[0]


class Exact:
    """A gallery in one array.

    Args:
        dimension: D, numbers of a vector.
        scan: what compares: NumPy, or faiss's kernel (`hnsw.flat_scan`); answers are the same.

    Example:
        >>> import numpy as np
        >>> from retrace.tracker.memory.engines import Exact, Where, rows_of
        >>> engine = Exact(dimension=2)
        >>> begin, end = np.array([[0.0, 8.0], [5.0, 9.0]])  # s
        >>> engine.add(rows_of(np.array([7, 8]), np.array([0, 1]), begin, end, np.eye(2)))
        >>> ids, cosine = engine.search(np.array([[0.6, 0.8]], np.float32), most=2)  # (K, D), K = 1
        >>> ids.tolist(), cosine.round(3).tolist()
        ([[8, 7]], [[0.8, 0.6]])
        >>> engine.search(np.array([[0.6, 0.8]], np.float32), 2, Where(cameras=(0,)))[0].tolist()  # -1: no more
        [[7, -1]]
    """

    def __init__(self, dimension: int, scan: Scan = nearest) -> None:
        self._scan, self._labels = scan, Labels()
        self._vector = np.zeros((0, dimension), np.float32)

    def add(self, rows: Rows) -> None:
        """Hold these too; none of their ids may be there.

        Raises:
            InputError: vectors of another dimension; nothing has changed then.
        """
        if rows.vector.shape[1:] != self._vector.shape[1:]:
            raise InputError(
                f"expected vectors of {self._vector.shape[1]} numbers, got shape {rows.vector.shape}"
            )
        start = self._labels.size
        self._labels.add(rows)
        self._vector = with_room(self._vector, self._labels.size)
        self._vector[start : self._labels.size] = rows.vector

    def remove(self, ids: np.ndarray) -> None:
        """Let go of these (N,) int64; one that is not there is no error."""
        self._labels.remove(ids)
        keep = self._labels.here[: self._labels.size].nonzero()[0]
        if len(keep) < self._labels.size:
            self._labels.squeeze(keep)
            self._vector = self._vector[keep]

    def search(
        self, vectors: np.ndarray, most: int, where: Where = EVERYWHERE
    ) -> tuple[np.ndarray, np.ndarray]:
        """(K, most) ids and (K, most) cosines of the nearest to (K, D) float32 unit, see :meth:`Engine.search`."""
        gallery, rows = self._vector[: self._labels.size], self._labels.fitting(where)

        def near(asked: np.ndarray, ask: int) -> tuple[np.ndarray, np.ndarray]:
            return _scanned(self._scan, asked, gallery, rows, ask)

        count = len(gallery) if rows is None else len(rows)
        return exactly(near, count, vectors, gallery, self._labels, most)

    def held(self) -> tuple[np.ndarray, np.ndarray]:
        """(N,) ids and (N,) checksums, in no order."""
        return self._labels.id[: self._labels.size], self._labels.check[: self._labels.size]

    def flush(self) -> None:
        """Nothing lies anywhere else."""

    def close(self) -> None:
        """Nothing is open."""


def exactly(
    near: Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]],
    count: int,
    vectors: np.ndarray,
    gallery: np.ndarray,
    labels: Labels,
    most: int,
) -> tuple[np.ndarray, np.ndarray]:
    """As :meth:`Engine.search`, by a scan in float32.

    Its cosines are off by D units in the last place at most. It is asked for more until whoever it left out is less by
    more than that than the last one that is answered.

    Args:
        near: (K, D) vectors, A -> (K, A) places of the greatest cosines and those, as the scan sees them, in no order.
        count: how many it compares; A is no more.
        vectors: (K, D).
        gallery: (N, D) float16 or float32.
        labels: the gallery's.
        most: see there.
    """
    if not len(vectors):
        return np.zeros((0, most), np.int64), np.zeros((0, most))
    vectors = np.ascontiguousarray(vectors, np.float32)
    off = 2.0 * gallery.shape[1] * 2.0**-24
    ask = min(count, most + SLACK)
    while True:
        place, fast = near(vectors, ask)
        ids, cosine = _weighed(vectors, gallery, labels, place, most)
        if ask == count or (fast.min(1) < cosine[:, most - 1] - off).all():
            return ids, cosine
        ask = min(count, 4 * ask)


def _weighed(
    vectors: np.ndarray, gallery: np.ndarray, labels: Labels, place: np.ndarray, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """:func:`ranked`, a few of the K at a time."""
    step = max(1, AT_ONCE // max(1, place.shape[1] * gallery.shape[1]))
    parts = [
        ranked(vectors[k : k + step], labels.id[place[k : k + step]], gallery[place[k : k + step]], most)
        for k in range(0, max(1, len(vectors)), step)
    ]
    ids, cosine = zip(*parts, strict=True)
    return np.concatenate(ids), np.concatenate(cosine)


def _scanned(
    scan: Scan, vectors: np.ndarray, gallery: np.ndarray, rows: np.ndarray | None, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """(K, most) places and float32 cosines; of some rows, gathered a block at a time."""
    if rows is None:
        return scan(vectors, gallery, most)
    place: np.ndarray = np.zeros((len(vectors), 0), np.int64)
    cosine: np.ndarray = np.zeros((len(vectors), 0), np.float32)
    for start in range(0, len(rows), BLOCK):
        some = rows[start : start + BLOCK]
        here, now = scan(vectors, gallery[some], most)
        place = np.concatenate((place, some[here]), axis=1)
        cosine = np.concatenate((cosine, now), axis=1)
        if place.shape[1] > most:
            keep = np.argpartition(-cosine, most - 1, axis=1)[:, :most]
            place, cosine = np.take_along_axis(place, keep, axis=1), np.take_along_axis(cosine, keep, axis=1)
    return place, cosine


def with_room(array: np.ndarray, size: int) -> np.ndarray:
    """The array, or a copy with room for half as much again, where ``size`` rows do not fit."""
    if size <= len(array):
        return array
    grown = np.zeros(
        (size if not len(array) else max(size, len(array) * 3 // 2), *array.shape[1:]), array.dtype
    )
    grown[: len(array)] = array
    return grown
