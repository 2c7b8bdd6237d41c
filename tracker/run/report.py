"""What became of one source: numbers, files and notes, for a screen and for a manifest."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from retrace.tracker.camera.warps import shares
from retrace.tracker.run.opened import OpenedJob


@dataclass(slots=True)
class SourceReport:
    """What became of one source.

    Example:
        >>> from retrace.tracker.run import Job, track_source
        >>> report = track_source(Job("MOT17-02-FRCNN", out="runs/report", reid="none"))
        >>> report.frames, report.stopped, report.summary
        (30, False, '2 people, at most 2 at once')
        >>> list(report.stages)  # what took how many s
        ['decode', 'detect', 'track', 'write']
    """

    name: str
    frames: int = 0  # in the result
    new: int = 0  # of them, tracked by this process
    unreadable: list[int] = field(default_factory=list)  # numbers of frames that could not be read
    dropped: int = 0  # boxes of no size
    tracks: int = 0
    seconds: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)  # s
    files: list[Path] = field(default_factory=list)
    detections: str = ""  # sha256 over all frames' detections
    stopped: bool = False
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)  # how many people, crossings, visits
    summary: str = ""  # the same as a sentence
    fps: float | None = None  # frames/s that times are counted by
    # mean cosine distance of two people of one frame, and its standard deviation; None: too few pairs
    apart: tuple[float, float] | None = None
    alike: float | None = None  # share of strangers who look as alike as one person, see `tracker.run.alike`
    crops: dict[str, int] = field(default_factory=dict)  # embedded and skipped, where not all are
    record: dict[str, Any] = field(default_factory=dict)  # what run.json says of it
    source: str = ""  # the job's, without what may be secret
    hashes: dict[str, str] = field(default_factory=dict)  # sha256 of the weights and files that were read
    shared: dict[str, Any] = field(default_factory=dict)  # what run.json says of the whole run

    def conclude(self, opened: OpenedJob) -> None:
        """Add what is known at the end: warnings, notes, the record."""
        source, last = opened.source, opened.detector.last_frame
        self.warnings = list(source.warnings)
        length = max(source.length or 0, self.frames + len(self.unreadable))  # the first may be an estimate
        if source.length and last is not None and last >= length:
            self.warnings.append(
                f"the detections go up to frame {last + 1}, {self.name} has {length}: are they of this one?"
            )
        alarm = opened.appearance.alarm and opened.appearance.alarm()
        if alarm:
            self.warnings.append(alarm)
        if self.fps is not None and self.fps != source.fps:
            self.notes.append(f"{self.fps:.4g} frames/s by the frames' times ({source.fps:.4g} stated)")
        if self.unreadable:
            self.notes.append(
                f"unreadable frames skipped: {len(self.unreadable)}, first {self.unreadable[0]}"
            )
        if self.dropped:
            self.notes.append(f"boxes of no size dropped: {self.dropped}")
        if source.reconnects or source.dropped:
            self.notes.append(f"{source.reconnects} reconnects, {source.dropped} stale frames dropped")
        self.record = _record(opened, self)
        self.source, self.hashes, self.shared = opened.job.shown, opened.hashes, opened.shared


def _record(opened: OpenedJob, report: SourceReport) -> dict[str, Any]:
    """What run.json says of one sequence."""
    source, camera = opened.source, opened.camera
    return {
        "frames": report.frames,
        "fps": source.fps,
        "measured_fps": report.fps,
        "size": source.size,
        "tracks": report.tracks,
        "complete": not report.stopped,
        "files": [path.name for path in report.files],
        "detector": opened.detector.description,
        "classes": opened.detector.labels,
        "answers": report.answers or None,
        "regions": opened.regions.model_dump(mode="json", exclude_none=True) if opened.regions.all else None,
        "camera": opened.camera_note,
        "camera_frames": shares(camera) if camera else None,
        "detections_sha256": report.detections,
        "settings_sha256": opened.settings_hash(),
        "memory": opened.job.memory,
        "unreadable_frames": len(report.unreadable),
        "boxes_of_no_size": report.dropped,
        "strangers_alike": None if report.alike is None else round(report.alike, 4),
        "strangers_apart": None if report.apart is None else round(report.apart[0], 4),
        "strangers_spread": None if report.apart is None else round(report.apart[1], 4),
        "crops": report.crops,
        "warnings": report.warnings,
        "seconds": round(report.seconds, 3),
        "seconds_by_stage": {name: round(value, 4) for name, value in report.stages.items()},
    }
