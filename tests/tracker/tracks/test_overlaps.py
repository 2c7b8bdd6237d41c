"""Boxes that cover each other: doubles, births, duplicate tracks, who hides whom."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrace.tracker import Detections, Tracker
from retrace.tracker.rows import ACTIVE, LOST, TENTATIVE, FrameTime
from retrace.tracker.rules import rules_of
from retrace.tracker.tracks.overlaps import (
    births_on_births,
    births_on_tracks,
    deleted_boxes,
    duplicates,
    hidden,
)
from retrace.tracker.tracks.state import kinds
from tests.tracker.slow_boxes import random_boxes, slow_iou
from tests.tracker.worlds import config

seeds = st.integers(0, 2**32 - 1)


def rules(**changes):
    return rules_of(config(**changes))[0]


def doubles(xyxy, score, class_id, limit):
    """Whether each box is deleted; by whom is checked on the way."""
    found = Detections(xyxy, score, class_id)
    by = deleted_boxes(found, rules(nms=limit))
    for worse in (by >= 0).nonzero()[0]:
        better = by[worse]
        assert by[better] < 0, "who deletes is kept"
        assert (found.score[better], *found.xyxy[worse][::-1]) >= (
            found.score[worse],
            *found.xyxy[better][::-1],
        )
        assert slow_iou(found.xyxy[better], found.xyxy[worse]) > limit - 1e-6
        assert class_id[better] == class_id[worse]
    return by >= 0


def taken(births, kind, live, other, limit):
    """Whether each birth's place is taken, by a live track or a better birth."""
    made = rules(birth_iou=limit)
    track = births_on_tracks(births, kind, live, other, made)
    birth = births_on_births(births, kind, track >= 0, made)
    out = (track >= 0) | (birth >= 0)
    assert not out[birth[birth >= 0]].any(), "who takes a place begins"
    return out


def stays_of(live, box, now, **changes):
    """Whether each track stays; of whom the others are duplicates is checked on the way."""
    by = duplicates(live.rows, box, rules(**changes), FrameTime(0, now, now))
    for row in (by >= 0).nonzero()[0]:
        assert {live.status[row], live.status[by[row]]} == {ACTIVE, LOST}
    return (by < 0).tolist()


def slow_doubles(xyxy, score, class_id, limit):
    kept = []
    for j in sorted(range(len(xyxy)), key=lambda j: (-score[j], *xyxy[j][::-1])):
        if all(slow_iou(xyxy[j], xyxy[k]) <= limit or class_id[j] != class_id[k] for k in kept):
            kept.append(j)
    return [j not in kept for j in range(len(xyxy))]


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(0, 25), st.sampled_from([0.1, 0.3, 0.6]))
def test_doubles_equal_their_slow_twin_in_any_order(seed, count, limit):
    rng = np.random.default_rng(seed)
    xyxy, kind = random_boxes(rng, count), rng.integers(0, 2, count)
    score = rng.choice([0.5, 0.7, 0.9], count)  # equal ones too
    lost = doubles(xyxy, score, kind, limit)
    assert lost.tolist() == slow_doubles(xyxy, score, kind, limit)
    order = rng.permutation(count)
    assert doubles(xyxy[order], score[order], kind[order], limit).tolist() == lost[order].tolist()


def test_a_suppressed_box_suppresses_nobody():
    """A over B, B over C, A not over C: B goes, C stays."""
    xyxy = np.array([[0.0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]])  # IoU of neighbours 60 / 140
    assert doubles(xyxy, np.array([0.9, 0.8, 0.7]), np.zeros(3, int), 0.4).tolist() == [False, True, False]
    none = np.zeros((0, 4))
    assert taken(xyxy, np.zeros(3, int), none, np.zeros(0, int), 0.4).tolist() == [
        False,
        True,
        False,
    ]


def test_a_crowd_on_one_spot_is_one():
    many = np.tile([0.0, 0, 10, 10], (400, 1))
    assert (deleted_boxes(Detections(many, np.full(400, 0.5)), rules(nms=0.5)) >= 0).sum() == 399


def test_births_by_hand():
    """On a live track; free; on a better birth; on a track of another class; on a birth that did not happen."""
    births = np.array([[0.0, 0, 10, 10], [50, 0, 60, 10], [51, 0, 61, 10], [90, 0, 99, 9], [1, 0, 11, 10]])
    kind, live = np.array([0, 0, 0, 0, 1]), np.array([[0.0, 0, 10, 10], [90, 0, 99, 9]])
    out = taken(births, kind, live, np.array([0, 1]), 0.5)
    assert out.tolist() == [True, False, True, False, False]


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(0, 12), st.integers(0, 12))
def test_births_equal_their_slow_twin(seed, count, tracks):
    rng = np.random.default_rng(seed)
    births, live = random_boxes(rng, count), random_boxes(rng, tracks)
    kind, other = rng.integers(0, 2, count), rng.integers(0, 2, tracks)
    begun = []
    for k in range(count):
        rivals = [b for b, c in zip(live, other, strict=True) if c == kind[k]]
        rivals += [births[j] for j in begun if kind[j] == kind[k]]
        if all(slow_iou(births[k], r) <= 0.2 for r in rivals):
            begun.append(k)
    assert taken(births, kind, live, other, 0.2).tolist() == [k not in begun for k in range(count)]


def lives(*rows):
    """Tracks (status, x, born, seen) as one live state, with their boxes."""
    tracker = Tracker.from_config("bytetrack")
    x = np.array([row[1] for row in rows], float)[:, None]
    tracker.update(Detections(x + np.array([0, 0, 20, 40]), np.linspace(0.99, 0.9, len(rows))))
    live = tracker._live
    live.status[:] = [row[0] for row in rows]
    live.born[:], live.seen[:] = [row[2] for row in rows], [row[3] for row in rows]
    return live, live.box.astype(np.float64)


@pytest.mark.parametrize(
    ("lost", "active", "stays"),
    [
        ((0.0, 5.0), (5.0, 6.0), [True, False]),  # lives of 5 and 1 s: the active one goes
        ((4.0, 5.0), (0.0, 6.0), [False, True]),
        ((0.0, 1.0), (5.0, 6.0), [True, False]),  # equal lives: the active one goes, as in ByteTrack
    ],
)
def test_the_shorter_life_goes(lost, active, stays):
    live, box = lives((LOST, 0, *lost), (ACTIVE, 1, *active))
    assert stays_of(live, box, 6.0, max_age=10, duplicate_iou=0.85) == stays  # IoU 19 / 21
    assert all(stays_of(live, box, 6.0, max_age=10, duplicate_iou=0.95))
    assert all(stays_of(live, box, 6.0, max_age=10, duplicate_iou=1))
    live.class_id[:] = 0, 1
    assert all(stays_of(live, box, 6.0, max_age=10, duplicate_iou=0.85)), "classes do not compete"
    assert stays_of(live, box, 6.0, max_age=10, duplicate_iou=0.85, class_agnostic=True) == stays
    assert all(stays_of(live, box, 66.0, max_age=10, duplicate_iou=0.85, class_agnostic=True)), (
        "its box is not believed"
    )


@pytest.mark.parametrize(("views", "stays"), [((3, 1), True), ((3, 0), False), ((0, 1), False)])
def test_looks_tell_apart_who_stands_in_one_place(views: tuple[int, int], stays: bool) -> None:
    """Both have looks: two people. One has none: nobody knows, and the shorter life goes."""
    live, box = lives((LOST, 0, 0.0, 5.0), (ACTIVE, 1, 5.0, 6.0))
    live.views[:] = views
    told = {"max_age": 10, "duplicate_iou": 0.85}
    assert stays_of(live, box, 6.0, **told, told_apart=True) == [True, stays]
    assert stays_of(live, box, 6.0, **told) == [True, False]


def test_two_active_tracks_are_no_duplicates():
    for status in (ACTIVE, TENTATIVE):
        live, box = lives((status, 0, 0.0, 1.0), (ACTIVE, 1, 0.0, 1.0))
        assert all(stays_of(live, box, 1.0, duplicate_iou=0.85))


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_duplicates_equal_their_slow_twin(seed):
    rng = np.random.default_rng(seed)
    live, _ = lives(*[(rng.choice([ACTIVE, LOST]), 0, *np.sort(rng.random(2))) for _ in range(9)])
    box = random_boxes(rng, 3)[rng.integers(0, 3, 9)] + rng.normal(0, 3, (9, 4))
    believed, stays = 1.0 - live.seen <= 0.8, np.ones(9, bool)
    for a in range(9):
        for b in range(9):
            rivals = live.status[a] == ACTIVE and live.status[b] == LOST and believed[b]
            if rivals and slow_iou(box[a], box[b]) > 0.6:
                a_lives = live.seen[a] - live.born[a] > live.seen[b] - live.born[b]
                stays[b if a_lives else a] = False
    assert stays_of(live, box, 1.0, duplicate_iou=0.6, max_age=0.8) == stays.tolist()


@pytest.mark.parametrize(
    ("front", "covers"),
    [
        ((0, 10, 20, 60), True),  # lower, and over 30 of 40 rows: 0.75
        ((0, 11, 20, 60), False),  # over 29 of 40 only
        ((0, 0, 20, 37), True),  # its bottom 3 px higher: within the slack of 4
        ((0, 0, 20, 35), False),  # 5 px higher: it stands behind
        ((300, 0, 320, 40), False),
    ],
)
def test_hidden_by_hand(front, covers):
    box = np.array([[0.0, 0, 20, 40], front])
    rule = rules(hidden={"cover": 0.75, "slack": 0.1})
    assert hidden(box, np.array([0]), np.array([1]), rule).tolist() == [0] * covers
    assert len(hidden(box, np.array([], int), np.array([1]), rule)) == 0
    assert len(hidden(box, np.array([0]), np.array([], int), rule)) == 0


def test_hidden_people_are_reported_for_a_while():
    """B stands half in front of A (12 x 35 of 20 x 40 px), who is not seen any more: three frames are 0.1 s."""
    rule = {"age": 0.1, "cover": 0.5, "hits": 2, "slack": 0.1}
    a, b = [0, 0, 20, 40], [8, 5, 28, 45]
    for front, expected in ((b, [[1, 2]] * 3 + [[2]] * 2), ([8, -5, 28, 35], [[2]] * 5)):
        tracker = Tracker.from_config("bytetrack", hidden=rule)
        for _ in range(3):
            tracker.update(Detections([a, front], [0.95, 0.9]))
        tracks = [tracker.update(Detections([front], [0.9])) for _ in range(5)]
        assert [t.id.tolist() for t in tracks] == expected
        assert [t.det_index.tolist()[0] for t in tracks] == [-1 if len(t) == 2 else 0 for t in tracks]


def test_kinds():
    kind = np.array([3, 0], np.int32)
    assert kinds(kind, config()).tolist() == [3, 0]
    assert kinds(kind, config(class_agnostic=True)).tolist() == [0, 0]


@pytest.mark.parametrize("preset", ["bytetrack", "tracktrack"])
def test_a_person_and_a_bicycle_on_one_spot_both_live(preset):
    tracker = Tracker.from_config(preset)
    both = Detections([[0, 0, 20, 40], [1, 0, 21, 40]], [0.9, 0.8], [0, 1])
    for _ in range(4):
        tracks = tracker.update(both)
    assert tracks.class_id.tolist() == [0, 1]
