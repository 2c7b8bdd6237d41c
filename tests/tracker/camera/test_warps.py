"""Cameras: warps from files, and when they are estimated."""

import cv2
import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tracker.camera import warps as module
from retrace.tracker.camera.estimators import METHODS
from retrace.tracker.camera.warps import (
    CALM,
    EstimatedCamera,
    FileCamera,
    camera_of,
    read_warps,
    shares,
    warp_lines,
)
from retrace.tracker.data import Detections, Frame
from tests.tracker.camera.moved import seen_from, shift
from tests.tracker.camera.photographs import SIZE, error, scene


def play(camera, places, fps=25, start=0):
    """What the camera tells of frames seen from those x; each frame has noise of its own."""
    noise = np.random.default_rng(7)
    told = []
    for k, x in enumerate(places, start):
        told.append(camera(Frame(k, k / fps, seen_from(x, noise=noise))))
    return told


def test_reads_warps(tmp_path):
    path = tmp_path / "gmc.txt"
    path.write_text("0\t1\t0\t0\t0\t1\t0\t\n\n2 1 0 5 0 1 -3\n")
    warps = read_warps(path)
    assert list(warps) == [0, 2]
    assert warps[2].tolist() == [[1, 0, 5], [0, 1, -3]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 1 0 0 0 1 0\n1 1 0 0 0 1\n", "line 2: expected a frame"),
        ("x 1 0 0 0 1 0", "line 1"),
        ("1 1 0 nan 0 1 0", "line 1"),
        ("1.5 1 0 0 0 1 0", "line 1"),
        ("-1 1 0 0 0 1 0", "line 1"),
        ("1 0 0 0 0 0 0", "invertible"),
        ("1 1 0 0 0 1 0\n1 1 0 0 0 1 0", "line 2: frame 1 comes twice"),
    ],
)
def test_malformed_files_name_the_line(tmp_path, text, message):
    (tmp_path / "gmc.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        read_warps(tmp_path / "gmc.txt")
    with pytest.raises(InputError, match="cannot be read"):
        read_warps(tmp_path / "nowhere.txt")


def test_a_method_that_is_none_is_refused():
    with pytest.raises(InputError, match="`method` flow: did you mean 'sparse-flow'"):
        EstimatedCamera("flow")


def test_frames_that_were_left_out_are_made_up_for():
    """Frames 0, 1, 4: at 4 the camera has gone 2 + 3 + 4 since frame 1."""
    camera = camera_of({k: shift(k) for k in range(6)})
    asked = [camera(Frame(k, k / 10, None))[0, 2] for k in (0, 1, 4, 5)]
    assert asked == [0, 1, 2 + 3 + 4, 5]


def test_order_of_composition():
    """First twice as large, then 10 px to the right: x -> 2 x + 10."""
    zoom = np.array([[2.0, 0, 0], [0, 2, 0]])
    camera = camera_of({1: zoom, 2: shift(10)})
    camera(Frame(0, 0.0, None))
    assert camera(Frame(2, 0.2, None)).tolist() == [[2, 0, 10], [0, 2, 0]]


def test_a_resumed_file_camera_makes_up_for_frames_too():
    first, second = (FileCamera({k: shift(k) for k in range(6)}) for _ in range(2))
    first(Frame(2, 0.2, None))
    second.load_state_dict(first.state_dict())
    assert (
        first(Frame(4, 0.4, None)).tolist() == second(Frame(4, 0.4, None)).tolist() == shift(3 + 4).tolist()
    )
    assert shares(first) == shares(second) == {"moving": 1.0, "still": 0.0, "unknown": 0.0}


def test_what_was_told_can_be_read_again(tmp_path):
    """Frames 0, 2, 3 were seen: 1 stands in the file as still, and reading gives the same warps to the bit."""
    rng = np.random.default_rng(0)
    warps = {k: np.eye(2, 3) + rng.normal(0, 0.1, (2, 3)) for k in (2, 3)}
    camera = FileCamera(warps)
    told = {k: (camera(Frame(k, k / 9, None)), warp_lines(camera.latest)) for k in (0, 2, 3)}
    (tmp_path / "gmc.txt").write_text("".join(lines for _, lines in told.values()))
    again = read_warps(tmp_path / "gmc.txt")
    assert list(again) == [0, 1, 2, 3]
    camera = FileCamera(again)
    for k, (warp, _) in told.items():
        assert camera(Frame(k, k / 9, None)).tolist() == warp.tolist()


def test_a_standing_camera_costs_no_estimate(monkeypatch):
    monkeypatch.setattr(module, "RENEW", 30)
    camera = EstimatedCamera()
    assert play(camera, [0.0] * 50) == [None] * 50
    assert camera.compared == 1  # the renewal at frame 31
    # the first has none before it
    assert shares(camera) == {"moving": 0.0, "still": 49 / 50, "unknown": 1 / 50}


def test_a_panning_camera_is_told_every_frame():
    camera = EstimatedCamera()
    told = play(camera, [2.0 * k for k in range(15)])
    assert told[0] is None
    for warp in told[1:]:
        assert error(warp, shift(-2)) < 0.3
    assert camera.compared == 14


@pytest.mark.parametrize("method", METHODS)
def test_every_method_compares_with_the_frame_before(method):
    """2 px a frame, every frame; against the first one it would be 2, 4, 6 ..."""
    for warp in play(EstimatedCamera(method), [2.0 * k for k in range(8)])[1:]:
        assert error(warp, shift(-2)) < 0.8


def test_it_wakes_in_the_frame_in_which_the_camera_starts_and_rests_after_it_stopped():
    places = [0.0] * 20 + [3.0 * k for k in range(1, 11)] + [30.0] * (CALM + 10)
    camera = EstimatedCamera()
    told = play(camera, places)
    assert told[:20] == [None] * 20
    for warp in told[20:30]:
        assert error(warp, shift(-3)) < 0.3
    assert told[30 + CALM + 1 :] == [None] * 9
    assert camera.compared <= 10 + CALM + 1


def test_a_slow_drift_adds_up_and_is_told():
    """0.05 px a frame, for 100 frames: 5 px; less than STILL of it may be kept back."""
    whole = np.eye(3)
    for warp in play(EstimatedCamera(), [0.05 * k for k in range(101)]):
        whole = whole if warp is None else np.vstack((warp, (0, 0, 1))) @ whole
    assert whole[0, 2] == pytest.approx(-5, abs=0.8)


def test_a_crowd_in_front_of_a_standing_camera():
    """Nobody detected them; they cover a quarter of the picture and walk 5 px a frame."""
    camera = EstimatedCamera()
    crowd = scene(4, (150, 130))
    for k in range(30):
        image = seen_from(0)
        image[80:230, 10 + 5 * k : 140 + 5 * k] = crowd
        assert camera(Frame(k, k / 25, image)) is None


def test_people_in_the_detections_are_looked_past():
    """They walk with the camera, which makes them stand in the picture, and cover more than half of it."""
    camera = EstimatedCamera(watch=False)
    people = Detections(np.array([[0.0, 0, 190, 240]]), np.array([0.9]))
    for k in range(4):
        image = seen_from(4 * k)
        image[:, :190] = scene(5, (240, 190))
        warp = camera(Frame(k, k / 25, image), people)
        assert warp is None if k == 0 else error(warp, shift(-4)) < 0.3


def test_frames_left_out_are_bridged():
    camera = EstimatedCamera(watch=False)
    told = [camera(Frame(k, k / 25, seen_from(2 * k))) for k in (0, 1, 5)]
    assert error(told[2], shift(-8)) < 0.3


@pytest.mark.parametrize("watch", [True, False])
@pytest.mark.parametrize("blank", [None, np.zeros((*SIZE, 3), np.uint8), np.full((*SIZE, 3), 90, np.uint8)])
def test_frames_without_a_picture_are_bridged(watch, blank):
    camera = EstimatedCamera(watch=watch)
    told = [camera(Frame(k, k / 25, seen_from(3 * k))) for k in range(3)]
    told += [camera(Frame(k, k / 25, blank)) for k in (3, 4)]
    told += [camera(Frame(5, 5 / 25, seen_from(15)))]
    assert told[3] is None
    assert told[4] is None
    assert error(told[5], shift(-9)) < 0.4
    assert shares(camera) == {"moving": 0.5, "still": 0.0, "unknown": 0.5}


@pytest.mark.parametrize("watch", [True, False])
def test_a_new_resolution_begins_anew(watch):
    camera = EstimatedCamera(watch=watch)
    play(camera, [0, 2])
    large = [cv2.resize(seen_from(x), None, fx=2, fy=2) for x in (4, 6)]
    assert camera(Frame(2, 2 / 25, large[0])) is None
    assert error(camera(Frame(3, 3 / 25, large[1])), shift(-4), (480, 640)) < 0.5


def test_a_reconnect_begins_anew():
    """The numbers go on, the clock has jumped; slow sources, and frames left out, do not look like that."""
    camera = EstimatedCamera(watch=False)
    play(camera, [0, 2, 4])
    assert camera(Frame(3, 10.0, seen_from(6))) is None
    assert error(camera(Frame(4, 10.04, seen_from(8))), shift(-2)) < 0.3
    assert error(camera(Frame(104, 14.04, seen_from(10))), shift(-2)) < 0.3
    slow = EstimatedCamera(watch=False)
    assert error(play(slow, [0, 2, 4], fps=0.1)[2], shift(-2)) < 0.3


def test_an_earlier_frame_begins_anew():
    camera = EstimatedCamera(watch=False)
    play(camera, [0, 2])
    assert play(camera, [9, 11])[0] is None


def test_two_cameras_do_not_touch_each_other():
    alone = play(EstimatedCamera(), [2.0 * k for k in range(6)])
    one, other = EstimatedCamera(), EstimatedCamera()
    noise = np.random.default_rng(7)
    for k in range(6):
        warp = one(Frame(k, k / 25, seen_from(2.0 * k, noise=noise)))
        other(Frame(k, k / 25, seen_from(-3.0 * k)))
        assert warp is None if alone[k] is None else np.array_equal(warp, alone[k])


def test_a_camera_goes_on_from_its_state():
    """Standing, starting, moving, stopped: wherever it is interrupted, the same warps follow."""
    places = [0.0] * 5 + [2.0 * k for k in range(1, 15)] + [28.0] * 15 + [30.0, 32.0]
    whole, later = EstimatedCamera(), []
    noise = np.random.default_rng(1)
    for k, x in enumerate(places):
        frame = Frame(k, k / 25, seen_from(x, noise=noise))
        if k in (1, 6, 18, 24, 33):
            later.append(EstimatedCamera())
            later[-1].load_state_dict(whole.state_dict())
        expected = whole(frame)
        for camera in later:
            got = camera(frame)
            assert (got is None) == (expected is None)
            assert got is None or np.array_equal(got, expected)
            assert warp_lines(whole.latest) == warp_lines(camera.latest)
    assert len(later) == 5
    assert all(shares(camera) == shares(whole) for camera in later)


def test_a_bare_wall_is_looked_at_less_and_less():
    """Nothing but two small things that move: no estimate is to be had, so few are tried."""
    camera = EstimatedCamera()
    for k in range(200):
        image = np.full((*SIZE, 3), 90, np.uint8)
        cv2.rectangle(image, (20 + k, 40), (44 + k, 90), (40, 40, 220), -1)
        cv2.rectangle(image, (260 - k, 120), (284 - k, 170), (220, 60, 40), -1)
        assert camera(Frame(k, k / 25, image)) is None
    assert camera.compared < 20
    for k in range(200, 200 + 2 * module.LONGEST_REST):
        warp = camera(Frame(k, k / 25, seen_from(2 * (k - 200))))
    assert error(warp, shift(-2)) < 0.3


@pytest.mark.shared
def test_real_standing_cameras_are_told_to_stand(shared):
    for name, sequence in (("TUD-Campus", 30), ("TUD-Stadtmitte", 30)):
        camera = EstimatedCamera()
        files = sorted((shared / "MOT15-train" / name / "img1").glob("*.jpg"))[:sequence]
        told = [camera(Frame(k, k / 25, cv2.imread(str(file)))) for k, file in enumerate(files)]
        assert told == [None] * len(files)
