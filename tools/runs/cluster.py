"""Jobs on a Ray cluster: a source is a task, tried again where its process or machine died, from its checkpoint.

Ray places the tasks, moves them and starts machines; here is only what a source needs. All machines see the driver's
folder and the output folder under the same paths (a shared file system), and have the same Retrace installed. Where
the jobs name a storage, checkpoints and results go through that, and the output folder is the driver's alone.
"""

from __future__ import annotations

import os
import re
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from retrace.configs import InputError
from retrace.configs.errors import install, one_line, system_reason
from retrace.tools.runs.models import Models
from retrace.tools.runs.workers import POLL, TRIES, Outcome, Progress, cause_of_end
from retrace.tracker.data import Step
from retrace.tracker.run import Job, SourceReport
from retrace.tracker.run.storage import Storage

STARTS = 3  # tries to begin a cluster
PATIENCE = 5.0  # s for an address to answer
STORE = 100 * 2**20  # bytes of shared memory: jobs and outcomes are small, frames never travel
QUIET = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def track_on_cluster(
    jobs: Sequence[Job],
    address: str,
    stop: threading.Event,
    progress: Progress = lambda name, done: None,
    init: Callable[..., Any] | None = None,
) -> Iterator[Outcome]:
    """Do jobs as tasks of a Ray cluster; outcomes come as they are, the same bytes as here.

    Args:
        jobs: with names that differ; files, not live sources. ``threads`` of a job is how many cores its task asks
            for (None: 1).
        address: "local": a cluster of this machine, begun and ended here; "auto": one that runs here or that
            $RAY_ADDRESS names, else local; or host:port, ray://host:port.
        stop: set it, and tasks are cancelled; their checkpoints are at most 10 s old. Those have no outcome.
        progress: told of each job that ended.
        init: instead of ``ray.init``.

    Raises:
        InputError: no Ray, no cluster, one of another version, or a machine of it that does not see the folders.
    """
    ray = check_address(address)
    with connected(ray, address, init or ray.init):
        check_machines(ray, os.getcwd(), [str(Path(jobs[0].out).resolve())], jobs[0].storage)
        here = os.getcwd()
        todo = ray.remote(max_retries=TRIES - 1)(do)
        waiting = {}
        for job in jobs:
            task = todo.options(num_cpus=job.threads or 1, name=job.name).remote(
                replace(job, threads=job.threads or 1, resume=True), here, job.resume
            )
            waiting[task] = job
        while waiting:
            if stop.is_set():
                for task in waiting:
                    ray.cancel(task)
                # wait, so that they let go of their files
                ray.wait([*waiting], num_returns=len(waiting), timeout=30)
                return
            ready, _ = ray.wait([*waiting], timeout=POLL)
            for task in ready:
                job = waiting.pop(task)
                progress(job.name or "", None)
                yield _outcome(ray, task, job)


@contextmanager
def actors(
    address: str, jobs: Sequence[Job], init: Callable[..., Any] | None = None
) -> Iterator[Callable[[int], ActorSeat]]:
    """What makes a seat on a Ray cluster for a camera, see `tools/runs/watch.py`.

    Args:
        address: as of :func:`track_on_cluster`.
        jobs: of all cameras.
        init: instead of ``ray.init``.

    Raises:
        InputError: no Ray, no cluster, one of another version, or a machine of it that does not see the folders.
    """
    ray = check_address(address)
    with connected(ray, address, init or ray.init):
        machines = check_machines(ray, os.getcwd(), [str(jobs[0].folder().resolve())], jobs[0].storage)
        if jobs[0].memory is not None and machines > 1:
            raise InputError(
                f"`memory` {jobs[0].memory}: is a file of one machine, and the cluster has {machines}; leave it out"
            )
        yield lambda threads: ActorSeat(ray, threads)


class ActorSeat:
    """A camera's place on the cluster: an actor that Ray puts where there is room. When its machine goes, the next
    one is put elsewhere."""

    def __init__(self, ray: Any, threads: int) -> None:
        self._ray = ray
        self._actor = ray.remote(CameraActor).options(num_cpus=threads, max_concurrency=2).remote(os.getcwd())
        self._task: Any = None  # the job
        self._asked: Any = None  # how far it is

    def give(self, job: Job) -> None:
        self._task = self._actor.track.remote(job)
        self._asked = self._actor.done.remote()

    def told(self) -> list[int | Outcome]:
        try:
            return [*self._heard()]
        except self._ray.exceptions.RayError as error:
            raise EOFError(f"its actor died ({type(error).__name__})") from None

    def _heard(self) -> Iterator[int | Outcome]:
        if self._asked is not None and self._ray.wait([self._asked], timeout=0)[0]:
            frames = self._ray.get(self._asked)
            self._asked = self._actor.done.remote()
            if frames:
                yield frames
        if self._task is not None and self._ray.wait([self._task], timeout=0)[0]:
            ended, self._task, self._asked = self._ray.get(self._task), None, None
            yield ended

    def stop(self) -> None:
        self._actor.stop.remote()

    def kill(self) -> None:
        self._ray.kill(self._actor)


class CameraActor:
    """One camera, somewhere on the cluster."""

    def __init__(self, here: str) -> None:
        os.chdir(here)
        self._models, self._stop, self._frames = Models(), threading.Event(), 0

    def track(self, job: Job) -> Outcome:
        try:
            report = track_here(self._models, job, self._count, self._stop)
        except InputError as error:
            return Outcome(job.name or "", None, str(error))
        return Outcome(job.name or "", report)

    def _count(self, step: Step) -> None:
        self._frames = step.frame.index + 1

    def done(self) -> int:
        """Frames, those that are new since the last call; 0: none is."""
        frames, self._frames = self._frames, 0
        return frames

    def stop(self) -> None:
        self._stop.set()


def check_address(address: str) -> Any:
    """Ray, imported; its cluster is there as far as can be seen from outside.

    Raises:
        InputError: no such address, nobody answers there, or no Ray is installed here.
    """
    if address not in ("auto", "local"):
        _refuse_silence(address)
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)  # before it is imported; local processes inherit it
    try:
        import ray
    except ImportError:
        raise InputError(f"`cluster` needs the extra `ray`: {install('ray')}") from None
    return ray


@contextmanager
def connected(ray: Any, address: str, init: Callable[..., Any]) -> Iterator[None]:
    """Ray, joined or begun, and left as it was found."""
    joined = ray.is_initialized()
    for left in range(STARTS - 1, -1, -1):
        try:
            if not joined:
                _begin(address, init)
            break
        except Exception as error:  # Ray raises many kinds: versions that differ, memory that is short
            if left and "timed out" in str(error):  # a busy machine: Ray gives its own processes 30 s
                ray.shutdown()
                continue
            raise InputError(f"`cluster` {address}: Ray does not start: {one_line(error)}") from None
    try:
        yield
    finally:
        if not joined:
            ray.shutdown()


def _begin(address: str, init: Callable[..., Any]) -> None:
    local = {"address": "local", "include_dashboard": False, "object_store_memory": STORE}
    quiet = {"log_to_driver": False, "configure_logging": False}
    if address in ("auto", "local"):
        if address == "auto":
            with suppress(ConnectionError):
                init(address="auto", **quiet)
                return
        init(**local, **quiet)
        return
    init(address=address, **quiet)


def _refuse_silence(address: str) -> None:
    """Raises InputError for an address at which nobody answers: Ray itself would wait for a minute."""
    told = urlsplit(address if "://" in address else f"ray-head://{address}")
    try:
        host, port = told.hostname, told.port
    except ValueError:  # a port that is no number
        host = port = None
    if not host or not port:
        raise InputError(f"`cluster` {address[:80]}: expected auto, local, HOST:PORT or ray://HOST:PORT")
    try:
        socket.create_connection((host, port), PATIENCE).close()
    except OSError as error:
        raise InputError(f"`cluster` {address}: does not answer ({system_reason(error)})") from None


def check_machines(ray: Any, here: str, folders: Sequence[str], storage: str | None = None) -> int:
    """One small task a machine: it has this Retrace and sees the folders, or can write to the storage. How many.

    Raises:
        InputError: names the machine that does not.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    look = ray.remote(num_cpus=0, max_retries=0)(look_around)
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    if not nodes:
        raise InputError("`cluster`: no machine of it has a CPU to give")
    asked = {
        node["NodeManagerAddress"]: look.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(here, folders, storage)
        for node in nodes
    }
    mine = look_around(here, folders, storage)
    for host, task in asked.items():
        try:
            told = ray.get(task)
        except Exception as error:
            raise InputError(f"`cluster`: {host} cannot run Retrace: {one_line(error)}") from None
        for what, value in mine.items():
            if told[what] != value:
                raise InputError(f"`cluster`: {what} is {told[what]} on {host}, {value} here")
    return len(nodes)


def look_around(here: str, folders: Sequence[str], storage: str | None) -> dict[str, str]:
    """What must be alike on all machines."""
    import numpy as np

    from retrace import __version__

    def seen(folder: str) -> str:
        return "there" if os.path.isdir(folder) else "not there"

    alike = {"Retrace": __version__, "NumPy": np.__version__, here: seen(here)}
    if storage is None:
        return alike | {folder: seen(folder) for folder in folders}
    try:
        Storage(storage).check()
    except InputError as error:
        return alike | {"the storage": str(error)}
    return alike | {"the storage": "writable"}


@cache
def models() -> Models:
    """The networks that this process of a cluster holds on to from task to task."""
    return Models()


def do(job: Job, here: str, resume: bool) -> Outcome:
    """A task: one job, in the driver's folder. It always goes on from a checkpoint: that of the task that died before.

    Args:
        job: with ``resume``.
        here: the driver's folder, by which relative paths go.
        resume: whether the user asked to resume; else the report does not speak of it where there was no checkpoint.
    """
    try:
        os.chdir(here)
        import cv2

        cv2.setNumThreads(job.threads or 1)
        report = track_here(models(), job)
    except InputError as error:
        return Outcome(job.name or "", None, str(error))
    if not resume:
        report.notes = [note for note in report.notes if not re.match("no checkpoint", note)]
    return Outcome(job.name or "", report)


def track_here(
    held: Models,
    job: Job,
    on_step: Callable[[Step], None] | None = None,
    stop: threading.Event | None = None,
) -> SourceReport:
    """One job on this machine of the cluster. With a storage in a folder of this task's own: what another task left
    here is not looked at, the storage is."""
    if job.storage is None:
        return held.track(job, on_step, stop)
    with tempfile.TemporaryDirectory(prefix="retrace-") as own:
        report = held.track(replace(job, out=own), on_step, stop)
        report.files = [Path(job.out) / path.relative_to(own) for path in report.files]
        return report


def _outcome(ray: Any, task: Any, job: Job) -> Outcome:
    try:
        found: Outcome = ray.get(task)
    except ray.exceptions.WorkerCrashedError:
        return Outcome(job.name or "", None, cause_of_end(TRIES))
    except (
        ray.exceptions.RayError
    ) as error:  # a fault of Retrace, a machine without memory, an object that was lost
        return Outcome(job.name or "", None, one_line(error))
    return found
