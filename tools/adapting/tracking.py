"""The later part of each video tracked with old weights and with new ones: what people adapt for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from retrace.configs.files import path_for
from retrace.eval.mot import combine, evaluate
from retrace.tools.runs.models import Models
from retrace.tracker.data import MotTable
from retrace.tracker.mot_file import as_ground_truth, read_results
from retrace.tracker.run import Job


def in_tracking(
    jobs: Sequence[Job], first: Sequence[int], weights: tuple[Path, Path], truth: Sequence[MotTable]
) -> tuple[float, list[float]]:
    """IDF1 of the later part's tracks by the second weights, judged by those of the first; and of each of the two by
    the ground truth, none where there is none.

    Args:
        jobs, truth: one a video, whole.
        first: frame of each with which the later part begins.
    """
    before, after = (
        _later_tracks(jobs, first, one, when) for one, when in zip(weights, ("before", "after"), strict=True)
    )
    later = [whole.take(whole.frame >= begin) for whole, begin in zip(truth, first, strict=False)]
    by_truth = [idf1(tables, later) for tables in (before, after)] if later else []
    return idf1(after, [as_ground_truth(table) for table in before]), by_truth


def _later_tracks(jobs: Sequence[Job], first: Sequence[int], weights: Path, when: str) -> list[MotTable]:
    """The later part of each video, from its first frame on, tracked with some weights."""
    found = []
    for job, begin in zip(jobs, first, strict=True):
        out = Path(job.out) / f"later-{when}"
        report = Models().track(replace(job, out=str(out), reid=str(weights), first=begin))
        found.append(read_results(report.files[0]))
    return found


def idf1(found: Sequence[MotTable], truth: Sequence[MotTable]) -> float:
    """IDF1 of all videos together, 0..1; 1 where there is nobody and nobody is found."""
    if not any(map(len, [*found, *truth])):
        return 1.0
    parts = [evaluate(one, table, benchmark="MOT15") for one, table in zip(truth, found, strict=True)]
    return float(combine(parts).row()["IDF1"])


def boxes_of(detections: str | None, name: str) -> str | None:
    return None if detections is None else path_for(name, "detections", detections)
