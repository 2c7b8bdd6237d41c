"""Text sinks: what they write, and resuming to the same bytes. What they share with the others: test_sinks.py."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from retrace.configs import InputError
from retrace.tracker.mot_file import read_results
from retrace.tracker.outputs.text import MotSink, TextSink, json_line
from tests.tracker.outputs.sinks import Sink, step

TEXT = [MotSink, partial(TextSink, json_line)]


def test_mot_text_is_1_based_tlwh(tmp_path: Path) -> None:
    sink = MotSink(tmp_path / "out" / "a.txt")
    for s in (step(0), step(1, boxes=0), step(2)):
        sink.write(s)
    assert sink.finish() == tmp_path / "out" / "a.txt"
    lines = (tmp_path / "out" / "a.txt").read_text().splitlines()
    assert lines == [
        "1,1,0.00,2.00,8.25,18.00,0.7500,-1,-1,-1",
        "1,2,4.00,6.00,8.25,18.00,0.7500,-1,-1,-1",
        "3,1,1.00,3.00,8.25,18.00,0.7500,-1,-1,-1",
        "3,2,5.00,7.00,8.25,18.00,0.7500,-1,-1,-1",
    ]
    table = read_results(tmp_path / "out" / "a.txt")
    assert table.frame.tolist() == [0, 0, 2, 2]


def test_json_lines_have_every_field_of_every_frame(tmp_path: Path) -> None:
    sink = TextSink(json_line, tmp_path / "a.jsonl")
    for s in (step(0), step(3, boxes=0)):
        sink.write(s)
    first, second = [json.loads(line) for line in sink.finish().read_text().splitlines()]
    assert first == {
        "frame": 0,
        "time": 0.0,
        "detections": 2,
        "tracks": [
            {"id": 1, "xyxy": [0.0, 2.0, 8.25, 20.0], "score": 0.75, "class_id": 0, "det_index": -1},
            {"id": 2, "xyxy": [4.0, 6.0, 12.25, 24.0], "score": 0.75, "class_id": 0, "det_index": 0},
        ],
    }
    assert second == {"frame": 3, "time": 0.3, "detections": 0, "tracks": []}


@pytest.mark.parametrize("kind", TEXT)
def test_text_resumes_to_the_same_bytes(tmp_path: Path, kind: Sink) -> None:
    """Stopped without warning after frame 6, with the last checkpoint after frame 4."""
    steps = [step(i) for i in range(10)]
    whole = kind(tmp_path / "whole")
    for s in steps:
        whole.write(s)
    first = kind(tmp_path / "part")
    for s in steps[:4]:
        first.write(s)
    at = first.position()
    assert (tmp_path / "part.partial").stat().st_size == at  # on disk, should the process be killed now
    for s in steps[4:6]:
        first.write(s)
    first.position()
    del first
    second = kind(tmp_path / "part", resume_at=at)
    assert second.position() == at
    for s in steps[4:]:
        second.write(s)
    assert second.finish().read_bytes() == whole.finish().read_bytes()


@pytest.mark.parametrize("kind", TEXT)
def test_there_must_be_something_to_resume(tmp_path: Path, kind: Sink) -> None:
    with pytest.raises(InputError, match=r"a.partial: expected the 10 bytes written so far; start without"):
        kind(tmp_path / "a", resume_at=10)
    (tmp_path / "a.partial").write_bytes(b"123")
    with pytest.raises(InputError, match="expected the 10 bytes"):
        kind(tmp_path / "a", resume_at=10)
    assert (tmp_path / "a.partial").read_bytes() == b"123"
    kind(tmp_path / "a", resume_at=3).abandon()
