"""Vectors with their labels, and a slow twin of every engine."""

from __future__ import annotations

import numpy as np

from retrace.tracker.memory.engines import EVERYWHERE, NONE, Rows, Where, rows_of

D = 32


def gallery(count: int, seed: int = 0, equal: int = 0, first: int = 1) -> Rows:
    """``count`` rows in 5 cameras, one a second, ids in threes; ``equal`` of the last are one vector."""
    rng = np.random.default_rng(seed)
    vector = rng.standard_normal((count, D)).astype(np.float32)
    vector /= np.linalg.norm(vector, axis=1, keepdims=True)
    if equal:
        vector[-equal:] = vector[0]
    begin = np.arange(first, first + count, dtype=float)
    return rows_of(3 * np.arange(first, first + count), rng.integers(0, 5, count), begin, begin + 3, vector)


def photos(rows: Rows, places: list[int], seed: int = 1) -> np.ndarray:
    """(K, D) unit vectors near some of the rows'; the first is one of them."""
    rng = np.random.default_rng(seed)
    near = rows.vector[places] + 0.05 * rng.standard_normal((len(places), D))
    near[0] = rows.vector[places[0]]
    return (near / np.linalg.norm(near, axis=1, keepdims=True)).astype(np.float32)


def slow_search(
    rows: Rows, vectors: np.ndarray, most: int, where: Where = EVERYWHERE
) -> tuple[np.ndarray, np.ndarray]:
    """One vector after the other, sorted as a list."""
    ids = np.full((len(vectors), most), NONE, np.int64)
    cosine = np.full((len(vectors), most), -np.inf)
    for k, vector in enumerate(vectors):
        fitting = []
        for j in range(len(rows.id)):
            if where.cameras is not None and rows.camera[j] not in where.cameras:
                continue
            if where.since is not None and rows.end[j] < where.since:
                continue
            if where.until is not None and rows.begin[j] > where.until:
                continue
            product = rows.vector[j].astype(np.float64) * vector
            fitting.append((-float(product.sum()), int(rows.id[j])))
        for place, (less, one) in enumerate(sorted(fitting)[:most]):
            ids[k, place], cosine[k, place] = one, -less
    return ids, cosine
