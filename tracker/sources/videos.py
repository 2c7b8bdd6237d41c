"""Video files, and videos of known length behind a URL."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import av

from retrace.configs import InputError
from retrace.tracker.data import Frame
from retrace.tracker.sources.address import shown
from retrace.tracker.sources.container import open_container, reason
from retrace.tracker.sources.decode import Decoder
from retrace.tracker.sources.pixels import Levels
from retrace.tracker.sources.source import DEFAULT_FPS, Source
from retrace.tracker.sources.times import may_be_a_tick, nominal_rate, rate_of

PACKETS = 100  # whose timestamps tell the rate where the container does not
SHORTFALL = 0.05  # a video of roughly known length that ends earlier than by this share has broken off


@dataclass(frozen=True, slots=True)
class _Video:
    """How a video is read, each time the same."""

    place: str
    timeout: float | None
    fps: float
    square: bool
    levels: Levels | None = None


def video_source(
    place: str, name: str, *, fps: float | None, square: bool, timeout: float | None = None
) -> Source:
    """The video at ``place``, a path or a URL.

    Args:
        place: where it lies.
        name: of the sequence.
        fps: of one that has no timestamps, which does not say.
        square: pixels that are not square are made so.
        timeout: s, of a URL.

    Raises:
        InputError: it cannot be read, not even one frame of it; ``fps`` is given and it has timestamps.
    """
    with open_container(place, timeout) as container:
        try:
            decoder = Decoder(container, fps, square)
            first = next((frame for frame in decoder.frames() if frame.image is not None), None)
        except InputError as error:
            raise InputError(f"{shown(place)}: {error}") from None
        except av.error.FFmpegError as error:
            raise InputError(f"{shown(place)}: not readable as a video ({reason(error)})") from None
        if first is None or first.image is None:
            raise InputError(f"{shown(place)}: no frame of it can be decoded; is it whole, and a video?")
        if fps is not None and decoder.stamped:
            raise InputError(
                f"{shown(place)}: has timestamps of its own, so fps does nothing; leave it out"
                " (it is for image folders and videos without timestamps)"
            )
        stated, stamped, tick = decoder.stated, decoder.stamped, decoder.times.tick
        levels, aspect = decoder.levels, decoder.pixel_aspect
        noticed = [f"{shown(place)}: {line}" for line in pictures_noticed(decoder)]
        if not decoder.stamped and fps is None:
            noticed.append(
                f"{shown(place)}: has no timestamps, taken for {decoder.fps:g} frames/s; fps sets another rate"
            )
        seconds, counted = _seconds(decoder), decoder.expected
    measured = _measured_rate(place, timeout) if stamped and may_be_a_tick(stated, tick) else None
    rate = fps or nominal_rate(stated, measured) or DEFAULT_FPS
    length = counted or (round(seconds * rate) if seconds else None)
    return Source(
        name,
        rate,
        first.image.shape[:2],
        length,
        False,
        partial(_frames, video=_Video(place, timeout, rate, square, levels)),
        pixel_aspect=aspect,
        noticed=tuple(noticed),
    )


def pictures_noticed(decoder: Decoder) -> Iterator[str]:
    """What is to be said of how pictures were made out of those that ``decoder`` has given, a line each."""
    stored, aspect = decoder.stored_aspect, decoder.pixel_aspect
    if aspect != 1:
        yield (
            f"its pixels are {aspect:.3g} times as wide as high, so people are seen at {1 / aspect:.3g} of"
            " their width; square_pixels=True resamples"
        )
    elif stored != 1:
        yield f"its pixels are {stored:.3g} times as wide as high; pictures are resampled, boxes are in square pixels"
    if decoder.levels is not None:
        low, high = decoder.levels
        yield f"deep grey, levels {low:.0f}..{high:.0f} are stretched to 0..255"


def _measured_rate(place: str, timeout: float | None) -> float | None:
    """Frames a second by the timestamps of the first packets."""
    with open_container(place, timeout) as container:
        decoder = Decoder(container)
        try:
            stamps = [p.pts for p in itertools.islice(decoder.packets(), PACKETS) if p.pts is not None]
        except av.error.FFmpegError:
            return None
        return rate_of([pts * decoder.times.tick for pts in stamps])


def _frames(source: Source, start: int, *, video: _Video) -> Iterator[Frame]:
    name = shown(video.place)
    with open_container(video.place, video.timeout) as container:
        decoder = Decoder(container, video.fps, video.square, video.levels)
        trouble = ""
        try:
            for frame in decoder.frames(start):
                if frame.image is None:
                    source.corrupt.append(frame.index)
                else:
                    yield frame
        except av.error.FFmpegError as error:
            trouble = f" ({reason(error)})"
        times = decoder.times
        if times.jumps:
            gaps = "1 gap" if times.jumps == 1 else f"{times.jumps} gaps"
            source.warnings.append(
                f"{name}: {gaps} in its timestamps, {times.jumped:.0f} s in all, taken for one frame each"
            )
        ended = _whole_frames(decoder, source)
        source.corrupt[:] = [number for number in source.corrupt if number < ended]  # cut off, not damaged
        expected = decoder.expected
        of = f" of {expected}" if expected else f" of about {source.length}" if source.length else ""
        if trouble or _is_short(decoder):
            source.warnings.append(f"{name}: breaks off at frame {ended}{of}{trouble}")


def _whole_frames(decoder: Decoder, source: Source) -> int:
    """How many frames there are up to the last one that could be decoded."""
    ended, corrupt = decoder.index, set(source.corrupt)
    while ended - 1 in corrupt:
        ended -= 1
    return ended


def _is_short(decoder: Decoder) -> bool:
    if decoder.expected:
        return decoder.index < decoder.expected
    seconds, times = _seconds(decoder), decoder.times
    reached = (times.last or 0.0) + times.jumped + 1 / times.fps
    return seconds is not None and seconds - reached > max(2.0, SHORTFALL * seconds)


def _seconds(decoder: Decoder) -> float | None:
    """The length that the container states, in seconds."""
    stream, container = decoder.stream, decoder.container
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else None
