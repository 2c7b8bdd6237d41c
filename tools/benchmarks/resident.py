"""How much memory a process holds at most: the high-water mark of its resident set.

`resource.getrusage` is no help beside a large parent: Linux hands a parent's mark on to what it starts, so that a
worker of 460 MB under a benchmark of 900 MB reads as 900 MB. /proc counts from the start of the program.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import resource
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any


def peak_mb(pid: int | None = None) -> float:
    """MB that a process held at most since its program began; None: this one.

    Without /proc: of this process what the system counts, of another 0.
    """
    status = Path("/proc") / ("self" if pid is None else str(pid)) / "status"
    with contextlib.suppress(OSError, StopIteration):
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 if pid is None else 0.0


def forget_peak() -> float:
    """Set the mark to what is in use now, where the system can; MB."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return peak_mb()


def peak_of_a_fresh_process(go: Callable[..., object], *given: Any) -> float:
    """MB of a process that does nothing but ``go(*given)``, which must be picklable."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_go, go, given).result()


def _go(go: Callable[..., object], given: tuple[Any, ...]) -> float:
    go(*given)
    return peak_mb()


@contextlib.contextmanager
def largest_child(every: float = 0.1) -> Iterator[list[float]]:
    """A list whose one number is the MB of the largest process of `multiprocessing` while the block ran."""
    largest, ended = [0.0], threading.Event()

    def watch() -> None:
        while not ended.wait(every):
            for child in multiprocessing.active_children():
                largest[0] = max(largest[0], peak_mb(child.pid))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield largest
    finally:
        ended.set()
        watcher.join()
