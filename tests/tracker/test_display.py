"""What people read: boxes and tracks as a table."""

from __future__ import annotations

import numpy as np
import pytest

from retrace import Tracker
from retrace.tracker.data import Detections, MotTable, Tracks
from retrace.tracker.display import ROWS, as_html, as_text


def test_a_table_in_text() -> None:
    columns = {"id": np.array([1, 20]), "x1": np.array([0.0, 1234.56]), "score": np.array([0.12345, 1.0])}
    assert as_text("Two:", columns).splitlines() == [
        "Two:",
        "id      x1   score",
        " 1     0.0  0.1235",
        "20  1234.6     1.0",
    ]


def test_a_long_table_shows_its_head_and_says_how_much_is_missing() -> None:
    said = as_text("Many:", {"id": np.arange(ROWS + 3)})
    assert said.splitlines()[-2:] == [f"{ROWS - 1:>2}", "... 3 more"]
    assert "... 3 more" in as_html("Many:", {"id": np.arange(ROWS + 3)})


def test_a_name_in_html_is_no_markup() -> None:
    said = as_html("A & B", {"<b>": np.array(["<script>"])})
    assert "<p>A &amp; B</p>" in said
    assert "<th>&lt;b&gt;</th>" in said
    assert "<td>&lt;script&gt;</td>" in said


def test_what_each_type_says_of_itself() -> None:
    boxes = Detections(
        [[0, 0, 9, 9]], [0.5], embedding=[[0.6, 0.8]], extras={"mask": np.zeros((1, 4, 5), bool)}
    )
    assert repr(boxes).startswith("Detections: 1 box, vectors of 2 numbers; mask (1, 4, 5)\n")
    assert boxes._repr_html_().count("<td>") == 7
    nobody = Tracks(*(np.zeros(0, int), np.zeros((0, 4)), np.zeros(0), np.zeros(0, int), np.zeros(0, int)))
    assert repr(nobody) == "Tracks: 0 tracks"
    assert "<table>" in nobody._repr_html_()
    assert repr(MotTable.of([])) == "MotTable: 0 boxes, 0 ids"


@pytest.mark.parametrize("preset", ["sort", "bytetrack", "default"])
def test_who_writes_into_columns_writes_into_no_tracker(preset: str) -> None:
    given, mine = (Tracker.from_config(preset) for _ in range(2))
    looks = np.eye(2, 8, dtype=np.float32)
    for k in range(9):
        seen = Detections([[3 * k, 0, 3 * k + 20, 50], [90, 5, 110, 60]], [0.9, 0.8], embedding=looks)
        untouched, columns = given.update(seen).columns(), mine.update(seen).columns()
        for name, values in untouched.items():
            assert np.array_equal(values, columns[name])
        for values in columns.values():
            values[...] = 7


def test_columns_fit_together_and_make_a_data_frame() -> None:
    import pandas

    extras = {"score": np.array([7, 8]), "plate": np.array(["A", "B"]), "mask": np.zeros((2, 3, 3))}
    boxes = Detections([[0, 1, 10, 20], [5, 5, 9, 9]], [0.5, 0.25], [1, 2], extras=extras)
    frame = pandas.DataFrame(boxes.columns())
    assert [*frame] == ["x1", "y1", "x2", "y2", "score", "class_id", "index", "extra_score", "plate"]
    assert frame["y2"].tolist() == [20, 9]
    assert frame["extra_score"].tolist() == [7, 8]
    assert len(pandas.DataFrame(MotTable.of([]).columns())) == 0
