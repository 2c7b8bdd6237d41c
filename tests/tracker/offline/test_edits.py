"""Corrections by hand: what each does, undo, and what no longer fits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tracker.data import MotTable
from retrace.tracker.offline.edits import append_edit, apply, counted, parse_edit, placed, read_edits, refusal
from tests.conftest import ROOT


def table(rows: list[tuple[int, int]]) -> MotTable:
    """(frame, id) -> boxes whose x says who it was."""
    frame, person = (np.array(column, np.int64) for column in zip(*sorted(rows), strict=True))
    box = np.stack((person * 10.0, frame * 1.0, person * 10.0 + 5, frame + 9.0), axis=1)
    n = len(rows)
    return MotTable(frame, person, box, np.full(n, 0.5), np.ones(n, np.int64), np.ones(n))


def edits(*raw: dict[str, Any]) -> list[Any]:
    return [parse_edit(one) for one in raw]


TWO = table([(f, i) for f in range(6) for i in (1, 2)])
MERGE = {"op": "merge", "id": 1, "other": 2}


def who(found: MotTable) -> list[tuple[int, int, int]]:
    """(frame, id, who it was)."""
    return list(
        zip(
            found.frame.tolist(),
            found.id.tolist(),
            (found.xyxy[:, 0] // 10).astype(int).tolist(),
            strict=True,
        )
    )


def test_merge_keeps_the_first_one_where_both_are() -> None:
    found = apply(edits(MERGE), table([(0, 1), (1, 1), (1, 2), (2, 2)])).table
    assert who(found) == [(0, 1, 1), (1, 1, 1), (2, 1, 2)]


def test_split_from_a_frame_on() -> None:
    found = apply(edits({"op": "split", "id": 2, "frame": 3, "new": 7}), TWO).table
    assert {row[1] for row in who(found) if row[0] < 3} == {1, 2}
    assert {row[1] for row in who(found) if row[0] >= 3} == {1, 7}


def test_swap_from_a_frame_on() -> None:
    found = apply(edits({"op": "swap", "id": 1, "other": 2, "frame": 4}), TWO).table
    assert who(found)[6:10] == [(3, 1, 1), (3, 2, 2), (4, 1, 2), (4, 2, 1)]


def test_delete_and_draw() -> None:
    found = apply(edits({"op": "delete", "id": 2, "first": 1, "last": 4}), TWO).table
    assert found.frame[found.id == 2].tolist() == [0, 5]
    drawn = apply(edits({"op": "box", "id": 2, "frame": 9, "xyxy": [1, 2, 3, 4]}), TWO).table
    assert (drawn.frame[-1], drawn.id[-1], drawn.xyxy[-1].tolist(), drawn.class_id[-1]) == (
        9,
        2,
        [1, 2, 3, 4],
        1,
    )
    moved = apply(edits({"op": "box", "id": 2, "frame": 5, "xyxy": [1, 2, 3, 4]}), TWO).table
    assert len(moved) == len(TWO)


def test_names_and_marks() -> None:
    found = apply(
        edits(
            {"op": "name", "id": 1, "name": "red coat"},
            {"op": "sure", "id": 2},
            {"op": "name", "id": 2, "name": "x"},
            {"op": "name", "id": 2, "name": ""},
        ),
        TWO,
    )
    assert (found.names, found.sure, found.unfit) == ({1: "red coat"}, {2}, [])


def test_names_and_marks_go_with_the_people() -> None:
    """Who is merged into somebody without a name gives it; who is deleted takes name and mark along."""
    named = edits({"op": "name", "id": 2, "name": "x"}, {"op": "sure", "id": 2})
    found = apply([*named, *edits(MERGE)], TWO)
    assert (found.names, found.sure) == ({1: "x"}, set())
    found = apply([*named, *edits({"op": "delete", "id": 2})], TWO)
    assert (found.names, found.sure) == ({}, set())
    both = edits({"op": "name", "id": 1, "name": "a"}, *[{"op": "name", "id": 2, "name": "x"}], MERGE)
    assert apply(both, TWO).names == {1: "a"}


def test_undo_and_redo() -> None:
    made = edits(MERGE, {"op": "undo", "of": 0})
    assert who(apply(made, TWO).table) == who(TWO)
    again = [*made, *edits({"op": "undo", "of": 1})]
    assert [number for number, _ in counted(again)] == [0]
    assert len(apply(again, TWO).table) == 6


def test_what_no_longer_fits_is_listed() -> None:
    found = apply(
        edits(
            {"op": "merge", "id": 1, "other": 99},
            {"op": "split", "id": 1, "frame": 0, "new": 7},
            {"op": "split", "id": 1, "frame": 3, "new": 2},
            {"op": "box", "id": 1, "frame": 0, "xyxy": [5, 5, 5, 9]},
            {"op": "merge", "id": 1, "other": 1},
            {"op": "swap", "id": 1, "other": 1, "frame": 3},
            {"op": "swap", "id": 1, "other": 2, "frame": 6},
            {"op": "delete", "id": 1, "first": 4, "last": 3},
            {"op": "name", "id": 99, "name": "x"},
            {"op": "sure", "id": 99},
        ),
        TWO,
    )
    assert (found.names, found.sure) == ({}, set())
    assert who(found.table) == who(TWO)
    assert found.unfit == [
        (0, "nobody has the id 99"),
        (1, "1 has no boxes on both sides of frame 0"),
        (2, "somebody has the id 2 already"),
        (3, "a box of no size"),
        (4, "one identity already"),
        (5, "one identity already"),
        (6, "neither 1 nor 2 has boxes from frame 6 on"),
        (7, "1 has no boxes there"),
        (8, "nobody has the id 99"),
        (9, "nobody has the id 99"),
    ]


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ({"op": "sure", "id": 1}, ""),
        ({"op": "undo", "of": 1}, ""),  # redo
        ({"op": "undo", "of": 0}, "edit 0 does not count as it is"),
        ({"op": "undo", "of": 2}, "there is no edit 2"),
        ({"op": "box", "id": 9, "frame": 6, "xyxy": [0, 0, 5, 5]}, "there is no frame 6; the last one is 5"),
        ({"op": "delete", "id": 1, "last": 6}, "there is no frame 6; the last one is 5"),
        ({"op": "split", "id": 1, "frame": 0, "new": 7}, "1 has no boxes on both sides of frame 0"),
    ],
)
def test_a_new_edit_that_would_do_nothing_is_refused(raw: dict[str, Any], why: str) -> None:
    before = edits(MERGE, {"op": "undo", "of": 0})
    (new,) = edits(raw)
    assert refusal(new, before, apply(before, TWO).table, 6) == why


def test_where_each_box_comes_from() -> None:
    made = edits(
        {"op": "delete", "id": 1},
        {"op": "box", "id": 5, "frame": 2, "xyxy": [1, 2, 3, 4]},
        {"op": "box", "id": 2, "frame": 3, "xyxy": [1, 2, 3, 4]},
    )
    found = apply(made, TWO)
    assert found.origin.tolist() == [1, 3, 5, -1, -1, 9, 11]
    assert (found.table.visibility == 1).all()


def test_edits_go_to_whoever_is_in_that_place() -> None:
    """The other run calls 1 and 2 by 2 and 8; 2 there has boxes where 1 was."""
    other = table([(f, i) for f in range(6) for i in (1, 2)])
    other = replace(other, id=np.where(other.id == 1, 2, 8))
    made = [placed(edit, TWO, "old") for edit in edits({"op": "name", "id": 1, "name": "a"}, MERGE)]
    assert [one.id for one in made[1].seen] == [1, 2]
    assert made[0].seen[0].frame == 5  # all are equally large: the last one
    found = apply(made, other, "new")
    assert (found.names, found.unfit, set(found.table.id.tolist())) == ({2: "a"}, [], {2})
    assert apply(made, TWO, "old").names == {1: "a"}
    swap = placed(*edits({"op": "swap", "id": 1, "other": 2, "frame": 3}), TWO, "old")
    assert [one.frame for one in swap.seen] == [3, 3]


def test_a_number_that_an_edit_made_is_free_in_the_other_run() -> None:
    other = replace(TWO, id=np.where(TWO.id == 1, 7, 2))
    split = placed(*edits({"op": "split", "id": 1, "frame": 3, "new": 7}), TWO, "old")
    after = apply([split], TWO).table
    named = placed(*edits({"op": "name", "id": 7, "name": "b"}), after, "old")
    found = apply([split, named], other, "new")
    assert found.unfit == []
    assert set(found.table.id[found.table.frame < 3].tolist()) == {2, 7}
    assert set(found.table.id[found.table.frame >= 3].tolist()) == {2, 8}
    assert found.names == {8: "b"}


@pytest.mark.parametrize("seed", range(6))
def test_no_identity_is_twice_in_a_frame(seed: int) -> None:
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(25):
        a, b = map(int, rng.choice(6, 2, replace=False) + 1)
        frame = int(rng.integers(0, 12))
        made.append(
            [
                {"op": "merge", "id": a, "other": b},
                {"op": "split", "id": a, "frame": frame, "new": int(rng.integers(1, 9))},
                {"op": "swap", "id": a, "other": b, "frame": frame},
                {"op": "box", "id": a, "frame": frame, "xyxy": [0, 0, 5, 5]},
                {"op": "undo", "of": max(0, len(made) - 1)},
            ][int(rng.integers(5))]
        )
    start = table([(f, i) for f in range(12) for i in range(1, 7) if rng.random() < 0.7])
    found = apply(edits(*made), start).table
    keys = list(zip(found.frame.tolist(), found.id.tolist(), strict=True))
    assert keys == sorted(set(keys))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"op": "mergge", "id": 1, "other": 2}, "edit: "),
        ({"op": "merge", "id": 0, "other": 2}, "merge.id"),
        ({"op": "merge", "id": 1}, "merge.other"),
        ({"op": "box", "id": 1, "frame": 0, "xyxy": [0, 0, float("nan"), 3]}, "finite"),
        ({"op": "box", "id": 1, "frame": 0, "xyxy": [0, 0, 1e300, 3]}, "less than or equal to 1000000"),
        ({"op": "box", "id": 2**32, "frame": 0, "xyxy": [0, 0, 3, 3]}, "box.id"),
        ({"op": "split", "id": 1, "frame": 3, "new": 2**32}, "split.new"),
        ({"op": "name", "id": 1, "name": "x" * 101}, "name.name"),
        ([], "edit: "),
        ({"op": "delete", "id": 1, "extra": 2}, "extra"),
    ],
)
def test_edits_that_are_none(raw: object, message: str) -> None:
    with pytest.raises(InputError, match=message) as told:
        parse_edit(raw)
    assert "\n" not in str(told.value)


def test_a_file_of_edits_grows_and_breaks_off(tmp_path: Path) -> None:
    path = tmp_path / "v.edits.jsonl"
    assert read_edits(path) == []
    (one,) = edits(MERGE)
    assert [append_edit(path, one), append_edit(path, one, expected=1)] == [0, 1]
    with pytest.raises(InputError, match="2 edits there, 1 known here"):
        append_edit(path, one, expected=1)
    with path.open("a") as file:
        file.write('{"op": "mer')  # killed here
    assert len(read_edits(path)) == 2
    assert append_edit(path, one, expected=2) == 2
    assert read_edits(path) == [one] * 3
    path.write_text("nonsense\n")
    with pytest.raises(InputError, match="line 1: no JSON"):
        read_edits(path)


def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    code = (
        "import sys; from retrace.tracker.offline.edits import *\n"
        "k = 0\n"
        "while True:\n"
        "    append_edit(sys.argv[1], parse_edit({'op': 'sure', 'id': k + 1})); k += 1; print(k, flush=True)\n"
    )
    path = tmp_path / "e.jsonl"
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout
    said = 0
    for line in child.stdout:
        said = int(line)
        if said >= 20:
            os.kill(child.pid, signal.SIGKILL)
            break
    child.wait()
    found = read_edits(path)
    assert len(found) >= said
    assert [edit.id for edit in found] == list(range(1, len(found) + 1))
    assert json.loads(path.read_text().splitlines()[0]) == {"op": "sure", "id": 1, "sure": True}
