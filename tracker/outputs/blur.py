"""Faces or whole people made unrecognisable in a picture."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from retrace.tracker.data import Step
from retrace.tracker.detection.classes import PERSON

CELLS = 5  # across the smaller side of what is hidden: nobody is known by so few
MARGIN = 0.08  # of the box's side that is hidden around it
HEAD = 0.2  # of the height of a standing person's box
SHOULDERS = 0.5  # of the width: the head of somebody whose box ends at the chest
CASCADES = ("haarcascade_frontalface_default.xml", "haarcascade_profileface.xml")  # in OpenCV's own wheel
LOOK_AT = 120  # px, width at which faces are looked for: only large ones can reach beyond the head of a box
SMALLEST_FACE = 20  # px there: the smallest that the cascades know
SURE = 3  # neighbours that a face needs
MORE_FACE = 0.15  # of a found face's side that is hidden around it


def hidden(step: Step, kind: str, names: Mapping[int, str] | None = None) -> np.ndarray:
    """The step's picture without what would tell who people are; the picture itself stays as it is.

    ``people``: all that lies in a box, of a track (predicted ones too) or of any detection. ``faces``: the upper
    part of those boxes, and what OpenCV's frontal and profile cascades take for a face anywhere, if it is a sixth
    of the picture's width or more: close-ups, where the head is most of a box, or nobody is boxed. A face that
    no box and neither cascade finds stays visible.

    Args:
        step: with an image.
        kind: of ``style.BLURS``.
        names: of classes; boxes of other classes than people are left alone. None: all are people.
    """
    image = step.frame.image
    assert image is not None
    boxes = [_people(one.xyxy, one.class_id, names or {}) for one in (step.detections, step.tracks)]
    where = np.concatenate(boxes)
    if kind == "faces":
        where = np.concatenate((heads(where), faces(image)))
    return softened(image, where)


def heads(xyxy: np.ndarray) -> np.ndarray:
    """(N, 4) boxes of people -> the part that has the head, (N, 4) px."""
    x1, y1, x2, y2 = xyxy.T
    wide, high = x2 - x1, y2 - y1
    deep = np.minimum(np.maximum(HEAD * high, SHOULDERS * wide), high)
    return np.stack((x1, y1 - MARGIN * deep, x2, y1 + deep), axis=1)


def faces(image: np.ndarray) -> np.ndarray:
    """(F, 4) px: what OpenCV's cascades take for faces of a sixth of the width or more in (H, W, 3) uint8 BGR."""
    scale = min(1.0, LOOK_AT / image.shape[1])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    grey = cv2.equalizeHist(
        cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), size, interpolation=cv2.INTER_AREA)
    )
    mirrored = np.ascontiguousarray(grey[:, ::-1])  # the profile cascade knows one side only
    frontal, profile = _cascades()
    found = [np.zeros((0, 4))]
    for cascade, picture in ((frontal, grey), (profile, grey), (profile, mirrored)):
        rows = cascade.detectMultiScale(picture, 1.2, SURE, minSize=(SMALLEST_FACE, SMALLEST_FACE))
        tlwh = np.array(rows, float).reshape(-1, 4)
        if picture is mirrored:
            tlwh[:, 0] = size[0] - tlwh[:, 0] - tlwh[:, 2]
        around = MORE_FACE * tlwh[:, 2:]
        found.append(np.hstack((tlwh[:, :2] - around, tlwh[:, :2] + tlwh[:, 2:] + around)))
    return np.concatenate(found) / scale


@cache
def _cascades() -> tuple[cv2.CascadeClassifier, ...]:
    folder = Path(cv2.__file__).parent / "data"
    return tuple(cv2.CascadeClassifier(str(folder / name)) for name in CASCADES)


def softened(image: np.ndarray, xyxy: np.ndarray) -> np.ndarray:
    """A copy of (H, W, 3) uint8 in which each of the boxes (N, 4) px is a few soft cells."""
    made = image.copy()
    height, width = image.shape[:2]
    around = MARGIN * (xyxy[:, 2:] - xyxy[:, :2])
    low = np.floor(xyxy[:, :2] - around).clip(0, (width, height)).astype(int)
    high = np.ceil(xyxy[:, 2:] + around).clip(0, (width, height)).astype(int)
    for (x1, y1), (x2, y2) in zip(low.tolist(), high.tolist(), strict=True):
        if x2 - x1 < 1 or y2 - y1 < 1:
            continue
        side = max(1.0, min(x2 - x1, y2 - y1) / CELLS)
        cells = (max(1, round((x2 - x1) / side)), max(1, round((y2 - y1) / side)))
        few = cv2.resize(image[y1:y2, x1:x2], cells, interpolation=cv2.INTER_AREA)
        made[y1:y2, x1:x2] = cv2.resize(few, (x2 - x1, y2 - y1), interpolation=cv2.INTER_LINEAR)
    return made


def _people(xyxy: np.ndarray, class_id: np.ndarray, names: Mapping[int, str]) -> np.ndarray:
    """(P, 4) float px, those boxes that are people's or of no known class."""
    known = np.array([names.get(kind, PERSON[0]).lower() in PERSON for kind in class_id.tolist()], bool)
    return xyxy[known].astype(float)
