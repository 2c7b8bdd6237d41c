"""How tracks live, rule by rule, of single numbers and of arrays alike."""

from __future__ import annotations

import numpy as np
import pytest

from retrace.tracker import Detections
from retrace.tracker.rows import ACTIVE, LOST, ROW, TENTATIVE, FrameTime, expected, seen_within
from retrace.tracker.rules import rules_of
from retrace.tracker.tracks.lifecycle import (
    BEGAN,
    DELETED,
    NOT_NEW,
    TAKEN,
    begin,
    births,
    confirmed,
    confirmed_at_birth,
    remembered,
    take_in,
    taken_places,
)
from tests.tracker.worlds import config

NOW = FrameTime(10, 1.0, 0.9)
BOXES = Detections([[0, 0, 20, 40], [100, 0, 120, 40], [200, 0, 220, 40]], [0.9, 0.8, 0.3])


def rules(**changes):
    return rules_of(config(**changes))[0]


def rows_of(*lives: tuple[int, float]) -> np.ndarray:
    """Rows of this status, last seen then."""
    rows = np.zeros(len(lives), ROW)
    rows["status"], rows["seen"] = [s for s, _ in lives], [t for _, t in lives]
    rows["column"] = -1
    return rows


@pytest.mark.parametrize(
    ("hits", "status", "score", "sure"),
    [(2, TENTATIVE, 0.7, False), (3, TENTATIVE, 0.7, True), (1, TENTATIVE, 0.95, True), (1, LOST, 0.1, True)],
)
def test_confirmation(hits: int, status: int, score: float, sure: bool) -> None:
    made = rules(confirm_hits=3, confirm_score=0.9)
    assert bool(confirmed(hits, status, np.float32(score), made)) == sure
    many = confirmed(np.array([hits]), np.array([status]), np.array([score], np.float32), made)
    assert many.tolist() == [sure]


def test_confirmation_at_birth() -> None:
    """At once in the first frames, where one hit is enough, and from a sure score on."""
    for number, hits, score, sure in (
        (4, 3, 0.7, True),
        (5, 3, 0.7, False),
        (5, 1, 0.7, True),
        (5, 3, 0.9, True),
    ):
        made = rules(confirm_hits=hits, confirm_score=0.9, start_frames=5)
        assert bool(confirmed_at_birth(np.float32(score), made, FrameTime(number, 1.0, 0.9))) == sure


def test_patience() -> None:
    """max_age 0.5 s; tentative ones 0.1 s."""
    made = rules(max_age=0.5, tentative_max_age=0.1)
    for status, seen, stays in (
        (LOST, 0.5, True),
        (LOST, 0.49, False),
        (TENTATIVE, 0.9, True),
        (TENTATIVE, 0.8, False),
    ):
        assert bool(remembered(status, seen, made, NOW)) == stays
        assert remembered(np.array([status]), np.array([seen]), made, NOW).tolist() == [stays]


def test_who_was_seen_in_the_last_frame_is_expected_however_long_ago() -> None:
    slow = FrameTime(1, 100.0, 40.0)
    assert expected(40.0, 1.0, slow)
    assert not expected(39.9, 1.0, slow)
    assert not seen_within(40.0, 1.0, slow)


def test_taking_in() -> None:
    rows = rows_of((ACTIVE, 0.9), (ACTIVE, 0.9), (TENTATIVE, 0.9))
    rows["hits"], rows["streak"], rows["score"] = (4, 4, 1), (3, 3, 1), (0.5, 0.6, 0.7)
    take_in(rows, np.array([1, -1, 0]), BOXES, rules(confirm_hits=2), NOW)
    assert rows["status"].tolist() == [ACTIVE, LOST, ACTIVE]
    assert rows["hits"].tolist() == [5, 4, 2]
    assert rows["streak"].tolist() == [4, 0, 2]
    assert rows["seen"].tolist() == [1.0, 0.9, 1.0]
    assert rows["column"].tolist() == [1, -1, 0]
    assert rows["box"][0].tolist() == [100, 0, 120, 40]
    assert rows["score"].tolist() == np.float32([0.8, 0.6, 0.9]).tolist()
    assert rows["score_before"].tolist() == np.float32([0.5, 0, 0.7]).tolist()


def test_births_say_why() -> None:
    """The first is matched, the second begins, the third scores too little; the second of two doubles is deleted."""
    rows = rows_of((ACTIVE, 1.0))
    rows["column"] = 0
    cols, reason = births(rows, BOXES, np.array([-1, -1, -1]), rules(new=0.6))
    assert (cols.tolist(), reason.tolist()) == ([1], [TAKEN, BEGAN, NOT_NEW])
    cols, reason = births(rows, BOXES, np.array([-1, 0, -1]), rules(new=0.6))
    assert (cols.tolist(), reason.tolist()) == ([], [TAKEN, DELETED, NOT_NEW])


def test_births_come_best_first() -> None:
    found = Detections([[9, 0, 20, 40], [5, 0, 20, 40], [0, 0, 20, 30]], [0.7, 0.7, 0.9])
    cols, _ = births(rows_of(), found, np.full(3, -1), rules(new=0.6))
    assert cols.tolist() == [2, 1, 0], "by score, then by coordinates"


def test_taken_places_say_by_whom() -> None:
    """Detection 0 lies on row 1, detection 1 is free, detection 2 lies on detection 1."""
    rows = rows_of((LOST, 0.0), (ACTIVE, 1.0))
    box = np.array([[100.0, 0, 120, 40], [0, 0, 20, 40]])
    found = Detections([[1, 0, 21, 40], [100, 0, 120, 40], [101, 0, 121, 40]], [0.9, 0.8, 0.7])
    track, birth = taken_places(
        rows, box, np.array([0, 1, 2]), found, rules(birth_iou=0.5, motion_age=0.5), NOW
    )
    assert track.tolist() == [1, -1, -1], "row 0 is not believed any more"
    assert birth.tolist() == [-1, -1, 1]


def test_beginning() -> None:
    rows = np.zeros(2, ROW)
    begin(rows, np.array([1, 0]), BOXES, rules(confirm_hits=2, confirm_score=0.85), NOW)
    assert rows["status"].tolist() == [TENTATIVE, ACTIVE]
    assert rows["column"].tolist() == [1, 0]
    assert rows["hits"].tolist() == [1, 1]
    assert rows["born"].tolist() == rows["seen"].tolist() == [1.0, 1.0]
