"""OpenCV kept from writing to standard error about what is told in one line anyway."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LOCK = threading.Lock()
_INSIDE: list[int] = []  # the level to go back to, once for each thread that is inside


@contextmanager
def quiet_cv2() -> Iterator[None]:
    """Nothing is logged inside; the level is as before when the last thread has left."""
    import cv2

    log = cv2.utils.logging
    with _LOCK:
        _INSIDE.append(_INSIDE[0] if _INSIDE else log.getLogLevel())
        log.setLogLevel(log.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        with _LOCK:
            level = _INSIDE.pop()
            if not _INSIDE:
                log.setLogLevel(level)
