"""What networks put out -> boxes: one function a layout, for one picture.

Every one takes the picture's arrays, the size of the network's input and what is asked for, and returns boxes in
px of the input, not yet cleared of duplicates. Only rows that can matter are decoded: whole tables have thousands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from retrace.tracker.detection.letterbox import Size


@dataclass(frozen=True, slots=True)
class Ask:
    """Which boxes are wanted."""

    keep: np.ndarray  # (K,) class ids, ascending
    floor: float  # lowest score, as the network counts it


@dataclass(frozen=True, slots=True)
class DecodedBoxes:
    """Boxes of one picture."""

    xyxy: np.ndarray  # (N, 4) px of the network's input
    score: np.ndarray  # (N,) float32 in [0, 1], as the network counts
    class_id: np.ndarray  # (N,) int64


Arrays = Sequence[np.ndarray]
Decode = Callable[[Arrays, Size, Ask], DecodedBoxes]


def yolo(classes: int) -> Decode:
    """(4 + classes + more, N) centre x, centre y, width, height in px, and probabilities: YOLOv8 and later.

    What follows the classes (mask coefficients, keypoints) is left out.
    """

    def decode(arrays: Arrays, size: Size, ask: Ask) -> DecodedBoxes:
        out = arrays[0]
        rows, score, class_id = best_class(out[4 : 4 + classes].T, ask)
        return DecodedBoxes(from_centres(out[:4, rows].T), score, class_id)

    return decode


def yolov5(classes: int) -> Decode:
    """(N, 5 + classes + more) centre and size in px, objectness, class probabilities: YOLOv5 to YOLOv7."""

    def decode(arrays: Arrays, size: Size, ask: Ask) -> DecodedBoxes:
        out = arrays[0]
        likely, rows, score, class_id = _objects(out, classes, ask)
        return DecodedBoxes(from_centres(out[likely[rows], :4]), score, class_id)

    return decode


def yolox(classes: int, strides: tuple[int, ...]) -> Decode:
    """(N, 5 + classes) as the head leaves it: x, y in cells from the cell's corner, log of width and height in
    cells, objectness, class probabilities (Ge et al. 2021, arXiv 2107.08430, section 2.2)."""

    def decode(arrays: Arrays, size: Size, ask: Ask) -> DecodedBoxes:
        out = arrays[0]
        corner, stride = cells(size, strides)
        likely, rows, score, class_id = _objects(out, classes, ask)
        rows = likely[rows]
        where = out[rows, :2] + corner[rows]
        extent = np.exp(out[rows, 2:4])
        return DecodedBoxes(from_centres(np.hstack([where, extent]) * stride[rows, None]), score, class_id)

    return decode


def distances(
    classes: int, strides: tuple[int, ...], middle: float, bins: int, inside: bool = True
) -> Decode:
    """Scores (N, classes) and distances to left, top, right and bottom from a point of each cell, in strides.

    As one array (N, classes + 4 bins) or as two. With more than one bin a distance is the mean of a
    distribution over 0 .. bins - 1 (Generalized Focal Loss, Li et al. 2020, arXiv 2006.04388, eq. 3 to 5).

    Args:
        middle: where the point lies in its cell: 0.5 is the middle, 0 the corner (NanoDet-Plus).
        bins: of the distribution; 1: the distances themselves.
        inside: boxes are cut to the picture before duplicates are looked for.
    """

    def decode(arrays: Arrays, size: Size, ask: Ask) -> DecodedBoxes:
        scores, reach = arrays if len(arrays) == 2 else (arrays[0][:, :classes], arrays[0][:, classes:])
        corner, stride = cells(size, strides)
        rows, score, class_id = best_class(scores, ask)
        reach = reach[rows]
        if bins > 1:
            logits = reach.reshape(len(rows), 4, bins)
            weight = np.exp(logits - logits.max(2, keepdims=True))
            reach = weight @ np.arange(bins, dtype=np.float32) / weight.sum(2)
        point = corner[rows] + np.float32(middle)
        boxes = np.hstack([point - reach[:, :2], point + reach[:, 2:]]) * stride[rows, None]
        return DecodedBoxes(_inside(boxes, size) if inside else boxes, score, class_id)

    return decode


def levels(classes: int, strides: tuple[int, ...], middle: float, bins: int) -> Decode:
    """:func:`distances` in two arrays a stride: first all scores, then all distributions (PicoDet's export
    without its postprocessing; arXiv 2111.00902). PaddleDetection cuts boxes to the picture last."""
    one = distances(classes, strides, middle, bins, inside=False)

    def decode(arrays: Arrays, size: Size, ask: Ask) -> DecodedBoxes:
        half = len(arrays) // 2
        return one([np.concatenate(arrays[:half]), np.concatenate(arrays[half:])], size, ask)

    return decode


def dense() -> Decode:
    """Boxes (N, 4) xyxy in px and probabilities (N, classes), duplicates still in: YOLO-NAS and others."""

    def decode(arrays: Arrays, size: Size, ask: Ask) -> DecodedBoxes:
        boxes, scores = arrays
        rows, score, class_id = best_class(scores, ask)
        return DecodedBoxes(boxes[rows], score, class_id)

    return decode


def table(corners: bool) -> Decode:
    """(N, 4 + classes) boxes in px and probabilities: LibreYOLO's RTMDet and PicoDet.

    Args:
        corners: boxes are xyxy, not centre and size.
    """

    def decode(arrays: Arrays, size: Size, ask: Ask) -> DecodedBoxes:
        out = arrays[0]
        rows, score, class_id = best_class(out[:, 4:], ask)
        boxes = out[rows, :4]
        return DecodedBoxes(boxes if corners else from_centres(boxes), score, class_id)

    return decode


def queries(softmax: bool = False) -> Decode:
    """Logits (Q, classes) and boxes (Q, 4) centre and size in shares of the input: DETR and its relatives.

    A query counts once for each class (Deformable DETR, arXiv 2010.04159; RT-DETR, D-FINE, RF-DETR); with
    ``softmax`` for its best one only, and the last column is "no object" (DETR, arXiv 2005.12872).
    """

    def decode(arrays: Arrays, size: Size, ask: Ask) -> DecodedBoxes:
        logits, boxes = arrays
        if softmax:
            weight = np.exp(logits - logits.max(1, keepdims=True))
            rows, score, class_id = best_class((weight / weight.sum(1, keepdims=True))[:, :-1], ask)
        else:
            rows, score, class_id = every_class(1 / (1 + np.exp(-logits[:, ask.keep])), ask)
        return DecodedBoxes(from_centres(boxes[rows]) * scale_of(size), score, class_id)

    return decode


def shares(classes: int) -> Decode:
    """(Q, 4 + classes) centre and size in shares of the input, and probabilities: RT-DETR as Ultralytics exports it."""

    def decode(arrays: Arrays, size: Size, ask: Ask) -> DecodedBoxes:
        out = arrays[0]
        rows, score, class_id = best_class(out[:, 4 : 4 + classes], ask)
        return DecodedBoxes(from_centres(out[rows, :4]) * scale_of(size), score, class_id)

    return decode


def rows(score: int, class_id: int, box: int, shares: bool = False) -> Decode:
    """(N, 6 or more), duplicates already gone: xyxy in px from column ``box``, score and class in theirs.

    Args:
        shares: boxes are centre and size in shares of the input.
    """

    def decode(arrays: Arrays, size: Size, ask: Ask) -> DecodedBoxes:
        out = arrays[0]
        boxes = out[:, box : box + 4]
        boxes = from_centres(boxes) * scale_of(size) if shares else boxes
        return wanted(boxes, out[:, score], out[:, class_id], ask)

    return decode


def lists(flipped: bool = False) -> Decode:
    """Boxes (N, 4), labels (N,) and scores (N,), duplicates already gone: torchvision, SSD, RT-DETR, D-FINE, DEIM.

    Boxes none of which reaches beyond 2 are shares of the input, others are px.

    Args:
        flipped: y before x, as TensorFlow has it.
    """

    def decode(arrays: Arrays, size: Size, ask: Ask) -> DecodedBoxes:
        boxes, labels, scores = arrays
        if flipped:
            boxes = boxes[:, [1, 0, 3, 2]]
        if boxes.size and boxes.max() <= 2:
            boxes = boxes * scale_of(size)
        return wanted(boxes, scores, labels, ask)

    return decode


def scored_boxes() -> Decode:
    """Boxes with their score (N, 5) and labels (N,): mmdetection by mmdeploy."""
    one = lists()
    return lambda arrays, size, ask: one([arrays[0][:, :4], arrays[1], arrays[0][:, 4]], size, ask)


# What they share


def best_class(scores: np.ndarray, ask: Ask) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows whose best class is one of those asked for: row numbers, scores, class ids.

    Args:
        scores: (N, C) probabilities.
    """
    every = len(ask.keep) == scores.shape[1]
    kept = scores if every else scores[:, ask.keep]  # a look at one column saves one at all
    rows = np.flatnonzero((kept.max(1) if kept.shape[1] != 1 else kept[:, 0]) >= ask.floor)
    some = scores[rows]
    class_id = some.argmax(1) if some.size else np.zeros(0, np.int64)
    score = some[np.arange(len(rows)), class_id]
    good = np.isin(class_id, ask.keep)
    return rows[good], score[good], class_id[good]


def every_class(scores: np.ndarray, ask: Ask) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of row and class: row numbers, scores, class ids, best first.

    Args:
        scores: (N, K) probabilities of the classes asked for.
    """
    rows, columns = np.nonzero(scores >= ask.floor)
    score = scores[rows, columns]
    order = np.argsort(-score, kind="stable")
    return rows[order], score[order], ask.keep[columns[order]]


def wanted(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, ask: Ask) -> DecodedBoxes:
    """The rows that are asked for, best first."""
    rows = np.flatnonzero((scores >= ask.floor) & np.isin(labels, ask.keep))
    rows = rows[np.argsort(-scores[rows], kind="stable")]
    return DecodedBoxes(boxes[rows], scores[rows], labels[rows].astype(np.int64))


def from_centres(boxes: np.ndarray) -> np.ndarray:
    """(N, 4) centre x, centre y, width, height -> xyxy."""
    half = boxes[:, 2:] / 2
    return np.hstack([boxes[:, :2] - half, boxes[:, :2] + half])


def scale_of(size: Size) -> np.ndarray:
    """(4,) float32: shares of the input -> px."""
    return np.array([size[1], size[0]] * 2, np.float32)


@lru_cache(maxsize=16)
def cells(size: Size, strides: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The cells of all strides, row by row: (N, 2) column and row, (N,) stride; float32."""
    corners, widths = [], []
    for stride in strides:
        height, width = grid_of(size, stride)
        y, x = np.mgrid[:height, :width]
        corners.append(np.stack([x.ravel(), y.ravel()], 1))
        widths.append(np.full(height * width, stride))
    found = np.concatenate(corners).astype(np.float32), np.concatenate(widths).astype(np.float32)
    for array in found:  # shared by all who ask
        array.setflags(write=False)
    return found


def grid_of(size: Size, stride: int) -> Size:
    """Rows and columns of cells."""
    return -(-size[0] // stride), -(-size[1] // stride)


def _objects(
    out: np.ndarray, classes: int, ask: Ask
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows that may hold an object, and of these: row numbers, scores (objectness times class), class ids."""
    likely = np.flatnonzero(out[:, 4] >= ask.floor)
    some = out[likely]
    return likely, *best_class(some[:, 5 : 5 + classes] * some[:, 4:5], ask)


def _inside(boxes: np.ndarray, size: Size) -> np.ndarray:
    return np.clip(boxes, 0, np.array([size[1], size[0]] * 2, boxes.dtype))
