"""Sources that do not wait: cameras and network streams, with reconnect."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import av
from av.container import InputContainer

from retrace.configs import InputError
from retrace.tracker.data import Frame
from retrace.tracker.sources.decode import DEFAULT_FPS, Decoder
from retrace.tracker.sources.read_ahead import ReadAhead

if TYPE_CHECKING:
    from retrace.tracker.sources import Source

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0  # s between attempts to reconnect; doubles from one to the other
DRIFT = 5.0  # s; a stream's clock that is further off the wall clock is set right
LIVE_DEPTH = 2  # frames; what waits longer is stale
OPTIONS = {"rtsp_flags": "prefer_tcp"}  # UDP loses packets and does not pass most routers


@dataclass(slots=True)
class Feed:
    """One connection to something live."""

    fps: float
    frames: Iterator[Frame]  # time: seconds since the connection began; image None: not decodable
    close: Callable[[], None]


Connect = Callable[[], Feed]  # raises InputError, which does not name credentials


def live_source(
    name: str,
    shown: str,
    connect: Connect,
    make: type[Source],
    reconnect_for: float,
    clock: Callable[[], float] = time.monotonic,
) -> Source:
    """A source that reads ahead by itself, drops what nobody took in time, and reconnects.

    ``shown`` is how messages call it. The first connection is made here, to tell of a wrong address at once.

    Raises:
        InputError: it does not open, or opens and sends no picture.
    """
    feed = connect()
    try:
        first = next((frame for frame in feed.frames if frame.image is not None), None)
    except (av.error.FFmpegError, OSError) as error:
        feed.close()
        raise InputError(f"{shown}: opens but sends no picture ({reason(error)})") from None
    if first is None or first.image is None:
        feed.close()
        raise InputError(f"{shown}: opens but sends no picture; is the camera switched on?")
    feed.frames = chain([first], feed.frames)
    opened = [feed]  # for the first reading; later ones connect anew

    def read(source: Source, start: int) -> Iterator[Frame]:
        if start:
            raise InputError(f"{shown}: a live source has gone on and cannot be resumed; start a new run")
        source.warnings.clear()
        stop = threading.Event()
        line = Reconnecting(source, shown, connect, reconnect_for, clock, stop.wait)
        return ReadAhead(
            line.frames(opened.pop() if opened else None, stop), LIVE_DEPTH, source.count_drop, stop.set
        )

    height, width = first.image.shape[:2]
    return make(name, feed.fps, (height, width), None, True, read)


@dataclass(slots=True)
class Reconnecting:
    """Frames of a source across its connections, on one time axis.

    Time is the stream's own within a connection and goes on by the wall clock from one to the next, so a
    tracker sees how long it was blind. After a loss it connects anew, 0.5 s later, then 1, 2, 4, 8, 8 ...;
    when ``reconnect_for`` seconds pass without a frame it leaves a warning in ``source`` and ends.
    """

    source: Source
    shown: str
    connect: Connect
    reconnect_for: float  # s
    clock: Callable[[], float]  # s
    wait: Callable[[float], object]  # sleeps so many seconds, or less when the reader is closed
    _index: int = 0
    _begun: float | None = None
    _time: float = 0.0  # of the last frame
    _seen: float = 0.0  # clock at the last frame

    def frames(self, feed: Feed | None, stop: threading.Event) -> Iterator[Frame]:
        """``feed`` is a connection that is open already."""
        self._seen = self.clock()
        pause = FIRST_PAUSE
        trouble = "the stream ended"
        while not stop.is_set():
            before = self._index
            try:
                feed = feed or self.connect()
                yield from self._connection(feed)
                trouble = "the stream ended"
            except (av.error.FFmpegError, OSError, InputError) as error:
                trouble = reason(error).removeprefix(f"{self.shown}: ")
            finally:
                if feed is not None:
                    feed.close()
            feed = None
            if self._index > before:
                pause = FIRST_PAUSE
            left = self.reconnect_for - (self.clock() - self._seen)
            if left <= 0:
                self.source.warnings.append(
                    f"{self.shown}: given up at frame {self._index}, after {self.reconnect_for:g} s"
                    f" without a frame ({trouble})"
                )
                return
            self.wait(min(pause, left))
            pause = min(2 * pause, LONGEST_PAUSE)

    def _connection(self, feed: Feed) -> Iterator[Frame]:
        offset = None
        for picture in feed.frames:
            if picture.image is None:
                if offset is not None:  # before, the decoder only waits for its first key frame
                    self.source.corrupt.append(self._index)
                    self._index += 1
                continue
            self._seen = now = self.clock()
            if self._begun is None:
                self._begun = now
            elapsed = now - self._begun
            if offset is None:
                self.source.reconnects += self._index > 0
            if offset is None or abs(picture.time + offset - elapsed) > DRIFT:
                following = self._time + 1 / feed.fps if self._index else 0.0
                offset = max(elapsed, following) - picture.time
            self._time = picture.time + offset
            self._index += 1
            yield Frame(self._index - 1, self._time, picture.image)


def connect_url(url: str, timeout: float) -> Feed:
    """A connection to a stream.

    Raises:
        InputError: it does not open, or is silent for ``timeout`` seconds.
    """
    container = open_container(url, timeout)
    try:
        decoder = Decoder(container)
    except InputError as error:
        container.close()
        raise InputError(f"{redact(url)}: {error}") from None
    return Feed(decoder.fps, decoder.frames(), container.close)


def connect_camera(index: int) -> Feed:
    """A connection to a camera of this machine, through OpenCV, which knows them on every system.

    Raises:
        InputError: it is not there or in use.
    """
    import cv2

    log = cv2.utils.logging
    level = log.getLogLevel()
    log.setLogLevel(
        log.LOG_LEVEL_SILENT
    )  # it warns at length about a camera that is not there; the error says it in one line
    try:
        capture = cv2.VideoCapture(index)
    finally:
        log.setLogLevel(level)
    if not capture.isOpened():
        raise InputError(
            f"camera {index}: cannot be opened; check that it is plugged in and that no other program uses it"
        )
    fps = capture.get(cv2.CAP_PROP_FPS)

    def frames() -> Iterator[Frame]:
        begun, number = time.monotonic(), 0
        while True:
            read, image = capture.read()
            if not read:
                return
            yield Frame(number, time.monotonic() - begun, image)
            number += 1

    return Feed(fps if 0 < fps <= 1000 else DEFAULT_FPS, frames(), capture.release)


def open_container(place: str, timeout: float | None = None) -> InputContainer:
    """A file or URL opened by FFmpeg; ``timeout`` in seconds bounds the opening and each read.

    Raises:
        InputError: it cannot be opened; the message says why, without credentials.
    """
    network, begin = is_url(place), time.monotonic()
    try:
        container = av.open(
            place,
            options=OPTIONS if place.lower().startswith("rtsp") else {},
            timeout=(timeout, timeout) if timeout else None,
        )
    except (av.error.FFmpegError, OSError, ValueError) as error:
        if network:
            late = timeout is not None and time.monotonic() - begin >= timeout  # told as many kinds of error
            why = f"no answer in {timeout:g} s" if late else reason(error)
            what = "check the address, the network and the login"
            raise InputError(f"{redact(place)}: no stream ({why}); {what}") from None
        raise InputError(f"{place}: not readable as a video ({reason(error)})") from None
    if container.format.name == "tty":  # FFmpeg would play any text
        container.close()
        raise InputError(
            f"{redact(place) if network else place}: not readable as a video (it is a text file)"
        )
    return container


def is_url(spec: str) -> bool:
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", spec) is not None


def redact(url: str) -> str:
    """A URL without user, password, query and fragment, any of which may hold a secret."""
    scheme, _, rest = url.partition("://")
    # the last @, since an unescaped password may hold any character
    return f"{scheme}://{re.split('[?#]', rest.rsplit('@', 1)[-1], maxsplit=1)[0]}"


def url_name(url: str) -> str:
    """A file name from a URL: host and path, nothing that may be secret."""
    place = redact(url).partition("://")[2]
    return re.sub(r"[^A-Za-z0-9.-]+", "_", place).strip("_.") or "stream"


def reason(error: Exception) -> str:
    """Why, in a few words, without the address that FFmpeg adds."""
    if isinstance(error, av.error.ExitError):
        return "no answer in time"
    if isinstance(error, InputError):
        return str(error)
    return getattr(error, "strerror", None) or type(error).__name__
