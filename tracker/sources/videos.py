"""Where frames come from: video files, image folders, MOTChallenge sequences, cameras, network streams."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import av
import numpy as np

from retrace.configs import InputError
from retrace.tracker.data import Frame
from retrace.tracker.mot_file import read_sequence_info
from retrace.tracker.sources import streams
from retrace.tracker.sources.decode import DEFAULT_FPS, Decoder
from retrace.tracker.sources.read_ahead import ReadAhead, read_ahead

__all__ = ["ReadAhead", "Source", "open_source", "read_ahead"]

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
KINDS = "a video file, image folder, MOTChallenge sequence folder, camera index or stream URL"
SHORTFALL = 0.05  # a video of roughly known length that ends earlier than by this share has broken off


@dataclass(slots=True)
class Source:
    """One thing to be tracked in. The counters are about the latest reading, and grow while it goes on."""

    name: str  # of the sequence; safe as a file name
    fps: float  # nominal; a frame's ``time`` is what counts
    size: tuple[int, int] | None  # (height, width) px of the first frame
    length: (
        int | None
    )  # frames, as the container says (an estimate where it only knows seconds); None: unknown
    live: bool
    _read: Callable[[Source, int], Iterator[Frame]] = field(repr=False)
    corrupt: list[int] = field(default_factory=list)  # numbers of frames that were skipped as unreadable
    warnings: list[str] = field(default_factory=list)  # one line each
    dropped: int = 0  # live: frames that were stale before anybody took them
    reconnects: int = 0  # live
    has_images: bool = True
    folder: Path | None = None  # of a MOTChallenge sequence

    def frames(self, start: int = 0) -> Iterator[Frame]:
        """The frames from number ``start`` on, exactly: a video is decoded from its beginning for that.

        A frame that cannot be decoded keeps its number and its time and is left out; see ``corrupt``. Images
        may change their size on the way. For a sequence without images every ``image`` is None.

        Raises:
            InputError: while reading, when a live source is to start elsewhere than at 0.
        """
        self.corrupt.clear()
        self.warnings.clear()
        self.dropped = self.reconnects = 0
        return self._read(self, start)

    def count_drop(self) -> None:
        self.dropped += 1


def open_source(
    spec: str | Path, *, fps: float = DEFAULT_FPS, reconnect_for: float = 60.0, timeout: float = 10.0
) -> Source:
    """The source that ``spec`` names; opened once, to see that it can be read.

    Args:
        spec: a video file; a folder of images; a MOTChallenge sequence folder (``seqinfo.ini``, with or
            without its images); a camera's index ("0"); the URL of a stream (rtsp, rtmp, udp, http ...).
        fps: of an image folder, which does not say.
        reconnect_for: s without a frame after which a live source is given up.
        timeout: s that a network stream may take to open, and may be silent.

    Raises:
        InputError: there is nothing, or nothing that can be read.
    """
    spec = str(spec)
    if not fps > 0:
        raise InputError(f"fps must be positive, got {fps:g}")
    if spec.isdigit():
        name, connect = f"camera{int(spec)}", partial(streams.connect_camera, int(spec))
        return streams.live_source(name, f"camera {int(spec)}", connect, Source, reconnect_for)
    if streams.is_url(spec):
        return _open_url(spec, reconnect_for, timeout)
    path = Path(spec)
    if path.is_dir():
        return _open_folder(path, fps)
    if not path.is_file():
        raise InputError(f"{spec}: no such file or folder; expected {KINDS}")
    return _open_video(spec, path.stem, None)


def _open_url(url: str, reconnect_for: float, timeout: float) -> Source:
    """A video that lies behind a URL, or a live stream: what has no duration is live."""
    if re.match("https?:", url, re.IGNORECASE):
        with streams.open_container(url, timeout) as container:
            finite = container.duration is not None
        if finite:
            name = Path(streams.redact(url).partition("://")[2]).stem
            return _open_video(url, re.sub(r"[^A-Za-z0-9.-]+", "_", name) or "video", timeout)
    connect = partial(streams.connect_url, url, timeout)
    return streams.live_source(streams.url_name(url), streams.redact(url), connect, Source, reconnect_for)


def _open_video(place: str, name: str, timeout: float | None) -> Source:
    shown = streams.redact(place) if streams.is_url(place) else place
    with streams.open_container(place, timeout) as container:
        try:
            decoder = Decoder(container)
            first = next((frame for frame in decoder.frames() if frame.image is not None), None)
        except InputError as error:
            raise InputError(f"{shown}: {error}; expected {KINDS}") from None
        except av.error.FFmpegError as error:
            raise InputError(f"{shown}: not readable as a video ({streams.reason(error)})") from None
        if first is None or first.image is None:
            raise InputError(f"{shown}: no frame of it can be decoded; is it whole, and a video?")
        seconds = _seconds(decoder)
        length = decoder.stream.frames or (round(seconds * decoder.fps) if seconds else None)
        fps = decoder.fps
    height, width = first.image.shape[:2]
    read = partial(_video_frames, place=place, shown=shown, timeout=timeout)
    return Source(name, fps, (height, width), length, False, read)


def _video_frames(
    source: Source, start: int, *, place: str, shown: str, timeout: float | None
) -> Iterator[Frame]:
    with streams.open_container(place, timeout) as container:
        decoder = Decoder(container)
        trouble = ""
        try:
            for frame in decoder.frames(start):
                if frame.image is None:
                    source.corrupt.append(frame.index)
                else:
                    yield frame
        except av.error.FFmpegError as error:
            trouble = f" ({streams.reason(error)})"
        ended, expected = _whole_frames(decoder, source), decoder.stream.frames - decoder.hidden
        source.corrupt[:] = [number for number in source.corrupt if number < ended]  # cut off, not damaged
        of = (
            f" of {expected}"
            if decoder.stream.frames
            else f" of about {source.length}"
            if source.length
            else ""
        )
        if trouble or _is_short(decoder, expected):
            source.warnings.append(f"{shown}: breaks off at frame {ended}{of}{trouble}")


def _whole_frames(decoder: Decoder, source: Source) -> int:
    """How many frames there are up to the last one that could be decoded."""
    ended, corrupt = decoder.index, set(source.corrupt)
    while ended - 1 in corrupt:
        ended -= 1
    return ended


def _is_short(decoder: Decoder, expected: int) -> bool:
    if decoder.stream.frames:
        return decoder.index < expected
    seconds = _seconds(decoder)
    reached = (decoder.clock.last or 0.0) + 1 / decoder.fps
    return seconds is not None and seconds - reached > max(2.0, SHORTFALL * seconds)


def _seconds(decoder: Decoder) -> float | None:
    """The length that the container states, in seconds."""
    stream, container = decoder.stream, decoder.container
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else None


def _open_folder(folder: Path, fps: float) -> Source:
    name = folder.resolve().name or "images"
    if (folder / "seqinfo.ini").is_file():
        return _open_sequence(folder, name)
    if folder.resolve().name == "img1" and (folder.parent / "seqinfo.ini").is_file():
        return _open_sequence(folder.parent, folder.resolve().parent.name)
    files = _images(folder)
    if not files:
        hint = f"; give {folder / 'img1'}, or add seqinfo.ini" if (folder / "img1").is_dir() else ""
        raise InputError(f"{folder}: no images ({', '.join(IMAGE_ENDINGS)}) and no seqinfo.ini in it{hint}")
    return Source(
        name,
        fps,
        _first_size(folder, files),
        len(files),
        False,
        partial(_folder_frames, files=files, fps=fps),
    )


def _open_sequence(folder: Path, name: str) -> Source:
    """``seqinfo.ini`` says length, rate and size; images are optional, found by the number in their name."""
    info = read_sequence_info(folder)
    images = folder / info.image_folder
    files: list[Path | None] = [None] * info.length
    if images.is_dir():
        found = _images(images)
        if not found:
            raise InputError(
                f"{images}: no images in it; fill or remove it (without, frames come from seqinfo.ini)"
            )
        numbers = [int(f.stem) for f in found if f.stem.isdigit()]
        if len(numbers) != len(found):
            numbers = list(range(1, len(found) + 1))
        zero = min(1, min(numbers))  # files are numbered from 1, by some from 0
        for number, file in zip(numbers, found, strict=True):
            if number - zero < info.length:
                files[number - zero] = file
    seen = images.is_dir()
    read = partial(_folder_frames, files=files, fps=info.fps) if seen else partial(_bare_frames, info.length)
    size = (info.height, info.width)
    return Source(name, info.fps, size, info.length, False, read, has_images=seen, folder=folder)


def _folder_frames(
    source: Source, start: int, *, files: Sequence[Path | None], fps: float
) -> Iterator[Frame]:
    for index in range(start, len(files)):
        file = files[index]
        image = read_image(file) if file is not None else None
        if image is None:
            source.corrupt.append(index)
        else:
            yield Frame(index, index / fps, image)


def _bare_frames(length: int, source: Source, start: int) -> Iterator[Frame]:
    for index in range(start, length):
        yield Frame(index, index / source.fps, None)


def _images(folder: Path) -> list[Path]:
    """The image files of a folder in natural order: 2.jpg before 10.jpg. Hidden files are left out."""
    try:
        files = [f for f in folder.iterdir() if f.suffix.lower() in IMAGE_ENDINGS and f.name[0] != "."]
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror})") from None
    return sorted(files, key=lambda f: _natural(f.name))


def _natural(name: str) -> tuple[list[tuple[bool, int, str]], str]:
    parts = [p for p in re.split(r"(\d+)", name.lower()) if p]
    return [(not p.isdecimal(), int(p) if p.isdecimal() else 0, p) for p in parts], name


def _first_size(folder: Path, files: list[Path]) -> tuple[int, int]:
    for file in files:
        image = read_image(file)
        if image is not None:
            return image.shape[0], image.shape[1]
    raise InputError(f"{folder}: none of its {len(files)} images can be read")


def read_image(path: Path) -> np.ndarray | None:
    """(H, W, 3) uint8 BGR, upright by its EXIF tag; None when it cannot be read.

    A JPEG that breaks off comes as far as it goes, with grey below.
    """
    import cv2

    try:
        return cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error):
        return None
