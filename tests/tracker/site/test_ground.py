"""Homographies by worked numbers, and distances on the ground beside the obvious way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tracker.site.ground import Ground, dlt, homography, read_ground, write_ground
from retrace.tracker.site.sightings import Sightings, meetings
from tests.tracker.site.walkers import site, to_ground

SQUARE = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])
TRAPEZE = np.array([[0.0, 0], [4, 0], [3, 2], [1, 2]])  # the square seen from the side of y = 0


def applied(plane: np.ndarray, point: list[float]) -> np.ndarray:
    x, y, w = plane @ [*point, 1.0]
    return np.array([x / w, y / w])


def test_four_corners() -> None:
    """(x, y) -> (4x + 2y, 4y) / (1 + y), so (1, 1) -> (6, 4) / 2 = (3, 2); the middle, where diagonals cross,
    goes to where those of the trapeze cross: (2, 4/3)."""
    plane = dlt(SQUARE, TRAPEZE)
    assert plane / plane[2, 2] == pytest.approx(np.array([[4, 2, 0], [0, 4, 0], [0, 1, 1]]), abs=1e-6)
    assert applied(plane, [0.5, 0.5]) == pytest.approx([2, 4 / 3])


def test_many_at_once_are_the_same_as_one_by_one() -> None:
    rng = np.random.default_rng(0)
    p, q = rng.uniform(0, 100, (5, 7, 2)), rng.uniform(0, 100, (5, 7, 2))
    together = dlt(p, q)
    for k in range(5):
        assert together[k] == pytest.approx(dlt(p[k], q[k]), abs=1e-9)


def test_outliers_are_left_out() -> None:
    rng = np.random.default_rng(1)
    p = rng.uniform(0, 100, (60, 2))
    q = p @ [[2.0, 1.0], [-1.0, 2.0]] + [5, 7]
    q[:24] = rng.uniform(0, 300, (24, 2))
    plane, agrees = homography(p, q, 1.0, 0.5)
    assert agrees[24:].all()
    assert not agrees[:24].any()
    assert applied(plane, [10, 0]) == pytest.approx([25, 17], abs=1e-3)


@pytest.mark.parametrize(
    ("p", "q", "said"),
    [
        (SQUARE[:3], TRAPEZE[:3], "3 pairs of points"),
        (np.stack([np.arange(9.0), 2 * np.arange(9.0)], 1), np.arange(18.0).reshape(9, 2), "on one line"),
        (SQUARE, TRAPEZE[:3], "two arrays"),
        (SQUARE * np.nan, TRAPEZE, "finite"),
        (np.array([[0.0, 0], [1, 0], [2, 0], [0, 1]]), TRAPEZE, "no four of 4"),  # three on a line
    ],
)
def test_what_gives_no_homography(p: np.ndarray, q: np.ndarray, said: str) -> None:
    with pytest.raises(InputError, match=said):
        homography(p, q, 1.0, 0.5)


def two_cameras(**other: object) -> tuple[Sightings, Ground]:
    given: dict = {"cameras": 2, "people": 3, "frames": 20, **other}
    return Sightings.of(site(**given)), Ground(("cam1", "cam2"), np.array([to_ground(0), to_ground(1)]))


def test_feet_of_one_person_fall_together_and_others_where_they_are() -> None:
    """The distance of every two boxes, by projecting one foot after the other."""
    s, ground = two_cameras()
    first, second = meetings(s)
    found = ground.facing(s).distance(s, first, second)
    assert len(found) > 50
    for i, j, d in zip(first, second, found, strict=True):
        ways = []
        for a, b in ((i, j), (j, i)):
            there = np.linalg.inv(ground.plane[s.camera[b]]) @ ground.plane[s.camera[a]]
            x1, y1, x2, y2 = s.xyxy[b]
            miss = applied(there, s.foot[a].tolist()) - [(x1 + x2) / 2, y2]
            ways.append(np.hypot(*miss) / (y2 - y1))
        assert d == pytest.approx(np.mean(ways), abs=1e-6)
        same = s.tracklet[i] == s.tracklet[j] - (s.home == 0).sum()
        assert (d < 1e-6) == same


def test_the_unit_of_the_ground_and_its_sign_do_not_matter() -> None:
    s, ground = two_cameras()
    rows = meetings(s)
    other = (
        np.array([[-3.0, 1, 9], [1, 2, -4], [0, 0, 1]]) @ ground.plane * np.array([1, -5.0])[:, None, None]
    )
    moved = Ground(ground.cameras, other).facing(s).distance(s, *rows)
    assert moved == pytest.approx(ground.facing(s).distance(s, *rows), abs=1e-6)


def test_a_mirrored_view_is_refused() -> None:
    s, ground = two_cameras()
    flipped = ground.plane.copy()
    flipped[1] = flipped[1] @ np.diag([-1.0, 1, 1]) + 0  # its picture left for right
    flipped[1, :, 2] += ground.plane[1] @ [640.0, 0, 0]
    with pytest.raises(InputError, match="mirrored"):
        Ground(ground.cameras, flipped).facing(s)


def test_a_camera_without_homography_is_named() -> None:
    _, ground = two_cameras()
    assert ground.for_cameras(["cam2", "cam1"]).plane[0] == pytest.approx(ground.plane[1])
    with pytest.raises(InputError, match="cam7"):
        ground.for_cameras(["cam1", "cam7"])


def test_a_file_says_what_was_written(tmp_path: Path) -> None:
    _, ground = two_cameras()
    write_ground(tmp_path / "ground.yaml", ground)
    again = read_ground(tmp_path / "ground.yaml")
    assert again.cameras == ground.cameras
    assert (again.plane == ground.plane).all()


def test_points_instead(tmp_path: Path) -> None:
    rows = [[*p, *q] for p, q in zip(SQUARE.tolist(), TRAPEZE.tolist(), strict=True)]
    (tmp_path / "g.yaml").write_text(f"cameras:\n  yard: {{points: {rows}}}\n")
    (plane,) = read_ground(tmp_path / "g.yaml").plane
    assert applied(plane, [0.5, 0.5]) == pytest.approx([2, 4 / 3])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1]", "expected a mapping"),
        ("cameras: {a: {homographie: 1}}", "unknown key"),
        ("cameras: {a: {}}", "either homography"),
        ("cameras: {a: {homography: [[1, 0], [0, 1]]}}", "camera a: expected 3 rows"),
        (
            "cameras: {a: {points: [[0, 0, 0, 0], [1, 1, 1, 1], [2, 2, 2, 2], [3, 3, 3, 3]]}}",
            "not on one line",
        ),
        ("cameras: {a: {points: [[0, 0, 0]]}}", r"\[x, y, X, Y\]"),
        ("cameras: {a: {homography: [[1, 0, 0], [0, 1, 0], [0, 0, .nan]]}}", "finite"),
        ("cameras: [", "not readable as YAML"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "g.yaml").write_text(text)
    with pytest.raises(InputError, match=said):
        read_ground(tmp_path / "g.yaml")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_ground(tmp_path / "g.yaml")


def test_a_homography_without_inverse(tmp_path: Path) -> None:
    file = tmp_path / "g.yaml"
    file.write_text("cameras: {door: {homography: [[0, 0, 0], [0, 0, 0], [0, 0, 1]]}}\n")
    with pytest.raises(InputError, match=r"camera door: its homography has no inverse"):
        read_ground(file)
