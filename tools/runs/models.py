"""The networks that jobs name, opened once and shared: what a process that does jobs holds on to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from retrace.configs import InputError
from retrace.configs.errors import renamed
from retrace.tracker import Tracker
from retrace.tracker.data import Detections, Frame
from retrace.tracker.detection.boxes_file import Detector
from retrace.tracker.run import (
    Appearance,
    Job,
    SourceReport,
    needs_detector,
    open_job_detector,
    open_job_source,
    track_source,
)
from retrace.tracker.sources import Source


class Models:
    """Detectors and embedders by what jobs call them. A job is plain, so any process with one of these can do it."""

    def __init__(self) -> None:
        self._detectors: dict[tuple[str | float | None, ...], Detector] = {}
        self._appearances: dict[tuple[str | int | None, ...], Appearance] = {}

    def of(self, job: Job, source: Source) -> tuple[Detector | None, Appearance]:
        """What finds the boxes in the job's pictures (None: they come from a file), and what makes the vectors.

        A file's frames can be looked at by several threads at once: a core each and a frame each beats all cores on
        one frame, so each run of a network has one thread then. A live source's frame is wanted soon: it has all.

        Raises:
            InputError: as :func:`open_detector` and :meth:`appearance`.
        """
        detector = self.detector(job, source.live) if needs_detector(job, source) else None
        single = not source.live and (detector is None or detector.callers > 1)
        return detector, self.appearance(job, 1 if single else job.threads)

    def detector(self, job: Job, live: bool = False) -> Detector:
        """The job's detector, which several threads may call.

        Args:
            job: names it.
            live: one frame after the other, each as soon as it can be had.

        Raises:
            InputError: as :func:`open_detector`.
        """
        key = (
            job.detector,
            job.device,
            job.classes,
            job.conf,
            job.detector_format,
            job.threads,
            job.runtime,
            live,
        )
        if key not in self._detectors:
            detector = open_job_detector(job, None if live else 1)
            # OpenVINO runs one picture after the other: with all cores then, not with one
            if not live and detector.callers == 1:
                detector = open_job_detector(job)
            if detector.memory is not None:
                return detector  # it goes by what it has seen of one video
            self._detectors[key] = detector if detector.callers > 1 else _one_at_a_time(detector)
        return self._detectors[key]

    def appearance(self, job: Job, threads: int | None = None) -> Appearance:
        """What makes the job's appearance vectors; none where the tracker or the user has no use for them.

        Args:
            job: names it.
            threads: of one run of the network, unless torch runs it; None: all there are.

        Raises:
            InputError: no such weights, broken ones, or an option that would do nothing.
        """
        looks = Tracker(job.tracker_config(), 30.0).appearance_from <= 1
        if not looks or job.reid == "none":
            idle = "reid_norm" if job.reid_norm != "stored" else "reid_input" if job.reid_input else None
            idle = idle or ("reid_uncalibrated" if job.reid_uncalibrated else None)
            idle = idle or ("embed" if job.embed != "all" else None)
            if idle:
                value = getattr(job, idle)
                given = "" if value is True else f" {value}"  # a switch has none that a user wrote
                raise InputError(f"`{idle}`{given}: nobody looks at appearance here; leave it out")
        if not looks:
            if job.reid not in ("auto", "none"):
                raise InputError(
                    f"`reid` {job.reid}: tracker {job.tracker!r} does not compare appearance; use default"
                )
            return Appearance(None, f"off: tracker {job.tracker!r} does not use it")
        if job.reid == "none":
            return Appearance(None, "off, as asked")
        how = (job.reid_norm, job.reid_input, job.reid_uncalibrated)
        key = (job.reid, *how, job.device, job.runtime, threads, job.threads)
        if key not in self._appearances:
            self._appearances[key] = _open_appearance(job, threads)
        return self._appearances[key]

    def track(
        self,
        job: Job,
        on_step: Callable[..., object] | None = None,
        stop: threading.Event | None = None,
    ) -> SourceReport:
        """One job from beginning to end, in whatever process this is."""
        source = open_job_source(job)
        detect, embed = self.of(job, source)
        return track_source(job, source=source, detect=detect, embed=embed, on_step=on_step, stop=stop)


# what the embedder's arguments are called in a job
CALLED = {"input": "`reid_input`", "uncalibrated": "`reid_uncalibrated`"}


def _open_appearance(job: Job, threads: int | None) -> Appearance:
    from retrace.reid.embedder import Embedder, find_weights, shipped_weights
    from retrace.reid.runtime.open import pick_runtime

    reid, norm = job.reid, job.reid_norm
    if reid == "auto" and shipped_weights() is None:
        return Appearance(
            None, "off: no weights in this installation; `reid` FILE (.onnx or torchreid .pth) turns it on"
        )
    weights = str(find_weights(reid, norm))
    if pick_runtime(Path(weights), job.runtime) not in ("onnxruntime", "tensorrt"):
        threads = job.threads  # several threads may not call it at once: it has all cores instead
    try:
        embedder = Embedder.from_weights(
            weights,
            device=job.device,
            runtime=job.runtime,
            norm=norm,
            input=job.reid_input,
            threads=threads,
            uncalibrated=job.reid_uncalibrated,
        )
    except InputError as error:
        raise InputError(renamed(str(error), CALLED)) from None

    def alarm() -> str | None:
        return embedder.alarm and renamed(embedder.alarm, CALLED)

    adaptive = embedder if norm == "video" else None
    return Appearance(embedder, embedder.description, embedder.hashes, adaptive, alarm)


def _one_at_a_time(detector: Detector) -> Detector:
    """Live sources run at the same time; a detector is one machine."""
    lock, find, find_many = threading.Lock(), detector.find, detector.find_many

    def locked(frame: Frame) -> Detections:
        with lock:
            return find(frame)

    def locked_many(frames: Sequence[Frame]) -> list[Detections]:
        assert find_many is not None
        with lock:
            return find_many(frames)

    return replace(detector, find=locked, find_many=locked_many if find_many else None)
