"""Which boxes of MOTChallenge ground truth become crops, and of which part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrace.configs import InputError
from retrace.tracker.boxes import area, clip
from retrace.tracker.data import MotTable
from retrace.tracker.mot_file import SequenceInfo

PEDESTRIAN = 1
PARTS = ("train", "query", "gallery")
TRAIN, QUERY, GALLERY = range(3)
RANGES = {"min_visibility": (0, 1), "min_height": (0, 1e5), "every": (1, 1e9), "cut": (0, 1), "gap": (0, 1e9)}


@dataclass(frozen=True, slots=True)
class CropFilter:
    """Which boxes of a sequence are wanted.

    Raises:
        InputError: a value out of its range.
    """

    min_visibility: float = 0.3  # of a box, in [0, 1]
    min_height: float = 48  # px, inside the image
    every: int = 5  # frames between two crops of a person
    cut: float = 0.5  # share of the sequence that is for training
    gap: float = 1.0  # s between the halves of a test person's time

    def __post_init__(self) -> None:
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(f"`{name}` {value}: expected a number in {low:g}..{high:g}")


@dataclass(frozen=True, slots=True, eq=False)
class Crops:
    """N crops of one sequence, by frame, then id."""

    frame: np.ndarray  # (N,) int64 from 0
    id: np.ndarray  # (N,) int64, of the ground truth
    xyxy: np.ndarray  # (N, 4) int64 px, whole pixels inside the image
    visibility: np.ndarray  # (N,) in [0, 1]
    part: np.ndarray  # (N,) index into PARTS
    late: np.ndarray  # (N,) bool: the later half of a test person's time


def choose(table: MotTable, info: SequenceInfo, wish: CropFilter) -> Crops:
    """Which boxes of a ground truth become crops, and of which part."""
    table = table.take(
        (table.class_id == PEDESTRIAN) & (np.trunc(table.score) != 0) & (table.frame < info.length)
    )
    people, row_of = np.unique(table.id, return_inverse=True)
    first = np.full(len(people), info.length)
    np.minimum.at(first, row_of, table.frame)  # before any filter: whoever was there, hidden, was there
    inside = clip(table.xyxy, (info.height, info.width))
    boxes = np.concatenate([np.floor(inside[:, :2]), np.ceil(inside[:, 2:])], axis=1).astype(np.int64)
    seen = table.visibility
    if (seen == 1).all():  # MOT15 does not say
        seen = estimate_visibility(table, inside)
    cut = wish.cut * info.length
    new = first[row_of] >= cut
    keep = (table.frame % wish.every == 0) & (seen >= wish.min_visibility) & (new | (table.frame < cut))
    keep &= (inside[:, 3] - inside[:, 1] >= max(1.0, wish.min_height)) & (inside[:, 2] - inside[:, 0] >= 1)
    rows = np.flatnonzero(keep)
    part = np.where(new[rows], GALLERY, TRAIN)
    late = np.zeros(len(rows), bool)
    stay = np.ones(len(rows), bool)
    for person in np.unique(table.id[rows[part == GALLERY]]):
        mine = np.flatnonzero(table.id[rows] == person)  # by frame
        half, query = halves(table.frame[rows[mine]] / info.fps, wish.gap)
        late[mine] = half == 1
        stay[mine] = half >= 0
        part[mine[query]] = QUERY
    rows, part, late = rows[stay], part[stay], late[stay]
    return Crops(table.frame[rows], table.id[rows], boxes[rows], seen[rows], part, late)


def halves(time: np.ndarray, gap: float) -> tuple[np.ndarray, np.ndarray]:
    """A test person's times, ascending s (n,), as two halves with ``gap`` seconds between them.

    Returns:
        (n,) 0 early, 1 late, -1 in the gap (all 0 where one of the halves would be empty), and the indices
        of the queries: the middle of each half that has two or more, so that every query leaves its half,
        and finds in the other one, an image for the gallery.
    """
    middle = (time[0] + time[-1]) / 2
    half = np.where(time <= middle - gap / 2, 0, np.where(time >= middle + gap / 2, 1, -1))
    if not ((half == 0).any() and (half == 1).any()) or time[0] == time[-1]:
        return np.zeros(len(time), np.int64), np.zeros(0, np.int64)
    sides = [np.flatnonzero(half == side) for side in (0, 1)]
    return half, np.array([side[len(side) // 2] for side in sides if len(side) > 1], np.int64)


def estimate_visibility(table: MotTable, inside: np.ndarray) -> np.ndarray:
    """(R,) the share of each box that lies in the image and behind no other single box.

    A box is in front of another if its lower edge is lower: people stand on one floor. Of several boxes in
    front the one that covers most counts, so that the figure is an upper bound.
    """
    whole = np.maximum(area(table.xyxy), 1e-9)
    seen = np.ones(len(table))
    edges = np.flatnonzero(np.diff(table.frame, prepend=-1, append=-1))  # where another frame begins
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
        boxes = inside[start:stop]
        low, high = np.maximum(boxes[:, None, :2], boxes[:, :2]), np.minimum(boxes[:, None, 2:], boxes[:, 2:])
        common = np.maximum(high - low, 0).prod(axis=2)
        in_front = table.xyxy[start:stop, 3] > table.xyxy[start:stop, 3, None]  # [behind, in front]
        hidden = (common * in_front).max(axis=1)
        seen[start:stop] = (np.maximum(area(boxes), 0) - hidden) / whole[start:stop]
    return seen.clip(0, 1)
