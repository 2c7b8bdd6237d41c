"""Which ground-truth and result boxes of the same frame overlap, and by how much: a sparse join.

Most pairs of boxes of a frame do not touch. The join sorts boxes by their left edge in pixel cells and lists
only pairs whose x-ranges meet; cells are a monotone map of the coordinate, so no overlapping pair is lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

CELLS = 1024  # cells a frame is wide, at most: more make a larger table, fewer more pairs to look at
PER_BOX = 4  # cells for each box of a frame, about: a thin crowd needs no fine table
TABLE = 1 << 22  # cells of all frames together, about: bounds memory for very long sequences
CHUNK = 1 << 17  # candidate pairs looked at together: their work arrays stay in the cache
LOW_HALF = (1 << 32) - 1
EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True, eq=False)
class Overlaps:
    """P pairs of boxes of one frame, sorted by ground-truth row, then result row."""

    gt: np.ndarray  # (P,) int64 row of the ground truth
    result: np.ndarray  # (P,) int64 row of the result
    iou: np.ndarray  # (P,) float64, above 0

    def __len__(self) -> int:
        return len(self.gt)

    def take(self, which: np.ndarray) -> Overlaps:
        """The pairs of a mask or of indices, in that order."""
        return Overlaps(*(getattr(self, f.name)[which] for f in fields(self)))


def overlaps(gt_frame: np.ndarray, gt: np.ndarray, result_frame: np.ndarray, result: np.ndarray) -> Overlaps:
    """Every pair of the same frame whose intersection over union is above 0.

    Args:
        gt_frame, result_frame: (G,), (R,) int64, ascending, from 0.
        gt, result: (G, 4), (R, 4) float64 xyxy px. A box with no area overlaps nothing.

    Returns:
        the pairs; ``iou`` has the very bits of TrackEval's, which adds, multiplies and divides in this order.
    """
    none = Overlaps(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    if not len(gt) or not len(result):
        return none
    pair = np.concatenate(list(_candidates(gt_frame, gt, result_frame, result)))
    pair.sort(kind="stable")  # merges the sorted runs that are there, twice as fast as the default
    parts = [_iou(gt, result, pair[at : at + CHUNK]) for at in range(0, len(pair), CHUNK)]
    if not parts:
        return none
    return Overlaps(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _candidates(
    gt_frame: np.ndarray, gt: np.ndarray, result_frame: np.ndarray, result: np.ndarray
) -> Iterator[np.ndarray]:
    """Pairs (gt row << 32 | result row) of one frame whose x- and y-ranges may meet, each once, in pieces."""
    frames = int(max(gt_frame[-1], result_frame[-1])) + 1
    wanted = PER_BOX * (len(gt) + len(result)) // frames
    cells = max(1, min(CELLS, wanted, TABLE // frames))
    span = float(gt[:, 0].min()), float(gt[:, 2].max())
    g_first, g_last = _cells(gt_frame, gt, span, cells)
    r_first, r_last = _cells(result_frame, result, span, cells)
    g_order, g_until = _index(g_first, frames * cells)
    r_order, r_until = _index(r_first, frames * cells)
    g_y, r_y = _rows_y(gt), _rows_y(result)
    # result boxes that begin within a gt box's width, then gt boxes that begin within a result box's
    for rows, cols in _expand(r_until[g_first], r_until[g_last + 1], r_order, g_y, r_y):
        yield rows << 32 | cols
    for cols, rows in _expand(g_until[r_first + 1], g_until[r_last + 1], g_order, r_y, g_y):
        yield rows << 32 | cols


def _cells(
    frame: np.ndarray, xyxy: np.ndarray, span: tuple[float, float], cells: int
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the cells of each box's left and right edge, counted through all frames."""
    low, high = span
    scale = (cells - 1) / max(high - low, 1e-9)
    x = np.clip((xyxy[:, [0, 2]] - low) * scale, 0, cells - 1).astype(np.int64)
    x += frame[:, None] * cells
    return x[:, 0], x[:, 1]


def _rows_y(xyxy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Top and bottom in whole pixels, rounded outwards: two bytes each, and no overlap is lost."""
    bound = np.iinfo(np.int16)
    top, bottom = np.floor(xyxy[:, 1]), np.ceil(xyxy[:, 3])
    return tuple(np.clip(y, bound.min, bound.max).astype(np.int16) for y in (top, bottom))


def _index(cell: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows ordered by cell, and for every cell how many rows lie before it."""
    until = np.zeros(count + 2, np.int32)
    np.cumsum(np.bincount(cell, minlength=count + 1), out=until[1:])
    return np.sort(cell << 32 | np.arange(len(cell)), kind="stable") & LOW_HALF, until


def _expand(
    start: np.ndarray,
    stop: np.ndarray,
    theirs: np.ndarray,
    a: tuple[np.ndarray, np.ndarray],
    b: tuple[np.ndarray, np.ndarray],
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of ``a``, each with the rows of ``b`` at places ``start .. stop`` whose y-ranges meet."""
    count = np.maximum(stop - start, 0)
    total = np.cumsum(count, dtype=np.int64)
    b_top, b_bottom = b[0][theirs], b[1][theirs]
    cuts = np.unique(
        np.minimum(np.searchsorted(total, np.arange(CHUNK, total[-1] + CHUNK + 1, CHUNK)) + 1, len(total))
    )
    for low, high in zip([0, *cuts[:-1]], cuts, strict=True):
        n = count[low:high]
        before = np.cumsum(n, dtype=np.int32) - n
        place = np.arange(n.sum(), dtype=np.int32)
        place += np.repeat(start[low:high] - before, n)
        meet = np.repeat(a[0][low:high], n) <= b_bottom[place]
        meet &= np.repeat(a[1][low:high], n) >= b_top[place]
        found = np.flatnonzero(meet)
        yield np.repeat(np.arange(low, high), n)[found], theirs[place[found]]


def _iou(gt: np.ndarray, result: np.ndarray, pair: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(gt rows, result rows, IoU) of the pairs that do overlap."""
    rows, cols = pair >> 32, pair & LOW_HALF
    a, b = np.take(gt, rows, 0).T.copy(), np.take(result, cols, 0).T.copy()
    width = np.minimum(a[2], b[2]) - np.maximum(a[0], b[0])
    height = np.minimum(a[3], b[3]) - np.maximum(a[1], b[1])
    inter = np.maximum(width, 0) * np.maximum(height, 0)
    area_a = (a[2] - a[0]) * (a[3] - a[1])
    area_b = (b[2] - b[0]) * (b[3] - b[1])
    union = area_a + area_b - inter
    good = np.flatnonzero((inter > 0) & (area_a > EPS) & (area_b > EPS) & (union > EPS))
    return rows[good], cols[good], inter[good] / union[good]
