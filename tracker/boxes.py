"""Boxes as arrays: conversions, clipping, overlap. xyxy px, continuous edges (width = x2 - x1)."""

from __future__ import annotations

import numpy as np


def tlwh_to_xyxy(tlwh: np.ndarray) -> np.ndarray:
    """(N, 4) left, top, width, height -> x1, y1, x2, y2; same dtype."""
    xyxy = np.array(tlwh)
    xyxy[:, 2:] += xyxy[:, :2]
    return xyxy


def xyxy_to_tlwh(xyxy: np.ndarray) -> np.ndarray:
    """(N, 4) x1, y1, x2, y2 -> left, top, width, height; same dtype."""
    tlwh = np.array(xyxy)
    tlwh[:, 2:] -= tlwh[:, :2]
    return tlwh


def clip(xyxy: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(N, 4) boxes cut to an image of ``size`` (height, width); a box outside it ends with no area."""
    height, width = size
    return np.clip(xyxy, 0, np.array([width, height, width, height], dtype=xyxy.dtype))


def grown(xyxy: np.ndarray, by: float) -> np.ndarray:
    """(N, 4) boxes with ``by`` of their width and height added on each side (C-BIoU, eq. 1); same dtype."""
    margin = (xyxy[:, 2:] - xyxy[:, :2]) * np.asarray(by, xyxy.dtype)
    return np.concatenate((xyxy[:, :2] - margin, xyxy[:, 2:] + margin), axis=1)


def area(xyxy: np.ndarray) -> np.ndarray:
    """(N, 4) -> (N,) px^2."""
    return (xyxy[:, 2] - xyxy[:, 0]) * (xyxy[:, 3] - xyxy[:, 1])


def iou_matrix(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of every pair: (T, 4), (N, 4) -> (T, N) in [0, 1], same dtype.

    Boxes need a positive area.
    """
    width = np.minimum(a[:, 2, None], b[:, 2])
    width -= np.maximum(a[:, 0, None], b[:, 0])
    height = np.minimum(a[:, 3, None], b[:, 3])
    height -= np.maximum(a[:, 1, None], b[:, 1])
    np.maximum(width, 0, out=width)
    np.maximum(height, 0, out=height)
    inter = np.multiply(width, height, out=width)
    union = area(a)[:, None] + area(b)
    union -= inter
    return np.divide(inter, union, out=inter)


def largest_overlap(xyxy: np.ndarray) -> np.ndarray:
    """(N, 4) boxes of one frame -> (N,) the IoU of each with the one it overlaps most; 0 where it is alone."""
    overlap = iou_matrix(xyxy, xyxy)
    np.fill_diagonal(overlap, 0)
    return overlap.max(axis=1, initial=0)
