"""Where results go as pictures: a video, a contact sheet; not resumable."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from retrace.configs import InputError
from retrace.configs.errors import expect, nearest, number, path_text
from retrace.configs.files import claim, partial_of, reveal, writing
from retrace.tracker.data import Step, frame_rate
from retrace.tracker.mot_file import LARGEST_SIDE
from retrace.tracker.outputs.draw import BLANK, FONT, Painter
from retrace.tracker.outputs.sink import Sink
from retrace.tracker.outputs.style import Style

SLOWEST, FASTEST = 1e-3, 240.0  # frames/s that encoder and container take for a rate
TICKS = 90_000  # per second; the time base of the video, fine enough for any frame rate


@dataclass(frozen=True, slots=True)
class Codec:
    """A way to encode video."""

    encoder: str  # FFmpeg's name
    ending: str  # of the file
    options: dict[str, str]

    @property
    def container(self) -> str:
        """FFmpeg's name."""
        return self.ending.removeprefix(".")


CONTAINERS = {
    ".mp4": {"movflags": "faststart"},  # plays before it is all loaded
    ".webm": {"fflags": "bitexact"},  # no random numbers: same input, same bytes
}
CODECS = {
    # plays everywhere
    "h264": Codec("libx264", ".mp4", {"preset": "superfast", "crf": "23", "profile": "high"}),
    "vp9": Codec("libvpx-vp9", ".webm", {"deadline": "realtime", "cpu-used": "7", "crf": "32", "b": "0"}),
    # at 35 thin lines went under, most in the last frames
    "av1": Codec("libsvtav1", ".mp4", {"preset": "9", "crf": "23"}),
}


def find_codec(name: str) -> Codec:
    """The codec of that name.

    Raises:
        InputError: there is none, or the installed FFmpeg cannot encode it.
    """
    if not isinstance(name, str) or name not in CODECS:
        raise InputError(f"`codec` {name}: {nearest(str(name), CODECS)}")
    if CODECS[name].encoder not in av.codecs_available:
        there = [other for other, codec in CODECS.items() if codec.encoder in av.codecs_available]
        raise InputError(
            f"`codec` {name}: the installed PyAV has no encoder for it ({CODECS[name].encoder}); "
            f"it has {', '.join(there) or 'none of ours'}"
        )
    return CODECS[name]


class VideoSink(Sink):
    """Frames with boxes, ids and trails as a video (H.264 in an mp4 unless told otherwise), made in a thread.

    Frames stand as long as their timestamps say; the first one begins at 0. Frames of another size than the
    first are resized; a frame without an image is a grey one. Not resumable: feed all steps again.
    ``seconds`` is what the thread spent on "draw" and on "encode".

    Raises:
        InputError: the place cannot be written (on construction), or no longer (on a later call).

    Example:
        >>> from retrace import Detections, Tracker, VideoSink, open_source, run
        >>> source = open_source("video.mp4")
        >>> steps = run(source, lambda frame: Detections([[10, 20, 50, 90]], [0.9]), Tracker.from_config("sort"))
        >>> with VideoSink("drawn.mp4", source.fps) as video:
        ...     for step in steps:
        ...         video.write(step)
        >>> open_source("drawn.mp4").length  # frames
        30
    """

    def __init__(
        self,
        path: str | Path,
        fps: float,
        size: tuple[int, int] | None = None,
        *,
        pixel_aspect: float = 1.0,
        style: Style | None = None,
        codec: str = "h264",
        waiting: int = 8,
    ) -> None:
        """``size`` (height, width) px: that of the first frame when None. ``pixel_aspect``: width by height of a
        pixel, for players. ``style``: what is drawn. ``codec``: of ``CODECS``; ``path`` ends as it wants.
        ``waiting``: frames in the queue."""
        self._path, self._codec = Path(path_text("path", path)), find_codec(codec)
        pixel_aspect = float(number("pixel_aspect", pixel_aspect, 0.01, 100))
        number("waiting", waiting, 1, whole=True)
        if size is not None:
            expect("size", size, (tuple, list), "(height, width) in px")
            size = tuple(number("size", side, 1, LARGEST_SIDE, whole=True) for side in size)
            if len(size) != 2:
                raise InputError(f"`size` must be (height, width) in px, got {len(size)} numbers")
        if self._path.suffix.lower() != self._codec.ending:
            raise InputError(
                f"{path}: {codec} goes into a {self._codec.ending}, rename it or choose another `codec`"
            )
        self.seconds = {"draw": 0.0, "encode": 0.0}
        claim(self._path)
        self._fps, self._size, self._frames = frame_rate(fps), size, 0
        self._pixel_aspect, self._style = pixel_aspect, style
        self._error: BaseException | None = None
        self._steps: queue.Queue[Step | None] = queue.Queue(waiting)
        self._thread = threading.Thread(target=self._run, name="encode", daemon=True)
        self._thread.start()

    def write(self, step: Step) -> None:
        """Waits only when ``waiting`` frames are in the queue.

        Raises:
            InputError: it is no step, or the file cannot be written any longer.
        """
        expect("step", step, Step, "a Step of run(...)")
        if self._error is not None:
            self.abandon()
        self._steps.put(step)

    def finish(self) -> Path:
        """Encodes what is queued and gives the file its name, which comes back.

        Raises:
            InputError: no frame came, or the file cannot be written.
        """
        grown = self.abandon()
        if self._frames == 0:
            raise InputError(f"{grown}: no frame came, so there is no video")
        return reveal(grown, self._path)

    def abandon(self) -> Path:
        """Encodes what is queued and closes, so that the partial file plays.

        Raises:
            InputError: the file cannot be written.
        """
        if self._thread.is_alive():
            self._steps.put(None)
            self._thread.join()
        if self._error is not None:
            with writing(self._path, av.error.FFmpegError):
                raise self._error
        return partial_of(self._path)

    def _run(self) -> None:
        steps = iter(self._steps.get, None)
        try:
            self._encode(steps)
        except BaseException as error:  # it crosses over in the next call
            self._error = error
            for _ in steps:  # nobody may wait for a place in the queue; nothing comes after the end
                pass

    def _encode(self, steps: Iterator[Step]) -> None:
        painter, last, origin = Painter(self._style, self._size), -1, 0.0
        place = f"file:{partial_of(self._path)}"  # a name like 10:30.mp4 would be protocol 10
        with av.open(place, "w", format=self._codec.container, options=CONTAINERS[self._codec.ending]) as out:
            stream = None
            for step in steps:
                begin = time.perf_counter()
                image = painter.paint(step)
                drawn = time.perf_counter()
                if stream is None:
                    stream, origin = self._open(out, image), step.frame.time
                shape = (stream.height, stream.width)
                yuv = cv2.cvtColor(_fit(image, shape), cv2.COLOR_BGR2YUV_I420).astype(np.uint8, copy=False)
                picture = av.VideoFrame.from_ndarray(yuv, format="yuv420p")
                # two frames may not share a timestamp
                last = max(round((step.frame.time - origin) * TICKS), last + 1)
                picture.pts, picture.time_base = last, Fraction(1, TICKS)
                picture.duration = round(TICKS / self._fps)
                out.mux(stream.encode(picture))
                self._frames += 1
                self.seconds["draw"] += drawn - begin
                self.seconds["encode"] += time.perf_counter() - drawn
            if stream is not None:
                out.mux(stream.encode())

    def _open(self, out: av.container.OutputContainer, image: np.ndarray) -> av.VideoStream:
        rate = Fraction(min(max(self._fps, SLOWEST), FASTEST)).limit_denominator(1001)  # no more than a hint
        os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder would tell its settings on standard error
        stream = out.add_stream(self._codec.encoder, rate=rate, options=self._codec.options)
        assert isinstance(stream, av.VideoStream)
        height, width = self._size or image.shape[:2]
        self._size = (height, width)
        stream.height, stream.width = height + height % 2, width + width % 2  # 4:2:0 needs even sizes
        stream.pix_fmt = "yuv420p"
        if self._pixel_aspect != 1:
            stream.codec_context.sample_aspect_ratio = Fraction(self._pixel_aspect).limit_denominator(255)
        stream.codec_context.time_base = Fraction(1, TICKS)
        stream.codec_context.colorspace = 6  # BT.601, which is what OpenCV converts to
        stream.codec_context.color_range = 1  # limited
        return stream


def _fit(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """``image`` at ``shape`` (height, width): padded by the one pixel that makes it even, else resized."""
    down, right = shape[0] - image.shape[0], shape[1] - image.shape[1]
    if down == right == 0:
        return image
    if down in (0, 1) and right in (0, 1):
        return cv2.copyMakeBorder(image, 0, down, 0, right, cv2.BORDER_REPLICATE)
    return cv2.resize(image, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)


class ContactSheet(Sink):
    """A PNG with annotated frames spread evenly over the run, whatever its length.

    Every k-th frame is kept as a thumbnail; when there are twice as many as places, every other one goes and
    k doubles. So memory is bounded and the length need not be known.

    Raises:
        InputError: the place cannot be written.
    """

    def __init__(
        self,
        path: str | Path,
        size: tuple[int, int] | None = None,
        length: int | None = None,
        *,
        style: Style | None = None,
        columns: int = 4,
        rows: int = 3,
        width: int = 480,
    ) -> None:
        """``size`` (height, width) px of frames without an image; ``length`` of the run in frames, a guess that
        saves drawing what would go again; ``style``: what is drawn; ``width`` px of one picture."""
        self._path, self._columns, self._width = Path(path), columns, width
        self._places = columns * rows
        style = style or Style()
        self._painter = Painter(replace(style, labels=style.labels[:1]), size)  # more would hide the people
        self._kept: list[np.ndarray] = []
        self._every, self._seen = max(1, (length or 0) // self._places), 0
        claim(self._path)

    def write(self, step: Step) -> None:
        if self._seen % self._every == 0:
            if len(self._kept) == 2 * self._places:
                del self._kept[1::2]
                self._every *= 2
            self._kept.append(self._captioned(self._painter.paint(step, self._width), step))
        else:
            self._painter.take(step)
        self._seen += 1

    def finish(self) -> Path:
        return reveal(self.abandon(), self._path)

    def abandon(self) -> Path:
        with writing(self._path):
            partial_of(self._path).write_bytes(cv2.imencode(".png", self.image())[1].tobytes())
        return partial_of(self._path)

    def image(self) -> np.ndarray:
        """(H, W, 3) uint8 BGR of the run so far."""
        count = min(self._places, len(self._kept))
        chosen = [self._kept[i] for i in np.linspace(0, len(self._kept) - 1, count).round().astype(int)]
        height = max((t.shape[0] for t in chosen), default=self._width // 2)
        rows = -(-count // self._columns) or 1
        sheet = np.full((rows * height, self._columns * self._width, 3), BLANK, np.uint8)
        for place, thumbnail in enumerate(chosen):
            top, left = place // self._columns * height, place % self._columns * self._width
            sheet[top : top + thumbnail.shape[0], left : left + self._width] = thumbnail
        return sheet

    def _captioned(self, small: np.ndarray, step: Step) -> np.ndarray:
        caption = np.full((22, self._width, 3), BLANK, np.uint8)
        count = f"{len(step.tracks)} track{'s' if len(step.tracks) != 1 else ''}"
        text = f"frame {step.frame.index}   {step.frame.time:.1f} s   {count}"
        cv2.putText(caption, text, (6, 16), FONT, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
        return np.vstack([small, caption])
