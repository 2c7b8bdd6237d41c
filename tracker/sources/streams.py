"""Sources that do not wait: cameras and network streams, with reconnect."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from errno import EILSEQ
from itertools import chain

import av
import numpy as np

from retrace.configs import InputError
from retrace.tracker.data import Frame
from retrace.tracker.sources.address import redact
from retrace.tracker.sources.container import open_container, reason
from retrace.tracker.sources.cv2_log import quiet_cv2
from retrace.tracker.sources.decode import Decoder
from retrace.tracker.sources.read_ahead import ReadAhead
from retrace.tracker.sources.source import DEFAULT_FPS, Source
from retrace.tracker.sources.times import FASTEST, arrival_rate, rate_of
from retrace.tracker.sources.videos import pictures_noticed

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0  # s between attempts to reconnect; doubles from one to the other
DRIFT = 5.0  # s; a stream's clock that is further off the wall clock is set right at once
LEEWAY, SETTLE = 0.5, 2.0  # s; one that is further off than the first is led back, in about the second
MEASURED_FOR = 2.0  # s of listening where the rate is not known
LIVE_DEPTH = 2  # frames; what waits longer is stale


@dataclass(slots=True)
class Connection:
    """One connection to something live."""

    fps: float | None  # None: not known, or not to be believed
    frames: Iterator[Frame]  # time: seconds since the connection began; image None: not decodable
    close: Callable[[], None]
    stamped: bool = True  # time is the sender's; else it is when the frame came
    # called now and then while no frame comes; what it raises breaks off
    check: Callable[[], None] = lambda: None
    noticed: Callable[[], list[str]] = list  # what is to be said of its pictures


Connect = Callable[[], Connection]  # raises InputError, which does not name credentials
Clock = Callable[[], float]  # s, wall clock


@dataclass(frozen=True, slots=True)
class Live:
    """What a live source is called and how patient one is with it."""

    name: str  # safe as a file name
    shown: str  # in messages
    reconnect_for: float  # s without a frame after which it is given up
    timeout: float = 10.0  # s that it may take to show its first picture


class Garbage(OSError):
    """Something comes, but no picture."""


def live_source(live: Live, connect: Connect, clock: Clock = time.monotonic) -> Source:
    """A source that reads ahead by itself, drops what nobody took in time, and reconnects.

    The first connection is made here, to tell of a wrong address at once. Where it does not say how many
    frames a second it sends, or is not to be believed, that is measured for ``MEASURED_FOR`` seconds.

    Raises:
        InputError: it does not open, or opens and sends no picture.
    """
    connection = connect()
    deadline = clock() + live.timeout

    def check() -> None:
        if clock() > deadline:
            raise Garbage(EILSEQ, f"nothing in {live.timeout:g} s could be decoded")

    connection.check = check
    try:
        first = next((frame for frame in connection.frames if frame.image is not None), None)
        connection.check = lambda: None
        if first is not None:
            fps, first = (connection.fps, first) if connection.fps else _measure(connection, first, clock)
    except (av.error.FFmpegError, OSError) as error:
        connection.close()
        raise InputError(f"{live.shown}: opens but sends no picture ({reason(error)})") from None
    if first is None or first.image is None:
        connection.close()
        raise InputError(f"{live.shown}: opens but sends no picture; is the camera switched on?")
    connection.frames = chain([first], connection.frames)
    opened = [connection]  # for the first reading; later ones connect anew

    def read(source: Source, start: int) -> Iterator[Frame]:
        if start:
            raise InputError(
                f"{live.shown}: a live source has gone on and cannot be resumed; start a new run"
            )
        stop = threading.Event()
        line = Reconnecting(source, live, connect, clock, stop.wait)
        return ReadAhead(
            line.frames(opened.pop() if opened else None, stop), LIVE_DEPTH, source.count_drop, stop.set
        )

    noticed = tuple(f"{live.shown}: {line}" for line in connection.noticed())
    return Source(live.name, fps, first.image.shape[:2], None, True, read, noticed=noticed)


def _measure(connection: Connection, first: Frame, clock: Clock) -> tuple[float, Frame]:
    """Frames a second that come, and the latest frame: those before are stale by then."""
    begin, latest = clock(), first
    arrivals, times = [begin], [first.time]
    while clock() - begin < MEASURED_FOR:
        frame = next(connection.frames, None)
        if frame is None:
            break
        if frame.image is not None:
            latest = frame
            arrivals.append(clock())
            times.append(frame.time)
    measured = rate_of(times) if connection.stamped else arrival_rate(arrivals)
    return (measured if measured and measured <= FASTEST else DEFAULT_FPS), latest


@dataclass(slots=True)
class Reconnecting:
    """Frames of a source across its connections, on one time axis.

    Within a connection time is the sender's, led back to the wall clock where it runs too fast or too slowly,
    or the wall clock's where the sender tells none. From one connection to the next it goes on by the wall
    clock, so a tracker sees how long it was blind. After a loss it connects anew, 0.5 s later, then 1, 2, 4,
    8, 8 ...; when ``reconnect_for`` seconds pass without a frame it leaves a warning in ``source`` and ends.
    """

    source: Source
    live: Live
    connect: Connect
    clock: Clock
    wait: Callable[[float], object]  # sleeps so many seconds, or less when the reader is closed
    _index: int = 0
    _begun: float | None = None
    _time: float = 0.0  # of the last frame
    _seen: float = 0.0  # clock at the last frame

    def frames(self, connection: Connection | None, stop: threading.Event) -> Iterator[Frame]:
        """``connection``: one that is open already."""
        self._seen = self.clock()
        pause = FIRST_PAUSE
        trouble = "the stream ended"
        while not stop.is_set():
            before = self._index
            try:
                connection = connection or self.connect()
                yield from self._connection(connection)
                trouble = "the stream ended"
            except (av.error.FFmpegError, OSError, InputError) as error:
                trouble = reason(error).removeprefix(f"{self.live.shown}: ")
            finally:
                if connection is not None:
                    connection.close()
            connection = None
            # PyAV's containers, streams and decoders refer to each other: megabytes a connection, which the collector
            # does not know of and would leave for hours
            gc.collect()
            if self._index > before:
                pause = FIRST_PAUSE
            left = self.live.reconnect_for - (self.clock() - self._seen)
            if left <= 0:
                self.source.warnings.append(
                    f"{self.live.shown}: given up at frame {self._index}, after {self.live.reconnect_for:g} s"
                    f" without a frame ({trouble})"
                )
                return
            self.wait(min(pause, left))
            pause = min(2 * pause, LONGEST_PAUSE)

    def _connection(self, connection: Connection) -> Iterator[Frame]:
        offset: float | None = None  # from the connection's time to ours
        connection.check = self._check
        for picture in connection.frames:
            if picture.image is None:
                self._check()
                if offset is not None:  # before, the decoder only waits for its first key frame
                    self.source.corrupt.append(self._index)
                    self._index += 1
                continue
            since, self._seen = self.clock() - self._seen, self.clock()
            if self._begun is None:
                self._begun = self._seen
            elapsed = self._seen - self._begun
            if offset is None:
                self.source.reconnects += self._index > 0
            if connection.stamped:
                offset = self._offset(offset, picture.time, elapsed, since)
                self._time = picture.time + offset
            else:
                offset = 0.0
                soonest = self._time + 0.25 / self.source.fps if self._index else 0.0  # a burst after a jam
                self._time = max(elapsed, soonest)
            self._index += 1
            yield Frame(self._index - 1, self._time, picture.image)

    def _offset(self, offset: float | None, time: float, elapsed: float, since: float) -> float:
        """What is added to the sender's ``time``; ``elapsed`` s on the wall clock, ``since`` the last frame."""
        behind = 0.0 if offset is None else elapsed - (time + offset)
        if offset is None or abs(behind) > DRIFT:
            following = self._time + 1 / self.source.fps if self._index else 0.0
            return max(elapsed, following) - time
        excess = behind - float(np.clip(behind, -LEEWAY, LEEWAY))
        step = time + offset - self._time  # may be slowed down to half, never turned round
        return offset + max(excess * min(1.0, since / SETTLE), -step / 2)

    def _check(self) -> None:
        if self.clock() - self._seen > max(self.live.reconnect_for, self.live.timeout):
            raise Garbage(EILSEQ, "nothing that came could be decoded")


def connect_url(url: str, timeout: float, square: bool = False) -> Connection:
    """A connection to a stream; ``square``: pixels that are not square are made so.

    Raises:
        InputError: it does not open, or is silent for ``timeout`` seconds.
    """
    container = open_container(url, timeout)
    try:
        decoder = Decoder(container, square=square, on_packet=lambda: connection.check())
    except InputError as error:
        container.close()
        raise InputError(f"{redact(url)}: {error}") from None
    stated = decoder.stated if decoder.stamped and decoder.stated and decoder.stated <= FASTEST else None
    connection = Connection(stated, decoder.frames(), container.close, decoder.stamped)
    connection.noticed = lambda: list(pictures_noticed(decoder))
    return connection


def connect_camera(index: int) -> Connection:
    """A connection to a camera of this machine, through OpenCV, which knows them on every system.

    Raises:
        InputError: it is not there or in use.
    """
    import cv2

    with quiet_cv2():
        capture = cv2.VideoCapture(index)
    if not capture.isOpened():
        raise InputError(
            f"camera {index}: cannot be opened; check that it is plugged in and that no other program uses it"
        )

    def frames() -> Iterator[Frame]:
        begun, number = time.monotonic(), 0
        while True:
            read, image = capture.read()
            if not read:
                return
            yield Frame(number, time.monotonic() - begun, image)
            number += 1

    # what it says of its rate holds in bright light
    return Connection(None, frames(), capture.release, stamped=False)
