"""Every layout once more, row by row and number by number, from the papers and the exporters' documentation.

A decoder takes one picture's arrays and the side of the square input, and gives (x1, y1, x2, y2, score, class) px of
the input.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

Box = tuple[float, float, float, float, float, int]
Arrays = Sequence[np.ndarray]


def centre(x: float, y: float, w: float, h: float) -> tuple[float, float, float, float]:
    return x - w / 2, y - h / 2, x + w / 2, y + h / 2


def best(scores: Iterable[float]) -> tuple[float, int]:
    values = [float(s) for s in scores]
    top = max(values)
    return top, values.index(top)


def cells(side: int, strides: Iterable[int]) -> Iterator[tuple[int, int, int]]:
    for stride in strides:
        for y in range(math.ceil(side / stride)):
            for x in range(math.ceil(side / stride)):
                yield x, y, stride


def yolo(arrays: Arrays, side: int, classes: int) -> Iterator[Box]:
    for column in arrays[0].T:
        yield (*centre(*map(float, column[:4])), *best(column[4 : 4 + classes]))


def yolov5(arrays: Arrays, side: int, classes: int) -> Iterator[Box]:
    for row in arrays[0]:
        yield (*centre(*map(float, row[:4])), *best(row[4] * row[5 : 5 + classes]))


def yolox(arrays: Arrays, side: int, classes: int) -> Iterator[Box]:
    for row, (x, y, stride) in zip(arrays[0], cells(side, (8, 16, 32)), strict=True):
        box = centre(
            (x + row[0]) * stride, (y + row[1]) * stride, math.exp(row[2]) * stride, math.exp(row[3]) * stride
        )
        yield (*box, *best(row[4] * row[5 : 5 + classes]))


def expectation(logits: np.ndarray) -> float:
    weights = [math.exp(value) for value in logits]
    return sum(k * weight for k, weight in enumerate(weights)) / sum(weights)


def gfl(
    scores: np.ndarray,
    reach: np.ndarray,
    side: int,
    strides: Iterable[int],
    middle: float,
    inside: bool = True,
) -> Iterator[Box]:
    for score, row, (x, y, stride) in zip(scores, reach, cells(side, strides), strict=True):
        sides = row if len(row) == 4 else [expectation(row[8 * k : 8 * k + 8]) for k in range(4)]
        px, py = (x + middle) * stride, (y + middle) * stride
        box = [px - sides[0] * stride, py - sides[1] * stride, px + sides[2] * stride, py + sides[3] * stride]
        low, high = (0.0, float(side)) if inside else (-math.inf, math.inf)
        yield (*(min(max(float(v), low), high) for v in box), *best(score))  # type: ignore[misc]


def queries(arrays: Arrays, side: int, softmax: bool) -> Iterator[Box]:
    for logits, box in zip(*arrays, strict=True):
        where = centre(*(float(v) * side for v in box))
        if softmax:
            weights = [math.exp(v) for v in logits]
            yield (*where, *best([w / sum(weights) for w in weights[:-1]]))
        else:
            for number, value in enumerate(logits):
                yield (*where, 1 / (1 + math.exp(-value)), number)


def shares(arrays: Arrays, side: int) -> Iterator[Box]:
    for row in arrays[0]:
        yield (*centre(*(float(v) * side for v in row[:4])), *best(row[4:]))


def suppressed(boxes: Iterable[Box], limit: float | None, floor: float, keep: set[int]) -> list[Box]:
    """Those asked for, best first, without doubles of their class."""
    kept: list[Box] = []
    for box in sorted((b for b in boxes if b[4] >= floor and b[5] in keep), key=lambda b: -b[4]):
        if limit is None or all(b[5] != box[5] or overlap(b, box) <= limit for b in kept):
            kept.append(box)
    return kept


def overlap(a: Box, b: Box) -> float:
    inter = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    return inter / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter)


def back(box: Box, size: tuple[int, int], side: int, resize: str) -> Box:
    """px of a square input -> px of a picture of ``size`` (height, width), cut to it."""
    height, width = size
    ratio = min(side / height, side / width)
    scale = (side / width, side / height) if resize == "stretch" else (ratio, ratio)
    shift = (0.0, 0.0)
    if resize == "letterbox":
        shift = (
            round((side - round(width * ratio)) / 2 - 0.1),
            round((side - round(height * ratio)) / 2 - 0.1),
        )
    if resize == "none":
        scale = (1.0, 1.0)
    x1, x2 = ((min(max((x - shift[0]) / scale[0], 0.0), width)) for x in (box[0], box[2]))
    y1, y2 = ((min(max((y - shift[1]) / scale[1], 0.0), height)) for y in (box[1], box[3]))
    return x1, y1, x2, y2, box[4], box[5]
