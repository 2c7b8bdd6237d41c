"""A gallery in shards: each is ranked by a process or a machine of its own, and what comes of it is the whole's to the
last bit.

Two passes. First each shard says how near the right answers are that lie in it; then, knowing all of those, how many
of its images come before each. The sums are the ranks. A shard begins at a multiple of ``TILE`` images, so that its
matrix products are those of the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retrace.configs import InputError
from retrace.eval.ranking.counting import images_before, ranks_of
from retrace.eval.ranking.pairing import TILE, Metric, Pairing, block_ends, prepared_features, products

Columns = Callable[[int, int], np.ndarray]  # (start, stop) of the queries -> distances to some gallery images
Part = tuple[int, int, Columns]  # the images from one to another, of a gallery without its junk


@dataclass(frozen=True, slots=True)
class ShardPool:
    """Who works on parts of a gallery.

    Example:
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> shards = ShardPool(ThreadPoolExecutor(2), 2, Path("shared"))
        >>> shards.ends(10_000)
        [(0, 4096), (4096, 10000)]
    """

    executor: Executor  # what is submitted and what comes back can be pickled
    count: int
    folder: Path  # which all of them see: features lie there

    def ends(self, images: int) -> list[tuple[int, int]]:
        """(start, stop) of each shard: whole tiles, and what is left in the last; none where there are too few."""
        tiles = -(-images // TILE)
        edges = [min(images, tiles * k // self.count * TILE) for k in range(self.count + 1)]
        return [(a, b) for a, b in zip(edges[:-1], edges[1:], strict=True) if a < b]

    def keep(self, name: str, rows: np.ndarray) -> Path:
        """Put rows where all see them."""
        path = self.folder / f"{name}.npy"
        np.save(path, rows)
        return path

    def each(self, function: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        """What the function gives for each call, in their order.

        Raises:
            InputError: a process was killed, or a machine is gone for good.
        """
        waiting = [self.executor.submit(function, *call) for call in calls]
        try:
            return [one.result() for one in waiting]
        except BrokenProcessPool:
            raise InputError(
                "a process of a shard was killed (memory?): try more or fewer `shards`"
            ) from None


@dataclass(frozen=True, slots=True)
class Kept:
    """Rows of an array that lies in a file."""

    path: Path
    start: int
    stop: int

    def read(self) -> np.ndarray:
        rows: np.ndarray = np.load(self.path, mmap_mode="r")[self.start : self.stop]
        return rows


def read(rows: np.ndarray | Kept) -> np.ndarray:
    return rows.read() if isinstance(rows, Kept) else rows


@dataclass(frozen=True, slots=True)
class FeatureColumns:
    """Distances of queries to some gallery images, as `distance_rows` makes them."""

    negative: Kept
    gallery: Kept
    half_norms: np.ndarray | None  # None: cosine

    def __call__(self, start: int, stop: int) -> np.ndarray:
        d = products(np.ascontiguousarray(self.negative.read()[start:stop]), self.gallery.read())
        if self.half_norms is not None:
            d += self.half_norms
        return d


def parts_of_features(
    pairing: Pairing, query_features: Any, gallery_features: Any, metric: Metric, shards: ShardPool
) -> list[Part]:
    """The features where all see them, and each shard's distances.

    Raises:
        InputError: as `distance_rows`.
    """
    query, _, gallery, norms = prepared_features(pairing, query_features, gallery_features, metric)
    negative = Kept(shards.keep("query", -query), 0, len(query))
    kept = shards.keep("gallery", gallery)
    half = norms / 2 if metric == "euclidean" else None
    return [
        (a, b, FeatureColumns(negative, Kept(kept, a, b), None if half is None else half[a:b]))
        for a, b in shards.ends(len(gallery))
    ]


def ranks_in_shards(
    shards: ShardPool, parts: Sequence[Part], pairing: Pairing, ties: str, size: int | None = None
) -> np.ndarray:
    """Ranks from 1 of all right answers, query by query, ascending.

    Args:
        shards: who.
        parts: of the gallery, one after the other.
        pairing: which pairs count.
        ties, size: as of `evaluate_ranking`.
    """
    ends = block_ends(len(pairing.query_ids), len(pairing.kept), size)
    row, col = pairing.row[~pairing.left_out], pairing.col[~pairing.left_out]
    inside = [(a <= col) & (col < b) for a, b, _ in parts]
    calls = [(part, ends, row[mine], col[mine] - a) for (a, _, part), mine in zip(parts, inside, strict=True)]
    value = np.empty(len(row), np.float32)
    for mine, near in zip(inside, shards.each(distances_in, calls), strict=True):
        value[mine] = near
    order = np.lexsort((value, row))  # stable: equal values stay in the gallery's order
    row, col, value = row[order], col[order], value[order]
    out = pairing.row[pairing.left_out], pairing.col[pairing.left_out]
    wanted = []
    for a, b, part in parts:
        here = (a <= out[1]) & (out[1] < b)
        wanted.append((part, ends, row, col - a, value, out[0][here], out[1][here] - a, ties))
    before = np.sum(shards.each(before_in, wanted), axis=0)
    return ranks_of(before, row, value, ties)


def distances_in(
    part: Columns, ends: Sequence[tuple[int, int]], row: np.ndarray, col: np.ndarray
) -> np.ndarray:
    """(P,) distances of pairs, sorted by row, of a query and an image of this part."""
    value = np.empty(len(row), np.float32)
    for start, stop in ends:
        a, b = np.searchsorted(row, (start, stop))
        if a < b:
            value[a:b] = part(start, stop)[row[a:b] - start, col[a:b]]
    return value


def before_in(
    part: Columns,
    ends: Sequence[tuple[int, int]],
    row: np.ndarray,
    col: np.ndarray,
    value: np.ndarray,
    out_row: np.ndarray,
    out_col: np.ndarray,
    ties: str,
) -> np.ndarray:
    """(P,) how many images of this part come before each right answer; ``out_row``, ``out_col`` do not count."""
    found = [np.empty(0, np.int64)]
    for start, stop in ends:
        (a, b), (e, f) = np.searchsorted(row, (start, stop)), np.searchsorted(out_row, (start, stop))
        d = part(start, stop)
        d[out_row[e:f] - start, out_col[e:f]] = np.inf
        found.append(images_before(d, row[a:b] - start, col[a:b], value[a:b], ties))
    return np.concatenate(found)
