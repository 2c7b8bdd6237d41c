"""The engine by hand: lifecycle, time, classes, warps, looks, what a caller can get wrong."""

from fractions import Fraction

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tracker import Detections, Tracker
from tests.scenes import take, walk
from tests.tracker.presets import PRESETS, assert_same


def one(x, y=0.0, score=0.9, **more):
    """One 20 x 40 box."""
    return Detections([[x, y, x + 20, y + 40]], [score], **more)


NOTHING = Detections.empty()


@pytest.mark.parametrize("preset", PRESETS)
def test_who_watches_sees_each_frame_before_anybody_is_joined(preset):
    seen, plain = [], Tracker.from_config(preset)
    tracker = Tracker(
        plain.config,
        watch=lambda inputs: seen.append((inputs.time, len(inputs.live), inputs.live.seen.copy())),
    )
    for k, detections in enumerate(walk(3, people=8, frames=20, dimension=8)):
        known = len(tracker.state_dict()["tracks.id"])
        assert_same(tracker.update(detections), plain.update(detections))
        time, count, last = seen[-1]
        assert (len(seen), time, count) == (k + 1, k / 30, known)
        assert (last < time).all()
    assert count > 0


def test_who_watches_comes_before_the_stages():
    """They replace looks by more exact ones, and tell the ledger."""
    accounts = []
    tracker = Tracker(
        Tracker.from_config("default").config,
        ledger=True,
        watch=lambda _: accounts.append(tracker.ledger.tracks),
    )
    for detections in walk(3, people=8, frames=5, dimension=8):
        before = tracker.ledger.tracks
        tracker.update(detections)
        assert accounts[-1] is before is not tracker.ledger.tracks


def test_only_a_function_can_watch():
    with pytest.raises(InputError, match="`watch` must be a function, got int"):
        Tracker(Tracker.from_config("sort").config, watch=3)


def test_a_saved_state_of_another_tracker_is_refused():
    state = Tracker.from_config("sort").state_dict()
    with pytest.raises(InputError, match="another tracker configuration"):
        Tracker.from_config("bytetrack").load_state_dict(state)
    with pytest.raises(InputError, match="frame rate"):
        Tracker.from_config("sort", fps=25).load_state_dict(state)
    short = {**state, "tracks.hits": np.zeros(3, np.int64)}
    with pytest.raises(InputError, match=r"tracks\.hits is int64 \(3,\)"):
        Tracker.from_config("sort").load_state_dict(short)
    tall = {**state, "tracks.past": np.zeros((0, 9, 4))}  # SORT remembers no boxes
    with pytest.raises(InputError, match=r"tracks\.past is float64 \(0, 9, 4\)"):
        Tracker.from_config("sort").load_state_dict(tall)
    mixed = {**state, "tracks.history": np.zeros((0, 5), np.float32)}  # of another dimension than `recent`
    with pytest.raises(InputError, match=r"tracks\.history"):
        Tracker.from_config("sort").load_state_dict(mixed)
    del state["tracks.id"]
    with pytest.raises(InputError, match=r"tracks\.id"):
        Tracker.from_config("sort").load_state_dict(state)


def test_bytetrack_lifecycle_by_hand():
    """A second person must be seen twice; a person lost for 30 frames comes back, for 31 does not."""
    tracker = Tracker.from_config("bytetrack")
    assert tracker.update(one(0)).id.tolist() == [1], "the first frame confirms at once"
    both = Detections([[0, 0, 20, 40], [200, 0, 220, 40]], [0.9, 0.9])
    assert tracker.update(both).id.tolist() == [1]
    assert tracker.update(both).id.tolist() == [1, 2]
    for gap, identity in ((30, 1), (31, 3)):
        for _ in range(gap - 1):
            assert len(tracker.update(NOTHING)) == 0
        tracker.update(one(0))
        assert tracker.update(one(0)).id.tolist() == [identity]


def test_a_tentative_track_dies_at_its_first_miss():
    tracker = Tracker.from_config("bytetrack")
    tracker.update(NOTHING)
    for frame in (one(0), NOTHING, one(0)):
        assert len(tracker.update(frame)) == 0
    assert tracker.update(one(0)).id.tolist() == [1]


def test_low_scores_keep_a_track_alive_but_begin_none():
    tracker = Tracker.from_config("bytetrack")
    assert tracker.update(one(0)).id.tolist() == [1]
    tracks = tracker.update(one(2, score=0.2))
    assert tracks.id.tolist() == [1]
    assert tracks.score.tolist() == [np.float32(0.2)]
    assert len(tracker.update(one(300, score=0.2))) == 0
    assert len(tracker.update(one(300, score=0.2))) == 0


def test_age_is_time_not_frames():
    """At 10 frames/s one second is ten frames; a video that drops to one frame in two seconds loses everybody."""
    tracker = Tracker.from_config("bytetrack", fps=10)
    tracker.update(one(0))
    for _ in range(9):
        tracker.update(NOTHING)
    assert tracker.update(one(0)).id.tolist() == [1]  # one second after
    tracker.update(NOTHING, timestamp=3.0)
    assert len(tracker.update(one(0), timestamp=3.1)) == 0


def test_slow_cameras_and_time_lapse_still_match():
    """Frames further apart than any age: who was there a frame ago is the first candidate all the same."""
    for preset in PRESETS:
        tracker = Tracker.from_config(preset, fps=0.2, report_streak=0, confirm_hits=2)
        ids = [tracker.update(one(0)).id.tolist() for _ in range(5)]
        assert ids[1:] == [[1]] * 4, preset


def test_nobody_teleports():
    """A box of the same looks across the picture, one frame later, is somebody else."""
    look = np.eye(1, 8)
    tracker = Tracker.from_config("default")
    for _ in range(5):
        tracker.update(one(0, embedding=look))
    assert len(tracker.update(one(1400, embedding=look))) == 0
    assert tracker.update(one(0, embedding=look)).id.tolist() == [1]


def test_unknown_appearance_everywhere_is_no_appearance():
    plain, zeros = Tracker.from_config("default"), Tracker.from_config("default")
    for frame in walk(3):
        blank = take(frame, np.arange(len(frame)))
        blank = blank.with_embedding(np.zeros((len(frame), 4), np.float32))
        assert_same(plain.update(frame), zeros.update(blank))


def test_time_must_grow():
    tracker = Tracker.from_config("sort")
    tracker.update(one(0), timestamp=1.0)
    for wrong in (1.0, 0.5, float("nan"), float("inf")):
        with pytest.raises(InputError, match="timestamps must grow"):
            tracker.update(one(0), timestamp=wrong)
    tracker.update(one(0), timestamp=1.1)  # a refused frame leaves no trace


def test_a_refused_frame_leaves_no_trace():
    look = np.eye(1, 8)
    tracker = Tracker.from_config("default")
    tracker.update(one(0), timestamp=1.0)
    with pytest.raises(InputError, match="timestamps must grow"):
        tracker.update(one(0, embedding=look), timestamp=0.5)
    tracker.update(one(0, embedding=np.eye(1, 5)), timestamp=1.1)  # 8 dimensions were never accepted
    before = tracker.state_dict()
    with pytest.raises(InputError, match="8 dimensions"):
        tracker.update(one(0, embedding=look), timestamp=1.2)
    with pytest.raises(InputError, match="warp must be"):
        tracker.update(one(0), timestamp=1.2, warp=np.eye(3))
    assert all(
        np.array_equal(before[name], value, equal_nan=value.dtype.kind == "f")
        for name, value in tracker.state_dict().items()
    )


def test_classes_do_not_mix_unless_asked():
    for agnostic, ids in ((False, []), (True, [1])):
        tracker = Tracker.from_config("bytetrack", class_agnostic=agnostic)
        tracker.update(one(0, class_id=[0]))
        assert tracker.update(one(0, class_id=[2])).id.tolist() == ids


def test_a_warp_carries_tracks_with_the_camera():
    """The camera jumps by 300 px: without the warp nothing overlaps, with it the identity stays."""
    for warp, ids in ((None, []), (np.array([[1.0, 0, 300], [0, 1, 0]]), [1])):
        tracker = Tracker.from_config("bytetrack")
        tracker.update(one(0))
        assert tracker.update(one(300), warp=warp).id.tolist() == ids


@pytest.mark.parametrize("warp", [np.eye(3), np.full((2, 3), np.nan), np.zeros((2, 3))])
def test_malformed_warps_are_refused(warp):
    with pytest.raises(InputError, match="warp must be"):
        Tracker.from_config("sort").update(one(0), warp=warp)


def test_appearance_brings_back_who_left():
    """Gone for five seconds, back somewhere else: the vector tells, and a stranger there gets a new identity."""
    me, you = np.eye(2, 8, dtype=np.float32)
    for vector, identity in ((me, 1), (you, 2)):
        tracker = Tracker.from_config("default", confirm_hits=1)
        for _ in range(5):
            tracker.update(one(0, embedding=[me]))
        for _ in range(150):
            tracker.update(NOTHING)
        assert tracker.update(one(500, embedding=[vector])).id.tolist() == [identity]


def test_embeddings_may_come_and_go_but_not_change_size():
    tracker = Tracker.from_config("default")
    look = np.eye(1, 8)
    for frame in (one(0), one(1, embedding=look), one(2), one(3, embedding=np.zeros((1, 8))), NOTHING):
        tracker.update(frame)
    with pytest.raises(InputError, match="5 dimensions, earlier frames had 8"):
        tracker.update(one(4, embedding=np.eye(1, 5)))


def test_coasting_reports_predictions():
    tracker = Tracker.from_config("bytetrack", coast=0.1)
    for x in (0, 2, 4, 6):
        tracker.update(one(x))
    tracks = tracker.update(NOTHING)
    assert (tracks.id.tolist(), tracks.det_index.tolist()) == ([1], [-1])
    assert tracks.xyxy[0, 0] > 6
    for _ in range(2):
        assert len(tracker.update(NOTHING)) == 1
    assert len(tracker.update(NOTHING)) == 0  # 0.13 s after


def test_detection_boxes_are_reported_untouched():
    tracker = Tracker.from_config("bytetrack", box="detection")
    tracker.update(one(0))
    assert tracker.update(one(5)).xyxy.tolist() == [[5, 0, 25, 40]]


def test_det_index_points_into_the_detectors_output():
    tracker = Tracker.from_config("bytetrack")
    frame = Detections([[9, 9, 9, 9], [0, 0, 20, 40]], [0.9, 0.9])  # row 0 has no size
    assert tracker.update(frame).det_index.tolist() == [1]


@pytest.mark.parametrize("fps", [0, -1, float("nan"), 1e9, "25", None, True, 1j])
def test_bad_frame_rate(fps):
    with pytest.raises(InputError, match="fps must be a "):
        Tracker.from_config("sort", fps=fps)


def test_a_frame_rate_may_be_any_number():
    assert Tracker.from_config("sort", fps=Fraction(30000, 1001)).fps == 30000 / 1001
    assert Tracker.from_config("sort", fps=np.float32(25)).fps == 25.0


def test_what_is_no_configuration_or_no_detections_is_refused_in_one_line():
    with pytest.raises(InputError, match=r"expected a TrackerConfig, got str; .*Tracker.from_config"):
        Tracker("default")
    with pytest.raises(InputError, match=r"expected Detections, got ndarray; make one: Detections\(xyxy"):
        Tracker.from_config("sort").update(np.zeros((1, 5)))


def test_a_sure_detection_confirms_at_once():
    tracker = Tracker.from_config("bytetrack", confirm_hits=5, confirm_score=0.85, start_frames=0)
    assert tracker.update(one(0, score=0.84)).id.tolist() == []
    assert tracker.update(one(0, score=0.86)).id.tolist() == [1]
    assert tracker.update(Detections([[0, 0, 20, 40], [90, 0, 110, 40]], [0.7, 0.9])).id.tolist() == [1, 2]


def test_tentative_tracks_may_wait():
    """0.1 s are three frames: the fourth miss ends it."""
    for misses, ids in ((3, [1]), (4, [])):
        tracker = Tracker.from_config("bytetrack", start_frames=0, tentative_max_age=0.1)
        tracker.update(one(0))
        for _ in range(misses):
            tracker.update(NOTHING)
        assert tracker.update(one(0)).id.tolist() == ids


def test_who_is_past_max_age_is_not_found_again_even_after_a_stall():
    """Lost, then the stream hangs: neither looks nor the last box bring back who should be forgotten."""
    look = np.eye(1, 8)
    for preset, more in (("ocsort", {}), ("ghost", {"embedding": look})):
        for stall, ids in ((0.5, [1]), (60.0, [2])):
            tracker = Tracker.from_config(preset, report_streak=0)
            tracker.update(one(0, **more), 0.0)
            tracker.update(NOTHING, 0.1)
            assert tracker.update(one(0, **more), 0.1 + stall).id.tolist() == ids, (preset, stall)


def test_a_moved_camera_moves_what_is_remembered_of_boxes():
    """OC-SORT's last observations and directions are in this frame's pixels: 50 px a frame do not matter."""
    shift = np.array([[1.0, 0, 50], [0, 1, 0]])
    still, moving = Tracker.from_config("ocsort"), Tracker.from_config("ocsort")
    for k, x in enumerate([0, 4, 8, 12, None, None, 24, 28]):
        a, b = (NOTHING, NOTHING) if x is None else (one(x), one(x + 50 * k))
        x, y = still.update(a), moving.update(b, warp=shift)
        assert x.id.tolist() == y.id.tolist()
        assert np.allclose(x.xyxy + np.tile((50 * k, 0), 2), y.xyxy, atol=1e-3)
    live, other = still._live, moving._live
    assert np.allclose(live.past + np.tile((350, 0), 2), other.past, atol=1e-3)
    assert np.allclose(live.filters[1:], other.filters[1:], atol=1e-3)
