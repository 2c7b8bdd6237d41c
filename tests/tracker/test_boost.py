"""BoostTrack's two ways to raise a score."""

import numpy as np
import pytest

from tests.tracker.test_costs import BOX, HALF, all_pairs, as_scene, config, one_pair, track
from tests.tracker.test_costs import STAGE as PLAIN
from tracker import Detections, Tracker
from tracker.boost import boosted
from tracker.config import Boost

LIKELY, BOTH = Boost(unlikely=False), Boost()
FAR, BESIDE = (300, 0, 320, 40), (308, 0, 328, 40)  # IoU of the two 12 / 28


def raised(world, scores, rule=BOTH, high=0.6):
    for seen, score in zip(world.seen, scores, strict=True):
        seen.score = np.float32(score)
    every = all_pairs(world, PLAIN)
    near = every.take((every.iou > 0).nonzero()[0])
    return boosted(as_scene(world), near, rule, high).tolist()


def test_likely_by_hand():
    """At least 0.65 IoU: 0.65 on the spot, 0.217 for IoU 1 / 3; nothing falls."""
    w = one_pair(track(BOX), BOX, others=(HALF, FAR))
    assert raised(w, [0.3, 0.15, 0.3], LIKELY) == pytest.approx([0.65, 0.65 / 3, 0.3])
    assert raised(w, [0.7, 0.5, 0.3], LIKELY) == pytest.approx([0.7, 0.5, 0.3])


def test_unlikely_by_hand():
    """Far from everybody is somebody new; of those that overlap by more than 0.3 only the best."""
    w = one_pair(track(BOX), FAR, others=(BESIDE, (8, 0, 28, 40)))
    # (8, 0): d2 = 64 / 5 = 12.8, near enough to be the track; IoU 480 / 1120
    assert raised(w, [0.2, 0.3, 0.2]) == pytest.approx([0.2, 0.6, 0.65 * 480 / 1120])
    assert raised(w, [0.2, 0.3, 0.2], LIKELY)[1] == pytest.approx(0.3)
    assert raised(w, [0.2, 0.9, 0.2]) == pytest.approx([0.2, 0.9, 0.65 * 480 / 1120]), "it is there already"
    nine = one_pair(track(BOX), (9, 0, 29, 40))  # 81 / 5 = 16.2 > 13.3
    assert raised(nine, [0.1], Boost(likely=0)) == pytest.approx([0.6])


def test_nobody_to_be_far_from():
    w = one_pair([], FAR)
    assert raised(w, [0.2]) == pytest.approx([0.2])


def test_what_is_below_low_stays_ignored():
    w = one_pair(track(BOX), BOX, others=(FAR,), low=0.1)
    assert raised(w, [0.05, 0.05]) == pytest.approx([0.05, 0.05])
    assert raised(w, [0.1, 0.1]) == pytest.approx([0.65, 0.6])


def test_tracks_of_another_class_expect_nothing():
    """A car where a person stood is not likely; it may be new."""
    for agnostic, expected in ((False, 0.6), (True, 0.65)):
        w = one_pair(track(BOX), BOX, class_agnostic=agnostic)
        w.seen[0].class_id = 1
        assert raised(w, [0.2]) == pytest.approx([expected])


def test_scores_stay_scores():
    w = one_pair(track(BOX), BOX)
    assert raised(w, [0.2], Boost(likely=1)) == pytest.approx([1.0])
    assert raised(w, [1.0]) == [1.0]


def test_the_report_says_what_the_detector_said():
    """A boosted detection is matched as if it were sure; its own score is reported."""
    tracker = Tracker.from_config("boosttrack")
    for _ in range(4):
        tracker.update(Detections([[0, 0, 20, 40]], [0.9]))
    found = Detections([[0, 0, 20, 40]], [0.3])
    tracks = tracker.update(found)
    assert (tracks.id.tolist(), tracks.score.tolist()) == ([1], found.score.tolist())
    assert found.score.tolist() == [np.float32(0.3)]
    assert len(Tracker.from_config("boosttrack", boost=None).update(found)) == 0


def test_no_track_no_boost():
    assert config().boost is None
    assert len(Tracker.from_config("boosttrack").update(Detections([[0, 0, 20, 40]], [0.3]))) == 0
