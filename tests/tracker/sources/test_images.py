"""Image folders and MOTChallenge sequences."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tracker.sources import open_source
from tests.tracker.sources.made_folders import images, sequence
from tests.tracker.sources.made_videos import number_of


def test_an_image_folder_in_natural_order(tmp_path: Path) -> None:
    folder = images(tmp_path / "shots", ["img2.png", "img10.png", "IMG11.PNG"])
    (folder / "._img1.png").write_bytes(b"what a Mac leaves behind")
    (folder / "notes.txt").write_text("no image")
    source = open_source(folder, fps=5)
    frames = list(source.frames())
    assert (source.name, source.fps, source.size, source.length) == ("shots", 5, (96, 128), 3)
    assert [(f.index, f.time, number_of(f.image)) for f in frames] == [(0, 0.0, 0), (1, 0.2, 1), (2, 0.4, 2)]
    assert [f.index for f in source.frames(start=2)] == [2]


def test_images_of_other_sizes_and_depths_come_as_they_are(tmp_path: Path) -> None:
    folder = images(tmp_path / "mixed", ["0.png"])
    cv2.imwrite(str(folder / "1.png"), np.zeros((10, 20), np.uint16))
    cv2.imwrite(str(folder / "2.png"), np.zeros((5, 6, 4), np.uint8))
    frames = list(open_source(folder).frames())
    assert [f.image.shape for f in frames] == [(96, 128, 3), (10, 20, 3), (5, 6, 3)]
    assert {f.image.dtype for f in frames} == {np.dtype(np.uint8)}


@pytest.mark.parametrize(
    "ending",
    ["jpg", "JPE", "jfif", "tif", "tiff", "bmp", "dib", "webp", "ppm", "pnm", "gif", "jp2", "avif", "ras"],
)
def test_images_of_every_kind_are_seen(tmp_path: Path, ending: str) -> None:
    kind = {"JPE": "jpg", "jfif": "jpg"}.get(ending, ending)
    done, data = cv2.imencode(f".{kind}", np.full((32, 48, 3), 200, np.uint8))
    assert done
    (tmp_path / f"a.{ending}").write_bytes(data.tobytes())
    [frame] = open_source(tmp_path)
    assert frame.image is not None
    assert frame.image.shape == (32, 48, 3)
    assert abs(float(frame.image.mean()) - 200) < 3


def test_files_that_are_no_images_are_counted(tmp_path: Path) -> None:
    folder = images(tmp_path / "shots", ["0.png"])
    for name in ("a.txt", "b.txt", "c.heic", "README", ".hidden"):
        (folder / name).write_text("x")
    source = open_source(folder)
    assert len(list(source)) == 1
    assert [w.partition("shots: ")[2] for w in source.warnings] == [
        "left out 4 files that are no images (2 .txt, 1 .heic, 1 no ending)"
    ]


def test_a_warning_is_one_short_line_whatever_the_names(tmp_path: Path) -> None:
    folder = images(tmp_path / ("two\nlines" + "x" * 200), ["0.png"])
    (folder / ("y" * 200 + "\n.txt")).write_text("x")
    [warning] = open_source(folder).warnings
    assert "\n" not in warning
    assert len(warning) <= 500


def test_a_stray_name_in_a_folder_is_told(tmp_path: Path) -> None:
    folder = images(tmp_path / "shots", ["cover.png", *(f"img{k:02d}.png" for k in range(10))])
    source = open_source(folder)
    assert len(list(source)) == 11
    assert len(source.warnings) == 1
    assert "1 image (cover.png) outside the numbering of the others" in source.warnings[0]
    assert open_source(images(tmp_path / "free", ["a.png", "b.png"])).warnings == []


def test_what_is_only_named_like_an_image_keeps_its_place_and_is_not_waited_for(tmp_path: Path) -> None:
    """A pipe would never answer, a folder and a dangling link cannot be read."""
    folder = images(tmp_path / "shots", ["3.png"])
    os.mkfifo(folder / "0.png")
    (folder / "1.png").mkdir()
    (folder / "2.png").symlink_to("nowhere")
    source = open_source(folder)
    assert [f.index for f in source] == [3]
    assert source.corrupt == [0, 1, 2]


def test_deep_images_are_stretched_over_the_range_of_all(tmp_path: Path) -> None:
    """A thermal camera's 7000..7900 of 65535: the upper byte alone would be one grey."""
    for k in range(4):
        grey = np.tile(np.arange(7000 + 100 * k, 7600 + 100 * k, dtype=np.uint16), (20, 1))
        cv2.imwrite(str(tmp_path / f"{k}.png"), grey)
    source = open_source(tmp_path)
    first, *_, last = [f.image for f in source]
    assert first is not None
    assert last is not None
    assert (first.dtype, first.shape) == (np.uint8, (20, 600, 3))
    assert first[0, 0].tolist() == [0, 0, 0]
    assert last[0, -1].tolist() == [255, 255, 255]
    assert first[0, 300, 0] == pytest.approx(255 * 300 / 900, abs=1)  # one scale for all of them
    assert source.warnings[0].endswith("uint16 images, levels 7000..7899 are stretched to 0..255")


def test_floating_point_images_are_read(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "0.tif"), np.linspace(-1, 1, 600, dtype=np.float32).reshape(20, 30))
    [frame] = open_source(tmp_path)
    assert frame.image is not None
    assert (frame.image.min(), frame.image.max()) == (0, 255)


def test_opencv_says_nothing_of_its_own_on_standard_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It would write pages about a damaged TIFF; libpng alone cannot be kept quiet."""
    folder = images(tmp_path / "shots", ["0.tif", "1.tif"])
    data = (folder / "1.tif").read_bytes()
    (folder / "1.tif").write_bytes(data[:8] + bytes(40) + data[48 : len(data) // 2])
    source = open_source(folder)
    list(source)
    assert source.corrupt == [1]
    assert capfd.readouterr().err == ""


def test_an_unreadable_image_keeps_its_number(tmp_path: Path) -> None:
    folder = images(tmp_path / "shots", ["0.png", "1.png", "2.png", "3.png"])
    (folder / "1.png").write_bytes(b"broken")
    (folder / "2.png").write_bytes(b"")
    source = open_source(folder)
    assert [(f.index, number_of(f.image)) for f in source.frames()] == [(0, 0), (3, 3)]
    assert source.corrupt == [1, 2]
    assert [f.index for f in source.frames(start=2)] == [3]
    assert source.corrupt == [2]


def test_folders_without_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no images .*and no seqinfo.ini in it$"):
        open_source(tmp_path)
    images(tmp_path / "SEQ" / "img1", ["000001.png"])
    with pytest.raises(InputError, match=r"give .*img1, or add seqinfo.ini$"):
        open_source(tmp_path / "SEQ")
    broken = images(tmp_path / "broken", ["0.png", "1.png"])
    for file in broken.iterdir():
        file.write_bytes(b"x")
    with pytest.raises(InputError, match="none of its 2 images can be read"):
        open_source(broken)


def test_a_sequence_with_images(tmp_path: Path) -> None:
    folder = sequence(tmp_path, 3, ["000001.png", "000002.png", "000003.png"])
    for place in (folder, folder / "img1"):  # both mean the same
        source = open_source(str(place))
        assert (source.name, source.fps, source.size, source.length) == ("SEQ-01", 20, (96, 128), 3)
        assert [(f.index, f.time, number_of(f.image)) for f in source.frames()] == [
            (0, 0.0, 0),
            (1, 0.05, 1),
            (2, 0.1, 2),
        ]


def test_the_number_in_its_name_says_which_frame_an_image_is(tmp_path: Path) -> None:
    """Frame 2 is missing, frame 5 lies behind the end: neither may shift the others against the detections."""
    folder = sequence(tmp_path, 4, ["000001.png", "000003.png", "000004.png", "000005.png"])
    source = open_source(folder)
    assert [(f.index, number_of(f.image)) for f in source.frames()] == [(0, 0), (2, 1), (3, 2)]
    assert source.corrupt == [1]


def placed(tmp_path: Path, length: int, names: list[str]) -> tuple[dict[int, int], list[str]]:
    """frame -> number of the image that is shown there, and the warnings without the folder."""
    source = open_source(sequence(tmp_path, length, names))
    shown = {f.index: number_of(f.image) for f in source if f.image is not None}
    return shown, [line.partition("img1: ")[2] for line in source.warnings]


def test_images_numbered_from_elsewhere_are_the_frames_in_their_order(tmp_path: Path) -> None:
    shown, said = placed(tmp_path, 3, ["301.png", "302.png", "303.png"])
    assert shown == {0: 0, 1: 1, 2: 2}
    assert said == ["images are numbered 301..303, and taken in their order from frame 1"]


def test_names_that_are_timestamps_are_taken_in_their_order(tmp_path: Path) -> None:
    shown, said = placed(tmp_path, 3, ["1403636579763555584.png", "1403636579813555456.png"])
    assert shown == {0: 0, 1: 1}
    assert said[0].endswith("and taken in their order from frame 1")
    assert said[1] == "no image of 1 frames, first of frame 3"


def test_images_behind_the_end_are_left_out_with_a_word(tmp_path: Path) -> None:
    shown, said = placed(tmp_path, 2, [f"{k:06d}.png" for k in range(1, 8)])
    assert shown == {0: 0, 1: 1}
    assert said == ["left out 5 images (000003.png, 000004.png, 000005.png, ...), behind seqLength 2"]


def test_a_stray_image_beside_a_gap_renumbers_nothing(tmp_path: Path) -> None:
    shown, said = placed(tmp_path, 4, ["000001.png", "000002.png", "000004.png", "thumb.png"])
    assert shown == {0: 0, 1: 1, 3: 2}
    assert said == [
        "left out 1 image (thumb.png) outside the numbering of the others",
        "no image of 1 frames, first of frame 3",
    ]


def test_numbers_may_stand_behind_a_common_beginning_and_endings_differ(tmp_path: Path) -> None:
    shown, said = placed(tmp_path, 3, ["cam_1.jpg", "cam_1.png", "cam_2.PNG", "cam_3.jpg"])
    assert shown == {0: 1, 1: 2, 2: 3}  # of two that are frame 1 the one with seqinfo.ini's ending
    assert said == ["left out 1 image (cam_1.jpg) outside the numbering of the others"]


def test_numbers_that_could_mean_two_things_are_refused(tmp_path: Path) -> None:
    folder = sequence(tmp_path, 4, ["000003.png", "000004.png", "000005.png"])
    with pytest.raises(InputError, match=r"numbered 3\.\.5, but seqLength is 4; correct seqinfo\.ini"):
        open_source(folder)


def test_a_sequence_of_which_no_image_can_be_read_is_refused(tmp_path: Path) -> None:
    folder = sequence(tmp_path, 1, ["000001.png"])
    (folder / "img1" / "000001.png").write_bytes(b"x")
    with pytest.raises(InputError, match="none of its 1 images can be read"):
        open_source(folder)


def test_a_sequence_whose_images_have_another_size_than_it_says(tmp_path: Path) -> None:
    folder = sequence(tmp_path, 1, ["000001.png"])
    cv2.imwrite(str(folder / "img1" / "000001.png"), np.zeros((30, 40, 3), np.uint8))
    source = open_source(folder)
    assert source.size == (30, 40)
    assert source.warnings[0].endswith("images are 40x30, seqinfo.ini says 128x96")


def test_a_rate_for_a_sequence_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"seqinfo\.ini says the rate, so fps does nothing"):
        open_source(sequence(tmp_path, 1, None), fps=5)


@pytest.mark.parametrize("names", [["000000.png", "000001.png"], ["left.png", "right.png"]])
def test_sequences_numbered_from_0_or_not_at_all(tmp_path: Path, names: list[str]) -> None:
    frames = list(open_source(sequence(tmp_path, 2, names)).frames())
    assert [(f.index, number_of(f.image)) for f in frames] == [(0, 0), (1, 1)]


def test_a_sequence_without_images(tmp_path: Path) -> None:
    source = open_source(sequence(tmp_path, 3, None))
    assert (source.size, source.length, source.fps) == ((96, 128), 3, 20)
    assert [(f.index, f.time, f.image) for f in source.frames(start=1)] == [(1, 0.05, None), (2, 0.1, None)]


def test_an_empty_image_folder_of_a_sequence_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="img1: no images in it; fill or remove it"):
        open_source(sequence(tmp_path, 3, []))


def test_a_malformed_seqinfo_is_refused(tmp_path: Path) -> None:
    (tmp_path / "seqinfo.ini").write_text("[Sequence]\nframeRate=many\n")
    with pytest.raises(InputError, match=r"seqinfo.ini"):
        open_source(tmp_path)


def test_real_sequences(shared: Path) -> None:
    source = open_source(shared / "MOT15-train" / "TUD-Campus")
    assert (source.name, source.length, source.size) == ("TUD-Campus", 71, (480, 640))
    assert [f.image.shape for f in source.frames()] == [(480, 640, 3)] * 71
    source = open_source(shared / "MOT15-train" / "PETS09-S2L1")
    frames = list(source.frames())
    assert len(frames) == source.length == 795
    assert frames[7].time == 1.0
    assert all(f.image is None for f in frames)
