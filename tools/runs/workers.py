"""Jobs in processes of this machine: one source a process, one core or more each; when a process dies,
the next goes on from what it left.

A worker knows its parent by one pipe: jobs and the word to stop come through it, progress and outcomes go. Nothing is
shared, so a worker that is killed holds nothing that others wait for, and one whose parent is gone stops by itself.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from retrace.configs import InputError

if TYPE_CHECKING:
    from retrace.tracker.data import Step
    from retrace.tracker.run import Job, SourceReport

TRIES = 3  # processes that may die over one source
TELL_EVERY = 0.2  # s between two reports of a worker on how far it is
POLL = 0.2  # s between looks at whether to stop
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")  # read once, when NumPy is imported

Progress = Callable[[str, int | None], None]  # a job's name, frames done; None: it ended


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one job elsewhere."""

    name: str  # of the job
    report: SourceReport | None  # None: it failed
    why: str = ""  # it failed


def track_in_workers(
    jobs: Sequence[Job],
    workers: int,
    stop: threading.Event,
    progress: Progress = lambda name, done: None,
    warn: Callable[[str], None] = lambda line: None,
) -> Iterator[Outcome]:
    """Do jobs in processes, each as if it were done here; outcomes come as they are.

    A process that is killed is replaced, and its job goes on from its checkpoint, up to ``TRIES`` times.

    Args:
        jobs: with names that differ; files, not live sources.
        workers: processes.
        stop: set it, and every job ends between two frames, with a checkpoint; those that had not begun have no
            outcome.
        progress: told how far a job is.
        warn: told of a process that died, a line.
    """
    waiting, died = deque(jobs), Counter[str]()
    staff = [Worker.hire(jobs[0].threads or 1) for _ in range(min(workers, len(jobs)))]
    asked = False
    try:
        while True:
            if stop.is_set() and not asked:
                asked = True
                waiting.clear()
                for worker in staff:
                    worker.send(None)
            for worker in staff:
                if worker.job is None and waiting:
                    worker.give(waiting.popleft())
            busy = {worker.pipe: worker for worker in staff if worker.job is not None}
            if not busy:
                return
            for pipe in wait([*busy], timeout=POLL):
                assert isinstance(pipe, Connection)
                worker = busy[pipe]
                job = worker.job
                assert job is not None
                try:
                    told = pipe.recv()
                except (EOFError, OSError):
                    staff[staff.index(worker)] = Worker.hire(job.threads or 1)
                    code = worker.end()
                    died[job.name or ""] += 1
                    outcome = _of_the_dead(job, code, died[job.name or ""])
                    if outcome is not None:
                        yield outcome
                    elif not asked:
                        warn(
                            f"{job.name}: its process was killed ({cause_of_death(code)}); going on from its checkpoint"
                        )
                        waiting.appendleft(replace(job, resume=True))
                    continue
                if isinstance(told, Outcome):
                    worker.job = None
                    progress(told.name, None)
                    yield told
                else:
                    progress(job.name or "", told)
    finally:
        for worker in staff:
            worker.end()


def _of_the_dead(job: Job, code: int | None, times: int) -> Outcome | None:
    """None: the job is to be tried again."""
    if code is not None and code >= 0:  # what is wrong with Retrace would be wrong again
        return Outcome(job.name or "", None, f"its process ended with code {code}; what it said stands above")
    return None if times < TRIES else Outcome(job.name or "", None, cause_of_end(times))


def cause_of_end(times: int) -> str:
    return f"its process was killed {times} times"


def cause_of_death(code: int | None) -> str:
    if code is None:
        return "no exit code"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"code {code}"


@dataclass(slots=True, eq=False)
class Worker:
    """A process, its pipe and what it is at."""

    process: BaseProcess
    pipe: Connection
    job: Job | None = None

    @classmethod
    def hire(cls, threads: int) -> Worker:
        spawn = get_context("spawn")  # not fork: networks have threads
        here, there = spawn.Pipe()
        process = spawn.Process(target=work, args=(there, threads), name="retrace-worker", daemon=True)
        with _threads_of_children(threads), _without_ctrl_c():
            process.start()
        there.close()  # so that the pipe ends when the process does
        return cls(process, here)

    def give(self, job: Job) -> None:
        self.job = job
        self.send(job)

    def send(self, told: object) -> None:
        with suppress(OSError):  # it has died, which the next look at the pipe shows
            self.pipe.send(told)

    def end(self) -> int | None:
        """Close the pipe, by which it ends, and wait; its exit code."""
        self.pipe.close()
        self.process.join(timeout=30)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        return self.process.exitcode


@contextmanager
def _threads_of_children(count: int) -> Iterator[None]:
    """Libraries that read their number of threads when they are loaded find ``count``, unless somebody said another."""
    said = {name: os.environ.get(name) for name in THREADS}
    os.environ.update({name: str(count) for name, value in said.items() if value is None})
    try:
        yield
    finally:
        for name, value in said.items():
            if value is None:
                os.environ.pop(name, None)


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """A process that begins here never gets the terminal's Ctrl-C: its parent does, and tells it to stop."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # which would begin with the first process, and let the signal through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def work(pipe: Connection, threads: int) -> None:
    """A worker's life: jobs come, outcomes go, until the pipe closes."""
    import cv2

    from retrace.tools.runs.models import Models

    cv2.setNumThreads(threads)
    jobs: SimpleQueue[Job | None] = SimpleQueue()
    stop, models = threading.Event(), Models()
    threading.Thread(target=_listen, args=(pipe, jobs, stop), name="listen", daemon=True).start()
    while (job := jobs.get()) is not None:
        try:
            outcome = Outcome(job.name or "", models.track(job, _teller(pipe), stop))
        except InputError as error:
            outcome = Outcome(job.name or "", None, str(error))
        _tell(pipe, outcome)


def _listen(pipe: Connection, jobs: SimpleQueue[Job | None], stop: threading.Event) -> None:
    while True:
        try:
            told = pipe.recv()
        except (EOFError, OSError):  # the parent is gone, or wants no more
            stop.set()
            jobs.put(None)
            return
        if told is None:
            stop.set()
        else:
            jobs.put(told)


def _teller(pipe: Connection) -> Callable[[Step], None]:
    last = -TELL_EVERY

    def tell(step: Step) -> None:
        nonlocal last
        if time.monotonic() - last >= TELL_EVERY:
            last = time.monotonic()
            _tell(pipe, step.frame.index + 1)

    return tell


def _tell(pipe: Connection, told: Any) -> None:
    with suppress(OSError):  # nobody listens any more: `_listen` has seen that too
        pipe.send(told)


def workers_of(given: int | None, files: int) -> int:
    """How many processes: as told, or by cores; never more than there are files."""
    from retrace.configs.files import cores

    return max(1, min(given or cores(), files))
