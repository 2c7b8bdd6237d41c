"""Crossings, visits, occupancy: by hand, and beside the obvious way."""

from __future__ import annotations

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tracker.analytics import Line, Zone, crossings, occupancy, visits
from tests.tracker.analytics.slow_answers import (
    made,
    slow_crossings,
    slow_occupancy,
    slow_visits,
    strolls,
)

DOWN = Line(name="door", points=((100, 0), (100, 200)))  # downwards: its right is the picture's left


def walk(*x: float, person: int = 1, y: float = 100.0, start: int = 0) -> list[tuple[int, int, float, float]]:
    return [(start + k, person, value, y) for k, value in enumerate(x)]


def test_a_crossing_has_a_direction_a_time_and_a_place() -> None:
    found = crossings(made(walk(80, 90, 110, 120)), DOWN, fps=10)
    assert found.totals() == {"left": 0, "right": 1}
    assert found.time.tolist() == pytest.approx([0.15])  # half way from frame 1 to frame 2, at 10 frames/s
    assert found.place.tolist() == [[100, 100]]
    assert crossings(made(walk(120, 110, 90)), DOWN, 10).totals() == {"left": 1, "right": 0}


def test_who_sways_on_the_line_crosses_once() -> None:
    """Boxes are 100 px high: nobody is on a side within 5 px of the line."""
    found = crossings(made(walk(80, 97, 103, 98, 104, 97, 120)), DOWN, 10)
    assert found.totals() == {"left": 0, "right": 1}
    assert crossings(made(walk(80, 97, 103, 98, 80)), DOWN, 10).totals() == {"left": 0, "right": 0}


def test_who_walks_around_its_end_does_not_cross() -> None:
    assert crossings(made(walk(80, 120, y=201)), DOWN, 10).totals() == {"left": 0, "right": 0}
    assert crossings(made(walk(80, 120, y=200)), DOWN, 10).totals() == {"left": 0, "right": 1}


def test_who_is_unseen_for_long_is_not_followed() -> None:
    near = [(0, 1, 80.0, 100.0), (50, 1, 120.0, 100.0)]
    far = [(0, 1, 80.0, 100.0), (51, 1, 120.0, 100.0)]
    assert crossings(made(near), DOWN, 10).totals()["right"] == 1  # 5.0 s
    assert crossings(made(far), DOWN, 10).totals()["right"] == 0  # 5.1 s


def test_two_people_are_not_one() -> None:
    rows = walk(80, 90, person=1) + walk(110, 120, person=2, start=2)
    assert crossings(made(rows), DOWN, 10).totals() == {"left": 0, "right": 0}


@pytest.mark.parametrize(
    ("points", "names"),
    [
        (((0, 0), (9, 0)), ("down", "up")),
        (((9, 0), (0, 0)), ("up", "down")),
        (((0, 0), (0, 9)), ("left", "right")),
        (((0, 9), (0, 0)), ("right", "left")),
    ],
)
def test_directions_are_named_as_the_picture_shows_them(points: tuple, names: tuple[str, str]) -> None:
    assert Line(name="x", points=points).labels == names


SQUARE = Zone(name="hall", points=((100, 50), (200, 50), (200, 150), (100, 150)))


def test_a_visit_lasts_from_the_first_to_the_last_frame_inside() -> None:
    found = visits(made(walk(90, 110, 150, 190, 210)), SQUARE, fps=10)
    assert (found.begin.tolist(), found.end.tolist()) == ([0.1], [0.4])  # frames 1, 2, 3
    assert found.seconds.tolist() == pytest.approx([0.3])


def test_stepping_out_for_a_second_does_not_end_it() -> None:
    out = [150.0] + [300.0] * 10 + [150.0]  # ten frames outside: 1.0 s
    assert len(visits(made(walk(*out)), SQUARE, 10).id) == 1
    out = [150.0] + [300.0] * 11 + [150.0]
    assert visits(made(walk(*out)), SQUARE, 10).seconds.tolist() == pytest.approx([0.1, 0.1])


def test_occupancy_by_the_minute() -> None:
    rows = walk(1, 2, 3, person=1) + walk(1, person=2, start=1) + walk(5, 6, person=3, start=70)
    found = occupancy(made(rows), fps=1, bin_seconds=60)
    assert found.begin.tolist() == [0, 60]
    assert (found.people.tolist(), found.most.tolist()) == ([2, 1], [2, 1])
    inside = occupancy(made(walk(150, 300, 150)), 1, 60, SQUARE)
    assert (inside.people.tolist(), inside.most.tolist()) == ([1], [1])


@pytest.mark.parametrize("seed", range(6))
def test_equal_to_the_obvious_way(seed: int) -> None:
    table = strolls(seed)
    a, b = (80.0, 120.0), (330.0, 260.0)
    found = crossings(table, Line(name="l", points=(a, b)), 10)
    slow = slow_crossings(table, a, b, 10)
    assert found.id.tolist() == [person for _, person, _ in slow]
    assert found.forward.tolist() == [forward for *_, forward in slow]
    np.testing.assert_allclose(found.time, [time for time, *_ in slow], atol=1e-9)
    assert slow
    corners = [(90.0, 60.0), (300.0, 90.0), (330.0, 300.0), (200.0, 180.0), (60.0, 310.0)]
    stayed = visits(table, Zone(name="z", points=tuple(corners)), 10)
    slow_stays = slow_visits(table, corners, 10)
    assert stayed.id.tolist() == [person for _, person, _ in slow_stays]
    np.testing.assert_allclose(stayed.begin, [begin for begin, *_ in slow_stays])
    np.testing.assert_allclose(stayed.end, [end for *_, end in slow_stays])
    assert slow_stays
    people = occupancy(table, 10, 2.5)
    assert list(zip(people.people, people.most, strict=True)) == slow_occupancy(table, 10, 2.5)


def test_back_and_forth_is_even() -> None:
    """Whoever begins and ends on the same side crossed as often to the one as to the other, if the line has no end."""
    for seed in range(4):
        table = strolls(seed)
        line = Line(name="l", points=((200, -1e4), (200, 1e4)))
        found = crossings(table, line, 1e6)  # no gap is too long
        for person in np.unique(table.id):
            x = (table.xyxy[:, 0] + table.xyxy[:, 2])[table.id == person] / 2
            x = x[np.abs(x - 200) > 5]
            net = int(found.forward[found.id == person].sum() - (~found.forward[found.id == person]).sum())
            assert net == int(x[-1] < 200) - int(x[0] < 200)


def test_nobody() -> None:
    empty = made([])
    assert crossings(empty, DOWN, 10).totals() == {"left": 0, "right": 0}
    assert len(visits(empty, SQUARE, 10).id) == len(occupancy(empty, 10).people) == 0


@pytest.mark.parametrize("fps", [0, -1, np.nan, np.inf])
def test_a_rate_that_is_none(fps: float) -> None:
    for count in (lambda: crossings(made([]), DOWN, fps), lambda: visits(made([]), SQUARE, fps)):
        with pytest.raises(InputError, match="fps must be a positive number"):
            count()
    with pytest.raises(InputError, match="bin_seconds"):
        occupancy(made([]), 10, 0)
