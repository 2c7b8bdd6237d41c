"""What a vector engine holds and does: six verbs, and one order of answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from zlib import crc32

import numpy as np

NONE = -1  # in place of an id: there was nothing more to find
SLACK = 16  # answers asked for beyond those wanted: a float32 sum may swap two that are nearly equal


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """N vectors, and what a search may be narrowed by; made by :func:`rows_of`.

    Example:
        >>> import numpy as np
        >>> from retrace.tracker.memory.engines import rows_of
        >>> rows = rows_of(np.array([7, 8]), np.array([0, 1]), np.zeros(2), np.array([5.0, 9.0]), np.eye(2))
        >>> rows.take(rows.camera == 1).id.tolist(), rows.take([0]).vector.tolist()
        ([8], [[1.0, 0.0]])
    """

    id: np.ndarray  # (N,) int64 of a tracklet
    check: np.ndarray  # (N,) int64, a checksum of all the rest
    camera: np.ndarray  # (N,) int64 its number in the memory
    begin: np.ndarray  # (N,) float64 s
    end: np.ndarray  # (N,) float64 s
    vector: np.ndarray  # (N, D) float32 unit, of float16's precision, as the file has them

    def take(self, rows: np.ndarray) -> Rows:
        """Some of them, by place or by mask.

        Raises:
            IndexError: a place that is not there, as from NumPy.
        """
        return Rows(*(getattr(self, name)[rows] for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Where:
    """What a search is narrowed to; None: no limit.

    Example:
        >>> import numpy as np
        >>> from retrace.tracker.memory.engines import Exact, Where, rows_of
        >>> engine = Exact(dimension=2)
        >>> engine.add(rows_of(np.array([7, 8]), np.array([0, 1]), np.zeros(2), np.array([5.0, 9.0]), np.eye(2)))
        >>> engine.search(np.eye(2, dtype=np.float32)[:1], 2, Where(since=6.0))[0].tolist()  # 7 had left by then
        [[8, -1]]
    """

    cameras: tuple[int, ...] | None = None  # numbers
    since: float | None = None  # s: whoever was still there
    until: float | None = None  # s: whoever was there already


EVERYWHERE = Where()


class Engine(Protocol):
    """Where vectors are searched.

    Raises:
        InputError: by any method: a server that does not answer, a full disk.

    Example:
        >>> import numpy as np
        >>> from retrace.tracker.memory.engines import Engine, Exact, rows_of
        >>> engine: Engine = Exact(dimension=2)
        >>> engine.add(rows_of(np.array([7, 8]), np.array([0, 1]), np.zeros(2), np.array([5.0, 9.0]), np.eye(2)))
        >>> engine.search(np.array([[0.6, 0.8]], np.float32), most=1)[0].tolist()  # the id of the nearest
        [[8]]
        >>> engine.remove(np.array([8]))
        >>> engine.held()[0].tolist()
        [7]
        >>> engine.flush()  # what was added outlives this process, where the engine has a place for it
        >>> engine.close()
    """

    def add(self, rows: Rows) -> None:
        """Hold these too; none of their ids may be there."""

    def remove(self, ids: np.ndarray) -> None:
        """Let go of these (N,) int64; one that is not there is no error."""

    def search(
        self, vectors: np.ndarray, most: int, where: Where = EVERYWHERE
    ) -> tuple[np.ndarray, np.ndarray]:
        """The ``most`` of the greatest cosine to each of ``vectors`` (K, D) float32 unit, greatest first, the lesser
        id first among equals.

        Returns:
            (K, most) int64 ids, `NONE` where there are no more, and (K, most) float64 cosines, -inf there.
        """

    def held(self) -> tuple[np.ndarray, np.ndarray]:
        """(N,) ids and (N,) checksums of what it holds, in no order."""

    def flush(self) -> None:
        """What was added outlives this process, where the engine has a place for it."""

    def close(self) -> None:
        """Let go of files and connections; what was not flushed may be lost."""


def rows_of(
    ids: np.ndarray, camera: np.ndarray, begin: np.ndarray, end: np.ndarray, vector: np.ndarray
) -> Rows:
    """Rows with their checksums; vectors are rounded to float16, as the memory's file rounds them.

    Args:
        ids, camera: (N,) int64.
        begin, end: (N,) s.
        vector: (N, D) float32 unit.

    Example:
        >>> import numpy as np
        >>> from retrace.tracker.memory.engines import rows_of
        >>> rows = rows_of(np.array([7]), np.array([0]), np.array([5.0]), np.array([9.0]), np.array([[0.6, 0.8]]))
        >>> rows.vector.shape, rows.vector.dtype
        ((1, 2), dtype('float32'))
    """
    half = np.ascontiguousarray(vector, "<f2")
    label = np.stack((np.asarray(camera, "<f8"), np.asarray(begin, "<f8"), np.asarray(end, "<f8")), axis=1)
    told = np.concatenate((label.view(np.uint8), half.view(np.uint8)), axis=1)
    check = [crc32(one) for one in told]  # over rows
    return Rows(
        np.asarray(ids, np.int64),
        np.array(check, np.int64),
        np.asarray(camera, np.int64),
        np.asarray(begin, np.float64),
        np.asarray(end, np.float64),
        half.astype(np.float32),
    )


def ranked(
    vectors: np.ndarray, ids: np.ndarray, found: np.ndarray, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """What every engine answers with: the best of what a fast search has brought, by cosines that depend on nothing
    but the two vectors, so that galleries, shards and machines agree to the last bit.

    Args:
        vectors: (K, D) float32.
        ids: (K, A) int64, `NONE`: none.
        found: (K, A, D) their vectors, float16 or float32.

    Returns:
        as :meth:`Engine.search`.
    """
    cosine = (found.astype(np.float64) * vectors[:, None, :]).sum(2) if ids.size else np.zeros(ids.shape)
    return in_order(ids, np.where(ids == NONE, -np.inf, cosine), most)


def in_order(ids: np.ndarray, cosine: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """The ``most`` first of (K, A) by cosine, then id; filled up with `NONE`."""
    order = np.lexsort((ids, -cosine), axis=1)[:, :most]
    short = ((0, 0), (0, most - order.shape[1]))
    return (
        np.pad(np.take_along_axis(ids, order, 1), short, constant_values=NONE),
        np.pad(np.take_along_axis(cosine, order, 1), short, constant_values=-np.inf),
    )
