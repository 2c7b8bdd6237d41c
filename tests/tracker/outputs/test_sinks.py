"""What every sink promises: when the target appears, what a stopped run leaves, where it cannot be written."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tracker.outputs.pictures import ContactSheet, VideoSink
from retrace.tracker.outputs.text import MotSink, TextSink, json_line
from tests.tracker.outputs.sinks import Sink, decoded, names, step

ALL: list[tuple[Sink, str]] = [
    (MotSink, "a.txt"),
    (partial(TextSink, json_line), "a.jsonl"),
    (lambda path: VideoSink(path, 10), "a.mp4"),
    (ContactSheet, "a.png"),
]


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_the_target_appears_only_when_it_is_whole(tmp_path: Path, kind: Sink, name: str) -> None:
    (tmp_path / name).write_bytes(b"an earlier result")
    sink = kind(tmp_path / name)
    sink.write(step(0))
    sink.position()
    assert (tmp_path / name).read_bytes() == b"an earlier result"
    assert names(tmp_path) == [name, f"{name}.partial"]
    assert sink.finish() == tmp_path / name
    assert names(tmp_path) == [name]
    assert (tmp_path / name).read_bytes() != b"an earlier result"


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_an_abandoned_run_leaves_a_usable_file_that_is_called_partial(
    tmp_path: Path, kind: Sink, name: str
) -> None:
    sink = kind(tmp_path / name)
    for i in range(5):
        sink.write(step(i))
    assert sink.abandon() == tmp_path / f"{name}.partial"
    assert names(tmp_path) == [f"{name}.partial"]
    left = tmp_path / f"{name}.partial"
    if name == "a.mp4":
        assert len(decoded(left)[0]) == 5
    elif name == "a.png":
        assert cv2.imdecode(np.fromfile(left, np.uint8), cv2.IMREAD_COLOR) is not None
    else:
        assert left.read_text().endswith("\n")


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_a_place_that_cannot_be_written_is_refused_at_once(tmp_path: Path, kind: Sink, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError) as caught:
        kind(tmp_path / "file" / name)
    assert str(caught.value).startswith(f"{tmp_path / 'file' / name}: cannot be written (")
    assert str(caught.value).endswith("; choose another output folder")
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match="is a folder, expected a place for a file"):
        kind(tmp_path / name)


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_a_sink_is_a_context(tmp_path: Path, kind: Sink, name: str) -> None:
    steps = [step(i) for i in range(3)]
    with kind(tmp_path / name) as sink:
        assert list(sink.through(iter(steps))) == steps
    assert names(tmp_path) == [name]
    whole = (tmp_path / name).read_bytes()
    other = kind(tmp_path / "b" / name)
    for one in steps:
        other.write(one)
    assert other.finish().read_bytes() == whole
    broken = kind(tmp_path / "c" / name)
    with pytest.raises(ZeroDivisionError), broken:
        raise ZeroDivisionError
    assert names(tmp_path / "c") == [f"{name}.partial"]
