"""The latest picture with its tracks, for somebody who looks on: written only while there is one.

Who looks on touches ``NAME.onlooker``; while that is fresh, ``NAME.live.partial`` is the newest frame, at most
``RATE`` times a second: a line of JSON (frame, time, size, tracks, at), then a JPEG. Both go when the run ends.
"""

from __future__ import annotations

import json
import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from retrace.tracker.data import Step

RATE = 10.0  # pictures a second
FRESH = 3.0  # s for which one touch counts
LOOK = 0.25  # s between two looks at whether somebody is there
WIDE = 960  # px


def onlooker_file(folder: Path, name: str) -> Path:
    return folder / f"{name}.onlooker"


def picture_file(folder: Path, name: str) -> Path:
    return folder / f"{name}.live.partial"


class LivePicture:
    """Takes every step of a run; a thread encodes the newest one when somebody looks on. A context manager."""

    def __init__(self, folder: Path, name: str) -> None:
        self._onlooker, self._path = onlooker_file(folder, name), picture_file(folder, name)
        self._looked = self._shown = -1e9
        self._watched = False
        self._newest: tuple[Step, float] | None = None
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._ended = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
                self._onlooker.unlink(missing_ok=True)

    def take(self, step: Step) -> None:
        """One look at the clock where nobody looks on."""
        now = time.monotonic()
        if now - self._looked >= LOOK:
            self._looked, self._watched = now, self._somebody()
        if not self._watched or now - self._shown < 1 / RATE or step.frame.image is None:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="live", daemon=True)
            self._thread.start()
        self._shown, self._newest = now, (step, time.time())
        self._wake.set()

    def _somebody(self) -> bool:
        try:
            return time.time() - self._onlooker.stat().st_mtime < FRESH
        except OSError:
            return False

    def _run(self) -> None:
        while self._wake.wait() and not self._ended:
            self._wake.clear()
            newest, self._newest = self._newest, None
            if newest is not None:
                with suppress(OSError):  # a full disk ends the picture, not the run
                    # not atomic_write: a picture of a moment need not wait for the disk
                    beside = self._path.with_suffix(".next")
                    beside.write_bytes(encoded(*newest))
                    os.replace(beside, self._path)


def encoded(step: Step, at: float) -> bytes:
    """A line of JSON, then a JPEG at most ``WIDE`` px wide; boxes are in px of the frame.

    Args:
        at: s since 1970, when the step was there.
    """
    import cv2

    image, tracks = step.frame.image, step.tracks
    assert image is not None
    height, width = image.shape[:2]
    told = {
        "frame": step.frame.index,
        "time": round(step.frame.time, 3),
        "at": round(1000 * at),
        "size": [height, width],
        "tracks": [
            {"id": one, "xyxy": box, "predicted": index < 0}
            for one, box, index in zip(
                tracks.id.tolist(), tracks.xyxy.round(1).tolist(), tracks.det_index.tolist(), strict=True
            )
        ],
    }
    if width > WIDE:
        image = cv2.resize(image, (WIDE, round(height * WIDE / width)), interpolation=cv2.INTER_AREA)
    _, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 75])
    return json.dumps(told, separators=(",", ":")).encode() + b"\n" + jpeg.tobytes()
