"""Paths, persons, heat maps, the summary."""

from __future__ import annotations

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tracker.analytics import Regions, heat_map, paths, persons, summarise
from tests.tracker.analytics.slow_answers import made, of_each, slow_path, strolls


def test_a_straight_walk_keeps_its_length_and_speed() -> None:
    """10 px a frame at 10 frames/s, boxes 100 px high: one body height a second."""
    found = persons(made([(k, 4, 10.0 * k, 300.0) for k in range(21)]), fps=10)
    assert found.id.tolist() == [4]
    assert found.path[0] == pytest.approx(200)
    assert found.speed[0] == pytest.approx(1.0)
    assert (found.begin[0], found.end[0], found.seconds[0], found.boxes[0]) == (0, 2.1, 2.1, 21)


def test_jitter_is_no_walk() -> None:
    rng = np.random.default_rng(0)
    rows = [(k, 1, 100 + rng.normal(0, 2), 300 + rng.normal(0, 2)) for k in range(200)]
    raw = sum(np.hypot(b[2] - a[2], b[3] - a[3]) for a, b in zip(rows[:-1], rows[1:], strict=True))
    assert persons(made(rows), fps=30).path[0] < raw / 4


def test_a_pause_adds_no_path() -> None:
    rows = [(0, 1, 0.0, 300.0), (1, 1, 10.0, 300.0), (30, 1, 500.0, 300.0), (31, 1, 510.0, 300.0)]
    assert persons(made(rows), fps=10).path[0] == pytest.approx(20)


def test_who_is_seen_once() -> None:
    found = persons(made([(7, 3, 50.0, 90.0)]), fps=10)
    assert (found.path[0], found.begin[0], found.end[0]) == (0, 0.7, 0.8)
    assert np.isnan(found.speed[0])


@pytest.mark.parametrize("seed", range(5))
def test_equal_to_the_obvious_way(seed: int) -> None:
    table = strolls(seed)
    found = persons(table, 10)
    slow = of_each(table)
    assert found.id.tolist() == sorted(slow)
    np.testing.assert_allclose(found.path, [slow_path(slow[who], 10) for who in sorted(slow)])
    assert found.boxes.tolist() == [len(slow[who]) for who in sorted(slow)]


def test_the_best_crop_is_large_and_sure() -> None:
    table = made([(0, 1, 50.0, 200.0), (1, 1, 50.0, 200.0), (2, 1, 50.0, 200.0)])
    table.score[:] = [0.5, 0.9, 0.9]
    found = persons(table, 10)
    assert (found.best_frame[0], found.best_xyxy[0].tolist()) == (1, [30, 100, 70, 200])
    assert found.score[0] == pytest.approx((0.5 + 0.9 + 0.9) / 3)


def test_a_class_is_that_of_most_boxes() -> None:
    table = made([(0, 1, 5.0, 200.0), (1, 1, 5.0, 200.0), (2, 1, 5.0, 200.0), (0, 2, 90.0, 200.0)])
    table.class_id[:] = [2, 7, 0, 0]  # by frame, then id: person 1 has 2, 0, 0
    assert persons(table, 10).class_id.tolist() == [0, 7]


def test_smoothing_keeps_people_apart() -> None:
    table = made([(k, who, 100.0 * who, 300.0) for who in (1, 2) for k in range(10)])
    assert set(paths(table, 10).foot[:, 0].tolist()) == {100.0, 200.0}


def test_a_heat_map_adds_up() -> None:
    table = strolls(1)
    found = heat_map(table, 10, (300, 410), cell=50)
    assert found.seconds.shape == (6, 9)
    assert found.seconds.sum() == pytest.approx(len(table) / 10)
    one = heat_map(made([(0, 1, 75.0, 120.0), (1, 1, 75.0, 120.0), (0, 2, 999.0, 999.0)]), 1, (200, 200), 50)
    assert one.seconds[2, 1] == 2
    assert one.seconds[3, 3] == 1  # outside the picture: its nearest cell
    with pytest.raises(InputError, match="cell must be at least 1 px"):
        heat_map(table, 10, (300, 410), 0.5)


def test_the_summary_is_a_sentence() -> None:
    regions = Regions.model_validate(
        {
            "lines": [
                {"name": "door", "points": [[100, 0], [100, 200]]},
                {"name": "far", "points": [[900, 0], [900, 9]]},
            ],
            "zones": [{"name": "hall", "points": [[100, 50], [200, 50], [200, 150], [100, 150]]}],
        }
    )
    rows = [(k, 1, 80.0 + 10 * k, 100.0) for k in range(5)] + [(2, 2, 300.0, 100.0)]
    told = summarise(made(rows), 10, regions)
    assert str(told) == (
        "2 people, at most 2 at once; 1 crossed 'door' to the right; nobody crossed 'far'; "
        "1 person in 'hall', 0.3 s a visit"
    )
    assert told.as_json() == {
        "people": 2,
        "most_at_once": 2,
        "most_at_once_at": 0.2,
        "lines": {"door": {"left": 0, "right": 1}, "far": {"left": 0, "right": 0}},
        "zones": {"hall": {"people": 1, "visits": 1, "seconds_a_visit": 0.3}},
    }
    assert str(summarise(made([]), 10)) == "nobody"
