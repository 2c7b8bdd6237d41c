"""Time and numbers of decoded frames: the clock, lost frames, damage, order."""

from __future__ import annotations

import gc
import io
from pathlib import Path

import av
import numpy as np
import pytest

from retrace.tracker.sources.decode import Decoder
from tests.tracker.sources.made_videos import number_of, overwritten, video_bytes


def decode(data: bytes) -> tuple[dict[int, tuple[float, np.ndarray]], list[int], Decoder]:
    """Shown frames by number (time, image), numbers of lost ones, the decoder when it is done."""
    shown, lost = {}, []
    with av.open(io.BytesIO(data)) as container:
        decoder = Decoder(container)
        for frame in decoder.frames():
            if frame.image is None:
                lost.append(frame.index)
            else:
                shown[frame.index] = (frame.time, frame.image)
    return shown, lost, decoder


@pytest.mark.parametrize(
    ("container", "codec", "options"),
    [
        ("mp4", "libx264", {"bf": "3", "g": "20"}),  # comes out in another order than it goes in
        ("avi", "mpeg4", {"bf": "2"}),
        ("matroska", "libx264", {}),
        ("mpegts", "mpeg2video", {"bf": "2"}),
        ("webm", "libvpx", {"auto-alt-ref": "1", "lag-in-frames": "8", "deadline": "realtime"}),
        ("h264", "libx264", {}),  # has no timestamps at all
    ],
)
def test_every_frame_comes_with_its_number_and_time(
    container: str, codec: str, options: dict[str, str]
) -> None:
    shown, lost, decoder = decode(video_bytes(container, codec, 30, options))
    assert lost == []
    assert decoder.index == 30
    assert [number_of(image) for _, image in shown.values()] == list(shown) == list(range(30))
    assert [t for t, _ in shown.values()] == pytest.approx([i / 25 for i in range(30)], abs=1e-3)


def test_variable_frame_rate_is_honoured() -> None:
    stamps = [0, 40, 95, 300, 310, 1000]
    shown, _, _ = decode(video_bytes("matroska", count=6, milliseconds=stamps))
    assert [t for t, _ in shown.values()] == pytest.approx([s / 1000 for s in stamps], abs=1e-9)


def test_a_frame_that_cannot_be_decoded_keeps_its_number_and_its_time() -> None:
    whole = video_bytes("mp4")
    reference, _, _ = decode(whole)
    shown, lost, decoder = decode(overwritten(whole, 0.5, 3000))
    assert decoder.index == 60
    assert lost
    assert sorted([*shown, *lost]) == list(range(60))
    assert min(lost) > 15
    assert max(lost) < 45
    for index, (time, image) in shown.items():
        assert time == reference[index][0]
        if not 20 <= index < 40:  # other groups of pictures are untouched
            assert np.array_equal(image, reference[index][1])


def test_frames_that_an_avi_swallows_are_numbered_from_its_index() -> None:
    """FFmpeg alone counts on from the last packet it saw, so all that follows would be some frames early."""
    shown, lost, decoder = decode(overwritten(video_bytes("avi", "mpeg4", options={"g": "5"}), 0.5, 3000))
    assert len(lost) >= 2
    assert decoder.index == 60
    after = [i for i in shown if i > max(lost) + 5]  # from the next key frame on
    assert len(after) > 10
    assert [number_of(shown[i][1]) for i in after] == after
    assert [shown[i][0] for i in after] == pytest.approx([i / 25 for i in after])


def test_a_broken_first_frame_is_frame_0() -> None:
    whole = video_bytes("matroska", count=20, options={"g": "5", "bf": "0"})
    with av.open(io.BytesIO(whole)) as container:
        first = next(container.demux(video=0))
        at = whole.index(bytes(first)[-400:])
    shown, lost, decoder = decode(whole[: at - 300] + bytes(700) + whole[at + 400 :])
    assert lost[:1] == [0]
    assert decoder.index == 20
    assert number_of(shown[10][1]) == 10
    assert shown[10][0] == pytest.approx(0.4, abs=1e-3)


def test_packets_that_are_no_frames_of_their_own_are_not_lost_frames() -> None:
    """Interlaced video may have a packet a field: a frame comes out with the stamp of its first field."""
    with av.open(io.BytesIO(video_bytes("mpegts", count=2))) as container:
        decoder = Decoder(container)
        decoder._waiting = [0, 1, 2, 3, 4, 5]
        assert [decoder._lost_before(pts) for pts in (0, 2)] == [[], []]
        decoder._errors = 1  # one of two fields failed; only so many frames can be lost
        assert decoder._lost_before(5) == [3]


def test_without_such_packets_all_that_is_overtaken_after_an_error_is_lost() -> None:
    with av.open(io.BytesIO(video_bytes("mpegts", count=2))) as container:
        decoder = Decoder(container)
        decoder._waiting = [0, 1, 2, 3, 4]
        assert decoder._lost_before(0) == []
        decoder._errors = 1
        assert decoder._lost_before(4) == [1, 2, 3]


def test_an_unstamped_stream_loses_as_many_frames_as_errors() -> None:
    with av.open(io.BytesIO(video_bytes("h264", count=2))) as container:
        decoder = Decoder(container)
        decoder._errors = 2
        assert decoder._lost_before(None) == [None, None]
        assert decoder._lost_before(None) == []


def test_the_size_may_change_on_the_way() -> None:
    data = video_bytes("h264", count=5) + video_bytes("h264", count=5, size=(64, 64))
    shown, _, _ = decode(data)
    assert [image.shape for _, image in shown.values()] == [(96, 128, 3)] * 5 + [(64, 64, 3)] * 5


@pytest.mark.parametrize(
    ("matrix", "turns"),
    [
        ((0, 1, -1, 0), 3),  # the decoded picture is to be turned clockwise: a phone held upright
        ((-1, 0, 0, -1), 2),
        ((0, -1, 1, 0), 1),
    ],
)
def test_a_display_matrix_turns_the_picture_upright(matrix: tuple[int, ...], turns: int) -> None:
    """The track header's matrix (ISO 14496-12: 16.16 fixed point a b u c d v x y w) is patched by hand."""
    data = bytearray(video_bytes("mp4", count=3))
    identity = b"".join(v.to_bytes(4, "big") for v in (0x10000, 0, 0, 0, 0x10000, 0))
    at = data.index(identity, data.index(b"tkhd"))
    a, b, c, d = (v * 0x10000 for v in matrix)
    data[at : at + 24] = b"".join(v.to_bytes(4, "big", signed=True) for v in (a, b, 0, c, d, 0))
    straight, _, _ = decode(video_bytes("mp4", count=3))
    shown, _, _ = decode(bytes(data))
    assert np.array_equal(shown[1][1], np.rot90(straight[1][1], turns))


def test_pictures_are_given_back_at_once() -> None:
    """Not only when the garbage collector comes: their memory, megabytes each, is nothing that it knows of."""
    data = video_bytes("mp4", count=60, codec="libx264", options={"g": "20"})
    kept = gc.get_debug()
    gc.collect()
    gc.disable()
    try:
        decode(data)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        left = sum(isinstance(one, av.VideoFrame) for one in gc.garbage)
    finally:
        gc.set_debug(kept)
        gc.garbage.clear()
        gc.enable()
    assert left <= 4  # key frames


def test_vtest_is_frame_for_frame_the_ground_truths_sequence(shared: Path) -> None:
    with av.open(str(shared / "videos" / "vtest.avi")) as container:
        decoder = Decoder(container)
        got = [(f.index, f.time) for f in decoder.frames(start=790)]
    assert decoder.index == 795
    assert got == [(i, pytest.approx(i / 10)) for i in range(790, 795)]


def test_a_frame_that_comes_late_after_damage_does_not_count_twice(shared: Path) -> None:
    """In this damaged file the decoder emits number 139 after 168."""
    data = (shared / "videos" / "people-walking.mp4").read_bytes()
    with av.open(io.BytesIO(overwritten(data, 0.5, 300_000))) as container:
        decoder = Decoder(container)
        numbers = [(f.index, f.image is not None) for f in decoder.frames(start=130)]
    assert [i for i, _ in numbers] == list(range(130, 314))
    assert 10 < sum(not shown for _, shown in numbers) < 60
