"""Where labels go so that they do not hide each other, and how they are written."""

from __future__ import annotations

import cv2
import numpy as np

FONT = cv2.FONT_HERSHEY_SIMPLEX
Colour = tuple[int, int, int]  # BGR


def plate_size(text: str, size: float) -> tuple[int, int]:
    """(wide, high) px of a text on its plate; ``size`` of the font."""
    (wide, high), below = cv2.getTextSize(text, FONT, size, _weight(size))
    pad = _pad(high)
    return wide + 2 * pad, high + 2 * pad + below // 2  # room for the tails of p and y


def place(boxes: np.ndarray, plates: np.ndarray, picture: tuple[int, int], taken: np.ndarray) -> np.ndarray:
    """The upper left corner of each label, (K, 2) int px.

    One after the other, each takes the first of its places that covers no other label: above its box, below it,
    inside it, beside it. Where all are taken it covers as little as can be. The first labels are placed first, so
    that (by id) whoever is known for long keeps the usual place.

    Args:
        boxes: (K, 4) int px.
        plates: (K, 2) int px, width and height of each label.
        picture: (height, width) px, which labels do not leave.
        taken: (M, 4) int px, where something is written already.
    """
    (x1, y1, x2, y2), (w, h) = boxes.T, plates.T
    # (K, 9, 2)
    here = np.stack(
        [
            (x1, np.where(y1 >= h, y1 - h, np.maximum(y1, 0))),  # without room above: inside the box
            (x2 - w, y1 - h),
            (x1, y2),
            (x2 - w, y2),
            (x1, y1),
            (x1, y2 - h),
            (x2, y1),
            (x1 - w, y1),
            (x1, y1 - 2 * h),
        ]
    ).transpose(2, 0, 1)
    room = np.maximum(np.array([picture[1], picture[0]]) - plates, 0)[:, None]
    here = np.clip(here, 0, room)
    size, found = plates[:, None], np.zeros((len(boxes), 2), np.int64)
    used = np.concatenate((taken.reshape(-1, 4), np.zeros((len(boxes), 4), np.int64)))
    for k in range(len(boxes)):  # each depends on the ones before
        there = used[: len(taken) + k]
        low = np.maximum(here[k][:, None], there[:, :2])
        high = np.minimum((here[k] + size[k])[:, None], there[:, 2:])
        covered = np.maximum(high - low, 0).prod(2).sum(1)
        found[k] = here[k][np.argmin(covered)]  # the first of equals
        used[len(taken) + k] = (*found[k], *(found[k] + plates[k]))
    return found


def write(canvas: np.ndarray, text: str, at: tuple[int, int], colour: Colour, size: float) -> None:
    """Text on a plate of ``colour`` whose upper left corner is ``at``: black on light plates, white on dark ones,
    with a thin dark edge, so that it stands out on any ground."""
    wide, high = plate_size(text, size)
    x, y = at
    cv2.rectangle(canvas, (x, y), (x + wide - 1, y + high - 1), colour, cv2.FILLED)
    cv2.rectangle(canvas, (x, y), (x + wide - 1, y + high - 1), tuple(c // 3 for c in colour), 1)
    blue, green, red = colour
    ink = (0, 0, 0) if 0.114 * blue + 0.587 * green + 0.299 * red > 110 else (255, 255, 255)  # BT.601 luma
    (_, letters), _ = cv2.getTextSize(text, FONT, size, _weight(size))
    pad = _pad(letters)
    cv2.putText(canvas, text, (x + pad, y + pad + letters), FONT, size, ink, _weight(size), cv2.LINE_AA)


def _weight(size: float) -> int:
    return max(1, round(1.6 * size))


def _pad(high: int) -> int:
    return max(2, high // 4)
