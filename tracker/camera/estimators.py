"""Camera motion from two pictures: three estimators of the 2x3 warp, and a watch that tells when none is needed.

All work on a downscaled grey picture with people masked out: sparse optical flow (BoT-SORT, Aharon et al. 2022,
section 3.2), ORB features (Rublee et al. 2011), and ECC (Evangelidis and Psarakis 2008). Where people fill most
of the texture, points are taken evenly from the whole picture and every part of it has one vote.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

SIDE = 640  # px; pictures are shrunk by the whole number that brings their longer side nearest to this
MARGIN = 6  # small px around a box that are masked too: the flow's windows look past the edge of a person
CORNERS, QUALITY, SPACING, BLOCK = 1000, 0.01, 5, 3  # goodFeaturesToTrack: BoT-SORT's, further apart
WINDOW, LEVELS = (21, 21), 3  # of the flow: follows up to about 80 small px
ORB_FEATURES, ORB_EDGE, ORB_CONTRAST = 1000, 12, 8  # small pictures have no 31 px to lose at the edge
RATIO = 0.8  # best over second-best distance (Lowe 2004)
ECC_LEVELS, ECC_ITERATIONS, ECC_EPSILON, ECC_BLUR = 3, 50, 1e-4, 5
INLIER, ORB_INLIER = 1.0, 3.0  # small px between where a point went and where the warp says; ORB is coarser
FIELDS, PER_FIELD = (12, 8), 5  # of the picture, across and down; points taken from each
MIN_INLIERS, MIN_FIELDS, MIN_SHARE = 12, 24, 0.4  # points; fields that have any, share of them that agrees
MIN_CORRELATION = 0.6  # of ECC: pictures of one scene reach 0.65 and more, of two scenes up to 0.45
# from one frame to the next, the second of the longer side; more is a mistake or a cut
LARGEST_ZOOM, FARTHEST = 1.5, 0.5
POINTS = (24, 16)  # watched, across and down
STEEP = 8.0  # grey levels per px: flatter points tell nothing


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A frame as the estimators see it."""

    grey: np.ndarray  # (h, w) uint8
    free: np.ndarray  # (h, w) uint8; 255 where there is nobody, else 0


Estimate = Callable[[View, View], np.ndarray | None]  # before, now -> (2, 3) in their px; None: cannot tell


def view_of(image: np.ndarray, xyxy: np.ndarray, side: int = SIDE) -> View:
    """(H, W, 3) BGR and the people in it (N, 4) px -> small and grey, people masked."""
    factor = max(1, round(max(image.shape[:2]) / side))
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    if factor > 1:
        size = (max(1, image.shape[1] // factor), max(1, image.shape[0] // factor))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    height, width = grey.shape
    shrink = np.array([width, height] * 2) / [image.shape[1], image.shape[0], image.shape[1], image.shape[0]]
    reach = xyxy * shrink + (-MARGIN, -MARGIN, MARGIN + 1, MARGIN + 1)
    free = np.full((height, width), 255, np.uint8)
    for x1, y1, x2, y2 in np.clip(reach, 0, (width, height, width, height)).astype(int).tolist():
        free[y1:y2, x1:x2] = 0
    return View(grey, free)


def sparse_flow(before: View, now: View) -> np.ndarray | None:
    """Corners of the frame before, followed by pyramidal Lucas-Kanade; RANSAC over shift, turn and zoom."""
    found = cv2.goodFeaturesToTrack(before.grey, CORNERS, QUALITY, SPACING, mask=before.free, blockSize=BLOCK)
    if found is None:
        return None
    corners = found[_spread(found[:, 0], before.grey.shape)]
    there, followed, _ = cv2.calcOpticalFlowPyrLK(
        before.grey, now.grey, corners, np.empty_like(corners), winSize=WINDOW, maxLevel=LEVELS
    )
    kept = (followed[:, 0] == 1) & _in_the_open(there[:, 0], now.free)
    return _agreed_warp(corners[kept, 0], there[kept, 0], before.grey.shape)


def orb(before: View, now: View) -> np.ndarray | None:
    """ORB features matched by the ratio test; RANSAC over shift, turn and zoom. The steepest places speak loudest."""
    if min(before.grey.shape) <= 2 * ORB_EDGE:
        return None
    finder = cv2.ORB.create(ORB_FEATURES, edgeThreshold=ORB_EDGE, fastThreshold=ORB_CONTRAST)
    points, words = finder.detectAndCompute(before.grey, before.free)
    points_now, words_now = finder.detectAndCompute(now.grey, now.free)
    if len(points) < MIN_INLIERS or len(points_now) < MIN_INLIERS:
        return None
    pairs = cv2.BFMatcher(cv2.NORM_HAMMING).knnMatch(words, words_now, k=2)
    clear = [best for best, second in pairs if best.distance < RATIO * second.distance]
    here = np.array([points[m.queryIdx].pt for m in clear], np.float32).reshape(-1, 2)
    there = np.array([points_now[m.trainIdx].pt for m in clear], np.float32).reshape(-1, 2)
    return _agreed_warp(here, there, before.grey.shape, ORB_INLIER)


def ecc(before: View, now: View) -> np.ndarray | None:
    """The shift and turn with the highest correlation of grey values, from coarse to fine; knows no zoom."""
    pyramid = [(before.grey, now.grey, now.free & before.free)]
    for _ in range(ECC_LEVELS - 1):
        grey, grey_now, free = pyramid[0]
        size = (grey.shape[1] // 2, grey.shape[0] // 2)
        if min(size) < 32:
            break
        free = cv2.resize(free, size, interpolation=cv2.INTER_NEAREST)
        pyramid.insert(0, (cv2.pyrDown(grey, dstsize=size), cv2.pyrDown(grey_now, dstsize=size), free))
    warp: np.ndarray = np.eye(2, 3, dtype=np.float32)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, ECC_ITERATIONS, ECC_EPSILON)
    for level, (grey, grey_now, free) in enumerate(pyramid):
        warp[:, 2] *= 2.0 if level else 1.0
        try:
            # no template mask in OpenCV 4: people of either frame are left out of this one
            correlation, found = cv2.findTransformECC(
                grey, grey_now, warp, cv2.MOTION_EUCLIDEAN, criteria, free, ECC_BLUR
            )
        except cv2.error:  # black, uniform, or nothing in common: it does not converge
            return None
        warp = np.asarray(found)
    return believable(warp.astype(np.float64), before.grey.shape) if correlation >= MIN_CORRELATION else None


METHODS: dict[str, Estimate] = {"sparse-flow": sparse_flow, "orb": orb, "ecc": ecc}


def _in_the_open(points: np.ndarray, free: np.ndarray) -> np.ndarray:
    """(P,) bool: inside the picture and on nobody; points (P, 2)."""
    columns, rows = np.rint(np.nan_to_num(points, nan=-1.0)).clip(-1, 1e6).astype(np.int64).T
    inside = (columns >= 0) & (rows >= 0) & (columns < free.shape[1]) & (rows < free.shape[0])
    inside[inside] = free[rows[inside], columns[inside]] > 0
    return inside


def _field(points: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(P,) number of the field of the grid that each of the points (P, 2) lies in."""
    grid = np.array(FIELDS)
    column, row = (points * grid / (shape[1], shape[0])).astype(np.int64).clip(0, grid - 1).T
    return row * FIELDS[0] + column


def _spread(points: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Rows of the first ``PER_FIELD`` points (P, 2) of every field: area votes, not whatever is most textured."""
    field = _field(points, shape)
    order = np.argsort(field, kind="stable")
    first = np.searchsorted(field[order], field[order])
    return np.sort(order[np.arange(len(points)) - first < PER_FIELD])


def _agreed_warp(
    here: np.ndarray, there: np.ndarray, shape: tuple[int, ...], inlier: float = INLIER
) -> np.ndarray | None:
    """The similarity (P, 2) -> (P, 2) that most of the picture agrees on; None where there is no such thing."""
    if len(here) < MIN_INLIERS:
        return None
    warp, agree = cv2.estimateAffinePartial2D(
        here, there, method=cv2.RANSAC, ransacReprojThreshold=inlier, confidence=0.999
    )
    if warp is None or agree.sum() < MIN_INLIERS:
        return None
    field = _field(here, shape)
    votes = np.bincount(field, 2.0 * agree[:, 0] - 1.0, FIELDS[0] * FIELDS[1])
    seen = len(np.unique(field))
    if seen < MIN_FIELDS or (votes >= 0).sum() - (FIELDS[0] * FIELDS[1] - seen) < MIN_SHARE * seen:
        return None
    return believable(warp, shape)


def believable(warp: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    """The warp (2, 3), unless no camera moves so from one frame of ``shape`` to the next: too far, too large a zoom."""
    zoom = np.sqrt(abs(np.linalg.det(warp[:, :2]))) if np.isfinite(warp).all() else 0.0
    sane = 1 / LARGEST_ZOOM < zoom < LARGEST_ZOOM and reach(warp, shape[1], shape[0]) < FARTHEST * max(shape)
    return warp if sane else None


@dataclass(frozen=True, slots=True, eq=False)
class Watch:
    """Steep points of a picture, by which a look at a few hundred pixels tells whether the camera moved since."""

    xy: np.ndarray  # (P, 2) int64 px
    value: np.ndarray  # (P,) float32 grey levels (green)
    slope: np.ndarray  # (P,) float32 grey levels per px

    @classmethod
    def over(cls, image: np.ndarray, view: View) -> Watch:
        """The steepest point outside the people of every field of a grid."""
        if min(image.shape[:2]) < 3:
            return cls(np.zeros((0, 2), np.int64), np.zeros(0, np.float32), np.zeros(0, np.float32))
        height, width = view.grey.shape
        across, down = min(POINTS[0], width), min(POINTS[1], height)
        steep = np.hypot(*cv2.spatialGradient(view.grey)).astype(np.float32) * (view.free > 0)
        steep = steep[: height // down * down, : width // across * across]
        fields = steep.reshape(down, height // down, across, -1).swapaxes(1, 2).reshape(down, across, -1)
        row, column = np.divmod(fields.argmax(axis=2), width // across)
        y = (row + np.arange(down)[:, None] * (height // down) + 0.5) * image.shape[0] / height
        x = (column + np.arange(across) * (width // across) + 0.5) * image.shape[1] / width
        x = x.astype(np.int64).ravel().clip(1, max(1, image.shape[1] - 2))
        y = y.astype(np.int64).ravel().clip(1, max(1, image.shape[0] - 2))
        green = image[..., 1]
        right = green[y, x + 1].astype(np.float32) - green[y, x - 1]
        below = green[y + 1, x].astype(np.float32) - green[y - 1, x]
        slope = np.hypot(right, below) / 2
        kept = (slope >= STEEP) & (fields.max(axis=2).ravel() > 0)
        x, y, slope = x[kept], y[kept], slope[kept]
        return cls(np.stack((x, y), axis=1), green[y, x].astype(np.float32), slope)

    def motion(self, image: np.ndarray) -> float:
        """px, roughly: the motion that half of the points tell. Light that changes evenly tells none."""
        change = image[self.xy[:, 1], self.xy[:, 0], 1] - self.value
        return float(np.median(np.abs(change - np.median(change)) / self.slope))


def reach(warp: np.ndarray, width: int, height: int) -> float:
    """How far a warp, (2, 3) or (3, 3), carries the corner that it carries farthest, px."""
    corners = np.array([(0, 0, 1), (width, 0, 1), (0, height, 1), (width, height, 1)])
    return float(np.hypot(*(corners @ warp[:2].T - corners[:, :2]).T).max())


def full_size(small: np.ndarray, shape: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """A warp of pixel centres of a picture of ``shape`` -> of points in the frame of ``size``, both (height, width).

    OpenCV counts a pixel's centre as a whole number, a box's edge is where a pixel begins: half a pixel apart.
    """
    warp = small.copy()
    warp[:, 2] += 0.5 - 0.5 * warp[:, :2].sum(axis=1)
    scale = np.array([size[1] / shape[1], size[0] / shape[0]])
    warp *= scale[:, None]
    warp[:, :2] /= scale
    return warp
