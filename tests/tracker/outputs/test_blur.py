"""What is made unrecognisable, and what is left alone."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tracker.data import Detections, Frame, Step, Tracks
from retrace.tracker.outputs.blur import faces, heads, hidden, softened
from retrace.tracker.outputs.style import Style

NOISE = np.random.default_rng(0).integers(0, 255, (240, 320, 3)).astype(np.uint8)


def step(tracks: list[tuple[float, ...]], detections: list[tuple[float, ...]], kinds: list[int]) -> Step:
    rows = np.array(tracks, np.float32).reshape(-1, 4)
    n = len(rows)
    return Step(
        Frame(0, 0.0, NOISE),
        Detections(np.array(detections, np.float32).reshape(-1, 4), np.full(len(detections), 0.2)),
        Tracks(np.arange(1, n + 1), rows, np.ones(n, np.float32), np.array(kinds, np.int32), np.full(n, -1)),
    )


def detail(image: np.ndarray) -> float:
    """Mean difference between neighbours across."""
    return float(np.abs(np.diff(image.astype(int), axis=1)).mean())


def test_people_are_hidden_whether_tracked_or_only_detected_or_predicted() -> None:
    out = hidden(step([(20, 40, 60, 140)], [(200, 50, 240, 150)], [0]), "people")
    for x in (25, 205):
        assert detail(out[60:130, x : x + 30]) < 0.25 * detail(NOISE[60:130, x : x + 30])
    assert np.array_equal(out[:, 80:190], NOISE[:, 80:190])
    assert np.array_equal(out[200:], NOISE[200:])


def test_other_classes_are_left_alone() -> None:
    one = step([(20, 40, 60, 140), (100, 40, 140, 140)], [], [0, 2])
    out = hidden(one, "people", {0: "Person", 2: "car"})
    assert np.array_equal(out[:, 80:], NOISE[:, 80:])
    assert not np.array_equal(out, NOISE)


def test_faces_are_the_heads_of_boxes() -> None:
    """Standing, 40 x 100: the upper 20 px. Seen to the chest, 100 x 100: the upper 50."""
    assert heads(np.array([(0, 100, 40, 200), (0, 100, 100, 200.0)]))[:, 3].tolist() == [120, 150]
    out = hidden(step([(20, 40, 60, 140)], [], [0]), "faces")
    assert detail(out[42:58, 22:58]) < 0.5 * detail(NOISE[42:58, 22:58])
    assert np.array_equal(out[70:], NOISE[70:])


def test_the_cascades_work_offline_and_find_nobody_in_noise() -> None:
    assert faces(NOISE).shape == (0, 4)


@pytest.mark.parametrize("face", [(411, 229, 450, 276), (743, 200, 787, 264)])  # as seen by eye
def test_a_face_that_fills_the_picture_is_found_without_any_box(
    shared: Path, face: tuple[int, int, int, int]
) -> None:
    """A man of the street clip's first frame, cut so that his face is a third of the width."""
    street = cv2.VideoCapture(str(shared / "videos" / "people-walking.mp4")).read()[1]
    x1, y1, x2, y2 = face
    wide, high = 3 * (x2 - x1), 2 * (y2 - y1)
    left, top = (x1 + x2 - wide) // 2, (y1 + y2 - high) // 2
    scale = 640 / wide
    picture = cv2.resize(street[top : top + high, left : left + wide], (640, round(high * scale)))
    found = faces(picture)
    inside = (np.array([x1 - left, y1 - top, x2 - left, y2 - top]) * scale).round().astype(int)
    seen = np.zeros(picture.shape[:2], bool)
    for a, b, c, d in found.clip(0).astype(int):
        seen[b:d, a:c] = True
    assert seen[inside[1] : inside[3], inside[0] : inside[2]].mean() > 0.9


def test_boxes_at_and_over_the_border() -> None:
    boxes = np.array([(-20, -20, 10, 10), (310, 230, 400, 300), (500, 500, 600, 600), (5, 5, 5.5, 5.5)])
    assert softened(NOISE, boxes).shape == NOISE.shape
    assert np.array_equal(softened(NOISE, np.zeros((0, 4))), NOISE)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"labels": ("di",)}, "`label` di: did you mean 'id'"), ({"blur": "face"}, "`blur` face")],
)
def test_mistakes(wrong: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Style(**wrong)
