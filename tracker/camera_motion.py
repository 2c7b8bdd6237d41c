"""Camera motion estimated from the pictures: the 2x3 warp from the last frame to this one, px.

Three estimators on a downscaled grey picture with people masked out: sparse optical flow (BoT-SORT,
Aharon et al. 2022, section 3.2), ORB features, and ECC (Evangelidis and Psarakis 2008). :class:`CameraMotion` runs one of
them and knows when it need not: a camera that stands still is only watched, which costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from tracker.data import Detections, Frame

SIDE = 640  # px; pictures are shrunk by the whole number that brings their longer side nearest to this
MARGIN = 2  # small px around a box that are masked too
MASKED_FROM = 0.3  # score; what a detector is less sure of is not taken for a person here
BLANK = 2.0  # grey levels of standard deviation below which a frame shows nothing
CORNERS, QUALITY, SPACING, BLOCK = 1000, 0.01, 5, 3  # goodFeaturesToTrack: BoT-SORT's, further apart
WINDOW, LEVELS = (21, 21), 3  # of the flow: follows up to about 80 small px
ORB_FEATURES, RATIO = 1000, 0.8  # best over second-best distance (Lowe 2004)
ECC_LEVELS, ECC_ITERATIONS, ECC_EPSILON, ECC_BLUR = 3, 50, 1e-4, 5
INLIER = 1.5  # small px between where a point went and where the warp says
MIN_INLIERS, MIN_SHARE = 12, 0.25  # fewer, and the estimate is not believed
LARGEST_ZOOM = 1.5  # from one frame to the next; more is a mistake or a cut
STILL = 0.5  # small px at the farthest corner: below it the camera stands
CALM = 10  # frames without more motion than STILL in all, after which it is only watched
WAKE, LESS_EASILY = (
    0.35,
    1.5,
)  # px of motion told by the watched points that end it; times, after a false alarm
RENEW = 300  # frames after which a standing camera is compared all the same
POINTS = (24, 16)  # watched, across and down
STEEP = 8.0  # grey levels per px: flatter points tell nothing
FEW = 40  # watched points below which they are not relied on
GAP, TIMES = 1.0, 5.0  # s, and times the usual step: a longer one between two frames is a reconnect


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A frame as the estimators see it."""

    grey: np.ndarray  # (h, w) uint8
    free: np.ndarray  # (h, w) uint8; 255 where there is nobody, else 0


Estimate = Callable[
    [View, View], np.ndarray | None
]  # before, now -> (2, 3) in their pixels; None: not to be had


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
    corners = cv2.goodFeaturesToTrack(
        before.grey, CORNERS, QUALITY, SPACING, mask=before.free, blockSize=BLOCK
    )
    if corners is None or len(corners) < MIN_INLIERS:
        return None
    there, found, _ = cv2.calcOpticalFlowPyrLK(
        before.grey, now.grey, corners, np.empty_like(corners), winSize=WINDOW, maxLevel=LEVELS
    )
    here, there = corners[:, 0], there[:, 0]
    kept = (found[:, 0] == 1) & _in_the_open(there, now.free)
    return _agreed_warp(here[kept], there[kept])


def orb(before: View, now: View) -> np.ndarray | None:
    """ORB features matched by the ratio test; RANSAC over shift, turn and zoom."""
    finder = cv2.ORB_create(ORB_FEATURES)
    points, words = finder.detectAndCompute(before.grey, before.free)
    points_now, words_now = finder.detectAndCompute(now.grey, now.free)
    if len(points) < MIN_INLIERS or len(points_now) < MIN_INLIERS:
        return None
    pairs = cv2.BFMatcher(cv2.NORM_HAMMING).knnMatch(words, words_now, k=2)
    clear = [best for best, second in pairs if best.distance < RATIO * second.distance]
    here = np.array([points[m.queryIdx].pt for m in clear], np.float32).reshape(-1, 2)
    there = np.array([points_now[m.trainIdx].pt for m in clear], np.float32).reshape(-1, 2)
    return _agreed_warp(here, there)


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
    warp = np.eye(2, 3, dtype=np.float32)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, ECC_ITERATIONS, ECC_EPSILON)
    for level, (grey, grey_now, free) in enumerate(pyramid):
        warp[:, 2] *= 2.0 if level else 1.0
        try:
            # no template mask in OpenCV 4: people of either frame are left out of this one
            _, warp = cv2.findTransformECC(
                grey, grey_now, warp, cv2.MOTION_EUCLIDEAN, criteria, free, ECC_BLUR
            )
        except cv2.error:  # black, uniform, or nothing in common: it does not converge
            return None
    return _believable(warp.astype(np.float64))


METHODS: dict[str, Estimate] = {"sparse-flow": sparse_flow, "orb": orb, "ecc": ecc}


def _in_the_open(points: np.ndarray, free: np.ndarray) -> np.ndarray:
    """(P,) bool: inside the picture and on nobody; points (P, 2)."""
    columns, rows = np.rint(np.nan_to_num(points, nan=-1.0)).clip(-1, 1e6).astype(np.int64).T
    inside = (columns >= 0) & (rows >= 0) & (columns < free.shape[1]) & (rows < free.shape[0])
    inside[inside] = free[rows[inside], columns[inside]] > 0
    return inside


def _agreed_warp(here: np.ndarray, there: np.ndarray) -> np.ndarray | None:
    """The similarity most points (P, 2) -> (P, 2) agree on; None where too few do."""
    if len(here) < MIN_INLIERS:
        return None
    warp, inliers = cv2.estimateAffinePartial2D(
        here, there, method=cv2.RANSAC, ransacReprojThreshold=INLIER, confidence=0.999
    )
    if warp is None or inliers.sum() < max(MIN_INLIERS, MIN_SHARE * len(here)):
        return None
    return _believable(warp)


def _believable(warp: np.ndarray) -> np.ndarray | None:
    zoom = np.sqrt(abs(np.linalg.det(warp[:, :2]))) if np.isfinite(warp).all() else 0.0
    return warp if 1 / LARGEST_ZOOM < zoom < LARGEST_ZOOM else None


@dataclass(frozen=True, slots=True, eq=False)
class Watch:
    """Steep points of a picture, by which a look at a few hundred pixels tells whether the camera moved since."""

    xy: np.ndarray  # (P, 2) int64 px
    value: np.ndarray  # (P,) float32 grey levels (green)
    slope: np.ndarray  # (P,) float32 grey levels per px

    @classmethod
    def over(cls, image: np.ndarray, view: View) -> Watch:
        """The steepest point outside the people of every field of a grid."""
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
        if min(image.shape[:2]) < 3:
            x = y = np.zeros(0, np.int64)
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


class CameraMotion:
    """Frame and its detections -> (2, 3) warp from the last frame with a picture, px; None: the camera stands.

    The camera is taken to stand until a look at a few steep points says otherwise. Then every frame is compared
    with the one before, until ``CALM`` frames together show less than ``STILL``. While it stands the picture of
    the last comparison is kept: a slow drift adds up until it is noticed, and what is told then is the motion
    since that picture, because the tracker has been told of none meanwhile.

    Frames that are left out or come without a picture are bridged, blank ones passed over. Another size, an
    earlier frame number or a long gap in time (a reconnect) begin anew. Where no estimate is to be had or to be
    believed, the camera is said to stand.
    """

    def __init__(self, method: str = "sparse-flow", *, watch: bool = True) -> None:
        """``method``: of ``METHODS``. ``watch``: False compares every frame, standing camera or not."""
        self._estimate, self._watches = METHODS[method], watch
        self.description = f"{method}, estimated from the pictures"
        self.reset()

    def reset(self) -> None:
        """Forget all frames."""
        self.latest = (-1, -1, np.eye(2, 3))  # frame before, frame, warp: what was told last
        self.compared = 0  # frames that were estimated
        self._view: View | None = None  # the picture that the next one is compared with
        self._size = (0, 0)  # of that frame, (height, width) px
        self._index, self._time = -1, 0.0  # of the last frame with a picture
        self._step = np.inf  # s, the shortest from one frame to the next
        self._stand(None)
        self._since, self._calm = np.eye(3), 0  # motion over the last calm frames, in small px

    def __call__(self, frame: Frame, detections: Detections | None = None) -> np.ndarray | None:
        """The camera's motion up to this frame; ``detections`` of it are masked out."""
        warp = (
            None if frame.image is None else self._see(frame, frame.image, detections or Detections.empty())
        )
        self.latest = (self.latest[1], frame.index, np.eye(2, 3) if warp is None else warp)
        return warp

    def _see(self, frame: Frame, image: np.ndarray, detections: Detections) -> np.ndarray | None:
        if self._is_elsewhere(frame, image):
            self._view, self._step = None, np.inf
        elif self._index >= 0:
            self._step = min(self._step, (frame.time - self._time) / (frame.index - self._index))
        self._index, self._time, self._size = frame.index, frame.time, image.shape[:2]
        if self._view is not None and self._looks_still(image):
            return None
        view = view_of(image, detections.xyxy[detections.score >= MASKED_FROM])
        if view.grey.std() < BLANK:
            return None
        before, self._view = self._view, view
        if before is None:
            self._stand(Watch.over(image, view))
            return None
        self.compared += 1
        small = self._estimate(before, view)
        moves = small is not None and self._moves(small, image, view)
        if small is None and self._watch is not None:
            self._stand(Watch.over(image, view))
        return full_size(small, view.grey.shape, self._size) if moves else None

    def _is_elsewhere(self, frame: Frame, image: np.ndarray) -> bool:
        if self._index < 0:
            return False
        if image.shape[:2] != self._size or frame.index <= self._index:
            return True
        step = (frame.time - self._time) / (frame.index - self._index)
        return bool(np.isfinite(self._step)) and step > max(GAP, TIMES * self._step)

    def _looks_still(self, image: np.ndarray) -> bool:
        self._watched += 1
        return self._watch is not None and self._watched <= RENEW and self._watch.motion(image) < self._wake

    def _moves(self, small: np.ndarray, image: np.ndarray, view: View) -> bool:
        """Whether this motion, (2, 3) in small px, is to be told; goes over from watching to comparing and back."""
        height, width = view.grey.shape
        if self._watch is not None:
            if reach(small, width, height) >= STILL:
                self._watch, self._since, self._calm = None, np.eye(3), 0
                return True
            # a false alarm (light, a crowd) raises the threshold, a mere renewal sets it back
            self._stand(Watch.over(image, view), self._wake * LESS_EASILY if self._watched <= RENEW else WAKE)
            return False
        self._since = np.vstack((small, (0, 0, 1))) @ self._since
        self._calm += 1
        if reach(self._since, width, height) >= STILL:
            self._since, self._calm = np.eye(3), 0
        if self._calm >= CALM:
            self._stand(Watch.over(image, view))
        return True

    def _stand(self, watch: Watch | None, wake: float = WAKE) -> None:
        """Watch from here on; with too few points to see by, go on comparing."""
        self._watch = watch if watch is not None and self._watches and len(watch.xy) >= FEW else None
        self._watched, self._wake = 0, wake


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
