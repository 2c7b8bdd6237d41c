"""Re-ranking by k-reciprocal neighbours (Zhong et al., CVPR 2017), exact and sparse.

The paper's equations on N = queries + gallery images, but nothing of size N x N is ever held: the neighbours come
from tiles of the (symmetric) distance matrix, the encodings V are sparse with some dozens of entries a row, and the
Jaccard distance touches only entries that two rows share.

Which distance goes in differs silently between published implementations, hence the variants:
    zhong-d2       squared Euclidean (or cosine) distance, divided by its row's maximum
    torchreid-d4   the same, squared once more before the division
Both are transductive: a query's result depends on the other queries. No re-ranked number compares with a plain one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from retrace.configs import InputError
from retrace.configs.errors import one_of
from retrace.eval.ranking.pairing import (
    JUNK,
    METRICS,
    TILE,
    Metric,
    checked_features,
    expand_ranges,
    products,
    unit_rows,
)
from retrace.eval.ranking.shards import Kept, Part, ShardPool, read

if TYPE_CHECKING:
    from scipy.sparse import csr_array

VARIANTS = {"zhong-d2": 1, "torchreid-d4": 2}  # the power of the normalised distance
Variant = Literal["zhong-d2", "torchreid-d4"]
_EMPTY = np.uint64(0x7F800000_FFFFFFFF)  # an infinite distance to nobody
_PAIRS = 2**20  # numbers gathered at a time


@dataclass(frozen=True, slots=True)
class Reranked:
    """Re-ranked distances, made row block by row block: hand it to ``evaluate_ranking(..., distances=...)``."""

    name: str
    variant: str
    transductive: bool
    shape: tuple[int, int]
    columns: _Columns  # of all gallery images that are in the graph
    kept: np.ndarray  # (G,) columns of the gallery as given that are in the graph

    def __call__(self, start: int, stop: int) -> np.ndarray:
        """(stop - start, gallery) float32 distances of these queries; infinite to images outside the graph."""
        plain = self.columns(start, stop)
        if len(self.kept) == self.shape[1]:
            return plain
        whole = np.full((stop - start, self.shape[1]), np.inf, np.float32)
        whole[:, self.kept] = plain
        return whole

    def parts(self, shards: ShardPool) -> list[Part]:
        """Each shard's distances, of a gallery whose junk is not in the graph; features where all shards see them."""
        whole = self.columns
        gallery = read(whole.gallery)
        kept = shards.keep("reranked", gallery)
        query = Kept(shards.keep("reranked-query", read(whole.query)), 0, self.shape[0])
        return [
            (
                a,
                b,
                replace(
                    whole,
                    query=query,
                    gallery=Kept(kept, a, b),
                    norms=whole.norms[a:b],
                    inverted=whole.inverted[:, a:b],
                ),
            )
            for a, b in shards.ends(len(gallery))
        ]


@dataclass(frozen=True, slots=True)
class _Columns:
    """Re-ranked distances of Q queries to G gallery images of a graph of N."""

    query: np.ndarray | Kept  # (Q, D)
    query_norms: np.ndarray  # (Q,) squared
    gallery: np.ndarray | Kept  # (G, D)
    norms: np.ndarray  # (G,) squared
    metric: str
    farthest: np.ndarray  # (Q,)
    encodings: csr_array  # (Q, N): the queries' rows of V
    inverted: csr_array  # (N, G): for each image, which gallery rows of V have it
    weight: float
    squared: bool

    def __call__(self, start: int, stop: int) -> np.ndarray:
        plain = products(np.ascontiguousarray(read(self.query)[start:stop]), read(self.gallery))
        plain = _distances(plain, self.query_norms[start:stop], self.norms, self.metric)
        plain /= self.farthest[start:stop, None]
        if self.squared:
            plain *= plain
        plain *= self.weight
        plain += 1 - self.weight
        step = max(1, 2**19 // max(1, plain.shape[1]))
        for a in range(start, stop, step):
            part = plain[a - start : min(a + step, stop) - start].reshape(-1)
            shared = _shared(self.encodings[a : min(a + step, stop)], self.inverted)
            some = np.flatnonzero(shared > 0)  # most pairs share nothing: Jaccard distance 1
            common = shared[some]
            part[some] -= (1 - self.weight) * (common / (2 - common))
        return plain


def rerank(
    query_features: np.ndarray,
    gallery_features: np.ndarray,
    *,
    variant: Variant = "zhong-d2",
    metric: Metric = "cosine",
    k1: int = 20,
    k2: int = 6,
    weight: float = 0.3,
    gallery_ids: np.ndarray | None = None,
    junk: Literal["drop", "keep"] = "drop",
    shards: ShardPool | None = None,
) -> Reranked:
    """Prepare re-ranked distances of (Q, D) queries to (G, D) gallery images, some 1 kB an image beside features.

    ``weight`` is the paper's lambda, the share of the plain distance in the final one. With ``gallery_ids``, junk (-1)
    stays out of the neighbour graph ("drop", as the authors' Python and all libraries that delete junk at load) or
    takes part in it ("keep", as their MATLAB); the scores differ. On unit vectors both metrics say the same.
    ``shards`` look for the neighbours together, and find the same.

    Raises:
        InputError: wrong shapes or numbers, an unknown variant, metric or word for ``junk``, k1 or k2 below 1, weight
            outside [0, 1].
    """
    for name, value, known in (("variant", variant, VARIANTS), ("metric", metric, METRICS)):
        if value not in known:
            raise InputError(f"re-ranking {name} {value!r}: expected one of {', '.join(known)}")
    one_of("junk", junk, ("drop", "keep"))
    if k1 < 1 or k2 < 1 or not 0 <= weight <= 1:
        raise InputError(
            f"re-ranking: expected k1 and k2 from 1 and weight in [0, 1], got {k1}, {k2}, {weight}"
        )
    query, _ = checked_features(query_features, "query_features")
    gallery, _ = checked_features(gallery_features, "gallery_features")
    if query.shape[1] != gallery.shape[1] or not len(query) or not len(gallery):
        raise InputError(
            f"re-ranking: expected (Q, D) and (G, D) features, got {query.shape} and {gallery.shape}"
        )
    kept = np.arange(len(gallery))
    if gallery_ids is not None and junk == "drop":
        if np.shape(gallery_ids) != (len(gallery),):
            raise InputError(f"gallery_ids: expected {len(gallery)}, got {np.shape(gallery_ids)}")
        kept = np.flatnonzero(np.asarray(gallery_ids) != JUNK)
    graph = _make_graph(np.concatenate([query, gallery[kept]]), metric, max(k1 + 1, k2), shards)
    v = _encode(graph, k1, VARIANTS[variant])
    v = _expand_queries(v, graph.neighbours[:, :k2])
    count = len(query)
    columns = _Columns(
        query=graph.x[:count],
        query_norms=graph.norms[:count],
        gallery=graph.x[count:],
        norms=graph.norms[count:],
        metric=metric,
        farthest=graph.farthest[:count],
        encodings=v[:count],
        inverted=v[count:].T.tocsr(),
        weight=weight,
        squared=variant == "torchreid-d4",
    )
    return Reranked(
        name=f"re-ranked {variant} (k1={k1}, k2={k2}, lambda={weight:g}, {metric})",
        variant=variant,
        transductive=True,
        shape=(count, len(gallery)),
        columns=columns,
        kept=kept,
    )


@dataclass(frozen=True, slots=True)
class _Graph:
    """All N images and their nearest ones; distances are squared Euclidean, or 1 - cosine."""

    x: np.ndarray  # (N, D) float32
    norms: np.ndarray  # (N,) squared
    metric: str
    neighbours: np.ndarray  # (N, k) int32, nearest first, oneself among them
    farthest: np.ndarray  # (N,) float32: the largest distance of each row

    def pairs(self, row: np.ndarray, col: np.ndarray) -> np.ndarray:
        """Distances of single pairs."""
        dots = np.empty(len(row), np.float32)
        step = max(1, _PAIRS // 8 // max(1, self.x.shape[1]))
        for i in range(0, len(row), step):
            part = slice(i, i + step)
            dots[part] = np.einsum("nd,nd->n", self.x[row[part]], self.x[col[part]])
        if self.metric == "cosine":
            return np.maximum(1 - dots, 0)
        return np.maximum(self.norms[row] + self.norms[col] - 2 * dots, 0)


def _distances(dots: np.ndarray, norms_a: np.ndarray, norms_b: np.ndarray, metric: str) -> np.ndarray:
    """1 - cosine, or squared Euclidean distances, in the place of (A, B) products."""
    if metric == "cosine":
        dots = np.subtract(1, dots, out=dots)
        return np.maximum(dots, 0, out=dots)
    dots *= -2
    dots += norms_a[:, None]
    dots += norms_b[None]
    return np.maximum(dots, 0, out=dots)


def _make_graph(x: np.ndarray, metric: str, k: int, shards: ShardPool | None) -> _Graph:
    """The k nearest images and the farthest distance of each, from one half of the distance matrix."""
    norms = np.einsum("nd,nd->n", x, x)
    if metric == "cosine":
        x = unit_rows(x, norms)
    strips = range(-(-len(x) // TILE))
    if shards is None:
        keys, farthest = _nearest(x, norms, metric, k, strips)
    else:
        kept = Kept(shards.keep("images", x), 0, len(x))
        calls = [(kept, norms, metric, k, strips[i :: shards.count]) for i in range(shards.count)]
        found = shards.each(_nearest, [call for call in calls if call[-1]])
        keys, farthest = (np.concatenate([f[0] for f in found], 1), np.max([f[1] for f in found], 0))
        keys.partition(min(k, len(x)) - 1, axis=1)
        keys = keys[:, : min(k, len(x))]
    keys.sort(axis=1)
    np.maximum(farthest, np.finfo(np.float32).tiny, out=farthest)  # all images equal: 0 / 0
    return _Graph(x, norms, metric, (keys & np.uint64(0xFFFFFFFF)).astype(np.int32), farthest)


def _nearest(
    rows: np.ndarray | Kept, norms: np.ndarray, metric: str, k: int, strips: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Keys (N, k) of the nearest and the farthest distance (N,), of the tiles on and above the diagonal in some strips.

    A key is a distance's bits above the image's index: one number that sorts by distance, then index.
    """
    x, n = read(rows), len(norms)
    farthest = np.zeros(n, np.float32)
    keys = np.full((n, min(k, n)), _EMPTY, np.uint64)
    parts = [slice(i, min(i + TILE, n)) for i in range(0, n, TILE)]
    # The diagonal first: its neighbours bound the search in the other tiles.
    for a, b in [(parts[i],) * 2 for i in strips] + [(parts[i], b) for i in strips for b in parts[i + 1 :]]:
        d = _distances(x[a] @ x[b].T, norms[a], norms[b], metric)
        np.maximum(farthest[a], d.max(1), out=farthest[a])
        _merge(keys[a], d, b.start, by_column=False)
        if a is not b:
            np.maximum(farthest[b], d.max(0), out=farthest[b])
            _merge(keys[b], d, a.start, by_column=True)
    return keys, farthest


def _merge(keys: np.ndarray, d: np.ndarray, offset: int, by_column: bool) -> None:
    """Take into the k best ``keys`` of each row (or column) of ``d`` what is nearer than the worst of them."""
    count, k = keys.shape
    limit = (keys.max(1) >> np.uint64(32)).astype(np.uint32).view(np.float32)
    if not by_column and d.shape[1] > k and np.isinf(limit).all():
        limit = np.partition(d, k - 1, axis=1)[:, k - 1]
    flat = np.flatnonzero(d <= (limit if by_column else limit[:, None]))
    row, col = np.divmod(flat, d.shape[1])
    value = d.ravel()[flat]
    if by_column:
        order = np.argsort(col.astype(np.uint16), kind="stable")  # radix; a tile has no more columns
        row, col, value = col[order], row[order], value[order]
    found = np.bincount(row, minlength=count)
    pool = np.full((count, k + int(found.max(initial=0))), _EMPTY, np.uint64)
    pool[:, :k] = keys
    place = k + np.arange(len(row)) - np.repeat(np.cumsum(found) - found, found)
    pool[row, place] = (value.view(np.uint32).astype(np.uint64) << np.uint64(32)) | (col + offset).astype(
        np.uint64
    )
    pool.partition(k - 1, axis=1)
    keys[:] = pool[:, :k]


def _encode(graph: _Graph, k1: int, power: int) -> csr_array:
    """V (N, N): the expanded k-reciprocal neighbours of each row, weighed exp(-d), summing to 1."""
    from scipy.sparse import csr_array

    n = len(graph.x)
    row, col = _expanded_neighbours(graph.neighbours[:, : k1 + 1], int(np.around(k1 / 2)) + 1)
    d = graph.pairs(row, col) / graph.farthest[row]
    weight = np.exp(-(d**power))
    total = np.bincount(row, weight, minlength=n)
    start = np.searchsorted(row, np.arange(n + 1))
    return csr_array(((weight / total[row]).astype(np.float32), col, start), shape=(n, n))


def _expanded_neighbours(near: np.ndarray, half: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (row, col) of the expanded sets R*: R(i, k1) and R(j, k1 / 2) of its members j that lie 2/3 within it."""
    n = len(near)
    mutual, mutual_half = _mutual(near), _mutual(near[:, :half])
    members = np.where(mutual, near, -1)
    row, at = np.nonzero(mutual)
    inner = near[row, at]
    found = [row * n + inner]
    step = max(1, _PAIRS // (near.shape[1] * half))
    for i in range(0, len(row), step):
        mine, j = row[i : i + step], inner[i : i + step]
        candidates, allowed = near[j, :half], mutual_half[j]
        within = (candidates[:, :, None] == members[mine][:, None, :]).any(2) & allowed
        allowed &= (3 * within.sum(1) > 2 * allowed.sum(1))[:, None]
        pair, which = np.nonzero(allowed)
        found.append(mine[pair] * n + candidates[pair, which])
    pairs = np.concatenate(found)
    pairs.sort()  # and not np.unique, which is slower on millions
    return np.divmod(pairs[np.diff(pairs, prepend=-1) > 0], n)


def _mutual(near: np.ndarray) -> np.ndarray:
    """(N, k) bool: is the row itself among the k nearest of its neighbour?"""
    n, k = near.shape
    found = np.empty((n, k), bool)
    step = max(1, _PAIRS // (k * k))
    for i in range(0, n, step):
        rows = np.arange(i, min(i + step, n))
        found[rows] = (near[near[rows]] == rows[:, None, None]).any(2)
    return found


def _expand_queries(v: csr_array, near: np.ndarray) -> csr_array:
    """Local query expansion: each row becomes the mean of its nearest rows, itself among them."""
    from scipy.sparse import csr_array

    n, k = near.shape
    mean = csr_array(
        (np.full(n * k, 1 / k, np.float32), near.ravel(), np.arange(0, n * k + 1, k)), shape=(n, n)
    )
    return mean @ v


def _shared(v: csr_array, inverted: csr_array) -> np.ndarray:
    """(B * G,) sums over images of the smaller of two encodings, visiting only entries both have."""
    start = inverted.indptr.astype(np.int64)
    entry, at = expand_ranges(start[v.indices], start[v.indices + 1])
    row = np.repeat(np.arange(v.shape[0]), np.diff(v.indptr))
    least = np.minimum(v.data[entry], inverted.data[at])
    count = inverted.shape[1]
    cell = (row * count)[entry] + inverted.indices[at]
    return np.bincount(cell, least, minlength=v.shape[0] * count)
