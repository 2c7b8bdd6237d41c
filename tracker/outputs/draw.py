"""Boxes, ids and trails painted on a frame."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Mapping
from types import MappingProxyType

import cv2
import numpy as np

from retrace.tracker.data import Step, Tracks

GOLDEN = 0.618033988749895  # turns of the hue circle from one id to the next: neighbours are far apart
# (saturation, value) by turns: found by search, so that of ids 1 to 59 no two are nearer than 11 in CIELAB
SHADES = ((0.58, 0.88), (0.66, 1.0), (0.43, 0.97), (0.76, 0.73))
REFERENCE = 720  # px; height of an image on which lines are 2 px wide
FONT = cv2.FONT_HERSHEY_SIMPLEX
BLANK = 40  # grey level of the canvas for a frame without an image
DASH = 6  # px at the reference height
SMALLEST = 0.42  # of a label's font: digits of 9 px
NO_NAMES: Mapping[int, str] = MappingProxyType({})


class Trails:
    """Where each track's foot point (middle of the lower edge) was over the last ``seconds``."""

    def __init__(self, seconds: float = 2.0, most: int = 240) -> None:
        """``most`` bounds the number of frames kept, whatever their rate."""
        self._seconds = seconds
        self._frames: deque[tuple[float, np.ndarray, np.ndarray]] = deque(maxlen=most)

    def add(self, time: float, tracks: Tracks) -> None:
        """Remember one frame's tracks (``time`` in s) and forget what is too old."""
        x1, _, x2, y2 = tracks.xyxy.T
        self._frames.append((time, tracks.id, np.column_stack([(x1 + x2) / 2, y2])))
        while self._frames[0][0] < time - self._seconds:
            self._frames.popleft()

    def lines(self) -> dict[int, np.ndarray]:
        """id -> (n, 2) float px, oldest point first."""
        if not self._frames:
            return {}
        ids = np.concatenate([ids for _, ids, _ in self._frames])
        points = np.concatenate([points for _, _, points in self._frames])
        order = np.argsort(ids, kind="stable")  # keeps the order of time within an id
        found, first = np.unique(ids[order], return_index=True)
        return dict(zip(found.tolist(), np.split(points[order], first[1:]), strict=True))


def annotate(
    step: Step,
    trails: Trails,
    size: tuple[int, int] | None = None,
    *,
    width: int | None = None,
    names: Mapping[int, str] = NO_NAMES,
) -> np.ndarray:
    """The step's frame with its tracks drawn, (H, W, 3) uint8 BGR, after adding them to ``trails``.

    A frame without an image is a grey canvas of ``size`` (height, width) px, or as large as its boxes need.
    With ``width`` px it is shrunk or grown to that before anything is drawn, so that lines and labels keep
    their size. ``names``: see :func:`draw`.
    """
    trails.add(step.frame.time, step.tracks)
    image = step.frame.image
    if image is None:
        image = np.full((*(size or _extent(step.tracks)), 3), BLANK, np.uint8)
    small = image if width is None else resized(image, width)
    ratio = small.shape[1] / image.shape[1], small.shape[0] / image.shape[0]
    return draw(small, step.tracks, trails, names=names, ratio=ratio)


def resized(image: np.ndarray, width: int) -> np.ndarray:
    """(H, W, 3) at ``width`` px, in proportion."""
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    while image.shape[1] >= 2 * width:  # halving is quick; averaging by an odd factor is not
        halved = (image.shape[1] // 2, max(1, image.shape[0] // 2))
        image = cv2.resize(image, halved, interpolation=cv2.INTER_AREA)
    return cv2.resize(image, (width, height))


def draw(
    image: np.ndarray,
    tracks: Tracks,
    trails: Trails | None = None,
    *,
    names: Mapping[int, str] = NO_NAMES,
    ratio: tuple[float, float] = (1.0, 1.0),
) -> np.ndarray:
    """A copy of ``image`` (H, W, 3) uint8 BGR with boxes, ids and trails.

    An id has the same colour in every run. A track that was only predicted in this frame (``det_index`` -1)
    has a dashed box. Trails are shown for the tracks of this frame.

    Args:
        image: what is drawn on; it stays as it is.
        tracks: of this frame.
        trails: where tracks were before.
        names: ``class_id`` -> what is written behind the id; nothing for classes that are not in it.
        ratio: (across, down) px of the image for one px of the boxes.
    """
    canvas = image.copy()
    if not len(tracks):
        return canvas
    scale = max(0.6, min(image.shape[:2]) / REFERENCE)
    width = max(1, round(2 * scale))
    colours = colours_of(tracks.id)
    boxes = _pixels(tracks.xyxy.reshape(-1, 2) * ratio, image).reshape(-1, 4)
    paths = trails.lines() if trails is not None else {}
    for i, colour in zip(tracks.id.tolist(), colours, strict=True):
        if i in paths:
            cv2.polylines(canvas, [_pixels(paths[i] * ratio, image)], False, colour, width)
    for (x1, y1, x2, y2), det_index, colour in zip(
        boxes.tolist(), tracks.det_index.tolist(), colours, strict=True
    ):
        if det_index >= 0:
            cv2.rectangle(canvas, (x1, y1), (x2, y2), colour, width)
        else:
            cv2.polylines(canvas, list(_dashes(x1, y1, x2, y2, DASH * scale)), False, colour, width)
    height, wide = image.shape[:2]
    labels = [
        f"{i} {names.get(c, '')}".rstrip()
        for i, c in zip(tracks.id.tolist(), tracks.class_id.tolist(), strict=True)
    ]
    for (x1, y1, x2, y2), label, colour in zip(boxes.tolist(), labels, colours, strict=True):
        if x2 > 0 and y2 > 0 and x1 < wide and y1 < height:
            _label(canvas, label, x1, y1, colour, max(SMALLEST, 0.55 * scale))
    return canvas


def colours_of(ids: np.ndarray) -> list[tuple[int, int, int]]:
    """(K,) ids -> K BGR colours. The hue turns by the golden ratio, saturation and value go through ``SHADES``.

    From hue, saturation s and value v: channel n is v - v s max(0, min(k, 4 - k, 1)) with k = (n + 6 h) mod 6
    and n = 5, 3, 1 for red, green, blue. (OpenCV's conversion depends on the place in the array.)
    """
    saturation, value = np.array(SHADES)[ids % len(SHADES)].T[..., None]
    k = (np.array([1, 3, 5]) + 6 * (ids[:, None] * GOLDEN % 1)) % 6
    bgr = 255 * value * (1 - saturation * np.clip(np.minimum(k, 4 - k), 0, 1))
    return [(b, g, r) for b, g, r in np.rint(bgr).astype(int).tolist()]


def _extent(tracks: Tracks) -> tuple[int, int]:
    """(height, width) px that the boxes need, at least 480 x 640."""
    right, bottom = tracks.xyxy[:, 2:].max(0) if len(tracks) else (0, 0)
    return max(480, int(bottom) + 1), max(640, int(right) + 1)


def _pixels(points: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Rounded to int32, and no further outside than one image's width, so that no coordinate overflows."""
    far = max(image.shape[:2])
    return np.rint(np.clip(points, -far, 2 * far)).astype(np.int32)


def _dashes(x1: int, y1: int, x2: int, y2: int, dash: float) -> np.ndarray:
    """(S, 2, 2) int32 strokes along the edges of a box."""
    corners = np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2), (x1, y1)], np.float64)
    strokes = []
    for begin, end in itertools.pairwise(corners):
        count = max(1, round(float(np.abs(end - begin).max()) / (2 * dash)))
        at = (np.arange(count)[:, None] + np.array([0.25, 0.75])) / count  # (count, 2) share of the edge
        strokes.append(begin + at[..., None] * (end - begin))
    return np.rint(np.concatenate(strokes)).astype(np.int32)


def _label(canvas: np.ndarray, text: str, x: int, y: int, colour: tuple[int, int, int], size: float) -> None:
    """Text on a plate of the track's colour above the box, inside it where there is no room above."""
    weight = max(1, round(1.6 * size))
    (wide, high), _ = cv2.getTextSize(text, FONT, size, weight)
    pad = max(2, high // 4)
    height, width = canvas.shape[:2]
    left = min(max(x, 0), max(0, width - wide - 2 * pad))
    bottom = y if y >= high + 2 * pad else min(max(y, 0) + high + 2 * pad, height)
    cv2.rectangle(
        canvas, (left, bottom - high - 2 * pad), (left + wide + 2 * pad, bottom), colour, cv2.FILLED
    )
    blue, green, red = colour
    ink = (0, 0, 0) if 0.114 * blue + 0.587 * green + 0.299 * red > 110 else (255, 255, 255)  # BT.601 luma
    cv2.putText(canvas, text, (left + pad, bottom - pad), FONT, size, ink, weight, cv2.LINE_AA)
