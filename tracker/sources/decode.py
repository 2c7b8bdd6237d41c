"""Packets -> numbered, timed BGR frames."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

import av
import numpy as np
from av.container import InputContainer
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from retrace.configs import InputError
from retrace.tracker.data import Frame

DEFAULT_FPS = 30.0  # where a container, a folder or a camera does not say
RESTART = 1.0  # s; a clock that goes back further than this has begun anew
TRIES = 16  # damaged places in a row that the container may skip before the video counts as broken off
AVI_CHUNK_HEADER = 8  # bytes; an AVI's index points at the chunk, PyAV's packet at what follows its header


@dataclass(slots=True)
class Clock:
    """Seconds since the first timestamp it is shown.

    Timestamps are honoured as they are (variable frame rate) with two repairs: a missing one, or one that is
    not later than that of the frame before, counts as one frame duration later; a clock that goes back by
    more than ``RESTART`` seconds has begun anew, so all that follows is shifted to go on from there.
    """

    tick: float  # s
    fps: float
    origin: float | None = None  # s on the container's clock that is time 0
    last: float | None = None  # s, what was told last

    def __call__(self, pts: int | None) -> float:
        now = None if pts is None else pts * self.tick
        if self.last is None:
            self.origin, self.last = now, 0.0
            return 0.0
        expected = self.last + 1 / self.fps
        if now is not None and self.origin is None:
            self.origin = now - expected  # the frames before had no timestamp
        time = expected if now is None or self.origin is None else now - self.origin
        if time <= self.last:
            if now is not None and time < self.last - RESTART:
                self.origin = now - expected
            time = expected
        self.last = time
        return time


@dataclass(slots=True)
class Decoder:
    """The frames of an open container's best video stream, each with its number and time.

    A frame that cannot be decoded takes its number and its time too. Decoders with threads and B-frames say
    late that something failed, not which frame it was. So the timestamps that went in are kept: when a frame
    comes out, an earlier one that is still waiting has been lost. Not so in a stream that leaves some waiting
    without any error: there they are no frames of their own (second fields of interlaced video, say), and no
    more count as lost than errors were reported.
    """

    container: InputContainer
    fps: float = DEFAULT_FPS
    index: int = 0  # of the next frame
    hidden: int = 0  # packets that an edit list cuts off; they are no frames
    clock: Clock = field(init=False)
    stream: VideoStream = field(init=False)
    _waiting: list[int] = field(default_factory=list)  # heap of timestamps inside the decoder
    _lost: set[int | None] = field(default_factory=set)
    _errors: float = 0  # decoding errors that no lost frame accounts for yet
    _paired: bool = False  # some packets are no frames of their own
    _numbered: bool = field(init=False)  # timestamps are frame numbers (AVI), so a gap is lost frames
    _last_pts: int | None = None

    def __post_init__(self) -> None:
        stream = self.container.streams.best("video")
        if not isinstance(stream, VideoStream):
            raise InputError("has no video stream")
        rate = stream.average_rate or stream.guessed_rate
        if rate and 0 < rate <= 1000:
            self.fps = float(rate)
        tick = stream.time_base
        stream.thread_type = "AUTO"
        self.stream = stream
        self.clock = Clock(float(tick or 1 / self.fps), self.fps)
        self._numbered = bool(tick and rate and tick * rate == 1)

    def frames(self, start: int = 0) -> Iterator[Frame]:
        """Every frame from number ``start`` on; ``image`` is None where it is lost or flagged as corrupt.

        Raises:
            av.FFmpegError: the network failed or was silent too long (files just end where they break off).
        """
        reformatter = VideoReformatter()  # kept, since a new one for each frame takes twice as long
        for packet in itertools.chain(self._packets(), [None]):
            for picture in self._decode(packet):
                if picture.pts in self._lost:
                    continue  # it comes out of order after damage; its place is taken
                for pts in self._lost_before(picture.pts):
                    yield from self._next(pts, None, start)
                image = None
                if self.index >= start and not picture.is_corrupt:
                    image = _to_bgr(picture, reformatter)
                yield from self._next(picture.pts, image, start)
        for pts in self._lost_before(None, at_end=True):
            yield from self._next(pts, None, start)

    def _next(self, pts: int | None, image: np.ndarray | None, start: int) -> Iterator[Frame]:
        frame = Frame(self.index, self.clock(pts), image)
        self.index += 1
        if frame.index >= start:
            yield frame

    def _packets(self) -> Iterator[av.Packet]:
        """Packets with content. Damage in the container is skipped where the format finds its way again."""
        numbers = self._avi_numbers()
        damaged = 0
        while damaged < TRIES:
            try:
                for packet in self.container.demux(self.stream):
                    if packet.size == 0:  # the end, or "same picture again"; a decoder takes it for the end
                        continue
                    damaged = 0
                    if packet.pos in numbers and packet.pts is not None and packet.dts is not None:
                        # after damage FFmpeg counts on from the last chunk it saw; the index knows better
                        shift = numbers[packet.pos] - packet.dts
                        packet.pts += shift
                        packet.dts += shift
                    yield packet
                return
            except av.error.InvalidDataError:
                damaged += 1

    def _avi_numbers(self) -> dict[int | None, int]:
        """Place in the file -> frame number, from an AVI's index; empty for other formats."""
        if self.container.format.name != "avi" or not self._numbered:
            return {}
        return {entry.pos + AVI_CHUNK_HEADER: entry.timestamp for entry in self.stream.index_entries}

    def _decode(self, packet: av.Packet | None) -> list[av.VideoFrame]:
        if packet is not None and packet.pts is not None and not packet.is_discard:
            heapq.heappush(self._waiting, packet.pts)
        self.hidden += packet is not None and packet.is_discard
        try:
            return self.stream.codec_context.decode(packet)
        except av.error.EOFError:
            return []
        except av.error.FFmpegError:
            # while it is emptied, an error is the end: the decoder gives nothing more
            self._errors = self._errors + 1 if packet is not None else float("inf")
            return []

    def _lost_before(self, pts: int | None, at_end: bool = False) -> list[int | None]:
        """Timestamps of the frames that were lost between the frame before and the one of ``pts``."""
        if pts is None and not at_end:
            unstamped = int(min(self._errors, TRIES))
            self._errors -= unstamped
            return [None] * unstamped
        overtaken: list[int | None] = []
        while self._waiting and (pts is None or self._waiting[0] <= pts):
            overtaken.append(heapq.heappop(self._waiting))
        if overtaken and overtaken[-1] == pts:
            overtaken.pop()
        lost = overtaken[: min(len(overtaken), int(min(self._errors, 1e9)))] if self._paired else overtaken
        if overtaken and self._errors == 0:
            self._paired, lost = True, []
        self._errors = max(0, self._errors - len(lost))
        self._lost.update(lost)
        if self._numbered and pts is not None:
            if self._last_pts is not None:
                lost = list(range(self._last_pts + 1, pts))
            self._last_pts = pts
        return lost


def _to_bgr(picture: av.VideoFrame, reformatter: VideoReformatter) -> np.ndarray:
    """(H, W, 3) uint8 BGR, turned upright when the container's display matrix says so."""
    image = reformatter.reformat(picture, format="bgr24").to_ndarray()
    turns = round(picture.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image
