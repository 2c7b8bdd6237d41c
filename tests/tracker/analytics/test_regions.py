"""Lines and zones: read strictly, and points inside or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tracker.analytics import Regions, read_regions
from retrace.tracker.analytics.regions import crosses_itself, inside
from tests.tracker.analytics.slow_answers import slow_inside

GOOD = """
lines:
  - {name: door, points: [[10, 20], [10, 80]], directions: [in, out]}
zones:
  - {name: hall, points: [[0, 0], [50, 0], [50, 50]]}
"""


def test_a_file_of_regions(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(GOOD)
    found = read_regions(tmp_path / "r.yaml")
    assert found.lines[0].labels == ("in", "out")
    assert found.zones[0].points == ((0, 0), (50, 0), (50, 50))
    found.check((60, 60), "r.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a mapping of keys to values, got NoneType"),
        ("[1]", "got list"),
        ("lines: []", "holds neither lines nor zones"),
        ("lines: {a: [[1, 1], [2, 2]]}", r"lines is a list, e\.g\. lines: \[\{name"),
        ("liness: []", "unknown key 'liness'; did you mean 'lines'"),
        ("lines: [{name: a, points: [[1, 1], [1, 1]]}]", "begins where it ends"),
        ("lines: [{name: a, points: [[1, 1]]}]", r"r\.yaml: lines\.0\.points\.1: is missing$"),
        ("lines: [{name: a, points: [[true, 1], [2, 2]]}]", "expected a number without quotes, got True$"),
        ("lines: [{name: a, points: [['1', 1], [2, 2]]}]", "expected a number without quotes, got '1'$"),
        ("lines: [{name: a, points: [[x, 1], [2, 2]]}]", r"points\.0\.0: expected a number without quotes"),
        ("lines: [{name: a, points: [[{}, 1], [2, 2]]}]", r"points\.0\.0: expected a number$"),
        ("lines: [{name: a, points: [[1, 2, 3], [2, 2]]}]", r"points\.0: expected at most 2 entries, got 3$"),
        ("lines: [{name: a, points: 7}]", "points: expected a list, got 7$"),
        ("lines: [{name: 7, points: [[1, 1], [2, 2]]}]", "name: expected a text, got 7$"),
        ("lines: [{name: '', points: [[1, 1], [2, 2]]}]", "name: expected at least 1 characters, got ''$"),
        ("lines: [7]", r"lines\.0: expected keys with values, got 7$"),
        ("lines: [{name: a, points: [[1, 1], [.nan, 2]]}]", "finite number"),
        ("lines: [{name: a, points: [[1, 1], [2, 2]], directions: [x, x]}]", "need different names"),
        ("zones: [{name: z, points: [[0, 0], [9, 9], [9, 0], [0, 9]]}]", "crosses itself"),
        ("zones: [{name: z, points: [[0, 0], [9, 9]]}]", "expected at least 3 entries, got 2$"),
        ("zones: [{name: z, points: [[0, 0], [5, 5], [9, 9]]}]", "'z' (crosses itself|has no area)"),
        (GOOD.replace("hall", "door"), "'door' names two regions"),
        ("lines: [", "not readable as YAML"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(InputError, match=message) as told:
        read_regions(tmp_path / "r.yaml")
    assert "\n" not in str(told.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_regions(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="is no file with YAML"):
        read_regions(tmp_path)


def test_regions_outside_the_picture_are_refused() -> None:
    regions = Regions.model_validate({"lines": [{"name": "far", "points": [[700, 10], [800, 10]]}]})
    with pytest.raises(InputError, match=r"r\.yaml: 'far' lies outside the picture of 640x480 px"):
        regions.check((480, 640), "r.yaml")
    regions.check((480, 701), "r.yaml")  # it begins inside


def test_inside_equals_the_winding_number() -> None:
    rng = np.random.default_rng(0)
    for count in (3, 4, 7, 12):
        angle = np.sort(rng.uniform(0, 2 * np.pi, count))
        corner = np.stack((np.cos(angle), np.sin(angle)), axis=1) * rng.uniform(2, 9, (count, 1))
        points = rng.integers(-9, 10, (300, 2)).astype(float)
        want = [slow_inside((x, y), [tuple(c) for c in corner]) for x, y in points]
        assert inside(points, corner).tolist() == want
        assert 0 < sum(want) < 300


def test_points_between_two_zones_are_in_one() -> None:
    """Zones that share an edge cut the picture: every point is in exactly one of them."""
    left = np.array([[0, 0], [5, 0], [5, 10], [0, 10]], float)
    right = np.array([[5, 0], [10, 0], [10, 10], [5, 10]], float)
    points = np.stack(np.meshgrid(np.arange(0, 10), np.arange(0, 10)), axis=-1).reshape(-1, 2).astype(float)
    assert (inside(points, left).astype(int) + inside(points, right) == 1).all()


def test_polygons_that_cross_themselves() -> None:
    assert crosses_itself(np.array([[0, 0], [9, 9], [9, 0], [0, 9]], float))
    assert not crosses_itself(np.array([[0, 0], [9, 0], [9, 9], [4, 1], [0, 9]], float))
    assert crosses_itself(np.array([[0, 0], [9, 0], [9, 9], [4, 0], [0, 9]], float))  # touches its own edge
    assert not crosses_itself(np.array([[0, 0], [9, 0], [4, 9]], float))
