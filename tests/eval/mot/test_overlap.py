"""The sparse join finds every overlapping pair, once, with the bits of the dense formula."""

from __future__ import annotations

import numpy as np
import pytest
import trackeval

from retrace.eval.mot import overlap
from retrace.eval.mot.overlap import overlaps


def dense(gt_frame: np.ndarray, gt: np.ndarray, result_frame: np.ndarray, result: np.ndarray) -> dict:
    """Every frame by TrackEval's matrix: {(gt row, result row): IoU}."""
    iou = trackeval.datasets.MotChallenge2DBox._calculate_box_ious
    found = {}
    for t in np.unique(gt_frame):
        g, r = np.flatnonzero(gt_frame == t), np.flatnonzero(result_frame == t)
        matrix = iou(gt[g], result[r], box_format="x0y0x1y1")
        found |= {(int(g[i]), int(r[j])): matrix[i, j] for i, j in zip(*np.nonzero(matrix), strict=True)}
    return found


def boxes(rng: np.random.Generator, frames: int, each: int, spread: float) -> tuple[np.ndarray, np.ndarray]:
    frame = np.repeat(np.arange(frames), each)
    corner = rng.normal(0, spread, (len(frame), 2))
    return frame, np.hstack((corner, corner + rng.random((len(frame), 2)) * 60 - 2))  # some have no area


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("spread", [0.5, 60, 5000, 1e7])
@pytest.mark.parametrize(("chunk", "cells"), [(7, 1 << 22), (1 << 17, 1 << 22), (50, 9), (7, 1)])
def test_equals_dense(
    seed: int, spread: float, chunk: int, cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overlap, "CHUNK", chunk)
    monkeypatch.setattr(overlap, "TABLE", cells)
    rng = np.random.default_rng(seed)
    gt_frame, gt = boxes(rng, 4, 12, spread)
    result_frame, result = boxes(rng, 5, 9, spread)
    pairs = overlaps(gt_frame, gt, result_frame, result)
    found = dict(zip(zip(pairs.gt.tolist(), pairs.result.tolist(), strict=True), pairs.iou, strict=True))
    assert found == dense(gt_frame, gt, result_frame, result)
    assert len(found) == len(pairs)
    assert (np.lexsort((pairs.result, pairs.gt)) == np.arange(len(pairs))).all()


def test_one_wild_box_hides_no_other() -> None:
    # the result's far edge is outside the cells, which span the ground truth only
    gt, result = np.array([[0.0, 0, 10, 10]]), np.array([[5.0, 5, 1e8, 1e8], [-1e8, -1e8, 5, 5]])
    assert overlaps(np.zeros(1, int), gt, np.zeros(2, int), result).result.tolist() == [0, 1]


def test_touching_is_no_overlap() -> None:
    gt, result = np.array([[0.0, 0, 10, 10]]), np.array([[10.0, 0, 20, 10], [0, 10, 10, 20]])
    assert len(overlaps(np.zeros(1, int), gt, np.zeros(2, int), result)) == 0


def test_empty_sides() -> None:
    none, frame = np.zeros((0, 4)), np.zeros(0, int)
    assert len(overlaps(frame, none, frame, none)) == 0
    assert len(overlaps(np.zeros(1, int), np.array([[0.0, 0, 1, 1]]), frame, none)) == 0
