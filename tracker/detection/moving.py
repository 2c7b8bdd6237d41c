"""Where something moved in front of a standing camera: a background that follows slowly, and the areas apart from it.

Sigma-delta background (Manzanera and Richefeu 2007, "A new motion detection algorithm based on sigma-delta background
estimation"): every pixel of the background steps towards the picture by at most a fixed amount, so who walks past
leaves no trace and who stands is seen for the better part of a minute. State is plain arrays: a run that is
stopped goes on with the same bytes.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

SIDE = 384  # px; pictures are shrunk by the whole number that brings their longer side nearest to this
APART = 20  # grey levels between picture and background
SETTLE, FIRST_RATE = 3.0, 12.0  # s, and grey levels a second while the first picture's people leave it
RATE = 1.0  # grey levels a second afterwards: 40 levels apart are seen for 40 s
MOVED = 0.4  # share of the picture that is apart when it is the camera that moves
CATCH_UP = 40.0  # grey levels a frame when it does


class Background:
    """Follows one video; small, grey."""

    def __init__(self) -> None:
        self._level: np.ndarray | None = None  # (h, w) float32 grey levels
        self._begin = self._time = 0.0  # s

    def apart(self, image: np.ndarray, time: float) -> tuple[np.ndarray, bool | None]:
        """Take in the next picture.

        Args:
            image: (H, W, 3) uint8 BGR.
            time: s since the video began.

        Returns:
            (h, w) uint8, 1 where the small picture is apart from the background; and whether the camera stands
            (None: the first picture cannot tell); where it does not, the mask means nothing.
        """
        factor = max(1, round(max(image.shape[:2]) / SIDE))
        size = (max(1, image.shape[1] // factor), max(1, image.shape[0] // factor))
        grey = cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
        now = cv2.GaussianBlur(grey, (3, 3), 0).astype(np.float32)
        anew = self._level is None or self._level.shape != now.shape or time <= self._time
        if self._level is None or anew:  # time that does not go on is another video's
            self._level, self._begin, self._time = now, time, time
            return np.zeros(now.shape, np.uint8), None
        away = now - self._level
        mask = (np.abs(away) > APART).astype(np.uint8)
        stands = float(mask.mean()) < MOVED
        rate = FIRST_RATE if time - self._begin < SETTLE else RATE
        step = rate * (time - self._time) if stands else CATCH_UP
        self._level += np.clip(away, -step, step)
        self._time = time
        return mask, stands

    def state_dict(self) -> dict[str, Any]:
        """Plain arrays."""
        level = np.zeros((0, 0), np.float32) if self._level is None else self._level.copy()
        return {"level": level, "times": np.array([self._begin, self._time])}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._level = np.array(state["level"]) if state["level"].size else None
        self._begin, self._time = map(float, state["times"])


def areas(mask: np.ndarray, least: int, around: float, margin_px: int) -> np.ndarray:
    """Rectangles around what is set, grown, and merged where that saves work.

    Args:
        mask: (h, w) uint8, 0 or 1.
        least: pixels; smaller spots are noise.
        around: how much is added on each side, in heights of the spot.
        margin_px: pixels added on each side at least.

    Returns:
        (K, 4) int64 xyxy px of the mask, inside it.
    """
    closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((7, 3), np.uint8))
    _, _, spots, _ = cv2.connectedComponentsWithStats(closed)
    spots = spots[1:][spots[1:, cv2.CC_STAT_AREA] >= least]
    margin = np.maximum(spots[:, 3] * around, margin_px)[:, None]
    grown = np.concatenate([spots[:, :2] - margin, spots[:, :2] + spots[:, 2:4] + margin], axis=1)
    height, width = mask.shape
    return merged(np.clip(np.rint(grown), 0, (width, height, width, height)).astype(np.int64))


def merged(boxes: np.ndarray) -> np.ndarray:
    """(N, 4) rectangles -> (K, 4): any two become the one around them where that is no more to look at."""
    found: list[np.ndarray] = []
    waiting = list(boxes)
    while waiting:
        box = waiting.pop()
        for number, other in enumerate(found):
            around = np.concatenate([np.minimum(box[:2], other[:2]), np.maximum(box[2:], other[2:])])
            if np.prod(around[2:] - around[:2]) <= np.prod(box[2:] - box[:2]) + np.prod(
                other[2:] - other[:2]
            ):
                del found[number]
                waiting.append(around)
                break
        else:
            found.append(box)
    return np.array(sorted(map(tuple, found)), np.int64).reshape(-1, 4)


def share(mask: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(N,) float64: which share of each box is set; boxes (N, 4) in px of the mask, at least one px is looked at."""
    height, width = mask.shape
    total = cv2.integral(mask)  # (h + 1, w + 1)
    x1, y1, x2, y2 = np.rint(boxes).astype(np.int64).T
    x1, y1 = np.clip(x1, 0, width - 1), np.clip(y1, 0, height - 1)
    x2, y2 = np.clip(x2, x1 + 1, width), np.clip(y2, y1 + 1, height)
    inside = total[y2, x2] - total[y1, x2] - total[y2, x1] + total[y1, x1]
    return inside / ((x2 - x1) * (y2 - y1))
