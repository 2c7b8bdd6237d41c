"""OpenCV's people detector: needs no weights, no download and no torch, and finds people who stand upright.

Dalal and Triggs, "Histograms of oriented gradients for human detection", CVPR 2005: a linear SVM on gradients
in a window of 64x128 px, slid over an image pyramid. The numbers below were chosen on every tenth frame of
PETS09-S2L1 (768x576) and looked at on other frames and on the two TUD sequences of MOT15. AP at IoU 0.5: 0.85 on
all of PETS09-S2L1, 0.46 and 0.72 on TUD; 4.8 frames/s there on one core.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from retrace.configs import InputError
from retrace.tracker.boxes import iou_matrix
from retrace.tracker.data import Detections

WINDOW = (128, 64)  # px, height and width
ROWS = 960  # px; every image is resized to this height, so people above a tenth of it are found
UPSCALE = 2.0  # at most; beyond it blur is all that is gained
LEVEL = 1.12  # size ratio of neighbouring pyramid levels; 1.05 takes twice the time for .01 of AP
STRIDE = (8, 8)  # px
PADDING = (8, 8)  # px
PERSON = np.array([0.6, 0.75])  # width and height of the person within the window
SLOPE, MIDDLE = 3.0, 1.0  # logistic fit of P(box is a person) to the margin; by video 2.9-3.6 and 0.8-1.1
SAME, MERGE = 0.4, 0.5  # IoU: above the first a weaker window goes, above the second it is averaged in
LOWEST = 0.01  # score; below it windows come by the thousand


def open_hog(min_score: float) -> Callable[[np.ndarray], Detections]:
    """The detector as a function (H, W, 3) uint8 BGR -> boxes of people, best first.

    Args:
        min_score: lowest score to report, in [0, 1].

    Raises:
        InputError: this OpenCV has none (5.x dropped it).
    """
    import cv2

    if not hasattr(cv2, "HOGDescriptor"):
        raise InputError(
            f"OpenCV {cv2.__version__} has no HOG detector: install opencv-python 4, or name weights"
        )
    hog = cv2.HOGDescriptor()
    hog.setSVMDetector(np.asarray(cv2.HOGDescriptor.getDefaultPeopleDetector()))
    floor = float(np.clip(min_score, LOWEST, 1 - LOWEST))
    lowest = MIDDLE + float(np.log(floor / (1 - floor))) / SLOPE

    def find(image: np.ndarray) -> Detections:
        scale = min(ROWS / len(image), UPSCALE)
        size = [max(1, round(side * scale)) for side in (image.shape[1], image.shape[0])]
        image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
        lack = [max(0, side - has) for side, has in zip(WINDOW, image.shape, strict=False)]
        if any(lack):  # OpenCV writes past its memory when an image is smaller than the window
            image = cv2.copyMakeBorder(image, 0, lack[0], 0, lack[1], cv2.BORDER_REPLICATE)
        windows, margin = hog.detectMultiScale(image, lowest, STRIDE, PADDING, LEVEL, 0)
        if not len(windows):
            return Detections.empty()
        return people_in_windows(np.asarray(windows, np.float64) / scale, np.ravel(margin))

    return find


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
    order = np.lexsort((*tlwh.T, -margin))  # OpenCV's order is its threads'; ties must not depend on it
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
