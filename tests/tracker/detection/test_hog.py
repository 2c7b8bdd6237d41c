"""OpenCV's people detector: windows -> boxes by hand, and the whole on real frames."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tracker.boxes import iou_matrix
from retrace.tracker.data import Detections, Frame
from retrace.tracker.detection import hog as hog_file
from retrace.tracker.detection.hog import PeopleWatch, hog_windows, people_in_windows, weighed
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
    assert len(people_in_windows(*hog_windows(0.1)(np.zeros((*size, 3), np.uint8)))) == 0


@pytest.fixture
def opencv_threads() -> Iterator[Callable[[int], None]]:
    before = cv2.getNumThreads()
    yield cv2.setNumThreads
    cv2.setNumThreads(before)


@pytest.mark.parametrize("size", [(576, 768), (300, 500), (128, 64), (700, 90)])
@pytest.mark.parametrize("threads", [1, 4])
def test_windows_are_those_of_opencv_on_one_thread(
    size: tuple[int, int], threads: int, opencv_threads: Callable[[int], None]
) -> None:
    """Same windows in the same order, same margins, whatever the threads: OpenCV on two mixes the margins up."""
    image = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8), (0, 0), 5)
    image = cv2.normalize(image, image, 0, 255, cv2.NORM_MINMAX)
    opencv_threads(1)
    opencv = cv2.HOGDescriptor()
    opencv.setSVMDetector(np.asarray(cv2.HOGDescriptor.getDefaultPeopleDetector()))
    floor = hog_file.MIDDLE + float(np.log(0.01 / 0.99)) / hog_file.SLOPE
    want, margin = opencv.detectMultiScale(image, floor, hog_file.STRIDE, hog_file.PADDING, hog_file.LEVEL, 0)
    opencv_threads(threads)
    found, ours = hog_windows(0.0)(image, hog_file.ROWS)  # as a part of a picture of 960 rows: not resized
    np.testing.assert_array_equal(found, np.reshape(want, (-1, 4)))
    np.testing.assert_array_equal(ours, np.ravel(margin))
    assert len(found) or size != (576, 768)


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_the_ends_of_the_score_range_are_valid(score: float) -> None:
    found = people_in_windows(*hog_windows(score)(np.zeros((200, 100, 3), np.uint8)))
    assert (found.score >= score).all()


def test_an_opencv_without_hog_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cv2", types.SimpleNamespace(__version__="5.0.0"))
    with pytest.raises(InputError, match=r"OpenCV 5\.0\.0 has no HOG detector: install opencv-python 4"):
        hog_windows(0.1)


def test_people_of_a_real_video_are_found(shared: Path) -> None:
    """Three frames of PETS09-S2L1, far apart; whole video: AP 0.85."""
    import cv2

    truth = read_ground_truth(shared / "MOT15-train" / "PETS09-S2L1" / "gt" / "gt.txt")
    video = cv2.VideoCapture(str(shared / "videos" / "vtest.avi"))
    look = hog_windows(0.5)
    hits = people = boxes = 0
    for index in range(141):
        assert video.grab()
        if index % 70:
            continue
        found = people_in_windows(*look(video.retrieve()[1])).xyxy.astype(float)
        there = truth.xyxy[truth.frame == index]
        overlap = iou_matrix(there, found)
        hits, people, boxes = hits + (overlap.max(1) >= 0.5).sum(), people + len(there), boxes + len(found)
    assert hits / people >= 0.7  # 0.78 over the whole video
    assert hits / boxes >= 0.7  # 0.89


# On a video


def walk(shared: Path, frames: int) -> list[Frame]:
    import cv2

    video = cv2.VideoCapture(str(shared / "videos" / "vtest.avi"))
    return [Frame(index, index / 10, video.read()[1]) for index in range(frames)]


def test_scores_go_down_where_nothing_moved() -> None:
    # Score 0.8 has odds 4. Nothing moved: 4 e^-3; half of 0.6 moved: 4 e^-1.5; more than 0.6: 4.
    people = Detections([[0, 0, 20, 40], [40, 0, 60, 40], [80, 0, 100, 40]], [0.8, 0.8, 0.8])
    moved = np.array([0.0, 0.3, 0.8])
    found = weighed(people, moved, 0.0)
    odds = np.array([4.0, 4 * np.exp(-1.5), 4 * np.exp(-3)])
    np.testing.assert_allclose(found.score, odds / (1 + odds), rtol=1e-5)
    assert found.xyxy[:, 0].tolist() == [80, 40, 0]  # best first
    assert len(weighed(people, moved, 0.4)) == 2
    assert len(weighed(Detections.empty(), np.zeros(0), 0.4)) == 0


def test_the_parked_van_is_nobody_and_people_are_somebody(shared: Path) -> None:
    truth = read_ground_truth(shared / "MOT15-train" / "PETS09-S2L1" / "gt" / "gt.txt")
    van = np.array([[650.0, 30, 730, 110]])
    watch, hits, people, sure, parked = PeopleWatch(0.1), 0, 0, 0, 0
    for frame in walk(shared, 32):
        found = watch(frame)
        assert (np.diff(found.score) <= 0).all()
        strong = found.xyxy[found.score >= 0.5].astype(float)
        centre = (strong[:, :2] + strong[:, 2:]) / 2
        parked += int(((centre > van[:, :2]) & (centre < van[:, 2:])).all(1).sum())
        if frame.index < 11:
            continue  # who stood in the first picture must move first
        there = truth.xyxy[truth.frame == frame.index]
        overlap = iou_matrix(there, strong)
        hits, people, sure = (
            hits + int((overlap.max(1) >= 0.5).sum()),
            people + len(there),
            sure + len(strong),
        )
    assert parked == 0
    assert hits / people >= 0.5
    assert hits / sure >= 0.8


def test_only_once_a_second_it_looks_at_everything(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[tuple[int, int]] = []
    monkeypatch.setattr(
        "retrace.tracker.detection.hog.hog_windows",
        lambda score: lambda image, whole=None: (looks.append(image.shape[:2]), _no_windows())[1],
    )
    watch = PeopleWatch(0.1)
    whole = []
    for frame in walk(shared, 32):
        looks.clear()
        watch(frame)
        if (576, 768) in looks:
            whole.append(frame.index)
            assert len(looks) == 1
        else:
            assert sum(high * wide for high, wide in looks) < 0.5 * 576 * 768
    assert whole == [0, 10, 20, 30]


def _no_windows() -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((0, 4)), np.zeros(0)


def test_what_nothing_touched_since_the_last_look_still_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two people at the first look; then the left one moves: the right one is reported although nobody looked again."""
    answers = [
        (np.array([[0.0, 0, 64, 128], [200, 0, 64, 128]]), np.array([4.0, 4.0])),  # the first picture, whole
        (np.array([[5.0, 3, 64, 128]]), np.array([4.0])),  # within the area
    ]
    monkeypatch.setattr(
        "retrace.tracker.detection.hog.hog_windows", lambda score: lambda image, whole=None: answers.pop(0)
    )
    watch, still = PeopleWatch(0.0), np.full((160, 300, 3), 90, np.uint8)
    moved = still.copy()
    moved[16:112, 12:52] = 200
    watch(Frame(0, 0.0, still))
    assert len(watch(Frame(1, 0.1, still))) == 2
    found = watch(Frame(2, 0.2, moved))
    assert not answers
    assert sorted(found.xyxy[:, 0].round(1).tolist()) == [
        pytest.approx(5 + 12.8, abs=10),
        pytest.approx(212.8),
    ]


def test_a_stopped_watch_goes_on_with_the_same_boxes(shared: Path) -> None:
    frames = walk(shared, 9)
    one, other = PeopleWatch(0.1), PeopleWatch(0.1)
    for frame in frames[:6]:
        one(frame)
    state = {key: np.array(value) for key, value in one.state_dict().items()}  # as np.savez keeps it
    other.load_state_dict(state)
    for frame in frames[6:]:
        mine, theirs = one(frame), other(frame)
        assert mine.xyxy.tobytes() == theirs.xyxy.tobytes()
        assert mine.score.tobytes() == theirs.score.tobytes()
