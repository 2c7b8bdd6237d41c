"""Every cost term: arithmetic by hand, its slow twin, and the least it may be for boxes apart."""

import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrace.tracker.association.costs import ALL_LOOKS, COSTS, LOOKS
from retrace.tracker.config import CostName
from tests.tracker.slow_costs import SLOW_TERMS
from tests.tracker.worlds import (
    BOX,
    HALF,
    OBSERVED,
    OPEN_CUE,
    STAGE,
    STEP,
    all_pairs,
    as_inputs,
    one_pair,
    random_world,
    track,
)

seeds = st.integers(0, 2**32 - 1)


def value(name, world, stage=STAGE):
    """Of the first track and the first detection."""
    return float(COSTS[name][0](as_inputs(world), all_pairs(world, stage), stage)[0])


def test_every_term_a_preset_may_name_exists_here_and_in_the_twin():
    assert set(get_args(CostName)) == set(COSTS) == set(SLOW_TERMS)
    assert {name for name in COSTS if "appearance" in name} < ALL_LOOKS
    assert set(LOOKS) < ALL_LOOKS < set(COSTS)


def test_overlap_by_hand():
    w = one_pair(track(BOX), HALF)
    assert value("iou", w) == pytest.approx(1 - 1 / 3)
    assert value("iou_score", w) == pytest.approx(1 - 0.9 / 3)
    assert value("hmiou", w) == pytest.approx(1 - 1 / 3), "same heights: HIoU is 1"
    lower = one_pair(track(BOX), (0, 10, 20, 50))
    # IoU 600 / 1000; heights share 30 of 50: HIoU is 0.6 too
    assert value("hmiou", lower) == pytest.approx(1 - 0.6 * 0.6)


def test_overlap_with_the_last_box_seen_by_hand():
    moved = one_pair(track(BOX), (0, 10, 20, 50))
    moved.tracks[0].filter.mean[1] += 10  # the filter stands where the detection is
    assert value("hmiou", moved) == pytest.approx(0)
    assert value("hmiou", moved, OBSERVED) == pytest.approx(1 - 0.6 * 0.6)


def test_trust_in_the_young_and_in_the_long_unseen_by_hand():
    for age, since, trust in ((1, 1, 0.9**6), (6, 4, 0.9), (7, 1, 1.0), (7, 3, 0.9**2), (20, 5, 0.9**4)):
        w = one_pair(track(BOX, age=age, since=since), HALF, score=0.5)
        assert value("trusted_iou", w) == pytest.approx(1 - 0.5 * trust / 3), (age, since)


def test_shape_by_hand():
    w = one_pair(track(BOX, age=30), (500, 500, 510, 520))  # 20 x 40 against 10 x 20, wherever they stand
    assert value("shape", w) == pytest.approx(1 - 0.9 * math.exp(-(10 / 20 + 20 / 40)))
    assert value("shape_by_width", w) == pytest.approx(1 - 0.9 * math.exp(-(10 / 20 + 20 / 20)))


def test_mahalanobis_by_hand():
    """xywh, 20 x 40 at rest: variance of x, w 4 + noise 1 = 5; of y, h 16 + 4 = 20."""
    w = one_pair(track(BOX), (5, 10, 30, 60))  # centre +7.5, +15; size +5, +10
    assert value("centre_mahalanobis", w) == pytest.approx(7.5**2 / 5 + 15**2 / 20)
    assert value("mahalanobis", w) == pytest.approx(7.5**2 / 5 + 15**2 / 20 + 5**2 / 5 + 10**2 / 20)


def test_mahalanobis_share_by_hand():
    """d2 of a box moved by x is x2 / 4, by the filter's own variance: 0.25 and 4; one far away weighs exp(0)."""
    w = one_pair(track(BOX), (1, 0, 21, 40), others=((4, 0, 24, 40), (300, 0, 320, 40)))
    near, other = math.exp(13.2767 - 0.25), math.exp(13.2767 - 4)
    assert value("mahalanobis_share", w) == pytest.approx(1 - near / (near + other + 1))
    w.seen[1].score = np.float32(0.5)
    assert value("mahalanobis_share", w) == pytest.approx(1 - near / (near + 1)), "it is not in this stage"
    w.seen[2].class_id = 1
    assert value("mahalanobis_share", w) == pytest.approx(0)
    assert value("mahalanobis_share", one_pair(track(BOX), (8, 0, 28, 40))) == 1, "beyond: 8 x 8 / 4"
    assert value("mahalanobis_share", one_pair(track(BOX), (500, 0, 520, 40))) == 1


def test_direction_by_hand():
    """Came from the left; on to the right costs -score / 2, back +score / 2, up or down nothing."""
    t = track(BOX, (-10, 0, 10, 40), (-20, 0, 0, 40), (-30, 0, -10, 40), (-30, -99, -10, -59))
    for x, y, expected in ((10, 0, -0.45), (-90, 0, 0.45), (-20, 70, 0.0)):
        w = one_pair(t, (x, y, x + 20, y + 40))  # measured from (-20, 0), three steps before now
        assert value("direction", w) == pytest.approx(expected, abs=1e-6), (x, y)
    assert value("direction", one_pair(track(BOX), HALF)) == 0, "one detection has no direction"


def test_direction_after_a_long_gap_is_from_the_detection_before_it():
    t = track(BOX)
    t.boxes = [(1 - STEP, np.array(BOX)), (0.5, np.array((0, -50, 20, -10)))]  # it came from above
    assert value("direction", one_pair(t, (0, 30, 20, 70))) == pytest.approx(-0.45)


def test_corner_direction_by_hand():
    """Four detections in a straight line: (1 + 1 / 2 + 1 / 3) / 3 = 11 / 18 long; it goes from three steps ago."""
    t = track(BOX, (-10, 0, 10, 40), (-20, 0, 0, 40), (-30, 0, -10, 40))
    ahead = math.acos(11 / 18) / math.pi
    assert value("corner_direction", one_pair(t, (7, 0, 27, 40))) == pytest.approx(0.9 * ahead)
    assert value("corner_direction", one_pair(t, (-27, 0, -7, 40))) == pytest.approx(0.9 * (1 - ahead)), (
        "back"
    )
    assert value("corner_direction", one_pair(t, (-20, 9, 0, 49))) == pytest.approx(0.45), (
        "from (-20, 0), down"
    )
    assert value("corner_direction", one_pair(t, (-17, 4, 3, 44))) == pytest.approx(
        0.9 * math.acos(11 / 18 * 3 / 5) / math.pi
    )
    grown = one_pair(t, (-20, 0, 0, 80))  # two corners stand where they were, two go down: half a pi each
    assert value("corner_direction", grown) == pytest.approx(0.45)


def test_corner_direction_of_the_young_and_of_the_lost_says_little():
    young = one_pair(track(BOX, (-10, 0, 10, 40)), (7, 0, 27, 40))
    assert value("corner_direction", young) == pytest.approx(0.9 * math.acos(1 / 3) / math.pi)
    assert value("corner_direction", one_pair(track(BOX), (7, 0, 27, 40))) == pytest.approx(0.45), "no motion"
    lost = track(BOX, (-10, 0, 10, 40), since=9)  # nothing within three steps: it goes from the last
    assert value("corner_direction", one_pair(lost, (0, 9, 20, 49))) == pytest.approx(0.45)
    assert value("corner_direction", one_pair(lost, (-5, 0, 15, 40))) == pytest.approx(
        0.9 * math.acos(-1 / 3) / math.pi
    )


def test_score_gap_by_hand():
    for scores, expected in (((0.6, 0.7), 0.5), ((0.6,), 0.6), ((0.9, 0.5), 1.0), ((0.2, 0.9), 0.0)):
        w = one_pair(track(BOX, scores=scores), HALF, score=0.4)
        assert value("score_gap", w) == pytest.approx(abs(expected - 0.4), abs=1e-6), scores


def test_score_forecast_of_high_scores_by_hand():
    """Born at 0.8, variances 10 and 10000. A step on the score's is 10 + 10000 + 1 = 10011, their covariance 10000.

    A surprise of 0.1 moves the score by 0.1 x 10011 / (10011 + 10), its speed by 0.1 x 10000 / 10021; a step on
    both count: 20011 / 10021 of it, nearly a line through two. A third score corrects less.
    """
    line = 20011 / 10021
    for scores, expected in (
        ((0.8,), 0.8),
        ((0.9, 0.8), 0.8 + 0.1 * line),
        ((0.7, 0.8), 0.8 - 0.1 * line),
        ((0.6, 0.8), 0.6),  # 0.4006 would not be high
        ((0.95, 0.8), 1.0),  # nor is anything above 1
    ):
        w = one_pair(track(BOX, scores=scores), HALF, score=0.75)
        assert value("score_forecast", w) == pytest.approx(abs(expected - 0.75), abs=1e-6), scores


def test_score_forecast_of_low_scores_by_hand():
    for scores, since, expected in (
        ((0.5,), 1, 0.5),
        ((0.5, 0.7), 1, 0.3),  # on a line
        ((0.5, 0.7), 2, 0.5),  # missed since: the last
        ((0.9, 0.9), 1, 0.6),  # more would not be low
        ((0.2, 0.9), 1, 0.1),  # less would not count
    ):
        w = one_pair(track(BOX, scores=scores, since=since), HALF, score=0.4)
        assert value("score_forecast", w) == pytest.approx(abs(expected - 0.4), abs=1e-6), scores


ME, YOU = np.eye(2, 8)
MIX = np.array([0.8, 0.6, 0, 0, 0, 0, 0, 0])  # cosine 0.8 with ME, 0.6 with YOU


def looking(box, vector, views=(ME,)):
    t = track(box)
    t.recent, t.views = (views[-1], list(views)) if views else (None, [])
    return t if vector is None else (t, vector)


def test_looks_by_hand():
    w = one_pair(looking(BOX, None), HALF, vectors=[MIX])
    assert value("appearance", w) == pytest.approx(0.2)
    assert value("half_appearance", w) == pytest.approx(0.1)
    assert value("iou_unless_alike", w) == pytest.approx(1 - 1 / 3 - 0.15), "0.8 is alike (0.75)"
    assert value("iou_unless_alike", one_pair(looking(BOX, None), HALF, vectors=[YOU])) == pytest.approx(
        2 / 3
    )


def test_unknown_looks_count_as_the_stage_says():
    unknown = one_pair([looking(BOX, None), looking((90, 0, 110, 40), None)], HALF, vectors=[MIX])
    unknown.tracks[0].views, unknown.tracks[0].recent = [], None
    never = STAGE.model_copy(update={"neutral_appearance": None})
    assert value("appearance", unknown) == pytest.approx(0.3)
    assert value("appearance", unknown, never) == math.inf
    assert value("adaptive_appearance", unknown) == 0
    nobody = one_pair(track(BOX), HALF)
    assert value("half_appearance", nobody) == pytest.approx(0.15)
    assert value("appearance", nobody, never) == math.inf
    assert value("adaptive_appearance", nobody) == 0


def test_nearest_cue_by_hand():
    """1 - IoU x score is 0.7 for HALF. Looks of 0.2 / 2 count up to 0.25, and where 1 - IoU is at most 0.5."""
    near = (4, 0, 24, 40)  # IoU 640 / 960 = 2 / 3: 1 - 0.6 = 0.4
    assert value("nearest_cue", one_pair(looking(BOX, None), near, vectors=[MIX])) == pytest.approx(0.1)
    assert value("nearest_cue", one_pair(looking(BOX, None), HALF, vectors=[MIX])) == pytest.approx(0.7)
    assert value("nearest_cue", one_pair(looking(BOX, None), near, vectors=[YOU])) == pytest.approx(0.4)
    apart = one_pair(looking(BOX, None), (500, 0, 520, 40), vectors=[MIX])
    assert value("nearest_cue", apart) == 1
    assert value("nearest_cue", apart, OPEN_CUE) == pytest.approx(0.1)


def test_adaptive_appearance_by_hand():
    """Row: cosines 0.8 and 0.6, margin 0.2. Column: 0.8 and 0, margin 0.8, capped at 0.5."""
    a, b = looking(BOX, None), looking((90, 0, 110, 40), None, views=(np.eye(8)[5],))
    third = np.array([0.6, 0, 0.8, 0, 0, 0, 0, 0])
    w = one_pair([a, b], HALF, others=((60, 0, 80, 40),), vectors=[MIX, third])
    assert value("adaptive_appearance", w) == pytest.approx(-(0.75 + (0.2 + 0.5) / 2) * 0.8)
    alone = one_pair(looking(BOX, None), HALF, vectors=[MIX])
    assert value("adaptive_appearance", alone) == pytest.approx(-0.75 * 0.8), "no rivals, no bonus"


def test_other_classes_are_no_rivals():
    """A car that looks like nobody must not make a person stand out more."""
    a, b = looking(BOX, None), looking(BOX, None, views=(YOU,))
    b.class_id = 1
    w = one_pair([a, b], HALF, others=((60, 0, 80, 40),), vectors=[MIX, YOU])
    w.seen[1].class_id = 1
    assert value("adaptive_appearance", w) == pytest.approx(-0.75 * 0.8)


@pytest.mark.parametrize("stage", [STAGE, OPEN_CUE, OBSERVED], ids=["closed", "open", "observed"])
@settings(max_examples=10, deadline=None)
@given(seed=seeds, dimension=st.sampled_from([0, 6]), classes=st.sampled_from([1, 3]), camera=st.booleans())
def test_equals_its_slow_twin(stage, seed, dimension, classes, camera):
    world = random_world(seed, dimension=dimension, classes=classes, camera=camera)
    pairs, scene = all_pairs(world, stage), as_inputs(world)
    for name, (term, _) in COSTS.items():
        got = term(scene, pairs, stage)
        both = zip(pairs.row.tolist(), pairs.col.tolist(), strict=True)
        expected = [SLOW_TERMS[name](world, stage, world.tracks[a], b) for a, b in both]
        assert got.shape == pairs.row.shape, name
        assert np.allclose(got, expected, atol=2e-6), name


@settings(max_examples=25, deadline=None)
@given(
    seed=seeds, dimension=st.sampled_from([0, 6]), preset=st.sampled_from(["tracktrack", "sort", "deepsort"])
)
def test_boxes_apart_never_cost_less_than_the_floor(seed, dimension, preset):
    """The floors in COSTS are what lets `candidates` leave pairs out."""
    world = random_world(seed, preset, dimension=dimension, classes=2)
    pairs, scene = all_pairs(world, OPEN_CUE), as_inputs(world)
    apart = pairs.take((pairs.iou == 0).nonzero()[0])
    for name, (term, floor) in COSTS.items():
        assert term(scene, apart, OPEN_CUE).min(initial=np.inf) >= floor - 1e-9, name
