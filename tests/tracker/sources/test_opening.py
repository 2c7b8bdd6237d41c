"""What a source's name means; and what is refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import cv2
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


class TestFaults:
    """Inputs that went wrong for others: shared/faults, each with what must happen."""

    @pytest.fixture
    def faults(self, shared: Path) -> Path:
        return shared.parent / "faults"

    @pytest.mark.parametrize("name", ["rec.webm", "rec.wmv"])
    def test_webm_1000fps(self, faults: Path, name: str) -> None:
        source = open_source(faults / "track" / "webm-1000fps" / name)
        frames = list(source)
        assert [f.index for f in frames] == list(range(60))
        assert source.fps == pytest.approx(30, abs=0.5)
        assert (source.corrupt, source.warnings) == ([], [])
        assert frames[-1].time == pytest.approx(1.978)

    def test_colon_in_name(self, faults: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        shutil.copy(faults / "track" / "colon-in-name" / "ten-thirty.mp4", tmp_path / "10:30.mp4")
        monkeypatch.chdir(tmp_path)
        assert len(list(open_source("10:30.mp4"))) == 20

    def test_folder_named_0000(self, faults: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(faults / "track" / "folder-named-0000")
        assert len(list(open_source("0000"))) == 10

    def test_anamorphic(self, faults: Path) -> None:
        path = faults / "track" / "anamorphic" / "sar.mp4"
        source = open_source(path)
        assert (source.size, source.pixel_aspect) == ((240, 320), 2)
        assert "its pixels are 2 times as wide as high" in source.warnings[0]
        square = open_source(path, square_pixels=True)
        assert (square.size, square.pixel_aspect) == ((240, 640), 1)
        assert square.warnings[0].endswith("pictures are resampled, boxes are in square pixels")
        assert {f.image.shape for f in square if f.image is not None} == {(240, 640, 3)}

    def test_mirrored_display_matrix(self, faults: Path) -> None:
        """The three show one picture; undone, they are the same again."""
        seen = {}
        for name in ("hflip", "vflip", "transpose"):
            frame = next(iter(open_source(faults / "track" / "mirrored-display-matrix" / f"{name}.mp4")))
            assert frame.image is not None
            seen[name] = frame.image
        stored = seen["hflip"][:, ::-1]
        assert np.array_equal(seen["vflip"], stored[::-1])
        assert np.array_equal(seen["transpose"], stored.swapaxes(0, 1))

    def test_sixteen_bit(self, faults: Path) -> None:
        source = open_source(faults / "track" / "sixteen-bit" / "t16")
        assert min(float(f.image.std()) for f in source if f.image is not None) > 40  # it was 0.2

    def test_images_numbered_elsewhere(self, faults: Path) -> None:
        folder = faults / "track" / "mot-images-numbered-elsewhere"
        half = open_source(folder / "seq_half")
        assert [f.index for f in half] == list(range(10))
        more = open_source(folder / "seq_more")
        assert len(list(more)) == 10
        assert "left out 10 images" in more.warnings[0]
        gap = open_source(folder / "seq_gap_thumb")
        assert [f.index for f in gap] == [0, 1, 2, 5, 6, 7, 8, 9]
        sixth = cv2.imread(str(folder / "seq_gap_thumb" / "img1" / "000006.png"))
        assert np.array_equal(next(f.image for f in gap if f.index == 5), sixth)
        assert "thumb.png" in gap.warnings[0]

    def test_a_timestamp_jump(self, faults: Path) -> None:
        """632 bytes that said 20,000,000 frames were lost."""
        source = open_source(faults / "attack" / "jump.ivf")
        frames = list(source)
        assert [f.time for f in frames] == pytest.approx([k / 25 for k in range(12)])
        assert source.corrupt == []
        [warning] = source.warnings
        assert warning.endswith("1 gap in its timestamps, 800000 s in all, taken for one frame each")
