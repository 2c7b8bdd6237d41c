"""Overlap of two boxes, the slow and obvious way, and boxes by chance."""

import numpy as np


def slow_iou(a, b):
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    inter = width * height
    return inter / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter)


def random_boxes(rng, n):
    corner = rng.uniform(-50, 300, (n, 2))
    return np.concatenate((corner, corner + rng.uniform(1, 120, (n, 2))), axis=1)
