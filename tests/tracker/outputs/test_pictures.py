"""Video and contact sheet: what is in them. What they share with the other sinks: test_sinks.py."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tracker.data import Detections, Frame, Step, Tracks
from retrace.tracker.outputs.draw import Painter
from retrace.tracker.outputs.pictures import ContactSheet, VideoSink
from retrace.tracker.outputs.style import Style
from tests.tracker.outputs.sinks import decoded, names, step


def test_the_video_is_h264_with_one_frame_a_step(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "a.mp4", 10.0, (48, 64))
    for i in range(30):
        sink.write(step(i, boxes=0))
    images, times, stream = decoded(sink.finish())
    assert (stream.codec_context.name, stream.pix_fmt, stream.frames) == ("h264", "yuv420p", 30)
    assert float(stream.average_rate) == pytest.approx(10)
    assert float(stream.duration * stream.time_base) == pytest.approx(3.0)
    assert times == pytest.approx([i / 10 for i in range(30)])
    assert [round(float(im.mean())) for im in images] == pytest.approx([50 + 2 * i for i in range(30)], abs=2)
    assert (tmp_path / "a.mp4").read_bytes().index(b"moov") < 100  # plays before it is all loaded
    assert sink.seconds["encode"] > 0


def test_the_videos_colours_are_those_of_the_frames(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "a.mp4", 10.0)
    colours = [(40, 60, 200), (40, 200, 60), (200, 60, 40)]
    for i, colour in enumerate(colours):
        image = np.full((64, 64, 3), colour, np.uint8)
        sink.write(Step(Frame(i, i / 10, image), Detections.empty(), step(0, boxes=0).tracks))
    images, _, _ = decoded(sink.finish())
    for image, colour in zip(images, colours, strict=True):
        assert np.abs(image.mean((0, 1)) - colour).max() < 6


def test_the_videos_frames_stand_as_long_as_their_times_say(tmp_path: Path) -> None:
    """A variable rate, a gap, a run that began late, and two frames with the same time."""
    sink = VideoSink(tmp_path / "a.mp4", 25.0)
    given = [60.0, 60.04, 60.1, 65.0, 65.0, 65.04]
    for i, time in enumerate(given):
        sink.write(step(i, time))
    _, times, _ = decoded(sink.finish())
    assert times == pytest.approx([t - 60 for t in given], abs=1e-4)
    assert (np.diff(times) > 0).all()


def test_boxes_are_drawn_into_the_video(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "a.mp4", 10.0)
    box = np.array([[40, 40, 120, 160]], np.float32)
    one = Tracks(np.array([1]), box, np.ones(1, np.float32), np.zeros(1, np.int32), np.array([0]))
    sink.write(Step(Frame(0, 0.0, np.full((200, 200, 3), 90, np.uint8)), Detections.empty(), one))
    [image], _, _ = decoded(sink.finish())
    assert np.abs(image[100, 40].astype(int) - 90).max() > 40
    assert np.abs(image[100, 80].astype(int) - 90).max() < 8
    assert sink.seconds["draw"] > 0


@pytest.mark.parametrize("size", [(47, 63), (48, 63), (47, 64)])
def test_odd_sizes_are_padded_by_one_pixel(tmp_path: Path, size: tuple[int, int]) -> None:
    sink = VideoSink(tmp_path / "a.mp4", 10.0, size)
    sink.write(step(0, size=size, boxes=0))
    [image], _, _ = decoded(sink.finish())
    assert image.shape == (48, 64, 3)
    assert np.abs(image.astype(int) - 50).max() < 6  # the border repeats the picture


def test_frames_of_another_size_and_frames_without_an_image_fit_in(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "a.mp4", 10.0)
    for s in (step(0), step(1, size=(100, 200)), step(2, size=(10, 12)), step(3, size=None)):
        sink.write(s)
    images, _, _ = decoded(sink.finish())
    assert [im.shape for im in images] == [(48, 64, 3)] * 4


def test_a_sequence_without_images_gives_a_video_on_grey(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "a.mp4", 10.0, (96, 128))
    for i in range(3):
        sink.write(step(i, size=None))
    images, _, _ = decoded(sink.finish())
    assert [im.shape for im in images] == [(96, 128, 3)] * 3


def test_a_video_without_frames_is_not_left_looking_whole(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no frame came"):
        VideoSink(tmp_path / "a.mp4", 10.0).finish()
    assert names(tmp_path) == ["a.mp4.partial"]


def test_the_caller_waits_only_when_the_queue_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, real = threading.Event(), Painter.paint

    def held(*rest: Any, **more: Any) -> np.ndarray:
        assert go.wait(20)
        return real(*rest, **more)

    monkeypatch.setattr(Painter, "paint", held)
    sink = VideoSink(tmp_path / "a.mp4", 10.0, waiting=4)
    for i in range(5):  # four in the queue, one in the encoder's hands
        sink.write(step(i))
    go.set()
    assert len(decoded(sink.finish())[0]) == 5


def test_an_error_of_the_encoder_crosses_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> np.ndarray:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Painter, "paint", full)
    sink = VideoSink(tmp_path / "a.mp4", 10.0, waiting=1)

    def fill() -> None:
        for i in range(100):  # never waits for ever on a queue that nobody empties
            sink.write(step(i))

    with pytest.raises(InputError, match=r"a.mp4: cannot be written \(No space left on device\)"):
        fill()
    with pytest.raises(InputError):
        sink.finish()
    assert names(tmp_path) == ["a.mp4.partial"]


def test_an_error_after_the_last_write_is_raised_by_finish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> np.ndarray:
        raise ZeroDivisionError

    monkeypatch.setattr(Painter, "paint", broken)
    sink = VideoSink(tmp_path / "a.mp4", 10.0)
    sink.write(step(0))
    with pytest.raises(ZeroDivisionError):
        sink.finish()
    assert not [t for t in threading.enumerate() if t.name == "encode" and t is sink._thread]


def test_an_error_at_the_very_end_is_raised_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The encoder may refuse when it is emptied, after the last frame: nothing more comes to wait for."""

    def broken(_: object, steps: Iterator[Step]) -> None:
        list(steps)
        raise ZeroDivisionError

    monkeypatch.setattr(VideoSink, "_encode", broken)
    sink = VideoSink(tmp_path / "a.mp4", 10.0)
    sink.write(step(0))
    with pytest.raises(ZeroDivisionError):
        sink.finish()


@pytest.mark.parametrize(("count", "shown"), [(1, 1), (5, 5), (6, 6), (12, 6), (13, 6), (1000, 6)])
def test_a_contact_sheet_is_spread_evenly_over_a_run_of_unknown_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, shown: int
) -> None:
    captions: list[int] = []
    one = step(0)
    sheet = ContactSheet(tmp_path / "a.png", columns=3, rows=2, width=64)
    make = sheet._captioned

    def marked(image: np.ndarray, s: Step) -> np.ndarray:
        thumbnail = make(image, s)
        thumbnail[-1, -1] = s.frame.index % 256, s.frame.index // 256, 77
        return thumbnail

    monkeypatch.setattr(sheet, "_captioned", marked)
    for i in range(count):
        sheet.write(Step(Frame(i, i / 10, np.zeros((48, 64, 3), np.uint8)), Detections.empty(), one.tracks))
        assert len(sheet._kept) <= 12
    image = cv2.imread(str(sheet.finish()))
    height = 48 + 22
    assert image.shape == (height * -(-min(shown, 6) // 3), 3 * 64, 3)
    for y in range(height - 1, image.shape[0], height):
        for x in range(63, 192, 64):
            low, high, mark = image[y, x].tolist()
            if mark == 77:
                captions.append(low + 256 * high)
    assert len(captions) == shown
    assert captions[0] == 0
    steps = np.diff(captions)
    if count > 6:
        assert captions[-1] >= 0.7 * (count - 1)
        assert steps.max() <= 2 * steps.min()


def test_the_small_pictures_of_a_sheet_have_room_for_one_word_a_label(tmp_path: Path) -> None:
    wanted = ("id", "class", "score")
    both = [
        ContactSheet(tmp_path / "a.png", style=Style(labels=labels, names={0: "person"}))
        for labels in (wanted, wanted[:1])
    ]
    for sheet in both:
        sheet.write(step(0))
    assert np.array_equal(both[0].image(), both[1].image())


@pytest.mark.parametrize("length", [1000, 300, 5000])  # right, too small, too large
def test_a_contact_sheet_that_knows_the_length_draws_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    drawn: list[int] = []
    real = Painter.paint
    monkeypatch.setattr(
        Painter, "paint", lambda self, s, *rest: drawn.append(s.frame.index) or real(self, s, *rest)
    )
    sheet = ContactSheet(tmp_path / "a.png", None, length, columns=3, rows=2, width=64)
    for i in range(1000):
        sheet.write(step(i % 90))
    assert cv2.imread(str(sheet.finish())).shape[1] == 3 * 64
    assert 2 <= len(drawn) <= 24
    if length == 1000:
        assert len(drawn) == 7  # every 166th


def test_pixels_that_are_not_square_play_as_wide_as_they_are(tmp_path: Path) -> None:
    for aspect, said in ((2.0, 2), (16 / 11, Fraction(16, 11)), (1.0, None)):
        sink = VideoSink(tmp_path / "a.mp4", 10.0, pixel_aspect=aspect)
        sink.write(step(0))
        assert decoded(sink.finish())[2].sample_aspect_ratio in (said, said or 1)


@pytest.mark.parametrize("fps", [1e-3, 0.3, 1e6])
def test_a_video_of_any_rate_can_be_written(tmp_path: Path, fps: float) -> None:
    sink = VideoSink(tmp_path / "a.mp4", fps)
    for k in range(3):
        one = step(k)
        sink.write(Step(Frame(k, k / fps, one.frame.image), one.detections, one.tracks))
    assert len(decoded(sink.finish())[0]) == 3


def test_labels_of_a_contact_sheet_are_as_large_whatever_the_frame(tmp_path: Path) -> None:
    """Drawn after shrinking: on a frame eight times as large a label would shrink to nothing."""
    high = []
    for times in (1, 8):
        image = np.zeros((180 * times, 320 * times, 3), np.uint8)
        box = np.array([[40, 60, 80, 150]], np.float32) * times
        tracks = Tracks(np.array([1]), box, np.ones(1), np.zeros(1, int), np.zeros(1, int))
        sheet = ContactSheet(tmp_path / "a.png", columns=1, rows=1, width=320)
        sheet.write(Step(Frame(0, 0.0, image), Detections.empty(), tracks))
        drawn = sheet.image()[:180].any(-1)
        assert drawn[150].any()  # the box is where it belongs
        assert not drawn[152:].any()
        high.append(int(drawn[:59].any(1).sum()))  # of the label above it
    assert high[0] == high[1] >= 10


def test_a_contact_sheet_shows_grey_frames_and_nothing(tmp_path: Path) -> None:
    sheet = ContactSheet(tmp_path / "a.png", (48, 64), columns=2, rows=1, width=64)
    sheet.write(step(0, size=None))
    assert cv2.imread(str(sheet.finish())).shape == (70, 128, 3)
    assert cv2.imread(str(ContactSheet(tmp_path / "b.png").finish())) is not None


def test_a_name_with_a_colon_is_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with VideoSink("10:30.mp4", 10) as video:
        video.write(step(0))
    assert [path.name for path in tmp_path.iterdir()] == ["10:30.mp4"]
    with av.open("file:10:30.mp4") as made:
        assert sum(1 for _ in made.decode(video=0)) == 1


def faintest(codec: str, ending: str, folder: Path) -> float:
    """How much of a thin line is left where the least is, of 1: a box that walks over grainy ground, 30 frames."""
    rng = np.random.default_rng(0)
    ground = cv2.resize(rng.integers(60, 160, (20, 25), np.uint8), (400, 320)).astype(np.float64)
    images = [
        np.clip(ground + rng.normal(0, 3, ground.shape), 0, 255)[..., None].repeat(3, 2).astype(np.uint8)
        for _ in range(30)
    ]
    sink, painter = VideoSink(folder / f"a{ending}", 10.0, codec=codec), Painter()
    changes = []
    for i, image in enumerate(images):
        box = np.array([[100 + 6 * i, 100 + 2 * i, 140 + 6 * i, 200 + 2 * i]], np.float32)
        one = Tracks(np.array([1]), box, np.ones(1, np.float32), np.zeros(1, np.int32), np.array([0]))
        seen = Step(Frame(i, i / 10, image), Detections.empty(), one)
        sink.write(seen)
        changes.append(painter.paint(seen).astype(np.float64).mean(2) - image.mean(2))
    shown, _, _ = decoded(sink.finish())
    found = []
    for image, after, change in zip(images, shown, changes, strict=True):
        line = np.abs(change) > 40
        found.append(
            float(((after.mean(2) - image.mean(2)) * change)[line].sum() / (change[line] ** 2).sum())
        )
    return min(found)


@pytest.mark.parametrize(("codec", "ending"), [("h264", ".mp4"), ("vp9", ".webm"), ("av1", ".mp4")])
def test_thin_lines_are_seen_in_every_frame(codec: str, ending: str, tmp_path: Path) -> None:
    assert faintest(codec, ending, tmp_path) > 0.77  # AV1 at crf 35: 0.62
