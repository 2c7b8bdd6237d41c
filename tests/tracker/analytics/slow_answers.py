"""The obvious way to every answer: one person, one frame, one edge at a time."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np

from retrace.tracker.analytics.counting import BAND, GAP, STEP_OUT
from retrace.tracker.analytics.paths import PAUSE, SMOOTHING
from retrace.tracker.data import MotTable

Point = tuple[float, float]


def of_each(table: MotTable) -> dict[int, list[tuple[int, np.ndarray]]]:
    """Frame and box of everybody, in order of time."""
    found: dict[int, list[tuple[int, np.ndarray]]] = defaultdict(list)
    for row in sorted(range(len(table)), key=lambda row: table.frame[row]):
        found[int(table.id[row])].append((int(table.frame[row]), table.xyxy[row]))
    return found


def foot(box: np.ndarray) -> Point:
    return (box[0] + box[2]) / 2, box[3]


def slow_inside(point: Point, corners: list[Point]) -> bool:
    """The winding number of the polygon around the point is odd; the same as even-odd for simple polygons."""
    turns = 0
    for (x1, y1), (x2, y2) in zip(corners, corners[1:] + corners[:1], strict=True):
        left = (x2 - x1) * (point[1] - y1) - (point[0] - x1) * (y2 - y1)
        if y1 <= point[1] < y2 and left > 0:
            turns += 1
        elif y2 <= point[1] < y1 and left < 0:
            turns -= 1
    return turns != 0


def slow_crossings(table: MotTable, a: Point, b: Point, fps: float) -> list[tuple[float, int, bool]]:
    """(time, id, forward), by time."""
    found = []
    for person, boxes in of_each(table).items():
        stood: tuple[int, Point, float] | None = None  # frame, foot, distance, when last on a side
        for frame, box in boxes:
            x, y = foot(box)
            length = ((b[0] - a[0]) ** 2 + (b[1] - a[1]) ** 2) ** 0.5
            away = ((b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])) / length
            if abs(away) <= BAND * (box[3] - box[1]):
                continue
            if stood is not None and (stood[2] > 0) != (away > 0) and (frame - stood[0]) / fps <= GAP:
                share = stood[2] / (stood[2] - away)
                met = tuple(p + share * (q - p) for p, q in zip(stood[1], (x, y), strict=True))
                on_it = ((met[0] - a[0]) * (b[0] - a[0]) + (met[1] - a[1]) * (b[1] - a[1])) / length**2
                if 0 <= on_it <= 1:
                    found.append(((stood[0] + share * (frame - stood[0])) / fps, person, away > 0))
            stood = (frame, (x, y), away)
    return sorted(found)


def slow_visits(table: MotTable, corners: list[Point], fps: float) -> list[tuple[float, int, float]]:
    """(begin, id, end), by beginning."""
    found = []
    for person, boxes in of_each(table).items():
        frames = [frame for frame, box in boxes if slow_inside(foot(box), corners)]
        for k, frame in enumerate(frames):
            if k and frame - frames[k - 1] - 1 <= STEP_OUT * fps:
                begin = found.pop()[0]
            else:
                begin = frame / fps
            found.append((begin, person, (frame + 1) / fps))
    return sorted(found)


def slow_occupancy(table: MotTable, fps: float, seconds: float) -> list[tuple[int, int]]:
    """(different people, most in a frame) of every bin."""
    who, count = defaultdict(set), Counter(map(int, table.frame))
    most: Counter[int] = Counter()
    for frame, person in zip(table.frame, table.id, strict=True):
        where = int(frame / fps / seconds + 1e-9)
        who[where].add(int(person))
        most[where] = max(most[where], count[int(frame)])
    return [(len(who[k]), most[k]) for k in range(max(who, default=-1) + 1)]


def slow_path(boxes: list[tuple[int, np.ndarray]], fps: float) -> float:
    """px, the length of one person's smoothed way."""
    pieces: list[list[tuple[int, Point]]] = []
    for frame, box in boxes:
        if not pieces or frame - pieces[-1][-1][0] > PAUSE * fps:
            pieces.append([])
        pieces[-1].append((frame, foot(box)))
    length = 0.0
    for piece in pieces:
        smooth = []
        for k, (frame, _) in enumerate(piece):
            reach = SMOOTHING * fps / 2
            low = sum(1 for f, _ in piece[:k] if frame - f <= reach)
            high = sum(1 for f, _ in piece[k + 1 :] if f - frame <= reach)
            side = min(low, high)
            near = [p for _, p in piece[k - side : k + side + 1]]
            smooth.append((sum(x for x, _ in near) / len(near), sum(y for _, y in near) / len(near)))
        length += sum(
            np.hypot(q[0] - p[0], q[1] - p[1]) for p, q in zip(smooth[:-1], smooth[1:], strict=True)
        )
    return length


def made(rows: list[tuple[int, int, float, float]], height: float = 100.0, width: float = 40.0) -> MotTable:
    """(frame, id, foot x, foot y) -> a table."""
    rows = sorted(rows)
    frame, person, x, y = (
        (np.array(column) for column in zip(*rows, strict=True)) if rows else [np.zeros(0)] * 4
    )
    box = np.stack((x - width / 2, y - height, x + width / 2, y), axis=1)
    n = len(rows)
    return MotTable(
        frame.astype(np.int64),
        person.astype(np.int64),
        box.astype(float),
        np.ones(n),
        np.ones(n, int),
        np.ones(n),
    )


def strolls(seed: int, people: int = 12, frames: int = 120) -> MotTable:
    """People who wander about a square of 400 px, unseen now and then."""
    rng = np.random.default_rng(seed)
    rows = []
    for person in range(1, people + 1):
        place = rng.uniform(50, 350, 2)
        heading = rng.uniform(0, 6.3)
        for frame in range(frames):
            heading += rng.normal(0, 0.3)
            place = np.clip(place + 6 * np.array([np.cos(heading), np.sin(heading)]), 0, 400)
            if rng.random() < 0.8 and not (person % 3 == 0 and 30 < frame < 30 + 5 * person):
                rows.append((frame, person, *(place + rng.normal(0, 1, 2))))
    return made(rows)
