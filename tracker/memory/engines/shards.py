"""Several engines as one: by groups of cameras, or by time. Never by person: a shard would have to know who is who."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from retrace.tracker.memory.engines.engine import EVERYWHERE, Engine, Rows, Where, in_order

Place = Callable[[Rows], np.ndarray]  # N rows -> (N,) which engine holds each


def by_camera(groups: Sequence[int]) -> Place:
    """Camera number c is held by engine ``groups[c]``; later cameras go round in turn.

    Example:
        >>> import numpy as np
        >>> from retrace.tracker.memory.engines import by_camera, rows_of
        >>> rows = rows_of(np.arange(4), np.array([0, 1, 2, 3]), np.zeros(4), np.ones(4), np.eye(4))
        >>> by_camera([0, 0, 1])(rows).tolist()  # camera 3 is new
        [0, 0, 1, 1]
    """

    def place(rows: Rows) -> np.ndarray:
        count = max(groups) + 1
        told = np.concatenate(
            (np.asarray(groups), np.arange(len(groups), int(rows.camera.max()) + 1) % count)
        )
        return told[rows.camera]

    return place


def by_time(shards: int, seconds: float) -> Place:
    """Each stretch of ``seconds`` s on the memory's clock is held by the next of ``shards`` engines.

    Example:
        >>> import numpy as np
        >>> from retrace.tracker.memory.engines import by_time, rows_of
        >>> begin = np.array([5.0, 65.0, 125.0])
        >>> by_time(2, 60.0)(rows_of(np.arange(3), np.zeros(3), begin, begin + 1, np.eye(3))).tolist()
        [0, 1, 0]
    """
    return lambda rows: (rows.begin // seconds).astype(np.int64) % shards


class Shards:
    """See `Engine`. Exact engines give what one exact engine with all of it would, to the last bit: a cosine depends
    on nothing but its two vectors, and the order on nothing but cosines and ids.

    Args:
        engines: that hold a part each.
        place: which part a row belongs to: :func:`by_camera`, :func:`by_time`.

    Example:
        >>> import numpy as np
        >>> from retrace.tracker.memory.engines import Exact, Shards, by_camera, rows_of
        >>> engine = Shards([Exact(2), Exact(2)], by_camera([0, 1]))
        >>> begin, end = np.array([[0.0, 8.0], [5.0, 9.0]])  # s
        >>> engine.add(rows_of(np.array([7, 8]), np.array([0, 1]), begin, end, np.eye(2)))
        >>> engine.search(np.array([[0.6, 0.8]], np.float32), most=2)[0].tolist()  # of both
        [[8, 7]]
    """

    def __init__(self, engines: Sequence[Engine], place: Place) -> None:
        self._engines, self._place = engines, place

    def add(self, rows: Rows) -> None:
        """Each row to the engine that holds its part; none of their ids may be there."""
        if not len(rows.id):
            return
        where = self._place(rows)
        for k, engine in enumerate(self._engines):
            engine.add(rows.take(where == k))

    def remove(self, ids: np.ndarray) -> None:
        """Let go of these (N,) int64, wherever they are; one that is not there is no error."""
        for engine in self._engines:
            engine.remove(ids)

    def search(
        self, vectors: np.ndarray, most: int, where: Where = EVERYWHERE
    ) -> tuple[np.ndarray, np.ndarray]:
        """(K, most) ids and (K, most) cosines of the nearest to (K, D) float32 unit, see :meth:`Engine.search`."""
        found = [engine.search(vectors, most, where) for engine in self._engines]
        ids, cosine = (np.concatenate([one[k] for one in found], axis=1) for k in (0, 1))
        return in_order(ids, cosine, most)

    def held(self) -> tuple[np.ndarray, np.ndarray]:
        """(N,) ids and (N,) checksums of all parts, in no order."""
        held = [engine.held() for engine in self._engines]
        return np.concatenate([ids for ids, _ in held]), np.concatenate([checks for _, checks in held])

    def flush(self) -> None:
        """What was added outlives this process, in each engine that has a place for it."""
        for engine in self._engines:
            engine.flush()

    def close(self) -> None:
        """Let go of every engine's files and connections; what was not flushed may be lost."""
        for engine in self._engines:
            engine.close()
