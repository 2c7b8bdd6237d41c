"""Sinks: what they write, what they leave when a run is stopped, and resuming to the same bytes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from configs import InputError
from tracker import sinks
from tracker.data import Detections, Frame, Step, Tracks
from tracker.mot_file import read_results
from tracker.sinks import ContactSheet, JsonLinesSink, MotSink, VideoSink

Sink = Callable[..., Any]
TEXT = [MotSink, JsonLinesSink]


def step(
    index: int, time: float | None = None, size: tuple[int, int] | None = (48, 64), boxes: int = 2
) -> Step:
    """A grey frame whose level tells its number, with tracks that move to the right."""
    image = None if size is None else np.full((*size, 3), 50 + 2 * index, np.uint8)
    x = 4.0 * np.arange(boxes, dtype=np.float32) + 0.5 * index
    xyxy = np.column_stack([x, x + 2, x + 8.25, x + 20]).astype(np.float32).reshape(-1, 4)
    det_index = np.arange(boxes)[::-1].copy()
    det_index[:1] = -1
    tracks = Tracks(
        np.arange(1, boxes + 1), xyxy, np.full(boxes, 0.75, np.float32), np.zeros(boxes, np.int32), det_index
    )
    return Step(
        Frame(index, index / 10 if time is None else time, image),
        Detections(xyxy, np.full(boxes, 0.75)),
        tracks,
    )


def decoded(path: Path) -> tuple[list[np.ndarray], list[float], av.VideoStream]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        return [f.to_ndarray(format="bgr24") for f in frames], [f.time for f in frames], stream


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


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
    sink = JsonLinesSink(tmp_path / "a.jsonl")
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


ALL: list[tuple[Sink, str]] = [
    (MotSink, "a.txt"),
    (JsonLinesSink, "a.jsonl"),
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
    go, real = threading.Event(), sinks.annotate

    def held(*args: Any) -> np.ndarray:
        assert go.wait(20)
        return real(*args)

    monkeypatch.setattr(sinks, "annotate", held)
    sink = VideoSink(tmp_path / "a.mp4", 10.0, waiting=4)
    for i in range(5):  # four in the queue, one in the encoder's hands
        sink.write(step(i))
    go.set()
    assert len(decoded(sink.finish())[0]) == 5


def test_an_error_of_the_encoder_crosses_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> np.ndarray:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sinks, "annotate", full)
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
    def broken(*_: Any) -> np.ndarray:
        raise ZeroDivisionError

    monkeypatch.setattr(sinks, "annotate", broken)
    sink = VideoSink(tmp_path / "a.mp4", 10.0)
    sink.write(step(0))
    with pytest.raises(ZeroDivisionError):
        sink.finish()
    assert not [t for t in threading.enumerate() if t.name == "encode" and t is sink._thread]


@pytest.mark.parametrize(("count", "shown"), [(1, 1), (5, 5), (6, 6), (12, 6), (13, 6), (1000, 6)])
def test_a_contact_sheet_is_spread_evenly_over_a_run_of_unknown_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, shown: int
) -> None:
    captions: list[int] = []
    one = step(0)
    sheet = ContactSheet(tmp_path / "a.png", columns=3, rows=2, width=64)
    make = sheet._thumbnail

    def marked(image: np.ndarray, s: Step) -> np.ndarray:
        thumbnail = make(image, s)
        thumbnail[-1, -1] = s.frame.index % 256, s.frame.index // 256, 77
        return thumbnail

    monkeypatch.setattr(sheet, "_thumbnail", marked)
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


@pytest.mark.parametrize("length", [1000, 300, 5000])  # right, too small, too large
def test_a_contact_sheet_that_knows_the_length_draws_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    drawn: list[int] = []
    real = sinks.annotate
    monkeypatch.setattr(sinks, "annotate", lambda s, *rest: drawn.append(s.frame.index) or real(s, *rest))
    sheet = ContactSheet(tmp_path / "a.png", None, length, columns=3, rows=2, width=64)
    for i in range(1000):
        sheet.write(step(i % 90))
    assert cv2.imread(str(sheet.finish())).shape[1] == 3 * 64
    assert 2 <= len(drawn) <= 24
    if length == 1000:
        assert len(drawn) == 7  # every 166th


def test_a_contact_sheet_shows_grey_frames_and_nothing(tmp_path: Path) -> None:
    sheet = ContactSheet(tmp_path / "a.png", (48, 64), columns=2, rows=1, width=64)
    sheet.write(step(0, size=None))
    assert cv2.imread(str(sheet.finish())).shape == (70, 128, 3)
    assert cv2.imread(str(ContactSheet(tmp_path / "b.png").finish())) is not None
