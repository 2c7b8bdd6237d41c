"""A source as an H.264 mp4, frame by frame, nothing drawn: what browsers play and seek exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from retrace.configs.files import claim, partial_of, reveal, writing
from retrace.tracker.sources import Source

KEYFRAME_EVERY = 0.5  # s; short, so that seeking is quick
MOST_WIDE = 1280  # px
TICKS = 90_000  # a second; times of frames are told so finely
FAST = {"movflags": "faststart"}  # the index first: a browser can seek before it has everything


def write_plain_video(
    path: Path, source: Source, fps: float, progress: Callable[[int], object] = lambda done: None
) -> Path:
    """Frame k of the file is frame k of the source, and is shown when that is (a variable rate stays one); one that
    could not be read is grey.

    Args:
        path: of the file.
        source: with images.
        fps: nominal frames/s, which the last frame stands for.
        progress: told after each frame how many are done.

    Raises:
        InputError: the place cannot be written; what reading the source refuses.
    """
    claim(path)
    with (
        writing(path, av.FFmpegError),
        av.open(f"file:{partial_of(path)}", "w", format="mp4", options=FAST) as container,
    ):
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(90_000))
        stream.pix_fmt = "yuv420p"
        # without B-frames: reordered, a file of variable rate tells wrong lengths, and browsers seek by those
        every = str(max(1, round(KEYFRAME_EVERY * fps)))
        stream.options = {"preset": "superfast", "crf": "26", "bf": "0", "g": every}
        stream.time_base = stream.codec_context.time_base = Fraction(1, TICKS)
        last, step = -1, max(1, round(TICKS / fps))
        for k, (time, image) in enumerate(_every_frame(source)):
            if k == 0:
                stream.height, stream.width = image.shape[:2]
            picture = av.VideoFrame.from_ndarray(image, format="bgr24")
            last = last + step if time is None else max(last + 1, round(time * TICKS))
            picture.pts, picture.time_base = last, Fraction(1, TICKS)
            container.mux(stream.encode(picture))
            progress(k + 1)
        container.mux(stream.encode(None))
    return reveal(partial_of(path), path)


def _every_frame(source: Source) -> Iterator[tuple[float | None, np.ndarray]]:
    """Time, s, and (H, W, 3) uint8 BGR of even size, none left out: a missing number is grey and has no time."""
    size, due = None, 0
    for frame in source.frames():
        if frame.image is None:
            continue
        if size is None:
            height, width = frame.image.shape[:2]
            shrink = min(1.0, MOST_WIDE / width)
            size = (int(width * shrink) // 2 * 2, int(height * shrink) // 2 * 2)
        while due < frame.index:
            yield None, np.full((size[1], size[0], 3), 128, np.uint8)
            due += 1
        image = frame.image
        if image.shape[1::-1] != size:
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        yield frame.time, image
        due += 1
