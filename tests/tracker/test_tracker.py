import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs import InputError
from tests.scenes import take, walk
from tests.tracker.slow_tracker import SlowTracker
from tracker import Detections, Tracker

PRESETS = ["sort", "bytetrack", "default"]
seeds = st.integers(0, 2**32 - 1)


def rows(tracks):
    return [
        (i, j, *box.astype(np.float64).round(2))
        for i, j, box in zip(tracks.id.tolist(), tracks.det_index.tolist(), tracks.xyxy, strict=True)
    ]


def assert_equal(a, b):
    for name in ("id", "xyxy", "score", "class_id", "det_index"):
        assert getattr(a, name).tobytes() == getattr(b, name).tobytes(), name


def one(x, y=0.0, score=0.9, **more):
    """One 20 x 40 box."""
    return Detections([[x, y, x + 20, y + 40]], [score], **more)


NOTHING = Detections.empty()


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("dimension", [0, 8])
@settings(max_examples=12, deadline=None)
@given(seed=seeds)
def test_equals_its_slow_twin(preset, dimension, seed):
    tracker = Tracker.from_config(preset)
    slow = SlowTracker(tracker.config)
    for frame in walk(seed, dimension=dimension):
        got, expected = rows(tracker.update(frame)), slow.update(frame)
        assert [r[:2] for r in got] == [r[:2] for r in expected]
        assert np.allclose([r[2:] for r in got], [r[2:] for r in expected], atol=0.011)


@pytest.mark.parametrize("preset", PRESETS)
@settings(max_examples=10, deadline=None)
@given(seed=seeds)
def test_the_detectors_order_does_not_matter(preset, seed):
    rng = np.random.default_rng(seed)
    a, b = Tracker.from_config(preset), Tracker.from_config(preset)
    for frame in walk(seed, dimension=4):
        order = rng.permutation(len(frame))
        x, y = a.update(frame), b.update(take(frame, order))
        assert x.id.tolist() == y.id.tolist()
        assert np.array_equal(x.xyxy, y.xyxy)
        assert x.det_index.tolist() == order[y.det_index].tolist()


@pytest.mark.parametrize("preset", PRESETS)
@settings(max_examples=10, deadline=None)
@given(seed=seeds)
def test_moving_the_scene_moves_the_tracks_and_nothing_else(preset, seed):
    a, b = Tracker.from_config(preset), Tracker.from_config(preset)
    for frame in walk(seed):
        x, y = a.update(frame), b.update(take(frame, np.arange(len(frame)), shift=(64, -32)))
        assert x.id.tolist() == y.id.tolist()
        assert x.det_index.tolist() == y.det_index.tolist()
        assert np.allclose(x.xyxy + np.tile((64, -32), 2), y.xyxy, atol=1e-3)


@pytest.mark.parametrize("preset", PRESETS)
@settings(max_examples=10, deadline=None)
@given(seed=seeds)
def test_what_a_frame_reports_is_sound(preset, seed):
    tracker, known = Tracker.from_config(preset), 0
    for frame in walk(seed, dimension=4):
        tracks = tracker.update(frame)
        assert len(set(tracks.id.tolist())) == len(tracks)
        assert len(set(tracks.det_index.tolist())) == len(tracks)
        assert (np.diff(tracks.id) > 0).all()
        assert tracks.id.dtype == tracks.det_index.dtype == np.int64
        assert tracks.xyxy.dtype == np.float32
        assert tracks.score.tolist() == frame.score[tracks.det_index].tolist()
        newest = tracks.id.max(initial=0)
        assert newest <= known + len(frame), "identities count up from 1 without holes"
        known = max(known, newest)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("cut", [0, 1, 17, 39])
def test_resuming_gives_the_same_bytes(preset, cut, tmp_path):
    scene = walk(11, dimension=6)
    whole = Tracker.from_config(preset)
    first = Tracker.from_config(preset)
    for frame in scene[:cut]:
        whole.update(frame)
        first.update(frame)
    np.savez(tmp_path / "state.npz", **first.state_dict())
    second = Tracker.from_config(preset)
    with np.load(tmp_path / "state.npz", allow_pickle=False) as state:
        second.load_state_dict(dict(state))
    for frame in scene[cut:]:
        assert_equal(whole.update(frame), second.update(frame))


def test_reset_and_two_in_one_process():
    scene = walk(5)
    a, b = Tracker.from_config("bytetrack"), Tracker.from_config("bytetrack")
    first = []
    for frame in scene:
        first.append(a.update(frame))
        b.update(take(frame, np.arange(len(frame)), shift=(7, 7)))
    a.reset()
    for frame, before in zip(scene, first, strict=True):
        assert_equal(a.update(frame), before)


def test_a_saved_state_of_another_tracker_is_refused():
    state = Tracker.from_config("sort").state_dict()
    with pytest.raises(InputError, match="another tracker configuration"):
        Tracker.from_config("bytetrack").load_state_dict(state)
    with pytest.raises(InputError, match="frame rate"):
        Tracker.from_config("sort", fps=25).load_state_dict(state)
    short = {**state, "tracks.hits": np.zeros(3, np.int64)}
    with pytest.raises(InputError, match=r"tracks\.hits is int64 \(3,\)"):
        Tracker.from_config("sort").load_state_dict(short)
    del state["tracks.id"]
    with pytest.raises(InputError, match=r"tracks\.id"):
        Tracker.from_config("sort").load_state_dict(state)


def test_bytetrack_lifecycle_by_hand():
    """A second person must be seen twice; a person lost for 30 frames comes back, for 31 does not."""
    tracker = Tracker.from_config("bytetrack")
    assert rows(tracker.update(one(0)))[0][:2] == (1, 0), "the first frame confirms at once"
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
        assert_equal(plain.update(frame), zeros.update(blank))


def test_time_must_grow():
    tracker = Tracker.from_config("sort")
    tracker.update(one(0), timestamp=1.0)
    for wrong in (1.0, 0.5, float("nan"), float("inf")):
        with pytest.raises(InputError, match="timestamps must grow"):
            tracker.update(one(0), timestamp=wrong)
    tracker.update(one(0), timestamp=1.1)  # a refused frame leaves no trace


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


@pytest.mark.parametrize("preset", PRESETS)
def test_memory_is_bounded(preset):
    """Five false alarms a frame, forever: what is kept follows max_age, not the length of the run."""
    rng, tracker = np.random.default_rng(0), Tracker.from_config(preset, max_age=0.5)
    sizes = []
    for _ in range(400):
        corner = rng.uniform(0, 5000, (5, 2))
        tracker.update(Detections(np.concatenate((corner, corner + 30), 1), rng.uniform(0.7, 1, 5)))
        sizes.append(len(tracker.state_dict()["tracks.id"]))
    assert max(sizes[200:]) <= 5 * 17


@pytest.mark.parametrize("fps", [0, -1, float("nan")])
def test_bad_frame_rate(fps):
    with pytest.raises(InputError, match="fps must be a positive number"):
        Tracker.from_config("sort", fps=fps)
