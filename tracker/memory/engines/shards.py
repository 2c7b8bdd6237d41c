"""Several engines as one: by groups of cameras, or by time. Never by person: a shard would have to know who is who."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from retrace.tracker.memory.engines.engine import EVERYWHERE, Engine, Rows, Where, in_order

Place = Callable[[Rows], np.ndarray]  # N rows -> (N,) which engine holds each


def by_camera(groups: Sequence[int]) -> Place:
    """Camera number c is held by engine ``groups[c]``; later cameras go round in turn."""

    def place(rows: Rows) -> np.ndarray:
        count = max(groups) + 1
        told = np.concatenate(
            (np.asarray(groups), np.arange(len(groups), int(rows.camera.max()) + 1) % count)
        )
        return told[rows.camera]

    return place


def by_time(shards: int, seconds: float) -> Place:
    """Each stretch of ``seconds`` s on the memory's clock is held by the next of ``shards`` engines."""
    return lambda rows: (rows.begin // seconds).astype(np.int64) % shards


class Shards:
    """See `Engine`. Exact engines give what one exact engine with all of it would, to the last bit: a cosine depends
    on nothing but its two vectors, and the order on nothing but cosines and ids.

    Args:
        engines: that hold a part each.
        place: which part a row belongs to: :func:`by_camera`, :func:`by_time`.
    """

    def __init__(self, engines: Sequence[Engine], place: Place) -> None:
        self._engines, self._place = engines, place

    def add(self, rows: Rows) -> None:
        if not len(rows.id):
            return
        where = self._place(rows)
        for k, engine in enumerate(self._engines):
            engine.add(rows.take(where == k))

    def remove(self, ids: np.ndarray) -> None:
        for engine in self._engines:
            engine.remove(ids)

    def search(
        self, vectors: np.ndarray, most: int, where: Where = EVERYWHERE
    ) -> tuple[np.ndarray, np.ndarray]:
        found = [engine.search(vectors, most, where) for engine in self._engines]
        ids, cosine = (np.concatenate([one[k] for one in found], axis=1) for k in (0, 1))
        return in_order(ids, cosine, most)

    def held(self) -> tuple[np.ndarray, np.ndarray]:
        held = [engine.held() for engine in self._engines]
        return np.concatenate([ids for ids, _ in held]), np.concatenate([checks for _, checks in held])

    def flush(self) -> None:
        for engine in self._engines:
            engine.flush()

    def close(self) -> None:
        for engine in self._engines:
            engine.close()
