"""Packets -> numbered, timed BGR frames."""

from __future__ import annotations

import heapq
import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import cast

import av
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import SideDataContainer, Type
from av.stream import Discard
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from retrace.configs import InputError
from retrace.tracker.data import Frame
from retrace.tracker.sources.container import NO_TIMESTAMPS
from retrace.tracker.sources.pixels import Levels, eight_bits, levels_of, orient, turns_sideways
from retrace.tracker.sources.source import DEFAULT_FPS
from retrace.tracker.sources.times import Timeline, nominal_rate

TRIES = 16  # damaged places in a row that the container may skip before the video counts as broken off
AVI_CHUNK_HEADER = 8  # bytes; an AVI's index points at the chunk, PyAV's packet at what follows its header
MOST_PIXELS = 2**27  # of a picture: 16K is below it, and a damaged size takes gigabytes
LARGEST_ASPECT = 4.0  # of a pixel, either way; beyond it is damage
MARGIN = 0.25  # of the range of the first frame, below and above: later ones are darker or brighter
SQUARE = 0.02  # share by which a pixel's sides may differ: some encoders round


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
    fps: float | None = None  # nominal; None: as the container states it, or DEFAULT_FPS
    square: bool = False  # widen or heighten pictures whose pixels are not square
    levels: Levels | None = None  # of deep grey video; None: those of the first frame, with a margin
    on_packet: Callable[[], None] = lambda: None  # called for each; what it raises breaks off
    index: int = 0  # of the next frame
    hidden: int = 0  # packets that an edit list cuts off; they are no frames
    stamped: bool = field(init=False)  # the container has timestamps of its own
    stated: float | None = field(init=False)  # frames/s by the container
    pixel_aspect: float = 1.0  # width by height of a pixel, of the latest picture as it is given out
    stored_aspect: float = 1.0  # and as it is stored
    times: Timeline = field(init=False)
    stream: VideoStream = field(init=False)
    _waiting: list[int] = field(default_factory=list)  # heap of timestamps inside the decoder
    _lost: set[int | None] = field(default_factory=set)
    _errors: float = 0  # decoding errors that no lost frame accounts for yet
    _paired: bool = False  # some packets are no frames of their own
    _chunks: _Chunks = field(init=False)
    _last_pts: int | None = None
    _matrix: np.ndarray | None = None  # (3, 3) int32, how the latest pictures are to be turned
    _rotation: int | None = None  # degrees, the matrix's; None: no picture yet

    def __post_init__(self) -> None:
        stream = self.container.streams.best("video")
        if not isinstance(stream, VideoStream):
            raise InputError("has no video stream")
        if stream.codec_context is None:
            raise InputError("its video is in a code that FFmpeg does not know")
        for other in self.container.streams:
            if other is not stream:
                other.discard = Discard.all
        stream.thread_type = "AUTO"
        stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
        self.stream = stream
        self.stamped = not self.container.format.flags & NO_TIMESTAMPS
        rate = stream.average_rate or stream.guessed_rate
        self.stated = float(rate) if rate and rate > 0 else None
        self.fps = self.fps or nominal_rate(self.stated, None) or DEFAULT_FPS
        self.times = Timeline(float(stream.time_base or 1 / self.fps), self.fps)
        self._chunks = _Chunks.of(self.container, stream)

    @property
    def expected(self) -> int:
        """How many frames the container says there are; 0: it does not."""
        stated, chunks = self.stream.frames, self._chunks
        if chunks.full and 2 * chunks.full[-1] >= stated:  # else the file breaks off before its index
            return len(chunks.full)
        return max(0, stated - self.hidden)

    def frames(self, start: int = 0) -> Iterator[Frame]:
        """Every frame from number ``start`` on; ``image`` is None where it is lost or flagged as corrupt.

        Raises:
            av.FFmpegError: the network failed or was silent too long (files just end where they break off).
        """
        reformatter = VideoReformatter()  # kept, since a new one for each frame takes twice as long
        for packet in itertools.chain(self.packets(), [None]):
            for picture in self._decode(packet):
                if picture.pts in self._lost:
                    continue  # it comes out of order after damage; its place is taken
                for pts in self._lost_before(picture.pts):
                    yield from self._next(pts, None, start)
                self._note_matrix(picture)
                image = None
                if self.index >= start and not picture.is_corrupt:
                    image = self._to_bgr(picture, reformatter)
                yield from self._next(picture.pts, image, start)
        for pts in self._lost_before(None, at_end=True):
            yield from self._next(pts, None, start)

    def _next(self, pts: int | None, image: np.ndarray | None, start: int) -> Iterator[Frame]:
        frame = Frame(self.index, self.times(pts if self.stamped else None), image)
        self.index += 1
        if frame.index >= start:
            yield frame

    def packets(self) -> Iterator[av.Packet]:
        """Packets with content. Damage in the container is skipped where the format finds its way again."""
        numbers = self._chunks.number
        damaged = 0
        while damaged < TRIES:
            try:
                for packet in self.container.demux(self.stream):
                    self.on_packet()
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
        if self._chunks.full and pts is not None:
            if self._last_pts is not None:
                lost = self._chunks.between(self._last_pts, pts)
            self._last_pts = pts
        return lost

    def _note_matrix(self, picture: av.VideoFrame) -> None:
        """Side data are looked at where they may have changed: PyAV's hold the picture in a circle, and so its memory
        until the garbage collector comes."""
        if picture.key_frame or picture.rotation != self._rotation:
            self._matrix, self._rotation = display_matrix(picture), picture.rotation

    def _to_bgr(self, picture: av.VideoFrame, reformatter: VideoReformatter) -> np.ndarray:
        """(H, W, 3) uint8 BGR, upright when the container's display matrix says so."""
        aspect = self.stored_aspect = _aspect(self.stream)
        height, width = picture.height, picture.width
        if self.square:
            width, height = round(width * max(1.0, aspect)), round(height / min(1.0, aspect))
            aspect = 1.0
        deep = _is_deep_grey(picture)
        form = "gray16le" if deep else "bgr24"
        image = reformatter.reformat(picture, width=width, height=height, format=form).to_ndarray()
        if deep:
            if self.levels is None:
                low, high = levels_of([image])
                self.levels = low - MARGIN * (high - low), high + MARGIN * (high - low)
            image = eight_bits(image, self.levels)
        if self._matrix is not None:
            upright = orient(image, self._matrix)
            aspect = 1 / aspect if turns_sideways(self._matrix) else aspect
            image = upright
        self.pixel_aspect = aspect
        return image


@dataclass(frozen=True, slots=True)
class _Chunks:
    """What an AVI's index says: its timestamps are frame numbers, so what is in it and never came is lost.

    A chunk without content means "the picture before again", which is no frame. Empty for other formats.
    """

    number: dict[int | None, int]  # place of its content in the file -> its frame number
    full: list[int]  # numbers of the chunks with content, ascending

    @classmethod
    def of(cls, container: InputContainer, stream: VideoStream) -> _Chunks:
        if container.format.name != "avi":
            return cls({}, [])
        entries = list(stream.index_entries)
        number: dict[int | None, int] = {entry.pos + AVI_CHUNK_HEADER: entry.timestamp for entry in entries}
        return cls(number, sorted({entry.timestamp for entry in entries if entry.size}))

    def between(self, before: int, after: int) -> list[int | None]:
        """The numbers of the frames between two."""
        return list(self.full[bisect_right(self.full, before) : bisect_left(self.full, after)])


def _aspect(stream: VideoStream) -> float:
    """Width by height of a pixel; 1 where it is not said, as good as 1 or beyond belief."""
    told = stream.sample_aspect_ratio
    aspect = float(told) if told else 1.0
    believed = 1 / LARGEST_ASPECT <= aspect <= LARGEST_ASPECT and abs(aspect - 1) > SQUARE
    return aspect if believed else 1.0


def _is_deep_grey(picture: av.VideoFrame) -> bool:
    """Whether it has more than eight bits of grey: a thermal camera's, whose range is its own."""
    return picture.format.name.startswith("gray") and picture.format.components[0].bits > 8


def display_matrix(picture: av.VideoFrame) -> np.ndarray | None:
    """(3, 3) int32, or None where the picture is upright as it is."""
    told = cast(SideDataContainer, picture.side_data)  # PyAV's own types say otherwise
    for data in (told[k] for k in range(len(told))):
        if data.type == Type.DISPLAYMATRIX and data.buffer_size == 36:
            return np.frombuffer(bytes(data), np.int32).reshape(3, 3)
    return None
