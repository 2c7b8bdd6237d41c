"""Videos behind a camera that moves as it is told."""

from __future__ import annotations

import cv2
import numpy as np

from tests.tracker.camera.photographs import SIZE, photograph, scene, similarity

STREET = scene(0, (480, 640))  # the camera sees its middle


def shift(x):
    return np.array([[1.0, 0, x], [0, 1, 0]])


def seen_from(x, y=0.0, noise=None):
    """What a camera sees that looks x px further right and y px further down, (240, 320, 3)."""
    image = photograph(STREET, similarity(-x - 160, -y - 120), SIZE)
    if noise is not None:
        grain = 2 * noise.standard_normal(image.shape, np.float32)
        image = cv2.add(image, grain, dtype=cv2.CV_8U)
    return image
