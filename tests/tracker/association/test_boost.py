"""BoostTrack's two ways to raise a score."""

import numpy as np
import pytest

from retrace.tracker import Detections, Tracker
from retrace.tracker.association.boost import boosted
from retrace.tracker.config import Boost
from tests.tracker.worlds import BOX, HALF, all_pairs, as_inputs, config, one_pair, track
from tests.tracker.worlds import STAGE as PLAIN

LIKELY, BOTH = Boost(unlikely=False), Boost()
FAR, BESIDE = (300, 0, 320, 40), (308, 0, 328, 40)  # IoU of the two 12 / 28


def raised(world, scores, rule=BOTH, high=0.6):
    for seen, score in zip(world.seen, scores, strict=True):
        seen.score = np.float32(score)
    every = all_pairs(world, PLAIN)
    near = every.take((every.iou > 0).nonzero()[0])
    believed = np.array([world.fresh(t, world.motion_age()) for t in world.tracks], bool)
    return boosted(as_inputs(world), near, believed, rule, high).tolist()


def test_likely_by_hand():
    """At least 0.65 IoU: 0.65 on the spot, 0.217 for IoU 1 / 3; nothing falls."""
    w = one_pair(track(BOX), BOX, others=(HALF, FAR))
    assert raised(w, [0.3, 0.15, 0.3], LIKELY) == pytest.approx([0.65, 0.65 / 3, 0.3])
    assert raised(w, [0.7, 0.5, 0.3], LIKELY) == pytest.approx([0.7, 0.5, 0.3])


def test_unlikely_by_hand():
    """Far from everybody is somebody new; of those that overlap by more than 0.3 only the best."""
    w = one_pair(track(BOX), FAR, others=(BESIDE, (7, 0, 27, 40)))
    # (7, 0): d2 = 49 / 4 = 12.3 by the filter's own variance, near enough to be the track; IoU 520 / 1080
    assert raised(w, [0.2, 0.3, 0.2]) == pytest.approx([0.2, 0.6, 0.65 * 520 / 1080])
    assert raised(w, [0.2, 0.3, 0.2], LIKELY)[1] == pytest.approx(0.3)
    assert raised(w, [0.2, 0.9, 0.2]) == pytest.approx([0.6, 0.9, 0.65 * 520 / 1080]), (
        "the sure are no rivals"
    )
    assert raised(w, [0.3, 0.3, 0.2])[:2] == pytest.approx([0.6, 0.6]), "nobody is better"
    eight = one_pair(track(BOX), (8, 0, 28, 40))  # 64 / 4 = 16 > 13.3
    assert raised(eight, [0.1], Boost(likely=0)) == pytest.approx([0.6])


def test_better_by_what_the_tracks_expect():
    """Of two unlikely boxes the likelier one counts, whatever the detector said of them first."""
    w = one_pair(track(BOX), (8, 0, 28, 40), others=((14, 0, 34, 40),))  # 0.65 x 480 / 1120 = 0.279, 0.115
    assert raised(w, [0.1, 0.2]) == pytest.approx([0.6, 0.2])


def test_who_cannot_be_found_again_is_not_near():
    """A track that is too old for its box to be believed expects nobody, and nobody is compared with it."""
    old = track(BOX, age=60, since=45)
    w = one_pair([old, track((600, 0, 620, 40))], BOX, max_age=1.0)
    assert raised(w, [0.2]) == pytest.approx([0.6])
    assert raised(one_pair([old], BOX, max_age=1.0), [0.2]) == pytest.approx([0.2]), "nobody to be far from"


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
