"""What a source's name means; and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tracker import Detections, Tracker
from retrace.tracker.detection.boxes_file import Detector
from retrace.tracker.pipeline import run
from retrace.tracker.sources import open_source
from tests.tracker.sources.made_folders import images, written
from tests.tracker.sources.made_videos import video_bytes


def refusal(spec: str | Path, **more: object) -> str:
    with pytest.raises(InputError) as caught:
        open_source(spec, **more)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) <= 500
    return message


def test_a_missing_file_names_what_could_be_given() -> None:
    assert refusal("nowhere/a.mp4").startswith(
        "nowhere/a.mp4: no such file or folder; expected a video file, image"
    )


@pytest.mark.parametrize(
    "name", ["10:30.mp4", "cam-1:a.mp4", "data:x.mp4", "file:a.mp4", "2024", "100%d.mp4", "a b#?.mp4"]
)
def test_what_lies_there_is_a_file_whatever_its_name_looks_like(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    written(tmp_path / name, video_bytes("mp4", count=3))
    monkeypatch.chdir(tmp_path)
    source = open_source(name)
    assert (len(list(source)), source.live) == (3, False)


def test_a_folder_named_by_a_number_is_no_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images(tmp_path / "0000", ["0.png", "1.png"])
    monkeypatch.chdir(tmp_path)
    assert [f.index for f in open_source("0000")] == [0, 1]


@pytest.mark.parametrize("spec", ["²", "１", "99999999999999999999", "-1", "0x1", ""])
def test_what_only_looks_like_a_number_is_no_camera(spec: str) -> None:
    assert "no such file or folder" in refusal(spec)


def test_a_file_url_is_the_file(tmp_path: Path) -> None:
    path = written(tmp_path / "a b.mp4", video_bytes("mp4", count=3))
    assert len(list(open_source(f"file://{path.replace(' ', '%20')}"))) == 3


def test_what_never_ends_or_never_begins_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mp4")
    for spec in (tmp_path / "a.mp4", "/dev/zero", "/dev/null"):
        assert "is no file and no folder" in refusal(spec)


@pytest.mark.parametrize("spec", ["a\0b.mp4", "x" * 300, "y/" * 3000, "a\nb.mp4", "\udcff.mp4"])
def test_names_that_cannot_be_are_refused_in_a_short_line(spec: str) -> None:
    refusal(spec)


@pytest.mark.parametrize("start", [-1, 1.5, "1", None])
def test_frames_begin_at_a_whole_number(tmp_path: Path, start: int) -> None:
    (tmp_path / "a.mp4").write_bytes(video_bytes("mp4", count=2))
    with pytest.raises(InputError, match="`start`"):
        open_source(tmp_path / "a.mp4").frames(start)


def test_a_name_that_is_no_utf8(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff.mp4"
    with open(path, "wb") as file:
        file.write(video_bytes("mp4", count=2))
    assert len(list(open_source(os.fsdecode(path)))) == 2


def test_a_rate_that_is_none_is_refused(tmp_path: Path) -> None:
    folder = images(tmp_path / "shots", ["0.png"])
    for fps in (0, float("nan"), "25", True):
        assert "fps must be a " in refusal(folder, fps=fps)


def test_a_rate_without_effect_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.mp4", video_bytes("mp4", count=2))
    assert "has timestamps of its own, so fps does nothing" in refusal(path, fps=5)


def test_a_rate_for_a_video_without_timestamps(tmp_path: Path) -> None:
    path = written(tmp_path / "a.h264", video_bytes("h264", count=3))
    source = open_source(path, fps=5)
    assert [f.time for f in source] == pytest.approx([0, 0.2, 0.4])
    assert (source.fps, source.warnings) == (5, [])
    plain = open_source(path)
    assert [f.time for f in plain] == pytest.approx([0, 0.04, 0.08])
    assert plain.warnings[0].endswith("has no timestamps, taken for 25 frames/s; fps sets another rate")


def test_a_source_can_be_iterated_over_again_and_again(tmp_path: Path) -> None:
    source = open_source(written(tmp_path / "a.mp4", video_bytes("mp4", count=4)))
    assert [f.index for f in source] == [f.index for f in source] == [0, 1, 2, 3]


def test_a_source_goes_into_the_pipeline_as_it_is(tmp_path: Path) -> None:
    source = open_source(written(tmp_path / "a.mp4", video_bytes("mp4", count=3)))
    nobody = Detector("nobody", lambda frame: Detections.empty())
    tracker = Tracker.from_config("sort", source.fps)
    assert [step.frame.index for step in run(source, nobody, tracker)] == [0, 1, 2]
    for frames in ("a.mp4", [np.zeros((4, 4, 3), np.uint8)]):
        with pytest.raises(InputError, match=r"expected frames as open_source\(\.\.\.\) gives them, got "):
            next(run(frames, nobody, tracker))  # type: ignore[arg-type]
