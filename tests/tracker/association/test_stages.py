"""Which pairs a stage looks at, what closes them, and who gets whom."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrace.configs import InputError
from retrace.configs.loader import validate
from retrace.tracker import Detections, Tracker
from retrace.tracker.association.costs import COSTS
from retrace.tracker.association.log_odds import REACH
from retrace.tracker.association.stages import candidates, costs, mutual_nearest, open_gates, prepare
from retrace.tracker.config import Stage, TrackerConfig
from tests.tracker.presets import PRESETS, VARIANTS
from tests.tracker.slow_tracker import FAR_LOOKS, SlowTracker
from tests.tracker.worlds import ODDS, all_pairs, as_inputs, random_world

seeds = st.integers(0, 2**32 - 1)
HALF_LOOKS = {
    "tracks": ["active", "lost", "tentative"],
    "detections": "high",
    "cost": {"iou": 0.5, "appearance": 0.5},
    "limit": {"active": 0.8, "lost": 0.9, "tentative": 0.7},
}
OURS = [(name, {}) for name in PRESETS] + [*VARIANTS.values(), ("tracktrack", {"stages": [HALF_LOOKS]})]


def stage(**changes):
    return Stage(
        **({"tracks": ["active", "lost"], "detections": "high", "cost": "iou", "limit": 0.9} | changes)
    )


def box_at(*places, score=0.9, **more):
    """20 x 40 boxes at these (x, y)."""
    corner = np.array(places, float).reshape(-1, 2)
    return Detections(
        np.concatenate((corner, corner + np.array([20, 40])), axis=1), np.full(len(corner), score), **more
    )


def chosen(scene, made, pairs, limit, free):
    """{(track, detection): gain} of the open pairs below the limit, whose gates are open."""
    gain = limit[pairs.row] - costs(scene, made, pairs, None)
    good = (gain > 0) & open_gates(scene, made, pairs) & (limit[pairs.row] > 0) & free[pairs.col]
    good = good.nonzero()[0]
    return {(int(pairs.row[k]), int(pairs.col[k])): float(gain[k]) for k in good}


@pytest.mark.parametrize("preset", range(len(OURS)), ids=lambda k: OURS[k][0])
@settings(max_examples=3, deadline=None)
@given(seed=seeds, dimension=st.sampled_from([0, 6]), classes=st.sampled_from([1, 3]))
def test_candidates_leave_out_nothing_that_could_match(preset, seed, dimension, classes):
    """Against all T x N pairs of one class: the same pairs below the limit, at the same gain."""
    name, changes = OURS[preset]
    base = "tracktrack" if Tracker.from_config(name, **changes).config.motion == "linear" else name
    world = random_world(seed, base, dimension=dimension, classes=classes)
    settings_ = world.config = Tracker.from_config(name, **changes).config
    rng = np.random.default_rng(seed)
    free = rng.random(len(world.seen)) < 0.9
    world.open = set(free.nonzero()[0].tolist())
    scene = as_inputs(world)
    blind = scene.appearance is None
    for one in (settings_.blind_stages or settings_.stages) if blind else settings_.stages:
        made = prepare(one)
        limit = made.limit[scene.live.status] * (rng.random(len(world.tracks)) < 0.9)
        every = all_pairs(world, one)
        near = every.take((every.iou > 0).nonzero()[0])
        kind, other = scene.live.class_id[every.row], scene.detections.class_id[every.col]
        alike = (kind == other) | settings_.class_agnostic
        if "log_odds" in one.terms:  # of boxes apart and out of reach nobody asks
            out = COSTS["centre_mahalanobis"][0](scene, every, one) >= REACH
            alike &= (every.iou > 0) | ~out
        if changes and blind:  # where nobody looks, boxes apart do not meet, whatever the limit
            alike &= every.iou > 0
        open_ = every.take((alike & free[every.col] & (limit[every.row] > 0)).nonzero()[0])
        got = chosen(scene, made, candidates(scene, made, limit, free, near), limit, free)
        expected = chosen(scene, made, open_, limit, free)
        assert got.keys() == expected.keys()
        assert np.allclose(list(got.values()), [expected[pair] for pair in got], atol=1e-9)


def test_boxes_apart_meet_by_looks_alone():
    """Where no term looks, boxes that do not overlap are never compared, whatever the limit says."""
    assert prepare(stage(cost="mahalanobis", limit=9)).far == np.inf
    assert prepare(stage(cost="iou_unless_alike")).far == np.inf
    assert prepare(stage(cost={"iou": 0.6, "appearance": 0.4})).far == 0.6
    assert prepare(stage(cost={"iou": 0.6, "appearance": 0.4}, gates={"iou": 0.9})).far == np.inf
    assert prepare(stage(cost={"iou": 0.6, "appearance": 0.4}, gates={"iou": 1.0})).far == 0.6
    assert prepare(stage(cost="nearest_cue", cue_iou=0.9)).far == np.inf
    assert prepare(stage(cost="nearest_cue", cue_iou=1)).far == 0
    assert prepare(stage(cost={"adaptive_appearance": 1, "iou": 1})).far == -np.inf
    assert {name for name in FAR_LOOKS if prepare(stage(cost=name)).far < np.inf} == FAR_LOOKS


def test_who_needs_a_believed_place():
    assert not prepare(stage(cost="appearance")).by_place
    assert not prepare(stage(cost="log_odds")).by_place
    assert prepare(stage(cost="appearance", gates={"mahalanobis": 9})).by_place
    assert prepare(stage(cost="iou")).by_place
    assert not prepare(stage(cost="iou", against="observed")).by_place


def test_a_neutral_look_does_not_join_classes():
    """Unknown looks count 0.1 here, whoever it is; but a car is still no person."""
    tracker = Tracker.from_config(
        "default",
        confirm_hits=1,
        stages=[stage(cost="appearance", neutral_appearance=0.1, limit=0.5).model_dump()],
    )
    look = np.eye(3, 8)
    tracker.update(box_at((0, 0), (200, 0), class_id=[0, 1], embedding=look[[0, 2]]))
    again = box_at((0, 300), (200, 300), class_id=[2, 1], embedding=[look[1] * 0, look[2]])
    assert tracker.update(again).id.tolist() == [2, 3]


def test_gates_close_whatever_the_sum():
    """IoU 1 / 3 costs 0.67: below the limit, but the gate asks for IoU 0.4."""
    for most, ids in ((0.7, [1]), (0.6, [2])):
        one = stage(limit=0.9, gates={"iou": most})
        tracker = Tracker.from_config("sort", stages=[one.model_dump()])
        tracker.update(box_at((0, 0)))
        assert tracker.update(box_at((10, 0))).id.tolist() == ids


def test_penalties_let_the_surer_box_win():
    """The low box lies better (IoU 1 against 2 / 3), but pays 0.5 extra."""
    for penalty, taken in ((0.5, 1), (0.2, 0)):
        one = stage(detections={"high": 0, "low": penalty})
        tracker = Tracker.from_config("bytetrack", stages=[one.model_dump()])
        tracker.update(box_at((0, 0)))
        boxes = Detections([[0, 0, 20, 40], [4, 0, 24, 40]], [0.4, 0.9])
        assert tracker.update(boxes).det_index.tolist() == [taken]


def test_deleted_boxes_are_asked_for_by_name():
    """Two boxes on one person, the better a little off; the one that NMS deletes takes part only where it may."""
    boxes = Detections([[0, 0, 20, 40], [2, 0, 22, 40]], [0.7, 0.9])
    for bands, taken in (({"high": 0, "deleted": 0}, 0), ({"high": 0}, 1), ({"high": 0, "deleted": 0.4}, 1)):
        tracker = Tracker.from_config("bytetrack", nms=0.5, stages=[stage(detections=bands).model_dump()])
        tracker.update(box_at((0, 0)))
        tracks = tracker.update(boxes)
        assert tracks.det_index.tolist() == [taken], bands
        assert len(tracker.update(boxes)) == 1, "a deleted box begins nothing"


def test_cascade_by_hand():
    """B lies better on the box (IoU 1 against 2 / 3) but was not seen for longer: A chooses first."""
    for cascade, ids in ((True, [1]), (False, [2])):
        tracker = Tracker.from_config("sort", stages=[stage(cascade=cascade).model_dump()], new=0.95)
        tracker.update(box_at((0, 0), (4, 0), score=0.99))
        tracker.update(box_at((0, 0)))  # only A
        assert tracker.update(box_at((4, 0))).id.tolist() == ids


def test_mutual_nearest_by_hand():
    """Limit 0.7: costs A-x 0.1, A-y 0.2, B-x 0.15, B-y 0.66. Round 1: A and x. Round 2 (0.65): B-y is too far."""
    row, col = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    gain = 0.7 - np.array([0.1, 0.2, 0.15, 0.66])
    assert [x.tolist() for x in mutual_nearest(row, col, gain, 0.05)] == [[0], [0]]
    assert [x.tolist() for x in mutual_nearest(row, col, gain, 0.01)] == [[0, 1], [0, 1]]


def test_mutual_nearest_of_equals_takes_each_once():
    row, col = (x.ravel() for x in np.indices((3, 4)))
    rows, cols = mutual_nearest(row, col, np.full(12, 0.5), 0.05)
    assert rows.tolist() == sorted(set(rows.tolist()))
    assert len(set(cols.tolist())) == len(cols) == 3


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(1, 9), st.integers(1, 9), st.sampled_from([0.01, 0.05, 0.3]))
def test_mutual_nearest_equals_its_slow_twin(seed, height, width, step):
    rng = np.random.default_rng(seed)
    row, col = (rng.random((height, width)) < 0.6).nonzero()
    if not len(row):
        return
    gain = rng.uniform(0.001, 0.8, len(row))
    table = {(r, c): g for r, c, g in zip(row.tolist(), col.tolist(), gain.tolist(), strict=True)}
    rows, cols = mutual_nearest(row, col, gain, step)
    assert dict(zip(rows.tolist(), cols.tolist(), strict=True)) == SlowTracker.mutual(None, table, step)
    assert (np.diff(rows) > 0).all()


def test_weights_of_nothing_are_left_out():
    """`--set stages.0.cost.direction=0` switches a term off; unknown looks times 0 would be no number."""
    assert stage(cost={"iou": 1, "appearance": 0}).terms == {"iou": 1}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cost": {"iou": -1}}, "at least 0"),
        ({"cost": {"iou": float("inf")}}, "finite"),
        ({"cost": {"iou": 0}}, "weight above 0"),
        ({"cost": {}}, "at least 1"),
        ({"gates": {"iou": float("nan")}}, "finite"),
        ({"detections": {"high": -0.1}}, "at least 0"),
        ({"cost": "likeness"}, "cost"),
        ({"limit": {"active": 0.5}}, r"limit names \['active'\]"),
        ({"limit": 0}, "above 0"),
        ({"limit_step": 0}, "above 0"),
    ],
)
def test_stages_that_make_no_sense(changes, message):
    given_ = {"tracks": ["active", "lost"], "detections": "high", "cost": "iou", "limit": 0.9} | changes
    with pytest.raises(InputError, match=message) as caught:
        validate({"stages": [given_]}, TrackerConfig, "mine.yaml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"boost": {}},
        {"stages": [stage(cost="mahalanobis").model_dump()]},
        {"stages": [stage(cost="log_odds").model_dump()], "log_odds": ODDS.model_dump()},
    ],
)
def test_straight_motion_knows_no_uncertainty(changes):
    with pytest.raises(InputError, match="motion: linear knows no uncertainty"):
        Tracker.from_config("cbiou", **changes)
    Tracker.from_config("cbiou", boost={"unlikely": False})


def test_every_term_can_be_a_gate():
    rng = np.random.default_rng(0)
    for name in COSTS:
        one = stage(gates={name: 0.5}, limit=5, neutral_appearance=0.2)
        tracker = Tracker.from_config("sort", stages=[one.model_dump()], log_odds=ODDS.model_dump())
        for _ in range(3):
            tracker.update(box_at((0, 0), (8, 5), embedding=np.eye(2, 4)))
        assert len(tracker.update(box_at(rng.uniform(0, 9, 2)))) <= 1
