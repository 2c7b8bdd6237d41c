"""The networks that jobs name, opened once and shared: what a process that does jobs holds on to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from retrace.configs import InputError
from retrace.configs.files import file_hash
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


class Models:
    """Detectors and embedders by what jobs call them. A job is plain, so any process with one of these can do it."""

    def __init__(self) -> None:
        self._detectors: dict[tuple[str | float | None, ...], Detector] = {}
        self._appearances: dict[tuple[str, str, str, str | None], Appearance] = {}

    def detector(self, job: Job) -> Detector:
        """The job's detector, which several threads may call.

        Raises:
            InputError: as :func:`open_detector`.
        """
        key = (job.detector, job.device, job.classes, job.conf, job.detector_format)
        if key not in self._detectors:
            detector = open_job_detector(job)
            if detector.memory is not None:
                return detector  # it goes by what it has seen of one video
            self._detectors[key] = _one_at_a_time(detector)
        return self._detectors[key]

    def appearance(self, job: Job) -> Appearance:
        """What makes the job's appearance vectors; none where the tracker or the user has no use for them.

        Raises:
            InputError: no such weights, broken ones, or an option that would do nothing.
        """
        looks = Tracker(job.tracker_config(), 30.0).appearance_from <= 1
        if not looks or job.reid == "none":
            idle = "reid_norm" if job.reid_norm != "stored" else "reid_input" if job.reid_input else None
            if idle:
                raise InputError(
                    f"`{idle}` {getattr(job, idle)}: nobody looks at appearance here; leave it out"
                )
        if not looks:
            if job.reid not in ("auto", "none"):
                raise InputError(
                    f"`reid` {job.reid}: tracker {job.tracker!r} does not compare appearance; use default"
                )
            return Appearance(None, f"off: tracker {job.tracker!r} does not use it")
        if job.reid == "none":
            return Appearance(None, "off, as asked")
        key = (job.reid, job.reid_norm, job.device, job.reid_input)
        if key not in self._appearances:
            self._appearances[key] = _open_appearance(*key)
        return self._appearances[key]

    def track(
        self,
        job: Job,
        on_step: Callable[..., object] | None = None,
        stop: threading.Event | None = None,
    ) -> SourceReport:
        """One job from beginning to end, in whatever process this is."""
        source = open_job_source(job)
        detect = self.detector(job) if needs_detector(job, source) else None
        return track_source(
            job, source=source, detect=detect, embed=self.appearance(job), on_step=on_step, stop=stop
        )


def _open_appearance(reid: str, norm: str, device: str, fed: str | None) -> Appearance:
    from retrace.reid.embedder import Embedder, find_weights, shipped_weights

    if reid == "auto" and shipped_weights() is None:
        return Appearance(
            None, "off: no weights are shipped yet; `reid` FILE (.onnx or torchreid .pth) turns it on"
        )
    weights = str(find_weights(reid, norm))
    try:
        embedder = Embedder.from_weights(weights, device=device, norm=norm, input=fed)
    except InputError as error:
        raise InputError(str(error).replace("`input`", "`reid_input`")) from None

    def alarm() -> str | None:
        return embedder.alarm and embedder.alarm.replace("`input`", "`reid_input`")

    adaptive = embedder if norm == "video" else None
    return Appearance(embedder, embedder.description, {weights: file_hash(weights)}, adaptive, alarm)


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
