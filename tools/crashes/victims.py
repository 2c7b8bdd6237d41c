"""A tool in a process of its own, which may be killed, starved of disk, or told to wait."""

from __future__ import annotations

import multiprocessing
import os
import sys
from importlib import import_module
from multiprocessing.context import ForkServerProcess
from pathlib import Path

CHECKPOINTS = 0.1  # s between two of tracking's; 10 as users have it


def start(tool: str, argv: list[str], said: Path, largest: int | None = None) -> ForkServerProcess:
    """A running ``tools/TOOL.py ARGV``.

    Args:
        said: a file that gets its standard error.
        largest: bytes that a file may have: writing more fails as on a full disk.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["retrace.tools.crashes.warm"])
    process = context.Process(target=_run, args=(tool, argv, str(said), largest), daemon=True)
    process.start()
    return process


def _run(tool: str, argv: list[str], said: str, largest: int | None) -> None:
    from retrace.tools.terminal.console import guarded
    from retrace.tracker.run import checkpoint

    with open(said, "w") as file:
        os.dup2(file.fileno(), 2)
    with open(os.devnull, "w") as file:
        os.dup2(file.fileno(), 1)
    if largest is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    checkpoint.EVERY = CHECKPOINTS
    sys.argv = [f"tools/{tool}.py"]
    guarded(import_module(f"retrace.tools.{tool}").main, argv)
