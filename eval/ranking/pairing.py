"""ReID: which query-gallery pairs count, and their distances, one block of queries at a time.

The single-query protocol of Market-1501 (Zheng et al., ICCV 2015): junk (id -1) leaves the gallery, distractors
(id 0) stay in it as wrong answers, and for each query the gallery images of the same identity and the same
camera are left out. Another identity of the same camera stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from retrace.configs import InputError
from retrace.configs.errors import number

JUNK, DISTRACTOR = -1, 0
METRICS = ("cosine", "euclidean")
Metric = Literal["cosine", "euclidean"]
Rows = Callable[[int, int], np.ndarray]  # (start, stop) of the queries -> (stop - start, G) distances
TILE = 2048  # gallery images that one matrix product takes: a part of a gallery gives the whole's bits
_BLOCK_BYTES = 2**25  # smaller blocks make the product slower, larger ones fall out of the last-level cache
_UNIT = 2e-6  # squared norms this near 1 are rounding: no copy is made to normalise them again


@dataclass(frozen=True, slots=True)
class Pairing:
    """Q queries, a gallery of G images after junk is gone, and the P pairs of equal identity, by row then column."""

    query_ids: np.ndarray  # (Q,) int64, >= 1
    query_cameras: np.ndarray  # (Q,) int64
    gallery_ids: np.ndarray  # (G,) int64, >= 0
    gallery_cameras: np.ndarray  # (G,) int64
    kept: np.ndarray  # (G,) int64: where they lie in the gallery as it was given
    given: int  # images in the gallery as it was given, junk and all
    row: np.ndarray  # (P,) int64 query
    col: np.ndarray  # (P,) int64 gallery image
    left_out: np.ndarray  # (P,) bool: same camera, so neither right nor wrong

    @property
    def junk(self) -> int:
        return self.given - len(self.kept)


def pair_up(
    query_ids: np.ndarray,
    query_cameras: np.ndarray,
    gallery_ids: np.ndarray,
    gallery_cameras: np.ndarray,
    camera_filter: bool = True,
) -> Pairing:
    """Apply the protocol to labels: ids >= 1 identities, 0 distractor, -1 junk; equal camera number = same camera.

    Raises:
        InputError: arrays that are not whole numbers or not of one length, a query without an identity.
    """
    q_ids, q_cameras = _labels(query_ids, query_cameras, "query")
    g_ids, g_cameras = _labels(gallery_ids, gallery_cameras, "gallery")
    if len(q_ids) and q_ids.min() < 1:
        bad = int(np.argmax(q_ids < 1))
        raise InputError(
            f"query_ids: expected identities from 1, got {q_ids[bad]} in row {bad}; 0 means distractor and -1 junk, "
            "so leave such queries out, or add 1 to all ids if yours count from 0"
        )
    kept = np.flatnonzero(g_ids != JUNK)
    ids, cameras = g_ids[kept], g_cameras[kept]
    order = np.argsort(ids, kind="stable")
    row, at = expand_ranges(np.searchsorted(ids[order], q_ids), np.searchsorted(ids[order], q_ids, "right"))
    col = order[at]
    left_out = (cameras[col] == q_cameras[row]) & bool(camera_filter)
    return Pairing(q_ids, q_cameras, ids, cameras, kept, len(g_ids), row, col, left_out)


def distance_rows(
    pairing: Pairing,
    query_features: np.ndarray | None,
    gallery_features: np.ndarray | None,
    metric: Metric = "cosine",
    distances: np.ndarray | Rows | None = None,
    *,
    exact: bool = False,
) -> Rows:
    """Blocks of distances to the gallery without its junk, free to be written to, valid until the next call.

    ``distances`` (a (Q, given) array, or a function of (start, stop) giving its rows) goes before features.
    From features, and unless ``exact``, values only order the gallery of each query as its distances would:
    -cosine, or |g|^2 / 2 - q.g. Exact ones are 1 - cosine in [0, 2], and the root Euclidean distance.

    Raises:
        InputError: shapes that do not fit the labels, numbers that are not finite, a zero vector under cosine.
    """
    if distances is not None:
        return _given_rows(pairing, distances)
    query, query_norms, gallery, norms = prepared_features(pairing, query_features, gallery_features, metric)
    buffer = np.empty((0, len(gallery)), np.float32)
    negative = -query  # so that small means near

    def rows(start: int, stop: int) -> np.ndarray:
        nonlocal buffer
        if len(buffer) < stop - start:
            buffer = np.empty((stop - start, len(gallery)), np.float32)
        d = products(negative[start:stop], gallery, buffer[: stop - start])
        if metric == "euclidean":
            d += norms / 2
        if exact and metric == "cosine":
            d += 1
        elif exact:
            d *= 2
            d += query_norms[start:stop, None]
            np.sqrt(np.maximum(d, 0, out=d), out=d)
        return d

    return rows


def prepared_features(
    pairing: Pairing, query_features: Any, gallery_features: Any, metric: Metric
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Queries and gallery without its junk as the metric takes them, each with its squared norms before that.

    Raises:
        InputError: as :func:`distance_rows`.
    """
    if not isinstance(metric, str) or metric not in METRICS:
        raise InputError(f"metric {metric!r}: expected one of {', '.join(METRICS)}")
    query, query_norms = checked_features(query_features, "query_features", len(pairing.query_ids))
    gallery, norms = checked_features(gallery_features, "gallery_features", pairing.given)
    if query.shape[1] != gallery.shape[1]:
        raise InputError(
            f"query_features have {query.shape[1]} numbers a row, gallery_features {gallery.shape[1]}: "
            "both must come from one model"
        )
    if pairing.junk:
        gallery, norms = gallery[pairing.kept], norms[pairing.kept]
    if metric == "cosine":
        query = unit_rows(query, query_norms, "query_features")
        gallery = unit_rows(gallery, norms, "gallery_features" + " (junk dropped)" * bool(pairing.junk))
    return query, query_norms, gallery, norms


def products(a: np.ndarray, b: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """(A, B) ``a @ b.T`` of float32 rows, ``TILE`` rows of ``b`` at a time.

    The last bits of a product of matrices depend on how wide it is. So they are here those of any part of ``b`` that
    begins at a multiple of ``TILE``, and ends there or where ``b`` does.
    """
    if out is None:
        out = np.empty((len(a), len(b)), np.float32)
    for start in range(0, len(b), TILE):
        np.matmul(a, b[start : start + TILE].T, out=out[:, start : start + TILE])
    return out


def blocks(rows: Rows, pairing: Pairing, size: int | None = None) -> Iterator[tuple[int, int, np.ndarray]]:
    """(start, stop, distances) for all queries; ``size`` queries a block, by default about 32 MB and at least 128.

    Raises:
        InputError: a size below 1.
    """
    for start, stop in block_ends(len(pairing.query_ids), len(pairing.kept), size):
        yield start, stop, rows(start, stop)


def block_ends(queries: int, gallery: int, size: int | None = None) -> list[tuple[int, int]]:
    """(start, stop) of each block of queries, see :func:`blocks`.

    Raises:
        InputError: a size below 1.
    """
    if size is not None:
        number("block", size, 1, whole=True)
    fitting = _BLOCK_BYTES // (4 * max(1, gallery))
    step = size or int(np.clip(fitting, 128, 1024))
    return [(start, min(start + step, queries)) for start in range(0, queries, step)]


def checked_features(features: Any, name: str, count: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Features as (N, D) float32 and their squared norms (N,) float32.

    Raises:
        InputError: not two-dimensional, not ``count`` rows, a row that is not finite.
    """
    x = np.asarray(features)
    if x.ndim != 2 or x.dtype.kind not in "fiu" or (count is not None and len(x) != count):
        want = "N" if count is None else count
        raise InputError(f"{name}: expected ({want}, D) numbers, one row an image; got {x.dtype} {x.shape}")
    x = np.ascontiguousarray(x, np.float32)
    norms = np.einsum("nd,nd->n", x, x)
    if not np.isfinite(norms).all():
        bad = int(np.argmin(np.isfinite(norms)))
        raise InputError(f"{name}: row {bad} has NaN, infinite or huge numbers; leave that image out")
    return x, norms


def unit_rows(x: np.ndarray, norms: np.ndarray, name: str = "features") -> np.ndarray:
    """Rows divided by their norms (given squared); the same array if they are unit vectors already.

    Raises:
        InputError: a zero vector.
    """
    if len(norms) and norms.min() <= 0:
        raise InputError(
            f"{name}: row {int(norms.argmin())} is all zero, which has no cosine; leave that image out"
        )
    if np.all(np.abs(norms - 1) <= _UNIT):
        return x
    return x / np.sqrt(norms)[:, None]


def _given_rows(pairing: Pairing, distances: np.ndarray | Rows) -> Rows:
    count = len(pairing.query_ids)
    if not callable(distances):
        distances = np.asarray(distances)
        if distances.shape != (count, pairing.given):
            raise InputError(
                f"distances: expected one row a query and one column a gallery image, {(count, pairing.given)}; "
                f"got {distances.shape}"
            )

    def rows(start: int, stop: int) -> np.ndarray:
        d = np.asarray(distances(start, stop) if callable(distances) else distances[start:stop])
        if d.shape != (stop - start, pairing.given):
            raise InputError(
                f"distances({start}, {stop}): expected {(stop - start, pairing.given)}, got {d.shape}"
            )
        d = d[:, pairing.kept] if pairing.junk else np.array(d)
        if d.dtype.kind != "f":
            d = d.astype(np.float64)
        if d.size and not (np.isfinite(d.min()) and np.isfinite(d.max())):
            bad = int(np.argmin(np.isfinite(d).all(1)))
            raise InputError(f"distances: row {start + bad} has a number that is not finite")
        return d

    return rows


def _labels(ids: Any, cameras: Any, side: str) -> tuple[np.ndarray, np.ndarray]:
    found = []
    for name, values in ((f"{side}_ids", ids), (f"{side}_cameras", cameras)):
        try:
            array = np.asarray(values)
        except (TypeError, ValueError, OverflowError):
            raise InputError(
                f"{name}: expected whole numbers, one an image, got {type(values).__name__}"
            ) from None
        if array.size == 0:
            array = array.reshape(-1).astype(np.int64)
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise InputError(f"{name}: expected whole numbers, one an image; got {array.dtype} {array.shape}")
        if array.dtype.kind == "u" and array.size and array.max() > np.iinfo(np.int64).max:
            raise InputError(f"{name}: {array.max()} is beyond 64 bits with a sign; number the labels from 1")
        found.append(array.astype(np.int64))
    if len(found[0]) != len(found[1]):
        raise InputError(
            f"{side}: expected one camera an image, got {len(found[0])} ids and {len(found[1])} cameras"
        )
    if len(found[0]) and found[0].min() < JUNK:
        raise InputError(
            f"{side}_ids: expected -1 (junk), 0 (distractor) or an identity, got {found[0].min()}"
        )
    return found[0], found[1]


def expand_ranges(start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ranges start..stop of each row as flat (row, position) pairs."""
    count = stop - start
    row = np.repeat(np.arange(len(count)), count)
    return row, np.arange(count.sum()) - np.repeat(np.cumsum(count) - count - start, count)
