"""OpenCV's people detector: needs no weights, no download and no torch, and finds people who stand upright.

Dalal and Triggs, "Histograms of oriented gradients for human detection", CVPR 2005: a linear SVM on gradients
in a window of 64x128 px, slid over an image pyramid. The numbers below were chosen on every tenth frame of
PETS09-S2L1 (768x576) and looked at on other frames and on the two TUD sequences of MOT15. AP at IoU 0.5: 0.85 on
all of PETS09-S2L1, 0.46 and 0.72 on TUD; 4.8 pictures/s there on one core.

Before a standing camera it looks only where something moved, and at everything once a second: a quarter to a third of
the time at the same AP. What it takes for a person where nothing ever moved (a parked van, a sign) counts little.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from operator import mul
from typing import Any

import numpy as np

from retrace.configs import InputError
from retrace.tracker.boxes import iou_matrix
from retrace.tracker.data import Detections, Frame
from retrace.tracker.detection.boxes_file import image_of
from retrace.tracker.detection.moving import Background, areas, share

WINDOW = (128, 64)  # px, height and width
ROWS = 960  # px; every image is resized to this height, so people above a tenth of it are found
UPSCALE = 2.0  # at most; beyond it blur is all that is gained
LEVEL = 1.12  # size ratio of neighbouring pyramid levels; 1.05 takes twice the time for .01 of AP
LEVELS = 64  # at most
STRIDE = (8, 8)  # px
PADDING = (8, 8)  # px
PERSON = np.array([0.6, 0.75])  # width and height of the person within the window
SLOPE, MIDDLE = 3.0, 1.0  # logistic fit of P(box is a person) to the margin; by video 2.9-3.6 and 0.8-1.1
SAME, MERGE = 0.4, 0.5  # IoU: above the first a weaker window goes, above the second it is averaged in
LOWEST = 0.01  # score; below it windows come by the thousand
EVERY = 1.0  # s between looks at everything
AROUND = 0.33  # heights of a spot that moved, added on each side of it
LEAST, ROOM = 12, 4  # px of the small picture: a spot's area, and what is added at least
# What a box's share of moved pixels takes from the logit of its score: nothing from 0.6 on, 3 where nothing moved. Of
# 89 boxes with a share below 0.2 on PETS09-S2L1 and ADL-Rundle-6 none was a person.
FULL, UNMOVED = 0.6, 3.0
UNKNOWN = 0.3  # share that is taken for a first picture: who is certain stays

Windows = tuple[np.ndarray, np.ndarray]  # (M, 4) tlwh px of the picture, (M,) margin from the SVM's plane


class PeopleWatch:
    """HOG on one video, frame after frame: it remembers the background and the last look at everything."""

    def __init__(self, min_score: float) -> None:
        """
        Args:
            min_score: lowest score to report, in [0, 1].

        Raises:
            InputError: this OpenCV has no HOG (5.x dropped it).
        """
        self._look = hog_windows(min_score)
        self._min_score = min_score
        self._background = Background()
        self._looked = -np.inf  # s, at everything
        self._seen: Windows = _nothing()  # then

    def __call__(self, frame: Frame) -> Detections:
        """Boxes of people, best first."""
        image = image_of(frame)
        mask, stands = self._background.apart(image, frame.time)
        scale = image.shape[1] / mask.shape[1]
        if not stands or not 0 <= frame.time - self._looked < EVERY:
            windows, self._looked = self._look(image), frame.time
            self._seen = windows
        else:
            windows = self._again(image, areas(mask, LEAST, AROUND, ROOM) * scale)
        people = people_in_windows(*windows)
        moved = (
            share(mask, people.xyxy / scale)
            if stands
            else np.full(len(people), UNKNOWN if stands is None else 1)
        )
        return weighed(people, moved, self._min_score)

    def _again(self, image: np.ndarray, moved: np.ndarray) -> Windows:
        """A look at some areas (K, 4) px; everywhere else the last look at everything stands."""
        tlwh, margin = self._seen
        centre = tlwh[:, :2] + tlwh[:, 2:] / 2
        inside = np.any(
            np.all((centre[:, None] >= moved[:, :2]) & (centre[:, None] < moved[:, 2:]), axis=2), axis=1
        )
        found = [(tlwh[~inside], margin[~inside])]
        for x1, y1, x2, y2 in np.rint(moved).astype(int).tolist():
            there, margin = self._look(image[y1:y2, x1:x2], len(image))
            found.append((there + np.array([x1, y1, 0, 0]), margin))
        return np.concatenate([tlwh for tlwh, _ in found]), np.concatenate([margin for _, margin in found])

    def state_dict(self) -> dict[str, Any]:
        """Plain arrays: from there a run that was stopped goes on with the same boxes."""
        state = {f"background_{key}": value for key, value in self._background.state_dict().items()}
        return {**state, "looked": np.array(self._looked), "tlwh": self._seen[0], "margin": self._seen[1]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        begin = "background_"
        self._background.load_state_dict(
            {k.removeprefix(begin): v for k, v in state.items() if k.startswith(begin)}
        )
        self._looked, self._seen = float(state["looked"]), (state["tlwh"], state["margin"])


def hog_windows(min_score: float) -> Callable[..., Windows]:
    """HOG itself: (H, W, 3) uint8 BGR, and the height of the picture it is cut out of -> windows.

    The windows and margins of OpenCV's ``detectMultiScale`` on one thread. On more it mixes up which margin is
    whose once in a thousand pictures (two lists, filled under two locks), so the pyramid is ours.

    Raises:
        InputError: as :class:`PeopleWatch`.
    """
    import cv2

    if not hasattr(cv2, "HOGDescriptor"):
        raise InputError(
            f"OpenCV {cv2.__version__} has no HOG detector: install opencv-python 4, or name weights"
        )
    hog = cv2.HOGDescriptor()
    hog.setSVMDetector(np.asarray(cv2.HOGDescriptor.getDefaultPeopleDetector()))
    each = map if cv2.getNumThreads() < 2 else ThreadPoolExecutor(cv2.getNumThreads()).map
    floor = float(np.clip(min_score, LOWEST, 1 - LOWEST))
    lowest = MIDDLE + float(np.log(floor / (1 - floor))) / SLOPE

    def look(image: np.ndarray, whole: int | None = None) -> Windows:
        scale = min(ROWS / (whole or len(image)), UPSCALE)
        size = [max(1, round(side * scale)) for side in (image.shape[1], image.shape[0])]
        image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
        lack = [max(0, side - has) for side, has in zip(WINDOW, image.shape, strict=False)]
        if any(lack):  # OpenCV writes past its memory when an image is smaller than the window
            image = cv2.copyMakeBorder(image, 0, lack[0], 0, lack[1], cv2.BORDER_REPLICATE)
        found = list(each(lambda level: _windows_of_a_level(hog, image, level, lowest), _levels(image.shape)))
        return np.concatenate([tlwh for tlwh, _ in found]) / scale, np.concatenate([m for _, m in found])

    return look


def _levels(shape: tuple[int, ...]) -> list[float]:
    """How much smaller each picture of the pyramid is, biggest first: down to one window."""
    height, width = shape[:2]
    levels = list(accumulate([LEVEL] * (LEVELS - 1), mul, initial=1.0))
    return [
        level for level in levels if round(height / level) >= WINDOW[0] and round(width / level) >= WINDOW[1]
    ]


def _windows_of_a_level(hog: Any, image: np.ndarray, level: float, lowest: float) -> Windows:
    """Windows of one picture of the pyramid, in px of ``image``."""
    import cv2

    size = [round(side / level) for side in (image.shape[1], image.shape[0])]
    small = image if level == 1 else cv2.resize(image, size, interpolation=cv2.INTER_LINEAR_EXACT)
    corner, margin = hog.detect(small, lowest, STRIDE, PADDING)
    if not len(corner):
        return _nothing()
    side = np.rint(np.array(WINDOW[::-1]) * level)
    first = np.rint(corner * level)
    last = np.minimum(first + side, image.shape[1::-1])
    first = np.maximum(first, 0)
    return np.hstack([first, last - first]), np.ravel(margin).astype(np.float64)


def weighed(people: Detections, moved: np.ndarray, min_score: float) -> Detections:
    """Scores by what moved: boxes on what never did lose ``UNMOVED`` of their logit.

    Args:
        moved: (N,) share of each box in [0, 1].
        min_score: boxes below it go.
    """
    lack = np.maximum(FULL - moved, 0) * (UNMOVED / FULL)
    odds = people.score / np.maximum(1 - people.score, 1e-9) * np.exp(-lack)
    score = odds / (1 + odds)
    rows = np.argsort(-score, kind="stable")
    rows = rows[score[rows] >= min_score]
    return Detections(people.xyxy[rows], score[rows])


def _nothing() -> Windows:
    return np.zeros((0, 4)), np.zeros(0)


def people_in_windows(tlwh: np.ndarray, margin: np.ndarray) -> Detections:
    """HOG windows as boxes of people, best first.

    A window is shrunk to the person inside it. Then greedy non-maximum suppression; a kept box becomes the
    mean, weighted by score, of all that overlap it well: HOG looks only every 8 px, their mean is finer.

    Args:
        tlwh: (M, 4) px; positive sizes.
        margin: (M,) distance from the SVM's plane.

    Returns:
        Boxes with score 1 / (1 + exp(-3 (margin - 1))).
    """
    if not len(margin):
        return Detections.empty()
    order = np.lexsort((*tlwh.T, -margin))  # ties must not depend on which area was looked at first
    tlwh, score = tlwh[order], 1 / (1 + np.exp(-SLOPE * (margin[order] - MIDDLE)))
    centre, half = tlwh[:, :2] + tlwh[:, 2:] / 2, tlwh[:, 2:] * PERSON / 2
    boxes = np.concatenate([centre - half, centre + half], axis=1)
    iou = iou_matrix(boxes, boxes)
    kept, weight, undecided = [], [], np.ones(len(boxes), bool)
    while undecided.any():
        best = int(np.argmax(undecided))
        kept.append(best)
        weight.append(score * (undecided & (iou[best] > MERGE)))  # a window counts for one person only
        undecided &= iou[best] <= SAME
    return Detections(np.array(weight) @ boxes / np.sum(weight, axis=1, keepdims=True), score[kept])
