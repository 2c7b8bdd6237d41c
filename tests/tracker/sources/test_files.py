"""Sources from files: videos whole and broken, image folders, MOTChallenge sequences; and what is refused."""

from __future__ import annotations

import io
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tracker.sources import open_source
from tests.tracker.sources.made_videos import number_of, overwritten, picture, video_bytes

INI = "[Sequence]\nname=other\nimDir=img1\nframeRate=20\nseqLength={length}\nimWidth=128\nimHeight=96\nimExt=.png\n"


def written(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


def images(folder: Path, names: list[str]) -> Path:
    """A folder with picture(0), picture(1), ... under the names."""
    folder.mkdir(parents=True)
    for index, name in enumerate(names):
        assert cv2.imwrite(str(folder / name), picture(index))
    return folder


def sequence(tmp_path: Path, length: int, names: list[str] | None) -> Path:
    folder = tmp_path / "SEQ-01"
    folder.mkdir()
    (folder / "seqinfo.ini").write_text(INI.format(length=length))
    if names is not None:
        images(folder / "img1", names)
    return folder


def test_a_video_file(tmp_path: Path) -> None:
    source = open_source(written(tmp_path / "walk.v2.mp4", video_bytes("mp4", count=20)))
    frames = list(source.frames())
    assert (source.name, source.fps, source.size, source.length, source.live) == (
        "walk.v2",
        25.0,
        (96, 128),
        20,
        False,
    )
    assert [f.index for f in frames] == [number_of(f.image) for f in frames] == list(range(20))
    assert [f.time for f in frames] == pytest.approx([i / 25 for i in range(20)])
    assert frames[0].image.dtype == np.uint8
    assert source.corrupt == source.warnings == []


def test_a_reading_begins_exactly_where_it_is_told_to(tmp_path: Path) -> None:
    source = open_source(written(tmp_path / "a.mkv", video_bytes("matroska", count=20, options={"bf": "3"})))
    whole, tail = list(source.frames()), list(source.frames(start=13))
    assert [(f.index, f.time) for f in tail] == [(f.index, f.time) for f in whole[13:]]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(tail, whole[13:], strict=True))
    assert list(source.frames(start=20)) == []
    assert source.warnings == []


def test_a_video_without_a_frame_count_has_an_estimated_length(tmp_path: Path) -> None:
    source = open_source(written(tmp_path / "a.mkv", video_bytes("matroska", count=50)))
    assert source.length == 50
    assert open_source(written(tmp_path / "a.h264", video_bytes("h264", count=5))).length is None


def test_corrupt_frames_are_skipped_and_listed_anew_each_time(tmp_path: Path) -> None:
    source = open_source(written(tmp_path / "a.mp4", overwritten(video_bytes("mp4"), 0.5, 3000)))
    shown = [f.index for f in source.frames()]
    assert source.corrupt
    assert sorted(shown + source.corrupt) == list(range(60))
    assert source.warnings == []  # it does not break off
    first = list(source.corrupt)
    list(source.frames(start=first[0] + 1))
    assert source.corrupt == first[1:]


@pytest.mark.parametrize("muxer", [{}, {"movflags": "faststart"}])
def test_a_video_that_breaks_off_is_delivered_as_far_as_it_goes(
    tmp_path: Path, muxer: dict[str, str]
) -> None:
    kind = "mp4" if muxer else "avi"
    data = video_bytes(kind, "libx264" if muxer else "mpeg4", muxer=muxer)
    source = open_source(written(tmp_path / f"cut.{kind}", data[: int(len(data) * 0.6)]))
    frames = list(source.frames())
    count = frames[-1].index + 1
    assert 20 < count < 50
    assert [number_of(f.image) for f in frames] == list(range(count))
    assert source.length == 60
    [warning] = source.warnings
    assert warning.endswith(f"cut.{kind}: breaks off at frame {count} of 60")


def test_a_video_of_roughly_known_length_that_breaks_off(tmp_path: Path) -> None:
    data = video_bytes("matroska", count=200, options={"g": "20"})
    source = open_source(written(tmp_path / "cut.mkv", data[: len(data) // 2]))
    count = sum(1 for _ in source.frames())
    assert 80 < count < 120
    assert [w.split(": ")[1] for w in source.warnings] == [f"breaks off at frame {count} of about 200"]


def audio_bytes() -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="wav") as out:
        stream = out.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.rate = 8000
        out.mux(stream.encode(frame))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("det.txt", b"1,-1,10,20,30,60,0.9\n" * 99, "not readable as a video (it is a text file)"),
        ("empty.mp4", b"", "not readable as a video"),
        ("rest.mp4", video_bytes("mp4", count=20)[:2000], "not readable as a video"),  # its index is gone
        ("tone.wav", audio_bytes(), "has no video stream"),
    ],
)
def test_what_is_no_video_is_refused_in_one_line(
    tmp_path: Path, name: str, data: bytes, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path / name, data)
    with pytest.raises(InputError) as caught:
        open_source(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert message in text
    assert "\n" not in text
    assert capfd.readouterr().err == ""


def test_a_video_without_one_good_frame_is_refused(tmp_path: Path) -> None:
    data = video_bytes("mp4", count=10, muxer={"movflags": "faststart"})
    at = data.index(b"mdat") + 4
    with pytest.raises(InputError, match="no frame of it can be decoded"):
        open_source(written(tmp_path / "black.mp4", data[:at] + bytes(len(data) - at)))


def test_a_missing_file_names_what_could_be_given() -> None:
    with pytest.raises(
        InputError, match=r"^nowhere/a.mp4: no such file or folder; expected a video file, image"
    ):
        open_source("nowhere/a.mp4")


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


def test_a_rate_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"fps must be a positive number .*, got 0"):
        open_source(images(tmp_path / "shots", ["0.png"]), fps=0)


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


def test_real_videos(shared: Path) -> None:
    source = open_source(shared / "videos" / "vtest.avi")
    frames = [(f.index, f.time, f.image.shape) for f in source.frames()]
    assert (source.name, source.fps, source.size, source.length) == ("vtest", 10, (576, 768), 795)
    assert frames == [(i, pytest.approx(i / 10), (576, 768, 3)) for i in range(795)]
    for name, size, length in (
        ("people-walking", (720, 1280), 314),
        ("one-by-one-person-detection", (432, 768), 1394),
    ):
        source = open_source(shared / "videos" / f"{name}.mp4")
        assert (source.name, source.size, source.length) == (name, size, length)


def test_a_real_video_that_breaks_off(shared: Path, tmp_path: Path) -> None:
    data = (shared / "videos" / "vtest.avi").read_bytes()
    source = open_source(written(tmp_path / "vtest.avi", data[: len(data) // 2]))
    assert sum(1 for _ in source.frames()) == 398
    assert source.warnings[0].endswith("breaks off at frame 398 of 795")


def test_real_sequences(shared: Path) -> None:
    source = open_source(shared / "MOT15-train" / "TUD-Campus")
    assert (source.name, source.length, source.size) == ("TUD-Campus", 71, (480, 640))
    assert [f.image.shape for f in source.frames()] == [(480, 640, 3)] * 71
    source = open_source(shared / "MOT15-train" / "PETS09-S2L1")
    frames = list(source.frames())
    assert len(frames) == source.length == 795
    assert frames[7].time == 1.0
    assert all(f.image is None for f in frames)
