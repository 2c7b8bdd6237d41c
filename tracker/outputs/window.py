"""A window in which a source is seen as it is tracked."""

from __future__ import annotations

import os
import subprocess
import sys

import cv2

from retrace.configs import InputError
from retrace.configs.errors import one_line
from retrace.tracker.data import Step
from retrace.tracker.outputs.draw import Painter, resized
from retrace.tracker.outputs.style import Style

WIDEST = 1600  # px; larger pictures are shown smaller
QUIT = (ord("q"), 27)  # q and Esc
TRY = "import cv2; cv2.namedWindow('x'); cv2.waitKey(1)"
PATIENCE = 30  # s


def refuse_headless() -> None:
    """See whether a window can be opened here. Qt ends the whole process where it finds no screen, so a child tries.

    Raises:
        InputError: there is no screen, or OpenCV was built without windows.
    """
    advice = "leave `show` out and `save` video instead"
    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        raise InputError(f"`show`: this machine has no screen (DISPLAY is not set); {advice}")
    try:
        tried = subprocess.run([sys.executable, "-c", TRY], capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise InputError(f"`show`: no window opens within {PATIENCE} s; {advice}") from None
    if tried.returncode == 0:
        return
    if "not implemented" in tried.stderr:
        raise InputError(
            "`show`: this OpenCV has no windows; install opencv-python instead of its headless build"
        )
    said = [line for line in tried.stderr.splitlines() if line.strip()]
    why = one_line(said[0])[:200] if said else f"code {tried.returncode}"
    raise InputError(f"`show`: no window can be opened here ({why}); {advice}")


class Window:
    """Shows steps as they come; ``closed`` once the user has had enough (q, Esc, or the window's own button)."""

    def __init__(self, title: str, style: Style | None = None, size: tuple[int, int] | None = None) -> None:
        """``size`` (height, width) px of frames without an image."""
        self._title, self._painter, self._open = title, Painter(style, size), False
        self.closed = False

    def show(self, step: Step) -> None:
        """Draw one step and show it; nothing once it is closed."""
        image = self._painter.paint(step)
        if self.closed:
            return
        if image.shape[1] > WIDEST:
            image = resized(image, WIDEST)
        if not self._open:
            cv2.namedWindow(self._title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
            cv2.resizeWindow(self._title, image.shape[1], image.shape[0])
            self._open = True
        cv2.imshow(self._title, image)
        key = cv2.waitKey(1) & 0xFF
        self.closed = key in QUIT or cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1

    def close(self) -> None:
        """Take the window away."""
        if self._open:
            cv2.destroyWindow(self._title)
            self._open = False
