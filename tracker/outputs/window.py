"""A window in which a source is seen as it is tracked; a process of its own holds it (viewer.py)."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np

from retrace.configs import InputError
from retrace.tracker.data import Step
from retrace.tracker.outputs import viewer
from retrace.tracker.outputs.draw import Painter, resized
from retrace.tracker.outputs.style import Style

WIDEST = 1600  # px; larger pictures are shown smaller
PATIENCE = 60  # s, until a window must be open
ADVICE = "leave `show` out and `save` video instead"


class Window:
    """Shows steps as they come; ``closed`` once the user has had enough (q, Esc, or the window's own button).

    Raises:
        InputError: there is no screen, or OpenCV was built without windows.
    """

    def __init__(self, title: str, style: Style | None = None, size: tuple[int, int] | None = None) -> None:
        """``size`` (height, width) px of frames without an image."""
        if sys.platform.startswith("linux") and not (
            os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        ):
            raise InputError(f"`show`: this machine has no screen (DISPLAY is not set); {ADVICE}")
        self._painter, self.closed = Painter(style, size), False
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # a pipe that nobody reads would fill
        self._viewer = subprocess.Popen(
            [sys.executable, str(Path(viewer.__file__)), title],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
        )
        self._await()

    def show(self, step: Step) -> None:
        """Draw one step and show it; nothing once it is closed."""
        image = self._painter.paint(step)
        if image.shape[1] > WIDEST:
            image = resized(image, WIDEST)
        self.closed = self.closed or self._viewer.poll() is not None
        if self.closed:
            return
        assert self._viewer.stdin is not None
        try:
            self._viewer.stdin.write(np.array(image.shape[:2], "<u4").tobytes())
            self._viewer.stdin.write(np.ascontiguousarray(image).data)
            self._viewer.stdin.flush()
        except OSError:  # it went away meanwhile
            self.closed = True

    def close(self) -> None:
        """Take the window away."""
        with suppress(OSError):
            assert self._viewer.stdin is not None
            self._viewer.stdin.close()
        try:
            self._viewer.wait(5)
        except subprocess.TimeoutExpired:
            self._viewer.kill()
            self._viewer.wait()
        assert self._viewer.stdout is not None
        self._viewer.stdout.close()
        self._said.close()

    def _await(self) -> None:
        """Until the window is there, or the process has said why not."""
        assert self._viewer.stdout is not None
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._viewer.stdout, selectors.EVENT_READ)
            told = self._viewer.stdout.readline() if waiting.select(PATIENCE) else b""
        if told.strip() == b"open":
            return
        self._viewer.kill()
        self._said.seek(0)
        said = self._said.read().decode(errors="replace")
        self.close()
        if "not implemented" in said:
            raise InputError(
                "`show`: this OpenCV has no windows; install opencv-python instead of its headless build"
            )
        lines = [line for line in said.splitlines() if line.strip()]
        why = lines[0].strip()[:200] if lines else f"nothing came within {PATIENCE} s"
        raise InputError(f"`show`: no window can be opened here ({why}); {ADVICE}")


def refuse_headless() -> None:
    """See whether a window can be opened here.

    Raises:
        InputError: as :class:`Window`.
    """
    Window("...").close()
