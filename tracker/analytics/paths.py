"""Where people went, how far and how fast, and where the feet of all of them were."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrace.configs.errors import InputError
from retrace.tracker.analytics.counting import by_person, feet
from retrace.tracker.data import MotTable

SMOOTHING = 0.5  # s, of the moving mean that takes the detector's jitter out of a path
PAUSE = 1.0  # s; a longer time unseen adds no path and no speed


@dataclass(frozen=True, slots=True, eq=False)
class Paths:
    """The smoothed way of every person: R rows by identity, then frame; all but ids are float64.

    Example:
        >>> from retrace import read_ground_truth
        >>> from retrace.tracker.analytics import paths
        >>> truth = read_ground_truth("gt/MOT17-02-FRCNN/gt/gt.txt")  # two people, one goes right, one slowly left
        >>> way = paths(truth, fps=10)
        >>> way.step[:3].tolist(), way.height[:3].tolist()  # px
        ([0.0, 4.0, 4.0], [50.0, 50.0, 50.0])
        >>> way.speed[:3].tolist()  # body heights/s: 10 frames/s, 4 of 50 px a frame
        [nan, 0.8, 0.8]
    """

    id: np.ndarray  # (R,) int64
    time: np.ndarray  # (R,) s
    foot: np.ndarray  # (R, 2) px, smoothed
    height: np.ndarray  # (R,) px, of the box
    step: np.ndarray  # (R,) px from the row before; 0 for the first of a person and after a pause
    speed: np.ndarray  # (R,) body heights/s; NaN where `step` has no row before


@dataclass(frozen=True, slots=True, eq=False)
class Persons:
    """One row a person, by id; what is not said to be int64 is float64.

    Example:
        >>> from retrace import read_ground_truth
        >>> from retrace.tracker.analytics import persons
        >>> truth = read_ground_truth("gt/MOT17-02-FRCNN/gt/gt.txt")  # two people, one goes right, one slowly left
        >>> found = persons(truth.take((truth.frame >= 5) | (truth.id == 2)), fps=10)
        >>> found.id.tolist(), found.begin.tolist(), found.end.tolist(), found.boxes.tolist()
        ([1, 2], [0.5, 0.0], [3.0, 3.0], [25, 30])
    """

    id: np.ndarray  # (P,) int64
    class_id: np.ndarray  # (P,) int64, of most boxes
    begin: np.ndarray  # (P,) s, of the first box
    end: np.ndarray  # (P,) s, of the last, its frame's duration included
    seconds: np.ndarray  # (P,) s, seen: boxes / fps
    boxes: np.ndarray  # (P,) int64
    path: np.ndarray  # (P,) px
    speed: np.ndarray  # (P,) body heights/s, mean while seen; NaN for one box
    score: np.ndarray  # (P,) mean
    best_frame: np.ndarray  # (P,) int64, where score x area is largest: a crop to show
    best_xyxy: np.ndarray  # (P, 4) px, the box there

    def __len__(self) -> int:
        return len(self.id)


@dataclass(frozen=True, slots=True, eq=False)
class HeatMap:
    """Person-seconds a cell.

    Example:
        >>> from retrace import read_ground_truth
        >>> from retrace.tracker.analytics import heat_map
        >>> truth = read_ground_truth("gt/MOT17-02-FRCNN/gt/gt.txt")  # two people, one goes right, one slowly left
        >>> found = heat_map(truth, fps=10, size=(96, 192), cell=48)
        >>> found.seconds.shape, found.cell, found.seconds.sum().round(1).item()  # two people for 3 s
        ((2, 4), 48.0, 6.0)
    """

    seconds: np.ndarray  # (rows, columns) float64
    cell: float  # px, side


def paths(table: MotTable, fps: float) -> Paths:
    """The way of the feet: a centred moving mean over `SMOOTHING` s within unbroken pieces.

    Args:
        table: tracks, with ids.
        fps: frames/s.

    Raises:
        InputError: fps is no positive number.

    Example:
        >>> from retrace import read_ground_truth
        >>> from retrace.tracker.analytics import paths
        >>> truth = read_ground_truth("gt/MOT17-02-FRCNN/gt/gt.txt")  # two people, one goes right, one slowly left
        >>> way = paths(truth, fps=10)
        >>> way.foot[:2].tolist(), way.step[:2].tolist()  # 4 px a frame
        ([[22.0, 70.0], [26.0, 70.0]], [0.0, 4.0])
    """
    if not (np.isfinite(fps) and fps > 0):
        raise InputError(f"fps must be a positive number, got {fps}")
    rows = by_person(table)
    new = np.ones(len(rows), bool)
    new[1:] = (rows.id[1:] != rows.id[:-1]) | (np.diff(rows.frame) > PAUSE * fps)
    foot = _smoothed(feet(rows.xyxy), rows.frame, np.cumsum(new), SMOOTHING * fps / 2)
    height = rows.xyxy[:, 3] - rows.xyxy[:, 1]
    step, speed = np.zeros(len(rows)), np.full(len(rows), np.nan)
    if len(rows):
        moved = np.hypot(*np.diff(foot, axis=0).T)
        step[1:] = np.where(new[1:], 0.0, moved)
        passed = np.diff(rows.frame) / fps
        with np.errstate(divide="ignore", invalid="ignore"):
            speed[1:] = np.where(new[1:], np.nan, moved / passed / height[1:])
    return Paths(rows.id, rows.frame / fps, foot, height, step, speed)


def _smoothed(foot: np.ndarray, frame: np.ndarray, piece: np.ndarray, reach: float) -> np.ndarray:
    """(R, 2) mean of the rows of the same piece at most ``reach`` frames away, in equal number on both sides: a
    straight walk stays as it is to its ends. Rows are sorted by piece, then frame."""
    if not len(foot):
        return foot
    place = piece * (int(frame.max()) + 2 * int(reach) + 3) + frame  # one axis on which pieces are far apart
    row = np.arange(len(foot))
    low = np.searchsorted(place, place - reach, "left")
    high = np.searchsorted(place, place + reach, "right")
    side = np.minimum(row - low, high - 1 - row)
    total = np.concatenate((np.zeros((1, 2)), np.cumsum(foot, axis=0)))
    return (total[row + side + 1] - total[row - side]) / (2 * side + 1)[:, None]


def persons(table: MotTable, fps: float) -> Persons:
    """A row a person: from, to, seconds seen, path, speed, mean score, the best crop.

    Args:
        table: tracks, with ids.
        fps: frames/s.

    Raises:
        InputError: fps is no positive number.

    Example:
        >>> from retrace import read_ground_truth
        >>> from retrace.tracker.analytics import persons
        >>> truth = read_ground_truth("gt/MOT17-02-FRCNN/gt/gt.txt")  # two people, one goes right, one slowly left
        >>> found = persons(truth, fps=10)
        >>> found.path.round().tolist(), found.speed.round(2).tolist()  # px, body heights/s
        ([116.0, 29.0], [0.8, 0.2])
    """
    way, rows = paths(table, fps), by_person(table)
    who, first = np.unique(rows.id, return_index=True)
    last = np.append(first[1:], len(rows))[: len(who)] - 1
    boxes = last - first + 1
    index = np.repeat(np.arange(len(who)), boxes)
    size = rows.xyxy[:, 2:] - rows.xyxy[:, :2]
    worth = rows.score * size[:, 0] * size[:, 1]
    best = np.lexsort((-rows.frame, worth, index))[last]  # the first of equals
    known = ~np.isnan(way.speed)
    with np.errstate(invalid="ignore"):
        speed = np.bincount(index[known], way.speed[known], len(who)) / np.bincount(
            index[known], minlength=len(who)
        )
    return Persons(
        who,
        _most_frequent(index, rows.class_id, len(who)),
        rows.frame[first] / fps,
        (rows.frame[last] + 1) / fps,
        boxes / fps,
        boxes,
        np.bincount(index, way.step, len(who)),
        speed,
        np.bincount(index, rows.score, len(who)) / boxes,
        rows.frame[best],
        rows.xyxy[best],
    )


def _most_frequent(index: np.ndarray, value: np.ndarray, count: int) -> np.ndarray:
    """(count,) the value that each index has most often, the least of equals."""
    pair, times = np.unique(np.stack((index, value), axis=1), axis=0, return_counts=True)
    order = np.lexsort((pair[:, 1], -times, pair[:, 0]))
    first = np.searchsorted(pair[order, 0], np.arange(count))
    return pair[order][first, 1] if count else np.zeros(0, np.int64)


def heat_map(table: MotTable, fps: float, size: tuple[int, int], cell: float = 16.0) -> HeatMap:
    """Where the feet were: person-seconds in square cells over a picture of ``size`` (height, width) px. Feet below or
    beside the picture count in its nearest cell.

    Args:
        table: tracks.
        fps: frames/s.
        cell: px, side.

    Raises:
        InputError: fps is no positive number, or cells are below a pixel.

    Example:
        >>> from retrace import read_ground_truth
        >>> from retrace.tracker.analytics import heat_map
        >>> truth = read_ground_truth("gt/MOT17-02-FRCNN/gt/gt.txt")  # two people, one goes right, one slowly left
        >>> heat_map(truth, fps=10, size=(96, 192), cell=48).seconds.tolist()
        [[0.0, 0.0, 0.0, 0.0], [1.2, 3.7, 1.1, 0.0]]
    """
    if not (np.isfinite(cell) and cell >= 1):
        raise InputError(f"cell must be at least 1 px, got {cell}")
    if not (np.isfinite(fps) and fps > 0):
        raise InputError(f"fps must be a positive number, got {fps}")
    shape = tuple(int(np.ceil(side / cell)) for side in size)
    foot = np.floor(feet(table.xyxy) / cell).astype(np.int64)
    column, row = np.clip(foot[:, 0], 0, shape[1] - 1), np.clip(foot[:, 1], 0, shape[0] - 1)
    count = np.bincount(row * shape[1] + column, minlength=shape[0] * shape[1])
    return HeatMap(count.reshape(shape) / fps, float(cell))
