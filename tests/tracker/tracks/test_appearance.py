"""What tracks look like: each memory by hand, running means, unknown looks."""

import numpy as np
import pytest

from retrace.tracker import Detections, Tracker
from retrace.tracker.rows import ACTIVE, LOST
from retrace.tracker.tracker import Tracker as Engine
from retrace.tracker.tracks.appearance import distances, remember, spread
from retrace.tracker.tracks.state import Depth, blank
from tests.tracker.presets import assert_equals_twin
from tests.tracker.slow_costs import World
from tests.tracker.worlds import config as any_config

A, B, C = np.eye(3, dtype=np.float32)


def config(**changes):
    """A preset that looks, however little."""
    stage = {"tracks": ["active"], "detections": "high", "cost": {"iou": 1, "appearance": 1e-6}, "limit": 0.7}
    return any_config(**({"stages": [{**stage, "neutral_appearance": 0}]} | changes))


def seen(*vectors, classes=None):
    box = np.arange(len(vectors))[:, None] * 100.0 + [0, 0, 20, 40]
    return Detections(box, np.full(len(vectors), 0.9), classes, np.array(vectors))


def live(settings, *lives):
    """One active track for each list of vectors, the oldest first; [] was never seen to look like anything."""
    tracker = Engine(settings)
    tracker.update(seen(*[life[0] if life else A * 0 for life in lives]))
    state = tracker._live
    for row, life in enumerate(lives):
        for vector in life[1:]:
            remember(state, settings, np.array([row]), vector[None], np.array([0.9], np.float32))
    return state


def test_memories_by_hand():
    """Views A, A, B (B last) against A and C: 1 - cosine to A is 0, 0, 1; to C always 1."""
    for memory, to_a in (("recent", 1.0), ("history", 1 / 3), ("minimum", 0.0), ("median", 0.0)):
        settings = config(bank=3, active_appearance=memory, confirm_hits=1, start_frames=1)
        got = distances(live(settings, [A, A, B]), seen(A, C), settings)
        assert np.allclose(got, [[to_a, 1]]), memory


def test_a_bank_forgets_the_oldest():
    for bank, to_a in ((1, 1.0), (2, 1.0), (3, 0.0)):
        settings = config(bank=bank, active_appearance="minimum", confirm_hits=1)
        assert np.allclose(distances(live(settings, [A, B, C]), seen(A), settings), to_a), bank


def test_places_not_filled_yet_do_not_count():
    """Two views in a bank of five: the median of 0 and 1; the nearest of one that is opposite is 2 away."""
    settings = config(bank=5, active_appearance="median", confirm_hits=1)
    assert np.allclose(distances(live(settings, [A, B]), seen(A), settings), 0.5)
    settings = config(bank=5, active_appearance="minimum", confirm_hits=1)
    assert np.allclose(distances(live(settings, [A]), seen(-A), settings), 2)


def test_lost_tracks_have_their_own_memory():
    settings = config(lost_appearance="history", confirm_hits=1)
    state = live(settings, [A, B], [A, B])
    state.status[:] = ACTIVE, LOST
    assert np.allclose(distances(state, seen(A, B), settings), [[1, 0], [0.5, 0.5]])


def test_running_mean_by_hand():
    """0.9 A + 0.1 B, scaled to norm 1."""
    settings = config(recent_momentum=0.9, confirm_hits=1)
    assert np.allclose(live(settings, [A, B]).recent, np.array([[9, 1, 0]]) / np.sqrt(82))


@pytest.mark.parametrize(("score", "momentum"), [(0.6, 1.0), (1.0, 0.95), (0.8, 0.975), (0.3, 1.0)])
def test_momentum_by_score_by_hand(score, momentum):
    """Deep OC-SORT, eq. 4: a = 0.95 + 0.05 (1 - (s - 0.6) / 0.4); at 0.6 a detection changes nothing."""
    settings = config(recent_momentum=0.95, momentum_from=0.6, confirm_hits=1)
    state = live(settings, [A])
    remember(state, settings, np.array([0]), B[None], np.array([score], np.float32))
    mixed = np.array([momentum, 1 - momentum, 0])
    assert np.allclose(state.recent, mixed / np.linalg.norm(mixed), atol=1e-6)


def test_the_first_vector_is_all_there_is():
    settings = config(recent_momentum=0.9, momentum_from=0.95, confirm_hits=1)  # 0.9 changes nothing else
    state = live(settings, [])
    assert state.views.tolist() == [0]
    remember(state, settings, np.array([0]), B[None], np.array([0.9], np.float32))
    assert state.recent.tolist() == state.history.tolist() == [B.tolist()]


def test_unknown_looks_are_no_numbers():
    settings = config(confirm_hits=1)
    state = live(settings, [A], [])
    got = distances(state, seen(A, A * 0), settings)
    assert np.array_equal(np.isnan(got), [[False, True], [True, True]])
    assert distances(state, seen(A * 0), settings) is None
    assert distances(state, Detections([[0, 0, 1, 1]], [0.9]), settings) is None
    assert distances(blank(0, Depth()), seen(A), settings) is None


def test_classes_do_not_compare_unless_asked():
    for agnostic in (False, True):
        settings = config(confirm_hits=1, class_agnostic=agnostic)
        got = distances(live(settings, [A]), seen(A, A, classes=[0, 1]), settings)
        assert np.isnan(got).tolist() == [[False, not agnostic]]


def test_low_scores_are_matched_but_not_remembered():
    tracker = Tracker.from_config("botsort")
    tracker.update(Detections([[0, 0, 20, 40]], [0.9], embedding=A[None]))
    tracker.update(Detections([[0, 0, 20, 40]], [0.3], embedding=B[None]))
    assert tracker._live.hits.tolist() == [2]
    assert tracker._live.recent.tolist() == [A.tolist()]


def test_spread_by_hand():
    """A, A, B: distances 0, 1, 1 between three pairs."""
    assert np.allclose(spread(np.array([A, A, B])), [2, 3])
    assert np.allclose(spread(A[None]), [0, 0])
    assert np.allclose(spread(np.zeros((0, 3), np.float32)), [0, 0])


def test_spread_of_one_is_nothing_and_of_vectors_not_quite_unit_is_right():
    vectors = np.array([A, A, B]) * np.float32(1.0005)
    assert np.allclose(spread(vectors), [3 - 1.0005**2, 3])
    assert spread(vectors[:1]).tolist() == [0, 0]


def test_one_person_at_a_time_stretches_nothing():
    """No pair was ever seen: rounding errors of single vectors must not make strangers look the same."""
    rng = np.random.default_rng(0)
    looks = rng.normal(size=(2, 64)).astype(np.float32)
    looks *= np.float32(0.9999) / np.linalg.norm(looks, axis=1, keepdims=True)  # units, as far as they go
    stage = {"tracks": ["active", "lost"], "detections": "high", "cost": "appearance", "limit": 0.3}
    more = {"appearance_scale": 0.6, "confirm_hits": 1, "duplicate_iou": 1, "hidden": None}
    tracker = Tracker.from_config("default", stages=[stage], **more)
    ids = [tracker.update(seen(looks[k])).id.tolist() for k in (0, 0, 0, 1, 1, 0)]
    assert ids == [[1], [1], [1], [2], [2], [1]]
    twins = Tracker.from_config("default", stages=[stage], **more)
    assert twins.update(seen(looks[0], looks[0])).id.tolist() == [1, 2]
    assert twins.update(seen(looks[0])).id.tolist() == [1], "all alike: nothing to stretch by"


def test_stretched_looks_equal_the_slow_twin():
    rng = np.random.default_rng(2)

    def frame():
        look = np.eye(5)[:4] + rng.normal(0, 0.2, (4, 5)) + 0.5  # everybody looks much alike to this network
        look /= np.linalg.norm(look, axis=1, keepdims=True)
        corner = rng.uniform(0, 300, (4, 2))
        return (
            Detections(np.concatenate((corner, corner + 40), axis=1), np.full(4, 0.9), embedding=look),
            None,
            None,
        )

    assert World.__dataclass_fields__["stretch"].default == 1
    stage = {"tracks": ["active", "lost"], "detections": "high", "cost": "appearance", "limit": 0.3}
    tracker = Tracker.from_config("default", appearance_scale=0.6, confirm_hits=1, stages=[stage])
    assert_equals_twin(tracker, [frame() for _ in range(12)])
    assert tracker.count == 4
