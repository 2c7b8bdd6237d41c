"""Retrace on one page: frames -> detections -> embeddings -> association -> tracks.

Everything here is a callable that is handed in: a detector, an embedder, a camera. This file only says what
happens to a frame, and in which order; `tracker/run/` puts files around it.

Looking (detect, embed) costs nearly all the time and needs nothing of the frames before; following (camera, track)
goes by them. So threads may look at later frames while the tracker follows through this one, to the same bytes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

import numpy as np

from retrace.configs import InputError
from retrace.configs.errors import expect
from retrace.tracker.ahead import Ahead, batches, in_order
from retrace.tracker.data import Detections, Frame, Step
from retrace.tracker.tracker import Tracker
from retrace.tracker.tracks.sparing import Sparing

Detect = Callable[[Frame], Detections]
Embed = Callable[[np.ndarray, np.ndarray], np.ndarray]  # image (H, W, 3) BGR, xyxy (N, 4) -> (N, D) unit rows
Camera = Callable[[Frame, Detections], np.ndarray | None]  # -> (2, 3) warp from the last frame, None: still


class Stopwatch:
    """Seconds spent in each stage, by name; where threads work at the same time, the sum of theirs.

    Args:
        clock: s; `time.thread_time` counts the CPU seconds of the thread that does the stage.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        expect("clock", clock, Callable, "a function")  # type: ignore[arg-type]
        self.seconds: dict[str, float] = {}
        self.clock = clock
        self._lock = threading.Lock()

    def stage(self, name: str) -> _Timing:
        """``with stopwatch.stage("detect"):`` counts what is within."""
        return _Timing(self, name)

    def add(self, name: str, taken: float) -> None:
        """So many s more of a stage."""
        with self._lock:
            self.seconds[name] = self.seconds.get(name, 0.0) + taken


class _Timing:
    """One stage of one frame (not `contextlib`'s: of a source without pictures that was a tenth of the time)."""

    __slots__ = ("begin", "name", "stopwatch")

    def __init__(self, stopwatch: Stopwatch, name: str) -> None:
        self.stopwatch, self.name = stopwatch, name

    def __enter__(self) -> None:
        self.begin = self.stopwatch.clock()

    def __exit__(self, *_: object) -> None:
        self.stopwatch.add(self.name, self.stopwatch.clock() - self.begin)


def run(
    frames: Iterable[Frame],
    detect: Detect,
    tracker: Tracker,
    embed: Embed | None = None,
    camera: Camera | None = None,
    stopwatch: Stopwatch | None = None,
    ahead: Ahead = Ahead(),  # noqa: B008  # plain numbers
    sparing: Sparing | None = None,
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
        ahead: how many threads look ahead, and at how many frames together. For a detector and an embedder that
            may be called so (see `Detector.callers`), and frames that need not be followed at once.
        sparing: embed only boxes of which place alone does not say whose they are, when their frame's turn comes.

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
    stopwatch = Stopwatch() if stopwatch is None else stopwatch
    expect("stopwatch", stopwatch, Stopwatch, "a Stopwatch")
    expect("tracker", tracker, Tracker, "a Tracker")
    for name, called in (("detect", detect), ("embed", embed), ("camera", camera)):
        if called is not None or name == "detect":
            expect(name, called, Callable, "a function")  # type: ignore[arg-type]
    expect("ahead", ahead, Ahead, "an Ahead")
    if sparing is not None:
        expect("sparing", sparing, Sparing, "a Sparing")

    def look(some: Sequence[Frame]) -> tuple[Sequence[Frame], Iterable[Detections]]:
        try:
            return some, look_at(some, detect, None if sparing else embed, tracker.appearance_from, stopwatch)
        except InputError:
            if len(some) == 1:
                raise
            # one by one, each when its turn comes: those before the one that is refused are followed
            return some, chain.from_iterable(look(some[k : k + 1])[1] for k in range(len(some)))

    for some, found in in_order(look, batches(timed(frames, stopwatch), ahead.batch), ahead.threads):
        for frame, detections in zip(some, found, strict=True):
            if embed is not None and tracker.appearance_from > 1 and detections.embedding is not None:
                # looked at ahead, before the tracker was blindfolded
                detections = detections.with_embedding(np.zeros_like(detections.embedding))
            warp = None
            if camera is not None:
                with stopwatch.stage("camera"):
                    warp = camera(frame, detections)  # boxes are not background
            if sparing and embed and detections.embedding is None and frame.image is not None:
                with stopwatch.stage("embed"):
                    useful = detections.score >= tracker.appearance_from
                    place = tracker.settled(detections, frame.time, warp)
                    detections = sparing(embed, frame.image, detections, useful, place)
            with stopwatch.stage("track"):
                tracks = tracker.update(detections, timestamp=frame.time, warp=warp)
            yield Step(frame, detections, tracks)


def run_on_boxes(
    boxes: Iterable[Detections], tracker: Tracker, camera: Camera | None = None
) -> Iterator[Step]:
    """As :func:`run`, through boxes that are at hand: one :class:`Detections` a frame, and no pictures.

    Args:
        boxes: of each frame, in order; vectors that they carry are compared.
        tracker: one of this source alone; its ``fps`` says when a frame is.
        camera: needs no picture (`FileCamera`, say); None: a still camera.

    Raises:
        InputError: something else than Detections, or as `run`.

    Example:
        >>> from retrace import Detections, MotTable, Tracker
        >>> from retrace.tracker.pipeline import run_on_boxes
        >>> walk = [Detections([[10 + 4 * k, 20, 34 + 4 * k, 70]], [0.9]) for k in range(3)]
        >>> MotTable.of(run_on_boxes(walk, Tracker.from_config("sort", fps=10))).frame.tolist()
        [0, 1, 2]
    """
    expect("tracker", tracker, Tracker, "a Tracker")
    expect("boxes", boxes, Iterable, "Detections, one a frame")
    found = list(boxes)
    for one in found:
        expect("boxes", one, Detections, "Detections, one a frame")
    frames = (Frame(k, k / tracker.fps, None) for k in range(len(found)))
    return run(frames, lambda frame: found[frame.index], tracker, camera=camera)


def timed(frames: Iterable[Frame], stopwatch: Stopwatch) -> Iterator[Frame]:
    """The frames; "decode" is how long they are waited for.

    Raises:
        InputError: something else than frames.
    """
    try:
        source = iter(frames)
    except TypeError:
        raise InputError(
            f"expected frames as open_source(...) gives them, got {type(frames).__name__}"
        ) from None
    while True:
        with stopwatch.stage("decode"):
            frame = next(source, None)
        if frame is None:
            return
        if not isinstance(frame, Frame):
            raise InputError(f"expected frames as open_source(...) gives them, got {type(frame).__name__}")
        yield frame


def look_at(
    frames: Sequence[Frame], detect: Detect, embed: Embed | None, least: float, stopwatch: Stopwatch
) -> list[Detections]:
    """Boxes and vectors of some frames. A detector or embedder that can take several at once has ``many``.

    Raises:
        InputError: what ``detect`` or ``embed`` returns is no such thing.
    """
    with stopwatch.stage("detect"):
        many = getattr(detect, "many", None) if len(frames) > 1 else None
        found: list[Detections] = list(many(frames)) if many else [detect(frame) for frame in frames]
    for one in found:
        expect("detect", one, Detections, "a function that returns Detections")
    if embed is None:
        return found
    bare = [k for k, d in enumerate(found) if d.embedding is None and frames[k].image is not None]
    with stopwatch.stage("embed"):
        for k, vectors in zip(bare, embed_useful(embed, frames, found, bare, least), strict=True):
            found[k] = found[k].with_embedding(vectors)
    return found


def embed_useful(
    embed: Embed, frames: Sequence[Frame], found: Sequence[Detections], which: Sequence[int], least: float
) -> Iterator[np.ndarray]:
    """(N, D) vectors for each of the frames ``which``; zero rows ("no appearance known") for boxes that score below
    ``least``, which no stage compares by appearance.

    Raises:
        InputError: ``embed`` returns no array, or one of another shape.
    """
    useful = [found[k].score >= least for k in which]
    images = [image for k in which if (image := frames[k].image) is not None]
    boxes = [found[k].xyxy[rows] for k, rows in zip(which, useful, strict=True)]
    many = getattr(embed, "many", None) if len(which) > 1 else None
    looks = many(images, boxes) if many else [embed(*one) for one in zip(images, boxes, strict=True)]
    for rows, vectors in zip(useful, looks, strict=True):
        shape = np.shape(vectors) if isinstance(vectors, np.ndarray) else type(vectors).__name__
        if len(shape) != 2 or shape[0] != rows.sum() or (rows.any() and not shape[1]):
            raise InputError(
                f"embed must return an array of ({rows.sum()}, D) for as many boxes, got {shape}"
            )
        whole = np.zeros((len(rows), vectors.shape[1]), np.float32)
        whole[rows] = vectors
        yield whole
