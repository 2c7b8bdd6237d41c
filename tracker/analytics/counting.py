"""Line crossings, visits to zones, and how many people there are at a time.

A person stands at the middle of the lower edge of the box. People who stand on a line sway across it: a crossing
counts once the feet are `BAND` of the box's height away on the other side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrace.configs.errors import InputError
from retrace.tracker.analytics.regions import Line, Zone, inside
from retrace.tracker.data import MotTable

BAND = 0.05  # of the box's height on either side of a line; nobody is on a side in there
MOST_BINS = 10_000_000
GAP = 5.0  # s; who is unseen for longer is not followed across a line
STEP_OUT = 1.0  # s; who is out of a zone, or unseen, for no longer has not left it


@dataclass(frozen=True, slots=True, eq=False)
class Crossings:
    """C crossings of one line, by time.

    Example:
        >>> from retrace import read_ground_truth
        >>> from retrace.tracker.analytics import Line, crossings
        >>> truth = read_ground_truth("gt/MOT17-02-FRCNN/gt/gt.txt")  # two people, one goes right, one slowly left
        >>> found = crossings(truth, Line(name="door", points=((50, 0), (50, 96))), fps=10)
        >>> found.id.tolist(), found.forward.tolist(), found.place.tolist()  # px; left is forward
        ([1, 2], [False, True], [[50.0, 70.0], [50.0, 70.0]])
        >>> found.totals()
        {'left': 1, 'right': 1}
    """

    line: Line
    id: np.ndarray  # (C,) int64
    time: np.ndarray  # (C,) float64 s, when the straight path between both sides met the line
    forward: np.ndarray  # (C,) bool, in the line's first direction
    place: np.ndarray  # (C, 2) float64 px, on the line

    def totals(self) -> dict[str, int]:
        """How many in each direction, by its name."""
        there, back = self.line.labels
        return {there: int(self.forward.sum()), back: int((~self.forward).sum())}


@dataclass(frozen=True, slots=True, eq=False)
class Visits:
    """V visits to one zone, by their beginning.

    Example:
        >>> from retrace import read_ground_truth
        >>> from retrace.tracker.analytics import Zone, visits
        >>> truth = read_ground_truth("gt/MOT17-02-FRCNN/gt/gt.txt")  # two people, one goes right, one slowly left
        >>> found = visits(truth, Zone(name="right", points=((96, 0), (192, 0), (192, 96), (96, 96))), fps=10)
        >>> found.id.tolist(), found.begin.tolist(), found.end.tolist(), found.seconds.round(1).tolist()  # s
        ([1], [1.9], [3.0], [1.1])
    """

    zone: Zone
    id: np.ndarray  # (V,) int64
    begin: np.ndarray  # (V,) float64 s, of the first frame inside
    end: np.ndarray  # (V,) float64 s, of the last frame inside, its duration included

    @property
    def seconds(self) -> np.ndarray:
        """(V,) float64 s, dwell time."""
        return self.end - self.begin


@dataclass(frozen=True, slots=True, eq=False)
class Occupancy:
    """How many different people there are in each bin of time.

    Example:
        >>> from retrace import read_ground_truth
        >>> from retrace.tracker.analytics import Zone, occupancy
        >>> truth = read_ground_truth("gt/MOT17-02-FRCNN/gt/gt.txt")  # two people, one goes right, one slowly left
        >>> left = Zone(name="left", points=((0, 0), (60, 0), (60, 96), (0, 96)))
        >>> found = occupancy(truth, fps=10, bin_seconds=1.0, zone=left)
        >>> found.begin.tolist(), found.people.tolist(), found.most.tolist()  # one leaves as the other comes
        ([0.0, 1.0, 2.0], [1, 1, 1], [1, 1, 1])
    """

    begin: np.ndarray  # (B,) float64 s
    people: np.ndarray  # (B,) int64, different identities seen in the bin
    most: np.ndarray  # (B,) int64, the most seen in one frame of it


def feet(xyxy: np.ndarray) -> np.ndarray:
    """(R, 4) boxes -> (R, 2) px, the middle of the lower edge."""
    return np.stack(((xyxy[:, 0] + xyxy[:, 2]) / 2, xyxy[:, 3]), axis=1)


def by_person(table: MotTable) -> MotTable:
    """The rows by identity, then frame."""
    return table.take(np.lexsort((table.frame, table.id)))


def crossings(table: MotTable, line: Line, fps: float) -> Crossings:
    """Who crossed the line, when, in which direction.

    Args:
        table: tracks, with ids.
        fps: frames/s; time is frame / fps.

    Raises:
        InputError: fps is no positive number.

    Example:
        >>> from retrace import read_ground_truth
        >>> from retrace.tracker.analytics import Line, crossings
        >>> truth = read_ground_truth("gt/MOT17-02-FRCNN/gt/gt.txt")  # two people, one goes right, one slowly left
        >>> found = crossings(truth, Line(name="door", points=((96, 0), (96, 96))), fps=10)
        >>> found.id.tolist(), found.time.round(2).tolist(), found.totals()
        ([1], [1.85], {'left': 0, 'right': 1})
    """
    rows = by_person(table)
    seconds = rows.frame / _rate(fps)
    foot, away = sides(line, rows.xyxy)
    sided = away.nonzero()[0]
    before, after = sided[:-1], sided[1:]
    same = (rows.id[before] == rows.id[after]) & (seconds[after] - seconds[before] <= GAP)
    before, after = before[same], after[same]
    met, share, place = meetings(line, foot[before], away[before], foot[after], away[after])
    before, after = before[met], after[met]
    time = seconds[before] + share * (seconds[after] - seconds[before])
    order = np.lexsort((rows.id[after], time))
    return Crossings(line, rows.id[after][order], time[order], away[after][order] > 0, place[order])


def sides(line: Line, xyxy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(R, 4) boxes -> their feet (R, 2) px, and how far these are from the line, (R,) px: positive on its right,
    negative on its left, 0 within the band, where nobody is on a side."""
    foot, (a, b) = feet(xyxy), np.array(line.points)
    along = b - a
    away = (along[0] * (foot[:, 1] - a[1]) - along[1] * (foot[:, 0] - a[0])) / np.hypot(*along)
    return foot, np.where(np.abs(away) > BAND * (xyxy[:, 3] - xyxy[:, 1]), away, 0.0)


def meetings(
    line: Line, foot: np.ndarray, away: np.ndarray, next_foot: np.ndarray, next_away: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """P straight paths from one place on a side to the next -> which of them cross the line: their indices (C,),
    after which share of the path (C,), and where, (C, 2) px."""
    crossed = ((away > 0) != (next_away > 0)).nonzero()[0]
    share = away[crossed] / (away[crossed] - next_away[crossed])
    place = foot[crossed] + share[:, None] * (next_foot[crossed] - foot[crossed])
    a, b = np.array(line.points)
    on_it = (place - a) @ (b - a) / ((b - a) @ (b - a))
    met = (on_it >= 0) & (on_it <= 1)
    return crossed[met], share[met], place[met]


def visits(table: MotTable, zone: Zone, fps: float) -> Visits:
    """Who was in the zone, from when to when. Stepping out for `STEP_OUT` s or less does not end a visit.

    Args:
        table: tracks, with ids.
        fps: frames/s.

    Raises:
        InputError: fps is no positive number.

    Example:
        >>> from retrace import read_ground_truth
        >>> from retrace.tracker.analytics import Zone, visits
        >>> truth = read_ground_truth("gt/MOT17-02-FRCNN/gt/gt.txt")  # two people, one goes right, one slowly left
        >>> found = visits(truth, Zone(name="left", points=((0, 0), (60, 0), (60, 96), (0, 96))), fps=10)
        >>> found.id.tolist(), found.begin.tolist(), found.seconds.tolist()
        ([1, 2], [0.0, 1.3], [1.0, 1.7])
    """
    rows = by_person(table)
    rows = rows.take(inside(feet(rows.xyxy), np.array(zone.points)).nonzero()[0])
    return Visits(zone, *stays(rows.id, rows.frame, _rate(fps), STEP_OUT))


def stays(
    person: np.ndarray, frame: np.ndarray, fps: float, gap: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows sorted by person, then frame -> (V,) person, begin, end s, cut where somebody is away over ``gap`` s."""
    if not len(person):
        return np.zeros(0, np.int64), np.zeros(0), np.zeros(0)
    new = np.ones(len(person), bool)
    new[1:] = (person[1:] != person[:-1]) | (np.diff(frame) - 1 > gap * fps)
    first = new.nonzero()[0]
    last = np.append(first[1:], len(person)) - 1
    begin, end = frame[first] / fps, (frame[last] + 1) / fps
    order = np.lexsort((person[first], begin))
    return person[first][order], begin[order], end[order]


def occupancy(table: MotTable, fps: float, bin_seconds: float = 60.0, zone: Zone | None = None) -> Occupancy:
    """Different people a bin of time (a minute), and the most at once, in the picture or in a zone.

    Args:
        table: tracks, with ids.
        fps: frames/s.

    Raises:
        InputError: fps or bin_seconds is no positive number.

    Example:
        >>> from retrace import read_ground_truth
        >>> from retrace.tracker.analytics import occupancy
        >>> truth = read_ground_truth("gt/MOT17-02-FRCNN/gt/gt.txt")  # two people, one goes right, one slowly left
        >>> occupancy(truth, fps=10, bin_seconds=1.0).people.tolist()
        [2, 2, 2]
    """
    if not (np.isfinite(bin_seconds) and bin_seconds > 0):
        raise InputError(f"`bin_seconds` must be a positive number of seconds, got {bin_seconds}")
    rate = _rate(fps)
    if zone is not None:
        table = table.take(inside(feet(table.xyxy), np.array(zone.points)))
    if not len(table):
        return Occupancy(np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64))
    if (table.frame.max() + 1) / rate / bin_seconds > MOST_BINS:
        raise InputError(
            f"`bin_seconds` {bin_seconds:g} makes more than {MOST_BINS:,} bins of {table.frame.max() / rate:g} s; "
            "choose longer ones"
        )
    bin_of = np.floor(table.frame / rate / bin_seconds + 1e-9).astype(np.int64)
    count = int(bin_of.max()) + 1
    pair = np.unique(np.stack((bin_of, table.id), axis=1), axis=0)
    frame, in_frame = np.unique(table.frame, return_counts=True)
    most = np.zeros(count, np.int64)
    np.maximum.at(most, np.floor(frame / rate / bin_seconds + 1e-9).astype(np.int64), in_frame)
    return Occupancy(np.arange(count) * bin_seconds, np.bincount(pair[:, 0], minlength=count), most)


def _rate(fps: float) -> float:
    if not (np.isfinite(fps) and fps > 0):
        raise InputError(f"fps must be a positive number, got {fps}")
    return float(fps)
