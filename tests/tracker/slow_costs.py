"""The cost terms one pair at a time, by the papers' equations: the slow twin of tracker/association/costs.py."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from tests.tracker.slow_boxes import slow_iou


class Belief:
    """How sure the detector will be of a track: mean (score, speed) and covariance with full matrices."""

    def __init__(self, score):
        self.mean, self.cov = np.array([float(score), 0.0]), np.diag([10.0, 10_000.0])

    def predict(self, steps=1.0):
        move = np.array([[1, steps], [0, 1]])
        self.mean = move @ self.mean
        self.cov = move @ self.cov @ move.T + steps * np.diag([1.0, 0.0001])

    def update(self, score):
        gain = self.cov[:, 0] / (self.cov[0, 0] + 10.0)
        self.mean = self.mean + gain * (float(score) - self.mean[0])
        self.cov = self.cov - np.outer(gain, self.cov[0])


@dataclass(eq=False)
class Track:
    """One object for each track; it remembers everything it ever saw."""

    filter: object  # a Textbook
    boxes: list  # (time, xyxy in this frame's pixels), newest first
    scores: list  # newest first
    born: float
    seen: float
    class_id: int = 0
    id: int = 0
    status: str = "tentative"
    hits: int = 1
    streak: int = 0
    views: list = field(default_factory=list)  # appearance vectors, oldest first
    recent: np.ndarray | None = None
    kept: object = None  # the filter as it was after the last detection

    def __post_init__(self):
        self.belief = Belief(self.scores[-1])
        self.last = self.boxes[0][1]  # the last detection's box, where it was seen


@dataclass(eq=False)
class Seen:
    """One detection."""

    box: np.ndarray
    score: np.float32
    class_id: int = 0
    vector: np.ndarray | None = None


@dataclass(eq=False)
class World:
    """What a term may look at, in one frame. Overlaps and looks hold until its tracks take their detections; stages
    and terms ask for the same ones many times over."""

    config: object
    model: object
    tracks: list
    seen: list
    time: float
    before: float
    interval: float
    stretch: float = 1.0  # of 1 - cosine
    open: set = field(default_factory=set)  # detections of the stage that runs
    known: dict = field(default_factory=dict)  # what was asked for already

    def alike(self, a, b):
        return self.config.class_agnostic or a.class_id == b.class_id

    def fresh(self, track, age):
        """Seen within so many seconds, or in the last frame."""
        return self.time - track.seen <= age + 1e-6 or track.seen >= self.before - 1e-6

    def motion_age(self):
        return self.config.max_age if self.config.motion_age is None else self.config.motion_age

    def predicted(self, track):
        mean = track.filter.mean
        if track not in self.known or self.known[track][0] is not mean:
            self.known[track] = mean, self.model.to_xyxy(mean[None, :4])[0]
        return self.known[track][1]

    def z(self, box):
        return self.model.from_xyxy(np.array([box], np.float64))[0]

    def iou(self, stage, track, j):
        """Of the boxes this stage compares; 0 for another class, or a prediction nobody believes any more."""
        asked = stage.against, stage.buffer, track, j
        if asked not in self.known:
            self.known[asked] = self.iou_of(stage, track, j)
        return self.known[asked]

    def iou_of(self, stage, track, j):
        other = self.seen[j]
        if not self.alike(track, other):
            return 0.0
        if stage.against == "observed":
            mine = track.boxes[0][1]
        elif self.fresh(track, self.motion_age()):
            mine = self.predicted(track)
        else:
            return 0.0
        return slow_iou(grow(mine, stage.buffer), grow(other.box, stage.buffer))

    def look(self, track, j):
        """1 - cosine, or None where a side has no appearance."""
        if (track, j) not in self.known:
            self.known[track, j] = self.look_of(track, j)
        return self.known[track, j]

    def look_of(self, track, j):
        vector = self.seen[j].vector
        if not track.views or vector is None or not self.alike(track, self.seen[j]):
            return None
        lost = track.status == "lost"
        memory = self.config.lost_appearance if lost else self.config.active_appearance
        bank = {"recent": [track.recent], "history": track.views}.get(
            memory, track.views[-self.config.bank :]
        )
        each = [1 - float(view @ vector) for view in bank]
        return self.stretch * float({"minimum": min, "median": np.median}.get(memory, np.mean)(each))


def grow(box, by):
    width, height = box[2] - box[0], box[3] - box[1]
    return np.array(
        [box[0] - by * width, box[1] - by * height, box[2] + by * width, box[3] + by * height], np.float64
    )


def angle(a, b):
    """Between two vectors, in [0, pi]; half a pi where one has no length."""
    size = math.hypot(*a) * math.hypot(*b)
    return math.pi / 2 if size == 0 else math.acos(max(-1.0, min(1.0, (a[0] * b[0] + a[1] * b[1]) / size)))


def centre(box):
    return np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])


def iou(w, stage, t, j):
    return 1 - w.iou(stage, t, j)


def iou_score(w, stage, t, j):
    return 1 - w.iou(stage, t, j) * float(w.seen[j].score)


def hmiou(w, stage, t, j):
    a, b = t.boxes[0][1] if stage.against == "observed" else w.predicted(t), w.seen[j].box
    low, high = min(a[1], b[1]), max(a[3], b[3])
    return 1 - max(0.0, min(a[3], b[3]) - max(a[1], b[1])) / (high - low) * w.iou(stage, t, j)


def trust(w, t, j):
    """BoostTrack: 0.9 ** (7 - age) for the young, 0.9 ** (steps since seen - 1) for others."""
    age, since = round((w.time - t.born) / w.interval), round((w.time - t.seen) / w.interval)
    return float(w.seen[j].score) * 0.9 ** (7 - age if age < 7 else max(0, since - 1))


def trusted_iou(w, stage, t, j):
    return 1 - trust(w, t, j) * w.iou(stage, t, j)


def shape(w, stage, t, j):
    a, b = w.predicted(t), w.seen[j].box
    wa, ha, wb, hb = a[2] - a[0], a[3] - a[1], b[2] - b[0], b[3] - b[1]
    return 1 - trust(w, t, j) * math.exp(-(abs(wa - wb) / max(wa, wb) + abs(ha - hb) / max(ha, hb)))


def shape_by_width(w, stage, t, j):
    a, b = w.predicted(t), w.seen[j].box
    wa, ha, wb, hb = a[2] - a[0], a[3] - a[1], b[2] - b[0], b[3] - b[1]
    return 1 - trust(w, t, j) * math.exp(-(abs(wa - wb) + abs(ha - hb)) / max(wa, wb))


def squared_distance(w, t, j, coordinates, noise=1):
    f = t.filter
    s = f.cov[:4, :4] + noise * np.diag(np.square(f.measurement(f.mean[:4])))
    s = s[:coordinates, :coordinates]
    off = (w.z(w.seen[j].box) - f.mean[:4])[:coordinates]
    return float(off @ np.linalg.inv(s) @ off)


def mahalanobis(w, stage, t, j):
    return squared_distance(w, t, j, 4)


def centre_mahalanobis(w, stage, t, j):
    return squared_distance(w, t, j, 2)


def own_distance(w, t, j):
    """BoostTrack's: the filter's own uncertainty, without the measurement's."""
    return squared_distance(w, t, j, 4, noise=0)


def mahalanobis_share(w, stage, t, j):
    least = w.config.low if "low" in stage.bands else w.config.high
    rivals = [k for k, d in enumerate(w.seen) if d.score >= least and w.alike(t, d)]
    if j not in rivals or own_distance(w, t, j) > 13.2767:
        return 1.0
    weight = {k: math.exp(max(0.0, 13.2767 - own_distance(w, t, k))) for k in rivals}
    return 1 - weight[j] / sum(weight.values())


def direction(w, stage, t, j):
    if len(t.boxes) < 2:
        return 0.0
    span = w.config.direction_span * w.interval * (1 + 1e-6)

    def oldest_since(time, boxes):  # the newest of them where all are older
        return ([box for when, box in boxes if when >= time] or [boxes[0][1]])[-1]

    came = oldest_since(t.boxes[0][0] - span, t.boxes[1:])
    goes = oldest_since(w.time - span, t.boxes)
    before, after = centre(t.boxes[0][1]) - centre(came), centre(w.seen[j].box) - centre(goes)
    return (angle(before, after) / math.pi - 0.5) * float(w.seen[j].score)


def corner_direction(w, stage, t, j):
    def unit(x, y):
        size = math.hypot(x, y)
        return (x / size, y / size) if size else (0.0, 0.0)

    total, last, box = 0.0, t.boxes[0][1], w.seen[j].box
    recent = [old for when, old in t.boxes[:4] if when >= w.time - 3 * w.interval * (1 + 1e-6)]
    start = (recent or [last])[-1]
    for x in (0, 2):
        for y in (1, 3):
            came = [0.0, 0.0]
            for span in (1, 2, 3):
                if span < len(t.boxes):
                    step = unit(last[x] - t.boxes[span][1][x], last[y] - t.boxes[span][1][y])
                    came = [a + b / span / 3 for a, b in zip(came, step, strict=True)]
            goes = unit(box[x] - start[x], box[y] - start[y])
            total += math.acos(max(-1.0, min(1.0, came[0] * goes[0] + came[1] * goes[1])))
    return total / 4 / math.pi * float(w.seen[j].score)


def score_gap(w, stage, t, j):
    last, before = (*t.scores, t.scores[-1])[:2]
    expected = max(0.0, min(1.0, 2 * float(last) - float(before)))
    return abs(expected - float(w.seen[j].score))


def score_forecast(w, stage, t, j):
    score, last, before = (float(s) for s in (w.seen[j].score, *(*t.scores, t.scores[-1])[:2]))
    if w.seen[j].score >= w.config.high:
        return abs(max(w.config.high, min(1.0, t.belief.mean[0])) - score)
    missed = t.seen < w.before - 1e-6
    return abs(max(w.config.low, min(w.config.high, last if missed else 2 * last - before)) - score)


def appearance(w, stage, t, j):
    look = w.look(t, j)
    if look is not None:
        return look
    return math.inf if stage.neutral_appearance is None else stage.neutral_appearance


def half_appearance(w, stage, t, j):
    return appearance(w, stage, t, j) / 2


def adaptive_appearance(w, stage, t, j):
    look = w.look(t, j)
    if look is None:
        return 0.0

    def margin(looks):
        known = sorted(1 - x for x in looks if x is not None)
        return min(0.5, known[-1] - known[-2]) if len(known) > 1 else 0.0

    row = margin([w.look(t, k) for k in range(len(w.seen))])
    col = margin([w.look(other, j) for other in w.tracks])
    return -(0.75 + (row + col) / 2) * (1 - look)


def nearest_cue(w, stage, t, j):
    look, far = half_appearance(w, stage, t, j), iou(w, stage, t, j)
    if look > stage.cue_appearance or far > stage.cue_iou:
        look = 1.0
    return min(iou_score(w, stage, t, j), look)


def iou_unless_alike(w, stage, t, j):
    look = w.look(t, j)
    return iou(w, stage, t, j) - (0.15 if look is not None and 1 - look >= 0.75 else 0)


def table(told, age, value):
    """Linear between knots, constant beyond them."""
    return float(np.interp(value, told.at, told.nats[age if len(told.nats) > 1 else 0]))


def log_odds(w, stage, t, j):
    told, d = w.config.log_odds, w.seen[j]
    since = w.time - t.seen
    age = 0 if since < 1.5 * w.interval else 1 + sum(gap <= since + 1e-6 for gap in told.gaps)
    a, b = w.predicted(t), d.box
    heights = max(0.0, min(a[3], b[3]) - max(a[1], b[1])) / (max(a[3], b[3]) - min(a[1], b[1]))
    values = {
        "overlap": heights * w.iou(stage, t, j),
        "place": math.log(max(1e-3, squared_distance(w, t, j, 2))),
        "size": abs(math.log((b[3] - b[1]) / (t.last[3] - t.last[1]))),
        "score": float(d.score),
        "fall": float(t.scores[0]) - float(d.score),
        "look": w.look(t, j),
    }
    known = {name: value for name, value in values.items() if value is not None}
    return -told.bias - sum(table(getattr(told, name), age, value) for name, value in known.items())


SLOW_TERMS = {
    f.__name__: f
    for f in (
        iou,
        iou_score,
        hmiou,
        trusted_iou,
        shape,
        shape_by_width,
        mahalanobis,
        centre_mahalanobis,
        mahalanobis_share,
        direction,
        corner_direction,
        score_gap,
        score_forecast,
        appearance,
        half_appearance,
        adaptive_appearance,
        nearest_cue,
        iou_unless_alike,
        log_odds,
    )
}
