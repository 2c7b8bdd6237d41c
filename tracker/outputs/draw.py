"""Boxes, labels, trails, lines, zones and counters painted on a frame."""

from __future__ import annotations

import itertools
from collections import deque

import cv2
import numpy as np

from retrace.tracker.analytics import CountsSoFar, Line, Regions, Zone
from retrace.tracker.data import Step, Tracks
from retrace.tracker.outputs import labels as label
from retrace.tracker.outputs.blur import hidden
from retrace.tracker.outputs.labels import FONT as FONT
from retrace.tracker.outputs.labels import Colour
from retrace.tracker.outputs.style import Style

GOLDEN = 0.618033988749895  # turns of the hue circle from one id to the next: neighbours are far apart
# (saturation, value) by turns: found by search, so that of ids 1 to 59 no two are nearer than 11 in CIELAB
SHADES = ((0.58, 0.88), (0.66, 1.0), (0.43, 0.97), (0.76, 0.73))
REFERENCE = 720  # px; height of an image on which lines are 2 px wide
THUMBNAIL = 360  # px; pictures that are lower have thin lines
BLANK = 40  # grey level of the canvas for a frame without an image
DASH = 6  # px at the reference height
SMALLEST = 0.42  # of a label's font: digits of 9 px
PIECES = 12  # of a trail, each fainter than the one after it
FAINTEST = 0.08  # share of its colour in a trail's oldest piece
LINE_COLOUR, ZONE_COLOUR = (60, 200, 255), (235, 190, 60)  # BGR, amber and blue: no track's
FILLED = 0.14  # share of a zone's colour in its area


class Painter:
    """Draws the frames of one source, in order, and remembers what drawing needs: trails and counts."""

    def __init__(self, style: Style | None = None, size: tuple[int, int] | None = None) -> None:
        """``size`` (height, width) px of frames without an image; None: as large as their boxes need."""
        self.style, self._size = style or Style(), size
        self._trails = Trails()
        self._counts = CountsSoFar(self.style.regions) if self.style.regions.all else None

    def take(self, step: Step) -> None:
        """Remember a frame that is not drawn."""
        self._trails.add(step.frame.time, step.tracks)
        if self._counts is not None:
            self._counts.take(step.frame.time, step.tracks)

    def paint(self, step: Step, width: int | None = None) -> np.ndarray:
        """The step's frame with all that is drawn, (H, W, 3) uint8 BGR, after :meth:`take`.

        With ``width`` px it is shrunk or grown to that before anything is drawn, so that lines and labels keep
        their size.
        """
        self.take(step)
        image = step.frame.image
        if image is None:
            image = np.full((*(self._size or _extent(step.tracks)), 3), BLANK, np.uint8)
        elif self.style.blur is not None:
            image = hidden(step, self.style.blur, self.style.names)
        small = image if width is None else resized(image, width)
        ratio = small.shape[1] / image.shape[1], small.shape[0] / image.shape[0]
        return draw(small, step.tracks, self._trails, self.style, self._counts, ratio)


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
        if not any(len(ids) for _, ids, _ in self._frames):
            return {}
        ids = np.concatenate([ids for _, ids, _ in self._frames])
        points = np.concatenate([points for _, _, points in self._frames])
        order = np.argsort(ids, kind="stable")  # keeps the order of time within an id
        found, first = np.unique(ids[order], return_index=True)
        return dict(zip(found.tolist(), np.split(points[order], first[1:]), strict=True))


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
    style: Style | None = None,
    counts: CountsSoFar | None = None,
    ratio: tuple[float, float] = (1.0, 1.0),
) -> np.ndarray:
    """A copy of ``image`` (H, W, 3) uint8 BGR with boxes, labels, trails, lines and zones.

    An id has the same colour in every run. A track that was only predicted in this frame (``det_index`` -1)
    has a dashed box. Trails are shown for the tracks of this frame, the older the fainter.

    Args:
        image: what is drawn on; it stays as it is.
        tracks: of this frame.
        trails: where tracks were before.
        style: what else is drawn; default: ids.
        counts: what stands beside lines and zones.
        ratio: (across, down) px of the image for one px of the boxes.
    """
    style, canvas = style or Style(), image.copy()
    scale = max(0.6, min(image.shape[:2]) / REFERENCE)
    thinnest = 2 if min(image.shape[:2]) >= THUMBNAIL else 1  # one px pales in the colours of a video
    width, size = max(thinnest, round(2 * scale)), max(SMALLEST, 0.55 * scale)
    for zone in style.regions.zones:
        _zone(canvas, zone, ratio, width)
    colours = colours_of(tracks.id)
    boxes = _pixels(tracks.xyxy.reshape(-1, 2) * ratio, image).reshape(-1, 4)
    paths = trails.lines() if trails is not None else {}
    for i, colour in zip(tracks.id.tolist(), colours, strict=True):
        if i in paths:
            _trail(canvas, _pixels(paths[i] * ratio, image), colour, width)
    for line in style.regions.lines:
        _line(canvas, line, ratio, width)
    for box, det_index, colour in zip(boxes.tolist(), tracks.det_index.tolist(), colours, strict=True):
        _box(canvas, box, det_index < 0, colour, width, DASH * scale)
    taken = _counters(canvas, style.regions, counts, ratio, size)
    _labels(canvas, tracks, boxes, colours, style, taken, size)
    return canvas


def _box(
    canvas: np.ndarray, box: list[int], predicted: bool, colour: Colour, width: int, dash: float
) -> None:
    x1, y1, x2, y2 = box
    if predicted:
        cv2.polylines(canvas, list(_dashes(x1, y1, x2, y2, dash)), False, colour, width)
    else:
        cv2.rectangle(canvas, (x1, y1), (x2, y2), colour, width)


def _labels(
    canvas: np.ndarray,
    tracks: Tracks,
    boxes: np.ndarray,
    colours: list[Colour],
    style: Style,
    taken: np.ndarray,
    size: float,
) -> None:
    """A label a box that is in the picture, none over another as far as there is room."""
    high, wide = canvas.shape[:2]
    rows = zip(tracks.id.tolist(), tracks.class_id.tolist(), tracks.score.tolist(), strict=True)
    texts = [style.text(*row) for row in rows]
    seen = (boxes[:, 2] > 0) & (boxes[:, 3] > 0) & (boxes[:, 0] < wide) & (boxes[:, 1] < high)
    shown = [k for k in seen.nonzero()[0].tolist() if texts[k]]
    plates = np.array([label.plate_size(texts[k], size) for k in shown], np.int64).reshape(-1, 2)
    places = label.place(boxes[shown].astype(np.int64), plates, (high, wide), taken)
    for k, (x, y) in zip(shown, places.tolist(), strict=True):
        label.write(canvas, texts[k], (x, y), colours[k], size)


def _trail(canvas: np.ndarray, points: np.ndarray, colour: Colour, width: int) -> None:
    """A way (n, 2) px, oldest first, that fades into the picture behind it."""
    cuts = np.unique(np.linspace(0, len(points) - 1, min(PIECES, len(points)) + 1).round().astype(int))
    high, wide = canvas.shape[:2]
    for number, (begin, end) in enumerate(itertools.pairwise(cuts.tolist()), 1):
        x, y = points[(begin + end) // 2].tolist()
        share = FAINTEST + (1 - FAINTEST) * number / (len(cuts) - 1)
        under = canvas[min(max(y, 0), high - 1), min(max(x, 0), wide - 1)].tolist()
        mixed = [round(share * c + (1 - share) * u) for c, u in zip(colour, under, strict=True)]
        cv2.polylines(canvas, [points[begin : end + 1]], False, mixed, width)


def _zone(canvas: np.ndarray, zone: Zone, ratio: tuple[float, float], width: int) -> None:
    """A polygon whose area is tinted."""
    corners = _pixels(np.array(zone.points) * ratio, canvas)
    x, y, wide, high = cv2.boundingRect(corners)
    x1, y1, x2, y2 = max(x, 0), max(y, 0), min(x + wide, canvas.shape[1]), min(y + high, canvas.shape[0])
    if x1 < x2 and y1 < y2:
        part = canvas[y1:y2, x1:x2]
        tinted = cv2.fillPoly(part.copy(), [corners - (x1, y1)], ZONE_COLOUR)
        part[:] = cv2.addWeighted(part, 1 - FILLED, tinted, FILLED, 0)
    cv2.polylines(canvas, [corners], True, ZONE_COLOUR, width, cv2.LINE_AA)


def _line(canvas: np.ndarray, line: Line, ratio: tuple[float, float], width: int) -> None:
    """A line with a dark edge, and an arrow that points in its first direction."""
    a, b = _pixels(np.array(line.points) * ratio, canvas).tolist()
    cv2.line(canvas, a, b, (0, 0, 0), width + 2, cv2.LINE_AA)
    cv2.line(canvas, a, b, LINE_COLOUR, width, cv2.LINE_AA)
    along = np.subtract(b, a)
    away = np.array([-along[1], along[0]]) / max(1e-9, float(np.hypot(*along)))  # to its right, y downwards
    middle = np.add(a, b) / 2
    tip = np.rint(middle + 10 * width * away).astype(int).tolist()
    cv2.arrowedLine(
        canvas, np.rint(middle).astype(int).tolist(), tip, LINE_COLOUR, width, cv2.LINE_AA, tipLength=0.4
    )


def _counters(
    canvas: np.ndarray, regions: Regions, counts: CountsSoFar | None, ratio: tuple[float, float], size: float
) -> np.ndarray:
    """Names and counts of lines and zones, at their first point; where they stand, (M, 4) int px."""
    crossed = counts.crossed if counts is not None else [{} for _ in regions.lines]
    texts = [
        "  ".join([line.name, *(f"{way} {times}" for way, times in found.items())])
        for line, found in zip(regions.lines, crossed, strict=True)
    ]
    present = counts.present if counts is not None else []
    texts += [zone.name for zone in regions.zones[len(present) :]]
    texts += [
        f"{zone.name}  now {now}  ever {ever}"
        for zone, (now, ever) in zip(regions.zones, present, strict=False)
    ]
    if not texts:
        return np.zeros((0, 4), np.int64)
    colours = [LINE_COLOUR] * len(regions.lines) + [ZONE_COLOUR] * len(regions.zones)
    starts = [_pixels(np.array([one.points[0]]) * ratio, canvas)[0] for one in regions.all]
    plates = np.array([label.plate_size(text, size) for text in texts], np.int64)
    corners = np.hstack((np.array(starts), np.array(starts))).astype(np.int64)
    places = label.place(corners, plates, canvas.shape[:2], np.zeros((0, 4), np.int64))
    for text, (x, y), colour in zip(texts, places.tolist(), colours, strict=True):
        label.write(canvas, text, (x, y), colour, size)
    return np.hstack((places, places + plates))


def colours_of(ids: np.ndarray) -> list[Colour]:
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
