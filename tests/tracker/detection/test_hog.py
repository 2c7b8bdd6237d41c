"""OpenCV's people detector: windows -> boxes by hand, and the whole on real frames."""

from __future__ import annotations

import types
from pathlib import Path

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tracker.boxes import iou_matrix
from retrace.tracker.detection.hog import open_hog, people_in_windows
from retrace.tracker.mot_file import read_ground_truth


def test_a_window_is_shrunk_to_the_person_inside() -> None:
    # 64x128 at (100, 200): centre (132, 264); the person is 0.6 * 64 = 38.4 wide and 0.75 * 128 = 96 tall
    found = people_in_windows(np.array([[100.0, 200, 64, 128]]), np.array([1.0]))
    np.testing.assert_allclose(found.xyxy, [[132 - 19.2, 264 - 48, 132 + 19.2, 264 + 48]], rtol=1e-6)


def test_the_score_is_a_logistic_of_the_margin() -> None:
    windows = np.array([[0.0, 0, 64, 128], [500, 0, 64, 128], [1000, 0, 64, 128]])
    found = people_in_windows(windows, np.array([0.0, 1.0, 2.0]))
    want = [1 / (1 + np.exp(-3)), 0.5, 1 / (1 + np.exp(3))]  # best first
    np.testing.assert_allclose(found.score, want, rtol=1e-6)
    assert found.xyxy[0, 0] > found.xyxy[1, 0] > found.xyxy[2, 0]


def test_windows_on_one_person_become_their_mean_by_score() -> None:
    # Two windows 8 px apart: boxes 38.4 wide, IoU 30.4 / 46.4 = 0.66. Both scores are 0.5, so the mean is half way.
    windows = np.array([[0.0, 0, 64, 128], [8, 0, 64, 128], [400, 0, 64, 128]])
    found = people_in_windows(windows, np.array([1.0, 1.0, 0.5]))
    assert len(found) == 2
    np.testing.assert_allclose(found.xyxy[0], [36 - 19.2, 16, 36 + 19.2, 112], rtol=1e-6)


def test_a_window_between_the_two_limits_vanishes_without_a_trace() -> None:
    # 14 px apart: IoU (38.4 - 14) / (38.4 + 14) = 0.466, above 0.4 (dropped), not above 0.5 (not averaged in)
    one = people_in_windows(np.array([[0.0, 0, 64, 128]]), np.array([2.0]))
    two = people_in_windows(np.array([[0.0, 0, 64, 128], [14, 0, 64, 128]]), np.array([2.0, 1.0]))
    np.testing.assert_array_equal(two.xyxy, one.xyxy)


def test_the_order_of_the_windows_does_not_matter() -> None:
    """OpenCV's threads hand them over in any order; equal margins are where that could show."""
    rng = np.random.default_rng(0)
    windows = np.concatenate([rng.integers(0, 90, (60, 2)), np.full((60, 2), (64, 128))], axis=1).astype(
        float
    )
    margin = rng.integers(0, 3, 60).astype(float)
    first = people_in_windows(windows, margin)
    for _ in range(5):
        order = rng.permutation(60)
        again = people_in_windows(windows[order], margin[order])
        assert again.xyxy.tobytes() == first.xyxy.tobytes()
        assert again.score.tobytes() == first.score.tobytes()


def test_a_window_counts_for_one_person_only() -> None:
    # 10 px apart: IoU (38.4 - 10) / (38.4 + 10) = 0.587; 20 px apart: 0.315. So the first and the third are two
    # people, and the second, which lies well on both, belongs to the better one.
    windows = np.array([[0.0, 0, 64, 128], [10, 0, 64, 128], [20, 0, 64, 128]])
    found = people_in_windows(windows, np.array([3.0, 1.0, 2.0]))
    scores = 1 / (1 + np.exp(-3 * (np.array([3.0, 1.0]) - 1)))
    shift = 10 * scores[1] / scores.sum()
    np.testing.assert_allclose(found.xyxy[:, 0], [32 - 19.2 + shift, 52 - 19.2], rtol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (10, 10), (5, 4000), (4000, 5), (2000, 1), (128, 64)])
def test_images_smaller_than_the_window_are_safe(size: tuple[int, int]) -> None:
    assert len(open_hog(0.1)(np.zeros((*size, 3), np.uint8))) == 0


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_the_ends_of_the_score_range_are_valid(score: float) -> None:
    found = open_hog(score)(np.zeros((200, 100, 3), np.uint8))
    assert (found.score >= score).all()


def test_an_opencv_without_hog_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cv2", types.SimpleNamespace(__version__="5.0.0"))
    with pytest.raises(InputError, match=r"OpenCV 5\.0\.0 has no HOG detector: install opencv-python 4"):
        open_hog(0.1)


def test_people_of_a_real_video_are_found(shared: Path) -> None:
    """Three frames of PETS09-S2L1, far apart; whole video: AP 0.85."""
    import cv2

    truth = read_ground_truth(shared / "MOT15-train" / "PETS09-S2L1" / "gt" / "gt.txt")
    video = cv2.VideoCapture(str(shared / "videos" / "vtest.avi"))
    detect = open_hog(0.5)
    hits = people = boxes = 0
    for index in range(141):
        assert video.grab()
        if index % 70:
            continue
        found = detect(video.retrieve()[1]).xyxy.astype(float)
        there = truth.xyxy[truth.frame == index]
        overlap = iou_matrix(there, found)
        hits, people, boxes = hits + (overlap.max(1) >= 0.5).sum(), people + len(there), boxes + len(found)
    assert hits / people >= 0.7  # 0.78 over the whole video
    assert hits / boxes >= 0.7  # 0.89
