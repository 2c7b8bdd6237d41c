"""A source as an H.264 mp4 at a constant rate, frame by frame, nothing drawn: what browsers play and seek exactly."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from retrace.configs.files import claim, partial_of, reveal, writing
from retrace.tracker.sources import Source

KEYFRAME_EVERY = 0.5  # s; short, so that seeking is quick
MOST_WIDE = 1280  # px
FAST = {"movflags": "faststart"}  # the index first: a browser can seek before it has everything


def write_plain_video(path: Path, source: Source, fps: float) -> Path:
    """Frame k of the file is frame k of the source and stands 1 / fps s; one that could not be read is grey.

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
        stream.options = {"preset": "superfast", "crf": "26", "g": str(max(1, round(KEYFRAME_EVERY * fps)))}
        for k, image in enumerate(_every_frame(source)):
            if k == 0:
                stream.height, stream.width = image.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))
    return reveal(partial_of(path), path)


def _every_frame(source: Source) -> Iterator[np.ndarray]:
    """(H, W, 3) uint8 BGR of even size, none left out: a missing number is grey."""
    size, due = None, 0
    for frame in source.frames():
        if frame.image is None:
            continue
        if size is None:
            height, width = frame.image.shape[:2]
            shrink = min(1.0, MOST_WIDE / width)
            size = (int(width * shrink) // 2 * 2, int(height * shrink) // 2 * 2)
        while due < frame.index:
            yield np.full((size[1], size[0], 3), 128, np.uint8)
            due += 1
        image = frame.image
        if image.shape[1::-1] != size:
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        yield image
        due += 1
