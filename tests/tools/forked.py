"""Processes that begin at once: forked from one server that has imported what they need.

For tests of what takes a process (signals, kills, a full disk) but not of how one begins: a fresh one spends more than
a second on imports. multiprocessing has one such server in all, and who starts it first says what it imports; so
whoever needs one, `tools/crash_test.py` among them, asks for this one.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import multiprocessing
import multiprocessing.forkserver
import os
import signal
import sys
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

from tests.conftest import ROOT

CONTEXT = multiprocessing.get_context("forkserver")
TRAINING = ("torch", "torchreid", "timm")


def begin_server() -> None:
    """Where it does not run yet."""
    trains = all(importlib.util.find_spec(name) for name in TRAINING)
    preload = ["retrace.tools.crashes.warm", *(["tests.tools.training_process"] if trains else [])]
    CONTEXT.set_forkserver_preload(preload)
    with contextlib.chdir(ROOT):  # where it finds `tests`
        multiprocessing.forkserver.ensure_running()


def forked_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers (tools/runs/workers.py) come from the server, too. Ctrl-C reaches these: not for tests of that."""
    begin_server()
    monkeypatch.setattr("retrace.tools.runs.workers.get_context", lambda kind: CONTEXT)


class Forked:
    """``tools/TOOL.py ARGV`` at work in a process of its own, to be asked as a `subprocess.Popen` is.

    Args:
        said: a folder that gets its output, as files.
        largest: bytes that a file may have: writing more fails as on a full disk.
        checkpoints: s between two of a tracking's.
    """

    def __init__(
        self,
        tool: str,
        argv: list[str],
        said: Path,
        largest: int | None = None,
        checkpoints: float | None = None,
    ) -> None:
        begin_server()
        said.mkdir(parents=True, exist_ok=True)
        self._texts = (said / "out.txt", said / "err.txt")
        # not a daemon: tools have processes of their own
        self._process: ForkServerProcess = CONTEXT.Process(
            target=_run, args=(tool, argv, *map(str, self._texts), largest, checkpoints)
        )
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        assert self.returncode is not None, f"still at work after {timeout} s"
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        self.wait(timeout)
        out, err = (path.read_text() if path.exists() else "" for path in self._texts)
        return out, err


def _run(
    tool: str, argv: list[str], out: str, err: str, largest: int | None, checkpoints: float | None
) -> None:
    from retrace.tools.terminal.console import guarded
    from retrace.tracker.run import checkpoint

    for number, name in ((1, out), (2, err)):
        with open(name, "w") as file:
            os.dup2(file.fileno(), number)
    if largest is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    if checkpoints is not None:
        checkpoint.EVERY = checkpoints
    sys.argv = [f"tools/{tool}.py"]
    guarded(importlib.import_module(f"retrace.tools.{tool}").main, argv)
