"""Several cameras of one place, scored on its ground: where people are said to stand, not how their boxes overlap.

The boxes of one identity at one moment are one point, the mean of where the cameras that see it have its feet. Two
points are similar by max(0, 1 - distance / reach), as TrackEval 1.3.0 has it for positions (its `zero_distance`, 2 m);
HOTA, CLEAR and identity metrics are those of boxes from there on, so CLEAR and identity hold what is nearer than half
of ``reach`` for a match (1 m; WILDTRACK's MODA takes 0.5 m, a reach of 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from retrace.configs import InputError
from retrace.eval.mot.cameras import Pair, lengths_of
from retrace.eval.mot.overlap import Overlaps
from retrace.eval.mot.preprocess import Prepared, check_benchmark, frame_cuts, prepare, relabel
from retrace.eval.mot.score import Metrics, score_prepared
from retrace.tracker.data import MotTable

REACH = 2.0  # of the plane's unit
FAR = 1e9  # of the plane's unit: whose feet are not on the ground stands nowhere near anybody


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """N people on the ground, by frame, then identity; each identity once a frame."""

    frame: np.ndarray  # (N,) int64 from 0
    id: np.ndarray  # (N,) int64
    place: np.ndarray  # (N, 2) float64, of the plane's unit; inf: at or behind the horizon of all that see it


def evaluate_on_ground(
    cameras: Mapping[str, Pair],
    planes: Mapping[str, np.ndarray],
    reach: float = REACH,
    lengths: Mapping[str, int] | None = None,
    benchmark: str = "custom",
) -> Metrics:
    """Score cameras that see one place by where people stand.

    Args:
        cameras: by name, each camera's ground truth and result with global identities, frames of one clock.
        planes: a (3, 3) homography for each of them, from its pixels to the ground; positions are in its unit.
        reach: distance at which two points are not similar at all.
        lengths: frames of each; default: up to the last box.
        benchmark: whose preprocessing, in each camera; see :func:`retrace.eval.mot.evaluate`.

    Raises:
        InputError: another benchmark, no camera, one without a plane, a reach that is none.
    """
    check_benchmark(benchmark)
    if not 0 < reach < FAR:
        raise InputError(
            f"`reach` {reach}: expected a distance above 0 and below {FAR:g}, in the unit of the ground"
        )
    known = lengths_of(cameras, lengths)
    truth, found = [], []
    for name, (gt, result) in cameras.items():
        if name not in planes:
            raise InputError(f"no homography of camera {name}; there are {', '.join(planes)}")
        ready = prepare(gt, result, known[name], benchmark)
        gt, result = gt.take(ready.gt_row), result.take(ready.result_row)
        plane = facing(planes[name], gt if len(gt) else result)
        truth.append((gt, plane))
        found.append((result, plane))
    return score_prepared(prepare_points(together(truth), together(found), reach, max(known.values())))


def together(seen: list[tuple[MotTable, np.ndarray]]) -> Points:
    """Boxes of several cameras, each with its (3, 3) plane, as points."""
    frame = np.concatenate([table.frame for table, _ in seen])
    person = np.concatenate([table.id for table, _ in seen])
    place = np.concatenate([feet_on(table.xyxy, plane) for table, plane in seen])
    here = np.isfinite(place).all(1)
    which, row = np.unique(np.stack((frame, person), axis=1), axis=0, return_inverse=True)
    count = np.bincount(row[here], minlength=len(which)).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = [np.bincount(row[here], place[here, k], len(which)) / count for k in (0, 1)]
    points = np.where(count[:, None] > 0, np.stack(mean, axis=1), np.inf)
    return Points(which[:, 0], which[:, 1], points)


def feet_on(xyxy: np.ndarray, plane: np.ndarray) -> np.ndarray:
    """(N, 4) px -> (N, 2) where the middle of the lower edge lies on a plane that faces them; inf at its horizon and
    behind."""
    fallen = _feet(xyxy) @ plane.T
    before = fallen[:, 2] > 1e-12 * np.abs(fallen[:, :2]).max(1, initial=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(before[:, None], fallen[:, :2] / fallen[:, 2:], np.inf)


def facing(plane: np.ndarray, people: MotTable) -> np.ndarray:
    """(3, 3) the plane with the sign by which most of these people stand before its horizon."""
    depth = _feet(people.xyxy) @ plane[2]
    side = np.sign(depth).sum() or depth.sum()  # as many on either side: where they are further
    return -plane if side < 0 else plane


def _feet(xyxy: np.ndarray) -> np.ndarray:
    """(N, 3) homogeneous."""
    return np.stack(((xyxy[:, 0] + xyxy[:, 2]) / 2, xyxy[:, 3], np.ones(len(xyxy))), axis=1)


def prepare_points(gt: Points, result: Points, reach: float, length: int) -> Prepared:
    """Points instead of boxes, ready for the metrics: every pair of one frame that is nearer than ``reach``."""
    gt_id, gt_ids = relabel(gt.id)
    result_id, result_ids = relabel(result.id)
    return Prepared(
        frames=length,
        gt_row=np.arange(len(gt.id)),
        gt_frame=gt.frame,
        gt_id=gt_id,
        gt_ids=gt_ids,
        result_row=np.arange(len(result.id)),
        result_frame=result.frame,
        result_id=result_id,
        result_ids=result_ids,
        pairs=_near(gt, result, reach),
        gt_cut=frame_cuts(gt.frame, length),
        result_cut=frame_cuts(result.frame, length),
    )


def _near(gt: Points, result: Points, reach: float) -> Overlaps:
    """A tree over place and frame, where frames lie further apart than anybody reaches."""
    trees = []
    for points in (gt, result):
        place = np.where(np.isfinite(points.place), points.place, FAR)
        if not len(place):
            return Overlaps(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
        trees.append(KDTree(np.column_stack((place, 2 * reach * points.frame))))
    near = trees[0].sparse_distance_matrix(trees[1], reach, output_type="ndarray")
    here = np.isfinite(gt.place[near["i"]]).all(1) & np.isfinite(result.place[near["j"]]).all(1)
    i, j = near["i"][here].astype(np.int64), near["j"][here].astype(np.int64)
    similar = 1.0 - np.hypot(*(gt.place[i] - result.place[j]).T) / reach
    order = np.lexsort((j, i))
    order = order[similar[order] > 0]
    return Overlaps(i[order], j[order], similar[order])
