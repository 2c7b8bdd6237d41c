"""Pictures as they are meant to be seen: upright, in eight bits. Arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

TAILS = (0.1, 99.9)  # percentiles: a few dead or glaring pixels do not set the range
FULL = (0.0, 65535.0)  # grey levels of 16 bits

Levels = tuple[float, float]  # the grey levels that become black and white


def orient(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The picture as a display matrix shows it: turned by quarters, mirrored or both.

    Args:
        image: (H, W, 3).
        matrix: (3, 3) as ISO 14496-12 (8.3.2) and FFmpeg have it, any scale: a point (x, y) of the picture,
            y downwards, goes to (a x + c y, b x + d y) with a, b in the first row and c, d in the second.
            Angles between quarters are taken to the nearer one.
    """
    (a, b), (c, d) = matrix[:2, :2].tolist()
    if turns_sideways(matrix):
        image, across, down = image.swapaxes(0, 1), c, b
    else:
        across, down = a, d
    image = image[:, ::-1] if across < 0 else image
    return np.ascontiguousarray(image[::-1] if down < 0 else image)


def turns_sideways(matrix: np.ndarray) -> bool:
    """Whether a display matrix, as for :func:`orient`, makes width of height."""
    (a, b), (c, d) = matrix[:2, :2].tolist()
    return bool(abs(b) + abs(c) > abs(a) + abs(d))


def levels_of(images: Iterable[np.ndarray]) -> Levels:
    """The range that deep images (any shape, more than eight bits) use, all but ``TAILS`` of each."""
    ends = [np.percentile(image[np.isfinite(image)], TAILS) for image in images if np.isfinite(image).any()]
    return (float(min(e[0] for e in ends)), float(max(e[1] for e in ends))) if ends else FULL


def eight_bits(image: np.ndarray, levels: Levels) -> np.ndarray:
    """(H, W) or (H, W, 3) of any depth -> (H, W, 3) uint8, ``levels`` stretched to 0..255, cut beyond."""
    low, high = levels
    scale = 255.0 / max(high - low, 1e-9)
    with np.errstate(invalid="ignore", over="ignore"):  # floating point may hold anything
        values = np.nan_to_num((image.astype(np.float32) - np.float32(low)) * np.float32(scale))
    grey = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2) if grey.ndim == 2 else np.ascontiguousarray(grey[..., :3])
