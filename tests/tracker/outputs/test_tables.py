"""CSV files: what stands in them, by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrace.configs import InputError
from retrace.tracker.analytics import Line, Zone, crossings, occupancy, persons, visits
from retrace.tracker.outputs import tables
from tests.tracker.analytics.slow_answers import made

WALK = made([(0, 4, 80.0, 100.0), (1, 4, 120.0, 100.0), (2, 4, 160.0, 100.0)])
NAMES = {1: 'a "person", walking'}


def test_a_row_a_box(tmp_path: Path) -> None:
    tables.boxes_csv(tmp_path / "b.csv", WALK, 10, NAMES)
    lines = (tmp_path / "b.csv").read_text().splitlines()
    assert lines[0] == "frame,time,id,x1,y1,x2,y2,score,class_id,class"
    assert lines[1] == '0,0.000,4,60.0,0.0,100.0,100.0,1.0000,1,"a ""person"", walking"'
    assert len(lines) == 4


def test_a_row_a_person(tmp_path: Path) -> None:
    tables.persons_csv(tmp_path / "p.csv", persons(WALK, 10))
    lines = (tmp_path / "p.csv").read_text().splitlines()
    assert lines[1] == "4,1,,0.000,0.300,0.300,3,80.0,4.000,1.0000,0,60.0,0.0,100.0,100.0,"


def test_a_row_a_crossing_a_visit_a_minute(tmp_path: Path) -> None:
    line = Line(name="door", points=((100, 0), (100, 200)))
    zone = Zone(name="hall", points=((110, 50), (200, 50), (200, 150), (110, 150)))
    tables.crossings_csv(tmp_path / "c.csv", [crossings(WALK, line, 10)])
    tables.visits_csv(tmp_path / "v.csv", [visits(WALK, zone, 10)])
    tables.occupancy_csv(tmp_path / "o.csv", occupancy(WALK, 10))
    assert (tmp_path / "c.csv").read_text() == "line,time,id,direction,x,y\ndoor,0.050,4,right,100.0,100.0\n"
    assert (tmp_path / "v.csv").read_text() == "zone,id,begin,end,seconds\nhall,4,0.100,0.300,0.200\n"
    assert (tmp_path / "o.csv").read_text() == "begin,people,most_at_once\n0.000,1,1\n"


def test_nobody_is_a_header(tmp_path: Path) -> None:
    tables.persons_csv(tmp_path / "p.csv", persons(made([]), 10))
    assert (tmp_path / "p.csv").read_text().count("\n") == 1


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        tables.boxes_csv(tmp_path / "folder", WALK, 10)
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]
