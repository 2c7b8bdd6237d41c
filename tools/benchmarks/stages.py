"""Frames per second of each stage on a real video, each at work alone or behind its thread."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

NOTE = "decode, draw and encode run in threads of their own: their share is not waited for; 'write' is."


def measure_stages(
    video: str | None = None, detector: str = "hog", reid: str = "none", frames: int = 100
) -> tuple[str, list[dict[str, Any]]]:
    """A title, and a row a stage.

    Args:
        video: to track; None: the demo's, from wherever it can be had.
        detector, reid: as for a :class:`retrace.tracker.run.Job`.
        frames: of the video.
    """
    from retrace.tools.runs.models import Models
    from retrace.tools.scenes.demo_video import PLACES, obtain, video_folder
    from retrace.tracker.run import Job

    video = video or str(obtain(video_folder(Path("demo")), PLACES, print)[0])
    with tempfile.TemporaryDirectory() as out:
        job = Job(video, out, detector=detector, reid=reid, save=("mot", "video"), length=frames)
        report = Models().track(job)
    wall, size = report.seconds, report.record["size"]
    rows = [
        {"stage": name, "frames/s": round(report.new / s, 1), "share of wall time": round(s / wall, 4)}
        for name, s in report.stages.items()
        if s > 0
    ]
    return f"{report.name}, {size}, {report.frames} frames, {report.frames / wall:.1f} frames/s", rows
