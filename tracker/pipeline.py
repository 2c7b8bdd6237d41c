"""Retrace on one page: frames -> detections -> embeddings -> association -> tracks.

Everything here is a callable that is handed in: a detector, an embedder, a camera. This file only says what
happens to a frame, and in which order; `tracker/run/` puts files around it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import numpy as np

from retrace.configs import InputError
from retrace.tracker.data import Detections, Frame, Step
from retrace.tracker.tracker import Tracker

Detect = Callable[[Frame], Detections]
Embed = Callable[[np.ndarray, np.ndarray], np.ndarray]  # image (H, W, 3) BGR, xyxy (N, 4) -> (N, D) unit rows
Camera = Callable[[Frame, Detections], np.ndarray | None]  # -> (2, 3) warp from the last frame, None: still


class Stopwatch:
    """Seconds spent in each stage, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begin


def run(
    frames: Iterable[Frame],
    detect: Detect,
    tracker: Tracker,
    embed: Embed | None = None,
    camera: Camera | None = None,
    stopwatch: Stopwatch | None = None,
) -> Iterator[Step]:
    """Follow everybody through the frames; yields each frame with its detections and tracks.

    Detections that come with vectors (cached ones) keep them; others get theirs from ``embed``, when the frame
    has an image. Scores below the tracker's lowest threshold are not embedded: nobody would look at them.

    Args:
        frames: of one source, in order.
        detect: a frame -> its boxes.
        tracker: one of this source alone.
        embed: a picture (H, W, 3) BGR and boxes (N, 4) xyxy px -> (N, D) unit rows; None: nobody looks.
        camera: a frame and its boxes -> (2, 3) motion since the last frame, or None; None: a still camera.
        stopwatch: is told the seconds of each stage.

    Raises:
        InputError: something that is no :class:`Frame` comes, such as a bare picture or the letters of a path.

    Example:
        >>> from retrace import Detections, MotTable, Tracker, open_source, run
        >>> def detect(frame):  # somebody who walks to the right
        ...     return Detections([[10 + 4 * frame.index, 20, 34 + 4 * frame.index, 70]], [0.9])
        >>> source = open_source("video.mp4")
        >>> steps = run(source, detect, Tracker.from_config("sort", source.fps))
        >>> MotTable.of(steps).id.tolist() == [1] * 30
        True
    """
    stopwatch = stopwatch or Stopwatch()
    frames = iter(frames)
    while True:
        with stopwatch.stage("decode"):
            frame = next(frames, None)
        if frame is None:
            return
        if not isinstance(frame, Frame):
            raise InputError(f"expected frames as open_source(...) gives them, got {type(frame).__name__}")
        with stopwatch.stage("detect"):
            detections = detect(frame)
        if embed is not None and detections.embedding is None and frame.image is not None:
            with stopwatch.stage("embed"):
                detections = detections.with_embedding(embed_useful(embed, frame.image, detections, tracker))
        warp = None
        if camera is not None:
            with stopwatch.stage("camera"):
                warp = camera(frame, detections)  # which it looks past
        with stopwatch.stage("track"):
            tracks = tracker.update(detections, timestamp=frame.time, warp=warp)
        yield Step(frame, detections, tracks)


def embed_useful(embed: Embed, image: np.ndarray, detections: Detections, tracker: Tracker) -> np.ndarray:
    """(N, D) vectors; zero rows ("no appearance known") for boxes that no stage compares by appearance."""
    useful = detections.score >= tracker.appearance_from
    vectors = embed(image, detections.xyxy[useful])
    rows = np.zeros((len(detections), vectors.shape[1]), np.float32)
    rows[useful] = vectors
    return rows
