"""Cameras kept alive: a process each (or an actor of a Ray cluster), begun again with a growing pause when it dies,
falls silent or finds no camera; each goes on from its checkpoint, and so do ids, frame numbers
and times.

What is wrong with a camera is said once, and then that it is back: not at each attempt in between.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from retrace.configs import InputError
from retrace.configs.files import atomic_write, cores, write_json, writing
from retrace.tools.runs.models import Models
from retrace.tools.runs.runner import lasting, names_apart
from retrace.tools.runs.workers import Outcome, Worker, cause_of_death
from retrace.tracker.run import Job, open_job
from retrace.tracker.run.checkpoint import checkpoint_of
from retrace.tracker.run.manifest import manifest
from retrace.tracker.run.storage import Storage, mirror_of
from retrace.tracker.sources import Source, has_an_end
from retrace.tracker.sources.address import check_address, is_url, url_name
from retrace.tracker.sources.source import DEFAULT_FPS

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0  # s before a camera is begun again; doubles from one to the other
STEADY = 10.0  # s of frames after which the pause is short again
FRESH = 10.0  # s since the last frame for which a camera counts as up
SILENT = 30.0  # s without a frame after which a process is ended: it hangs, or its camera is gone
BEGINNING = 120.0  # the same for one that has just begun: it opens networks and measures the camera's rate
POLL = 0.2  # s between looks
TELL_EVERY = 5.0  # s between two states of health on the disk
METRICS = "metrics.prom"

HELP = {
    "retrace_camera_up": ("gauge", "1: it is being tracked, and a frame was within the last 10 s"),
    "retrace_camera_frames_total": (
        "counter",
        "frames that came since the first start, those dropped as stale too",
    ),
    "retrace_camera_silent_seconds": ("gauge", "since the last frame was tracked"),
    "retrace_camera_starts_total": ("counter", "how often it was begun; 1: never again"),
}


class Seat(Protocol):
    """Where a camera is tracked: a process here, or an actor elsewhere."""

    def give(self, job: Job) -> None:
        """Begin the job."""

    def told(self) -> list[int | Outcome]:
        """What it has said since the last call: frames done, or how the job ended.

        Raises:
            EOFError: it died; says why.
        """

    def stop(self) -> None:
        """End the job after this frame, its files finished."""

    def kill(self) -> None:
        """End it now."""


class Process:
    """A seat in a process of this machine."""

    def __init__(self, threads: int) -> None:
        self._worker = Worker.hire(threads)

    def give(self, job: Job) -> None:
        self._worker.give(job)

    def told(self) -> list[int | Outcome]:
        found: list[int | Outcome] = []
        try:
            while self._worker.pipe.poll():
                found.append(self._worker.pipe.recv())
        except (EOFError, OSError):
            if found:  # its last words first; that it ended is told at the next look
                return found
            code = self._worker.end()
            raise EOFError(f"its process was killed ({cause_of_death(code)})") from None
        return found

    def stop(self) -> None:
        self._worker.send(None)

    def kill(self) -> None:
        self._worker.process.kill()
        self._worker.end()


class Spare:
    """Seats in processes of this machine, one of them begun before it is needed: who takes over from a process that
    died need not wait for libraries to be read."""

    def __init__(self) -> None:
        self._next: Process | None = None

    def hire(self, threads: int) -> Process:
        seat, self._next = self._next or Process(threads), Process(threads)
        return seat

    def close(self) -> None:
        if self._next is not None:
            self._next.kill()


@dataclass(slots=True)
class Camera:
    """One camera and how it fares."""

    job: Job
    seat: Seat | None = None
    frames: int = 0  # tracked, over all starts
    starts: int = 0
    begun: float = 0.0  # s of the clock: this start
    first: float | None = None  # this start's first frame
    seen: float | None = None  # the last frame, of whichever start
    again: float = 0.0  # not begun again before
    pause: float = FIRST_PAUSE
    busy: bool = False  # its seat is at work
    ended: Outcome | None = None  # as asked
    told: set[str] = field(default_factory=set)  # what was wrong with it since its last frame

    @property
    def name(self) -> str:
        return self.job.name or ""


def watch(
    jobs: Sequence[Job],
    stop: threading.Event,
    hire: Callable[[int], Seat] = Process,
    say: Callable[[str], None] = lambda line: None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[list[Camera]]:
    """Track cameras until ``stop`` is set; then each one's files are finished. Yields how they fare, now and then.

    Args:
        jobs: of live sources, with names that differ; one that is to resume goes on from what lies there.
        stop: ends all.
        hire: makes a seat with so many threads.
        say: told of each loss and return, a line.
        clock: s.
    """
    cameras = [Camera(job) for job in jobs]
    asked = False
    try:
        while not (asked and all(camera.seat is None or not camera.busy for camera in cameras)):
            now = clock()
            for camera in cameras:
                if asked:
                    _take_reports(camera, now, say)
                else:
                    _look_after(camera, now, hire, say)
            if stop.is_set() and not asked:
                asked = True
                for camera in cameras:
                    if camera.seat is not None and camera.busy:
                        camera.seat.stop()
            yield cameras
            stop.wait(POLL) if not asked else time.sleep(POLL)
    finally:
        for camera in cameras:
            if camera.seat is not None:
                camera.seat.kill()


def _look_after(camera: Camera, now: float, hire: Callable[[int], Seat], say: Callable[[str], None]) -> None:
    """Take its reports; end it when it has been silent too long; begin it when its time has come."""
    _take_reports(camera, now, say)
    if camera.busy and camera.seat is not None:
        since = camera.begun if camera.first is None else camera.seen or camera.begun
        if now - since > (BEGINNING if camera.first is None else SILENT):
            camera.seat.kill()
            camera.seat = None
            _lost(camera, now, f"no frame for {now - since:.0f} s", say)
    if not camera.busy and now >= camera.again:
        camera.seat = camera.seat or hire(camera.job.threads or 1)
        camera.seat.give(replace(camera.job, resume=camera.job.resume or camera.starts > 0))
        camera.starts += 1
        camera.begun, camera.first, camera.busy = now, None, True


def _take_reports(camera: Camera, now: float, say: Callable[[str], None]) -> None:
    if camera.seat is None:
        return
    try:
        told = camera.seat.told()
    except EOFError as error:
        camera.seat = None
        _lost(camera, now, str(error), say)
        return
    for one in told:
        if isinstance(one, Outcome):
            camera.ended = one
            _lost(
                camera, now, one.why or "its stream ended", say if one.report is None else lambda line: None
            )
            continue
        if camera.first is None:
            camera.first = now
            camera.told.clear()
            if camera.starts > 1:
                blind = "" if camera.seen is None else f" after {now - camera.seen:.1f} s"
                say(f"{camera.name}: back{blind}, at frame {one}")
        if now - camera.first > STEADY:
            camera.pause = FIRST_PAUSE
        camera.frames, camera.seen = max(camera.frames, one), now


def _lost(camera: Camera, now: float, why: str, say: Callable[[str], None]) -> None:
    camera.busy, camera.again = False, now + camera.pause
    if why not in camera.told:
        camera.told.add(why)
        more = "" if camera.seen else " and on, told of when it is there"
        say(f"{camera.name}: {why}; begun again in {camera.pause:g} s{more}")
    camera.pause = min(2 * camera.pause, LONGEST_PAUSE)


def metrics(cameras: Sequence[Camera], now: float) -> str:
    """How the cameras fare, in Prometheus' text format (version 0.0.4).

    Args:
        cameras: from :func:`watch`.
        now: s of its clock.
    """
    lines = []
    for name, (kind, help_) in HELP.items():
        lines += [f"# HELP {name} {help_}", f"# TYPE {name} {kind}"]
        for camera in cameras:
            silent = None if camera.seen is None else now - camera.seen
            value = {
                "retrace_camera_up": int(camera.busy and silent is not None and silent < FRESH),
                "retrace_camera_frames_total": camera.frames,
                "retrace_camera_silent_seconds": "NaN" if silent is None else f"{silent:.1f}",
                "retrace_camera_starts_total": camera.starts,
            }[name]
            lines.append(f'{name}{{camera="{_escaped(camera.name)}"}} {value}')
    return "\n".join(lines) + "\n"


def _write(path: Path, text: str) -> None:
    with writing(path), atomic_write(path) as file:
        file.write(text)


def _conclude(camera: Camera, storage: str | None, say: Callable[[str], None]) -> None:
    """The last word on a camera: what there is of it."""
    report = None if camera.ended is None else camera.ended.report
    if report is None:
        kept = "its checkpoint is kept: resume it to go on" if camera.frames else "no frame was tracked"
        say(f"{camera.name}: not finished ({'; '.join(sorted(camera.told)) or 'it did not answer'}); {kept}")
        return
    for path in report.files:
        if storage is not None and not path.exists():  # made on another machine
            Storage(storage).get(path.name, path)
    left = "" if camera.starts == 1 else f", begun {camera.starts} times"
    say(f"{camera.name}: {report.frames} frames, {report.tracks} tracks{left}")
    for line in (*report.warnings, *report.notes, *report.files):
        say(f"  {line}")


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def camera_jobs(jobs: Sequence[Job], share: int | None = None) -> list[Job]:
    """The jobs with names and their share of the cores.

    Raises:
        InputError: one is no camera, its files could not be gone on with, or what all of them need is not there.
    """
    for job in jobs:
        _check_camera(job)
    places = [job.source if is_url(job.source) else f"{int(job.source)}" for job in jobs]
    for k, place in enumerate(places):
        if place in places[:k]:
            raise InputError(f"{jobs[k].shown}: is named twice; each camera is tracked once")
    names = names_apart(
        [url_name(job.source) if is_url(job.source) else f"camera{job.source}" for job in jobs]
    )
    share = share or max(1, cores() // len(jobs))
    jobs = [
        replace(job, name=name, threads=job.threads or share) for name, job in zip(names, jobs, strict=True)
    ]
    if jobs[0].storage is not None:
        lasting(jobs[0].storage).check()
    models = Models()
    for job in jobs:  # what is wrong with a file, a network or an option is told before anything begins
        away = Source(job.name or "", DEFAULT_FPS, None, None, True, lambda source, start: iter(()))
        detect, embed = models.of(job, away)
        open_job(replace(job, resume=False), source=away, detect=detect, embed=embed)
    return jobs


def _check_camera(job: Job) -> None:
    """Raises InputError for what is no camera, or cannot be gone on with."""
    if not is_url(job.source) and (Path(job.source).exists() or not job.source.isdecimal()):
        raise InputError(f"{job.shown}: is no camera's index and no URL; files are for track.py")
    if is_url(job.source):
        check_address(job.source)
    if job.show or {"video", "sheet", "heat"} & set(job.save):
        raise InputError(
            "`save` video, sheet and heat, and `show`, cannot be gone on with after a loss; leave them out"
        )
    if job.memory is not None and Path(job.memory).is_dir():
        raise InputError(f"`memory` {job.memory}: is a folder; expected the name of a file")
    ends = False
    with suppress(InputError):  # it is not there, but may come
        ends = has_an_end(job.source)
    if ends:
        raise InputError(f"{job.shown}: is a video with an end, no camera; track.py is for those")


def watch_into(
    jobs: Sequence[Job],
    arguments: Sequence[str],
    stop: threading.Event,
    hire: Callable[[int], Seat] = Process,
    say: Callable[[str], None] = lambda line: None,
    publish: Callable[[str], None] = lambda text: None,
) -> list[Camera]:
    """:func:`watch` with its state of health in OUT/metrics.prom, and OUT/run.json at the end.

    Args:
        jobs: from :func:`camera_jobs`, into one folder.
        arguments: what the user typed.
        stop: ends all.
        hire: makes a seat.
        say: told of each loss and return.
        publish: told the state of health, a few times a second.
    """
    out = jobs[0].folder()
    for job in jobs:
        if not job.resume:
            checkpoint_of(out, job.name or "").unlink(missing_ok=True)
            mirror = mirror_of(job.storage, out, job.name or "")
            if mirror is not None:
                mirror.forget()
    told, cameras = -TELL_EVERY, list[Camera]()
    for cameras in watch(jobs, stop, hire, say):
        now = time.monotonic()
        text = metrics(cameras, now)
        publish(text)
        if now - told >= TELL_EVERY:
            told = now
            _write(out / METRICS, text)
    for camera in cameras:
        _conclude(camera, jobs[0].storage, say)
    reports = {c.name: c.ended.report for c in cameras if c.ended and c.ended.report}
    shared = next((one.shared for one in reports.values()), {})
    hashes = {path: value for one in reports.values() for path, value in one.hashes.items()}
    records = {name: one.record for name, one in reports.items()}
    write_json(out / "run.json", manifest(shared, arguments, hashes, records))
    _write(out / METRICS, metrics(cameras, time.monotonic()))  # who reads it later sees that none is up
    return cameras
