"""Pictures of one scene from places that are known."""

from __future__ import annotations

import cv2
import numpy as np

SIZE = (240, 320)  # height, width px


def scene(seed=0, size=SIZE):
    """A street of rectangles and noise: steep edges everywhere, smooth enough to be shifted by half a pixel."""
    rng = np.random.default_rng(seed)
    image = np.full((*size, 3), 120, np.uint8)
    for _ in range(220):
        x, y = rng.integers(0, size[1]), rng.integers(0, size[0])
        w, h = rng.integers(8, 50, 2)
        colour = [int(c) for c in rng.integers(20, 235, 3)]
        cv2.rectangle(image, (int(x), int(y)), (int(x + w), int(y + h)), colour, -1)
    return cv2.GaussianBlur(image, (0, 0), 1.0)


def similarity(x=0.0, y=0.0, angle=0.0, zoom=1.0, size=SIZE):
    """(2, 3), about the middle of the picture, in points (not pixel centres)."""
    warp = cv2.getRotationMatrix2D((size[1] / 2, size[0] / 2), angle, zoom)
    warp[:, 2] += (x, y)
    return warp


def photograph(image, warp, size=None):
    """The picture after the camera moved so, of this (height, width) px or the image's; OpenCV's pixel centres are
    half a pixel off."""
    centres = warp.copy()
    centres[:, 2] += 0.5 * warp[:, :2].sum(axis=1) - 0.5
    high, wide = size or image.shape[:2]
    return cv2.warpAffine(image, centres, (wide, high), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


def error(warp, truth, size=SIZE):
    """px at the worst corner."""
    corners = np.array([(x, y, 1) for x in (0, size[1]) for y in (0, size[0])])
    return np.hypot(*(corners @ warp.T - corners @ truth.T).T).max()
