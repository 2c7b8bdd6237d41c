"""Videos behind a camera that moves as it is told."""

from __future__ import annotations

import numpy as np

from tests.tracker.camera.photographs import photograph, scene, similarity

STREET = scene(0, (480, 640))  # the camera sees its middle


def shift(x):
    return np.array([[1.0, 0, x], [0, 1, 0]])


def seen_from(x, y=0.0, noise=None):
    """What a camera sees that looks x px further right and y px further down, (240, 320, 3)."""
    image = photograph(STREET, similarity(-x, -y, size=(480, 640)))[120:360, 160:480]
    if noise is not None:
        image = np.clip(image + noise.normal(0, 2, image.shape), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(image)
