"""A small video with two squares that walk, and the boxes of a detector that sees them."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np

from retrace.tracker.data import Detections, Frame

LENGTH, FPS = 30, 10
SQUARES = ((10, 4, (40, 40, 220)), (60, -1, (220, 60, 40)))  # x at frame 0, px per frame, colour


def boxes(frame: int) -> list[tuple[int, int, int, int]]:
    """Left, top, width, height of both squares."""
    return [(x + speed * frame, 20, 24, 50) for x, speed, _ in SQUARES]


def make_video(path: Path, length: int = LENGTH, size: tuple[int, int] = (96, 192)) -> Path:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=FPS, options={"preset": "ultrafast"})
        stream.height, stream.width = size
        for k in range(length):
            image = np.full((*size, 3), 90, np.uint8)
            for (x, y, w, h), (_, _, colour) in zip(boxes(k % LENGTH), SQUARES, strict=True):
                cv2.rectangle(image, (x, y), (x + w, y + h), colour, -1)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        out.mux(stream.encode())
    return path


def write_boxes(path: Path, length: int = LENGTH, hidden: range = range(0)) -> Path:
    """A det.txt; in the frames ``hidden`` nobody is seen."""
    lines = [
        f"{k + 1},-1,{x},{y},{w},{h},0.9"
        for k in range(length)
        if k not in hidden
        for x, y, w, h in boxes(k % LENGTH)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def squares(frame: Frame) -> Detections:
    """A detector: the two squares."""
    tlwh = np.array(boxes(frame.index), np.float32)
    return Detections(np.hstack((tlwh[:, :2], tlwh[:, :2] + tlwh[:, 2:])), [0.9, 0.9])
