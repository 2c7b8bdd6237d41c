"""The same file several times over, by one worker process and by more: what a second process is worth, and takes.

A speed-up of 2 needs 2 free cores: run it on a quiet machine. CPU seconds and memory stand either way.
"""

from __future__ import annotations

import hashlib
import resource
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrace.configs import InputError
from retrace.tools.benchmarks.resident import largest_child
from retrace.tools.runs.workers import track_in_workers
from retrace.tracker.run import Job


def measure_processes(
    video: str,
    detector: str,
    reid: str,
    frames: int,
    workers: Sequence[int],
    copies: int = 4,
    planned_ms: float | None = None,
) -> list[dict[str, Any]]:
    """A row a number of workers; each worker has one core, and all give the same bytes.

    Args:
        video, detector, reid, frames: as for :func:`retrace.tools.benchmarks.pipeline.measure`.
        workers: how many, in turn; the first is what the others are compared with.
        copies: of the file, at least; each worker has one.
        planned_ms: CPU ms of a frame by `tools/capacity.py`: what is measured, without the processes' start, is told
            beside it.

    Raises:
        InputError: a copy could not be tracked, or has other bytes than the first.
    """
    rows: list[dict[str, Any]] = []
    seen: set[str] = set()
    copies = max(copies, *workers)
    for count in workers:
        run = _track(video, detector, reid, frames, count, copies)
        seen |= run.seen
        row = {
            "workers": count,
            "frames/s": round(copies * frames / run.wall, 1),
            "x first": round(rows[0]["s"] / run.wall, 2) if rows else 1.0,
            "s": round(run.wall, 1),
            "tracking s, all workers": round(run.tracking, 1),
            "CPU s": round(run.cpu, 1),
            "MB, the largest worker": round(run.memory),
        }
        if planned_ms is not None:
            # what all of it takes but for its frames
            started = _track(video, detector, reid, 1, count, copies)
            ms = 1e3 * (run.cpu - started.cpu) / (copies * (frames - 1))
            row |= {"CPU ms a frame": round(ms, 1), "x planned": round(ms / planned_ms, 2)}
        rows.append(row)
    if len(seen) != 1:
        raise InputError(f"{video}: other bytes by other workers; this is a fault of Retrace")
    return rows


@dataclass(frozen=True, slots=True)
class _Run:
    """All copies, once."""

    wall: float  # s
    cpu: float  # s, of all processes
    tracking: float  # s, summed over the copies
    memory: float  # MB of the largest process
    seen: set[str]  # hashes of the results


def _track(video: str, detector: str, reid: str, frames: int, workers: int, copies: int) -> _Run:
    with tempfile.TemporaryDirectory() as out:
        jobs = [
            Job(video, out, name=f"copy{k}", detector=detector, reid=reid, length=frames, threads=1)
            for k in range(copies)
        ]
        begin, cpu = time.perf_counter(), _children_cpu()
        with largest_child() as memory:
            outcomes = list(track_in_workers(jobs, workers, threading.Event()))
        wall, cpu = time.perf_counter() - begin, _children_cpu() - cpu
        trouble = [outcome.why for outcome in outcomes if outcome.report is None]
        if trouble:
            raise InputError(f"{video}: {trouble[0]}")
        seen = {_hash(Path(out) / f"{job.name}.txt") for job in jobs}
        tracking = sum(outcome.report.seconds for outcome in outcomes if outcome.report is not None)
    return _Run(wall, cpu, tracking, memory[0], seen)


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
