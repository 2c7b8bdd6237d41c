"""Labels: where they go."""

from __future__ import annotations

import numpy as np
import pytest

from retrace.tracker.outputs.labels import place, plate_size

NOTHING = np.zeros((0, 4), np.int64)


def overlaps(places: np.ndarray, plates: np.ndarray) -> int:
    """How many pairs of labels cover each other, one pair at a time."""
    count = 0
    for i in range(len(places)):
        for j in range(i):
            (x1, y1), (w1, h1), (x2, y2), (w2, h2) = places[i], plates[i], places[j], plates[j]
            count += x1 < x2 + w2 and x2 < x1 + w1 and y1 < y2 + h2 and y2 < y1 + h1
    return count


def test_alone_it_stands_above_its_box_and_inside_where_there_is_no_room() -> None:
    boxes = np.array([(50, 60, 90, 160), (200, 5, 240, 100)])
    plates = np.array([(30, 12), (30, 12)])
    assert place(boxes, plates, (300, 300), NOTHING).tolist() == [[50, 48], [200, 5]]


def test_two_in_one_place_make_way_and_the_first_keeps_its_own() -> None:
    boxes = np.array([(50, 60, 90, 160), (52, 60, 92, 160)])
    plates = np.array([(30, 12), (30, 12)])
    one, two = place(boxes, plates, (300, 300), NOTHING).tolist()
    assert one == [50, 48]
    assert two == [52, 160]  # right-aligned above (62, 48) would touch; below is free


def test_what_is_written_already_is_not_covered() -> None:
    taken = np.array([(40, 40, 120, 60)])
    [[x, y]] = place(np.array([(50, 60, 90, 160)]), np.array([(30, 12)]), (300, 300), taken).tolist()
    assert (x, y) == (50, 160)


@pytest.mark.parametrize("seed", range(3))
def test_in_a_crowd_few_are_covered_and_none_leaves_the_picture(seed: int) -> None:
    """30 people close together: at the usual place half the labels would hide one another."""
    rng = np.random.default_rng(seed)
    corner = rng.integers(100, (400, 300), (30, 2))
    boxes = np.hstack((corner, corner + np.array([30, 80])))
    plates = np.tile([26, 12], (30, 1))
    places = place(boxes, plates, (480, 640), NOTHING)
    usual = boxes[:, :2] - np.array([0, 12])
    assert overlaps(places, plates) == 0 < overlaps(usual, plates)
    assert (places >= 0).all()
    assert (places + plates <= (640, 480)).all()


def test_a_plate_is_as_large_as_its_text() -> None:
    assert plate_size("10000", 0.5)[0] > plate_size("1", 0.5)[0]
    assert plate_size("1", 1.0)[1] > 1.7 * plate_size("1", 0.5)[1]
