"""Constant-velocity Kalman filters for all tracks at once.

With diagonal noise the 8-state filter of SORT, DeepSORT, ByteTrack and BoT-SORT is four independent filters of
two states (a coordinate and its speed), so predict and update are a few elementwise operations on (T, 4)
arrays, exactly. Coordinates, their noise and their names differ by model: tracker/motion/models.py.

One step is one frame at the source's nominal rate. Speeds are px per step.
"""

from __future__ import annotations

import numpy as np

from retrace.tracker.association.assignment import overlapping_pairs
from retrace.tracker.kernels import compiled
from retrace.tracker.motion.models import NONE, MotionModel

POINT = 0.5  # px; a point as a box, for a search whose finds are measured afterwards
X, V, XX, XV, VV = range(5)  # coordinate, speed per step, and their variances and covariance
Filters = np.ndarray  # (5, T, 4) float64: X, V, XX, XV, VV of four coordinates of T tracks, in one block


def initiate(model: MotionModel, z: np.ndarray) -> Filters:
    """New filters at the measurements z (N, 4), at rest."""
    scale_squared = np.square(model.scale(z))
    filters = np.zeros((5, *z.shape))
    filters[X] = z
    filters[XX] = model.start.variance(scale_squared)
    filters[VV] = model.start_speed.variance(scale_squared)
    return filters


def predict(model: MotionModel, filters: Filters, steps: float = 1.0) -> None:
    """Move all filters ahead by ``steps`` > 0, in place: x += s v, P <- F P F' + s Q with F = [[1, s], [0, 1]]."""
    if fast := compiled():
        fast.predict(filters, filters.shape[1], steps, *model.compiled)
        return
    x, v, xx, xv, vv = filters
    scale_squared = np.square(model.scale(x))
    process = model.process.variance(scale_squared)
    process_speed = model.process_speed.variance(scale_squared)
    if steps == 1.0:  # the usual case, spared the multiplications
        x += v
        xx += process
        xx += xv
        xv += vv  # now the new covariance
        xx += xv
        vv += process_speed
    else:
        x += steps * v
        xx += steps * (2.0 * xv + steps * vv + process)
        xv += steps * vv
        vv += steps * process_speed
    vanished = x[:, 2:] <= 0
    if vanished.any():  # a size that would step to zero or below stands still instead (SORT: "vs = 0")
        x[:, 2:] -= np.where(vanished, steps * v[:, 2:], 0.0)
        v[:, 2:][vanished] = 0.0


def update(
    model: MotionModel, filters: Filters, rows: np.ndarray, z: np.ndarray, doubt: np.ndarray | None = None
) -> None:
    """Correct the filters ``rows`` (K,) by the measurements z (K, 4), in place.

    ``doubt`` (K,) in [0, 1] scales the measurement's variance: 1 - score is NSA (GIAOTracker, StrongSORT eq. 5).
    """
    if fast := compiled():
        fast.update(filters, rows, z, np.ones(len(rows)) if doubt is None else doubt, *model.compiled)
        return
    chosen = filters.take(rows, axis=1)
    x, v, xx, xv, vv = chosen
    inverse = model.measurement.variance(np.square(model.scale(x)))
    if doubt is not None:
        inverse *= doubt[:, None]
    inverse += xx
    np.reciprocal(inverse, out=inverse)
    surprise = z - x
    gain, gain_speed = xx * inverse, xv * inverse
    x += gain * surprise
    v += gain_speed * surprise
    vv -= gain_speed * xv
    xv -= gain * xv
    xx -= gain * xx
    filters[:, rows] = chosen


def reupdate(
    model: MotionModel, filters: Filters, last: np.ndarray, found: np.ndarray, steps: np.ndarray
) -> None:
    """Take filters through a gap as if the object had been seen in it, on a straight line (OC-SORT's ORU), in place.

    Args:
        filters: (5, K, 4) as they were after the last detection; afterwards predicted to now, not yet corrected.
        last, found: (K, 4) xyxy px, the detections before and after the gap.
        steps: (K,) int, how many steps lie between the two.
    """
    if model.kind != NONE and (fast := compiled()):
        fast.reupdate(filters, last, found, steps, model.kind, *model.compiled)
        return
    for step in range(1, int(steps.max(initial=0)) + 1):  # over steps, not tracks
        moving = (step <= steps).nonzero()[0]
        some = filters[:, moving]
        predict(model, some)
        filters[:, moving] = some
        between = moving[step < steps[moving]]
        share = (step / steps[between])[:, None]
        update(
            model, filters, between, model.from_xyxy(last[between] + share * (found[between] - last[between]))
        )


def follow(filters: Filters, rows: np.ndarray, z: np.ndarray, past: np.ndarray, gap: np.ndarray) -> None:
    """Linear motion: stand where the detection is, at the mean speed of the last boxes (GHOST, sec. 3.3), in place.

    Args:
        z: (K, 4) the measurements.
        past: (K, M, 4) the last measurements, newest first, z included.
        gap: (K, M - 1) steps between neighbours; NaN: there is no older one.
    """
    known = ~np.isnan(gap)
    speed = np.where(
        known[..., None], (past[:, :-1] - past[:, 1:]) / np.where(known, gap, 1.0)[..., None], 0.0
    )
    filters[X, rows] = z
    filters[V, rows] = speed.sum(1) / np.maximum(known.sum(1), 1)[:, None]


def distance(
    model: MotionModel, filters: Filters, rows: np.ndarray, z: np.ndarray, coordinates: int
) -> np.ndarray:
    """Squared Mahalanobis distance (DeepSORT, eq. 1) of the first coordinates: filters ``rows`` (P,), z (P, 4) -> (P,).

    2: the centre, 4: the whole box. Chi-square with as many degrees of freedom where the measurement is the
    track's own. The filter's uncertainty grows with the time since it was last corrected, and its reach with it.
    """
    x = filters[X, rows]
    variance = filters[XX, rows] + model.measurement.variance(np.square(model.scale(x)))
    each = np.square(z - x) / variance
    total = each[:, 0] + each[:, 1]
    return total + each[:, 2] + each[:, 3] if coordinates == 4 else total


def own_distance(filters: Filters, rows: np.ndarray, z: np.ndarray) -> np.ndarray:
    """:func:`distance` of all four coordinates by what the filter itself is unsure of: no noise of the measurement.

    BoostTrack has it so; a track seen in the last frame is stricter then.
    """
    return (np.square(z - filters[X, rows]) / filters[XX, rows]).sum(axis=1)


def nearby(filters: Filters, z: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, column and :func:`own_distance` (P,) of all pairs of a filter and a measurement z (N, 4) up to ``limit``.

    Found by overlap of what the filters' centres reach, so the cost follows the pairs instead of T x N.
    """
    centre, reach = filters[X, :, :2], np.sqrt(limit * filters[XX, :, :2])
    pairs = overlapping_pairs(
        np.concatenate((centre - reach, centre + reach), axis=1),
        np.concatenate((z[:, :2] - POINT, z[:, :2] + POINT), axis=1),
    )
    squared = own_distance(filters, pairs.row, z[pairs.col])
    inside = (squared <= limit).nonzero()[0]
    return pairs.row[inside], pairs.col[inside], squared[inside]


def warp(model: MotionModel, filters: Filters, matrix: np.ndarray) -> None:
    """Carry all filters from the last frame's pixels into this one's by a 2x3 camera warp [A | t], in place.

    Centres and their speeds go through A exactly; sizes are zoomed by sqrt|det A| (a rotating camera does not
    turn upright boxes). A rotation couples x and y: of the centre's full 2x2 covariance A P A' the diagonal is
    kept and the coupling dropped, which is exact without rotation and off by sin(2 angle) / 2 times the
    difference of the two variances with it (`tests/tracker/motion/test_filters.py` holds it against the 8x8 filter).
    """
    linear, shift = matrix[:, :2], matrix[:, 2]
    zoom = np.sqrt(abs(np.linalg.det(linear))) ** np.array(model.power[2:])
    means, covariances = filters[:XX], filters[XX:]
    means[..., :2] = means[..., :2] @ linear.T
    means[X, :, :2] += shift
    means[..., 2:] *= zoom
    covariances[..., :2] = covariances[..., :2] @ np.square(linear).T
    covariances[..., 2:] *= np.square(zoom)


def warp_boxes(boxes: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Boxes (..., 4) xyxy px through a 2x3 camera warp, as :func:`warp` does it: centres exactly, sizes zoomed."""
    linear, shift = matrix[:, :2], matrix[:, 2]
    half = (boxes[..., 2:] - boxes[..., :2]) * (0.5 * np.sqrt(abs(np.linalg.det(linear))))
    centre = (boxes[..., :2] + boxes[..., 2:]) * 0.5 @ linear.T + shift
    return np.concatenate((centre - half, centre + half), axis=-1)
