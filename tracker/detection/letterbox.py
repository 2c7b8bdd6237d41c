"""Pictures into what a network wants, and boxes back: sizes, borders, colours.

Four ways: "letterbox" (one scale, the picture in the middle: Ultralytics), "corner" (one scale, the picture top
left: YOLOX, mmdetection), "stretch" (each side by itself: DETR's relatives, PicoDet, NanoDet), "none" (as it is:
networks that resize inside).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Size = tuple[int, int]  # height, width; px


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a picture lies in a network's input: input px = picture px * scale + shift."""

    inner: Size  # what the picture is resized to
    outer: Size  # the network's input
    scale: tuple[float, float]  # along x, along y
    shift: tuple[int, int]  # px of the input, x and y

    def back(self, xyxy: np.ndarray, size: Size) -> np.ndarray:
        """(N, 4) px of the input -> (N, 4) float64 px of the picture, cut to its ``size``."""
        found = (xyxy.astype(np.float64) - (self.shift * 2)) / (self.scale * 2)
        return np.clip(found, 0, (size[1], size[0]) * 2)


def place(size: Size, into: Size, resize: str, multiple: int | None = None) -> Placement:
    """Where a picture of ``size`` goes.

    Args:
        size: of the picture.
        into: the network's input.
        resize: "letterbox", "corner", "stretch" or "none".
        multiple: for a network that takes any size: the input is no larger than needed, in steps of this many
            px, so that no border is computed; None: exactly ``into``.
    """
    if resize == "none":
        return Placement(size, size, (1.0, 1.0), (0, 0))
    ratio = min(into[0] / size[0], into[1] / size[1])
    cut = int if resize == "corner" else round  # as YOLOX's preproc and as Ultralytics' LetterBox
    inner = (max(1, cut(size[0] * ratio)), max(1, cut(size[1] * ratio)))
    outer = into if multiple is None else (_up(inner[0], multiple), _up(inner[1], multiple))
    if resize == "stretch":
        return Placement(outer, outer, (outer[1] / size[1], outer[0] / size[0]), (0, 0))
    shift = (0, 0)
    if resize == "letterbox":  # an odd border is the thinner one left and above
        shift = (round((outer[1] - inner[1]) / 2 - 0.1), round((outer[0] - inner[0]) / 2 - 0.1))
    return Placement(inner, outer, (ratio, ratio), shift)


def fill(
    images: Sequence[np.ndarray],
    placement: Placement,
    pad: int,
    rgb: bool,
    mean: Sequence[float],
    std: Sequence[float],
    dtype: type = np.float32,
) -> np.ndarray:
    """Pictures of one size as a network's input.

    Args:
        images: (H, W, 3) uint8 BGR each.
        placement: from :func:`place`.
        pad: grey level of the border.
        rgb: the network's colour order; BGR otherwise.
        mean, std: a channel each in the network's order, in grey levels: (value - mean) / std.
        dtype: what the network takes; with uint8 nothing is computed.

    Returns:
        (B, 3, height, width) of ``dtype``.
    """
    import cv2

    (height, width), (x, y) = placement.inner, placement.shift
    batch: np.ndarray = np.empty((len(images), 3, *placement.outer), dtype)
    for image, out in zip(images, batch, strict=True):
        if image.shape[:2] != placement.inner:
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        if placement.inner != placement.outer:
            canvas = np.full((*placement.outer, 3), pad, np.uint8)
            canvas[y : y + height, x : x + width] = image
            image = canvas
        for channel, plane in enumerate(cv2.split(image)[::-1] if rgb else cv2.split(image)):
            if dtype is np.uint8:
                out[channel] = plane
                continue
            np.multiply(plane, np.float32(1 / std[channel]), out=out[channel], casting="unsafe")
            if mean[channel]:
                out[channel] -= dtype(mean[channel] / std[channel])
    return batch


def _up(side: int, multiple: int) -> int:
    return -(-side // multiple) * multiple
