"""Video files, whole and broken."""

from __future__ import annotations

import io
import time
from pathlib import Path

import av
import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tracker.sources import container, open_source
from tests.tracker.sources.made_folders import written
from tests.tracker.sources.made_videos import number_of, overwritten, video_bytes


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


def test_the_rate_of_a_short_or_jittered_video_is_told_by_its_timestamps(tmp_path: Path) -> None:
    """Matroska without a default duration: FFmpeg says 1000 frames/s."""
    for stamps in ([0, 100, 200], [0, 95, 205, 300, 395, 500, 4000]):
        data = video_bytes("webm", "libvpx", len(stamps), {"deadline": "realtime"}, milliseconds=stamps)
        at = data.index(b"\x23\xe3\x83\x84")  # the default duration, 4 bytes, becomes a void of that size
        data = data[:at] + b"\xec\x86" + bytes(6) + data[at + 8 :]
        source = open_source(written(tmp_path / "a.webm", data))
        assert source.fps == pytest.approx(10, abs=0.2)
        assert [f.time for f in source] == pytest.approx([t / 1000 for t in stamps])
        assert source.corrupt == []


def test_a_gap_in_an_avi_that_repeats_pictures_is_no_lost_frame(tmp_path: Path) -> None:
    """A screen recorder's AVI at 1000 frames/s: chunks without content stand for "the same again"."""
    stamps = [0, 33, 67, 100, 133, 167, 200]
    source = open_source(
        written(tmp_path / "a.avi", video_bytes("avi", "mpeg4", 7, {"g": "1"}, milliseconds=stamps))
    )
    frames = list(source)
    assert [f.index for f in frames] == [number_of(f.image) for f in frames] == list(range(7))
    assert [f.time for f in frames] == pytest.approx([t / 1000 for t in stamps], abs=0.002)
    assert (source.corrupt, source.warnings, source.length) == ([], [], 7)
    assert source.fps == pytest.approx(30, abs=0.5)


def test_a_constant_timescale_does_not_make_a_pause_lost_frames(tmp_path: Path) -> None:
    """An MP4 of 25 ticks a second in which frames 3 to 7 were never made."""
    stamps = [0, 40, 80, 320, 360]
    data = video_bytes("mp4", count=5, milliseconds=stamps, muxer={"video_track_timescale": "25"})
    source = open_source(written(tmp_path / "a.mp4", data))
    assert [(f.index, f.time) for f in source] == [(i, pytest.approx(t / 1000)) for i, t in enumerate(stamps)]
    assert source.corrupt == []


def test_deep_grey_video_is_stretched(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = 20, 600, "gray16le"
        for k in range(5):
            grey = np.tile(np.arange(7000 + 50 * k, 7600 + 50 * k, dtype=np.uint16), (20, 1))
            out.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="gray16le")))
        out.mux(stream.encode())
    source = open_source(path)
    stds = [float(f.image.std()) for f in source if f.image is not None]
    assert len(stds) == 5
    assert min(stds) > 40
    assert "deep grey, levels 6850..7749 are stretched" in source.warnings[0]
    whole, tail = list(source), list(source.frames(3))
    assert np.array_equal(whole[3].image, tail[0].image)  # one scale, wherever a reading begins


def test_a_playlist_without_an_end_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "PATIENCE", 1.0)
    (tmp_path / "s.ts").write_bytes(video_bytes("mpegts", count=10))
    head = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:0\n"
    source = open_source(written(tmp_path / "a.m3u8", f"{head}#EXTINF:0.4,\ns.ts\n".encode()))
    begin = time.monotonic()
    assert len(list(source)) == 10
    assert time.monotonic() - begin < 10
