"""Functions of many small tasks: in this process, in several of this machine, or on a Ray cluster."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrace.configs import InputError
from retrace.configs.errors import system_reason

if TYPE_CHECKING:
    from retrace.eval.ranking.shards import ShardPool


@contextmanager
def executor_of(
    cluster: str | None, folders: Sequence[str | Path] = (), init: Callable[..., Any] | None = None
) -> Iterator[ClusterExecutor | None]:
    """What does functions on a cluster; None where nobody names one.

    Args:
        cluster: as of `tools.runs.cluster.track_on_cluster`.
        folders: that all its machines must see.
        init: instead of ``ray.init``.

    Raises:
        InputError: no Ray, no cluster, one of another version, or a machine of it that does not see a folder.
    """
    if cluster is None:
        yield None
        return
    from retrace.tools.runs.cluster import check_address, check_machines, connected

    ray = check_address(cluster)
    with connected(ray, cluster, init or ray.init):
        check_machines(ray, os.getcwd(), [str(Path(folder).resolve()) for folder in folders])
        with ClusterExecutor(ray) as executor:
            yield executor


class ClusterExecutor(Executor):
    """Each function is a task of one core in the driver's folder, done again where its process or machine died."""

    def __init__(self, ray: Any) -> None:
        from retrace.tools.runs.workers import TRIES

        self._ray, self._here, self._waiting = ray, os.getcwd(), set[Any]()
        self._task = ray.remote(max_retries=TRIES - 1)(call)
        self.cores = max(1, int(ray.cluster_resources().get("CPU", 1)))

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        task, future = self._task.remote(self._here, fn, args, kwargs), Future[Any]()
        self._waiting.add(task)
        task.future().add_done_callback(partial(self._ended, task, future))
        return future

    def _ended(self, task: Any, future: Future[Any], told: Future[Any]) -> None:
        from retrace.configs.errors import one_line
        from retrace.tools.runs.workers import TRIES, cause_of_end

        self._waiting.discard(task)
        error = told.exception()
        if error is None:
            value, why = told.result()
            if why is None:
                future.set_result(value)
                return
        elif isinstance(error, self._ray.exceptions.WorkerCrashedError):
            why = f"`cluster`: a task failed: {cause_of_end(TRIES)}"
        else:
            why = f"`cluster`: a task failed: {one_line(error)}"
        future.set_exception(InputError(why))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        for task in [*self._waiting]:
            self._ray.cancel(task)


def call(
    here: str, function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]
) -> tuple[Any, str | None]:
    """A task: what the function gives, or why it refuses."""
    os.chdir(here)
    try:
        return function(*args, **kwargs), None
    except InputError as error:
        return None, str(error)


@contextmanager
def shards_of(
    shards: int | None, cluster: str | None, init: Callable[..., Any] | None = None
) -> Iterator[ShardPool | None]:
    """Who ranks parts of a gallery; None: nobody, it is ranked here in one piece.

    Args:
        shards: how many, in a process each or on the cluster; None: as many as that has cores.
        cluster, init: as of :func:`executor_of`.

    Raises:
        InputError: as :func:`executor_of`; fewer than 1, or the folder where features are put cannot be written.
    """
    from retrace.eval.ranking.shards import ShardPool

    if shards is not None and shards < 1:
        raise InputError(f"`shards` {shards}: expected a whole number from 1")
    if shards is None and cluster is None:
        yield None
        return
    with ExitStack() as stack:
        there = stack.enter_context(executor_of(cluster, (), init))
        try:  # machines of a cluster see the driver's folder, and hardly its temporary ones
            place = tempfile.TemporaryDirectory(prefix=".retrace-shards-", dir=None if there is None else ".")
        except OSError as error:
            raise InputError(
                f"`cluster`: features cannot be put into this folder ({system_reason(error)})"
            ) from None
        folder = Path(stack.enter_context(place)).resolve()
        count = shards or (1 if there is None else there.cores)
        executor = stack.enter_context(workers(count)) if there is None else there
        yield ShardPool(executor, count, folder)


class InProcess(Executor):
    """Does what is submitted in this process, before ``submit`` returns."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future:
        future: Future = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@contextmanager
def workers(jobs: int) -> Iterator[Executor]:
    """``jobs`` processes of one thread each; 1: this process itself. What waits at the end is dropped."""
    if jobs == 1:
        yield InProcess()
        return
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _begin_worker)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _begin_worker() -> None:
    """Ctrl-C is the parent's to answer; a worker whose parent was killed must not stay."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
