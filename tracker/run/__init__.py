"""One source from beginning to end: `track_source(Job(source, out))` -> files, and what became of it."""

from retrace.tracker.run.job import SAVES, Job
from retrace.tracker.run.manifest import write_run
from retrace.tracker.run.opened import (
    ENDINGS,
    Appearance,
    OpenedJob,
    needs_detector,
    open_job,
    open_job_detector,
    open_job_source,
)
from retrace.tracker.run.report import SourceReport
from retrace.tracker.run.track import track_opened, track_source

__all__ = [
    "ENDINGS",
    "SAVES",
    "Appearance",
    "Job",
    "OpenedJob",
    "SourceReport",
    "needs_detector",
    "open_job",
    "open_job_detector",
    "open_job_source",
    "track_opened",
    "track_source",
    "write_run",
]
