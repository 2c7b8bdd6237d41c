"""Image folders and MOTChallenge sequences."""

from __future__ import annotations

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
