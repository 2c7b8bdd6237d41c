"""The video of a run: its source where browsers play that frame by frame, else a copy; when each frame is shown, and
people cut out of it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np

from retrace.configs.errors import InputError
from retrace.tools.viewing.place import Place

CROP_HEIGHT = 160  # px
MARGIN = 0.08  # of the box's height around a crop
CACHED = 4_000  # crops
LONGER = 2e-3  # s that a picture may be told to stand beyond the next: rounding
PLAYED = {  # what browsers play, by the file's ending
    ".mp4": {"h264", "vp9", "av1"},
    ".m4v": {"h264"},
    ".webm": {"vp8", "vp9", "av1"},
}
KINDS = {".mp4": "video/mp4", ".m4v": "video/mp4", ".webm": "video/webm"}
EIGHT_BITS = {"yuv420p", "yuvj420p"}  # what every browser's decoder takes


def make_proxy(place: Place, progress: Callable[[int], object] = lambda done: None) -> None:
    """A copy of the source whose frame k is frame k of the source and stands as long: H.264. Grey frames stand for
    those that cannot be read.

    Args:
        progress: told after each frame how many are done.

    Raises:
        InputError: the source is gone or cannot be read, or the run's folder cannot be written.
    """
    from retrace.tracker.outputs.plain_video import write_plain_video
    from retrace.tracker.sources import open_source

    if place.source is None or not Path(place.source).exists():
        raise InputError(f"{place.source or place.name}: the source is not there any more")
    source = open_source(place.source)
    if not source.has_images:
        raise InputError(f"{place.source}: has no pictures, only boxes")
    write_plain_video(place.proxy, source, place.fps, progress)


def shown_file(place: Place) -> Path | None:
    """The file that the page plays: the copy, else the source where every browser plays it and frame k is frame k of
    the run; None: there is neither."""
    if place.proxy.is_file():
        return place.proxy
    stamps = _source_times(place)
    if stamps is None or place.source is None:
        return None
    fits = len(stamps) >= place.frames if place.growing else len(stamps) == place.frames
    return Path(place.source) if fits else None


def times(place: Place) -> np.ndarray | None:
    """(F,) float64 s, when each frame of the shown file is shown, by its own clock; None: no file is shown."""
    if place.proxy.is_file():
        return place.kept("times", [place.proxy], lambda: _times(place.proxy))
    return None if shown_file(place) is None else _source_times(place)


def _source_times(place: Place) -> np.ndarray | None:
    """(F,) float64 s, of the source's frames; None: it is gone, or is not played alike everywhere."""
    source = None if place.source is None else Path(place.source)
    if source is None or source.suffix.lower() not in PLAYED or not source.is_file():
        return None
    return place.kept("source", [source], lambda: _played_times(source))


def _played_times(path: Path) -> np.ndarray | None:
    """(F,) float64 s where a browser shows each packet as one upright frame from 0 s on; else None."""
    import av
    from av.video.stream import VideoStream

    from retrace.tracker.sources.decode import display_matrix

    try:
        with av.open(f"file:{path}") as container:
            stream = container.streams.best("video")
            if not isinstance(stream, VideoStream) or stream.codec_context is None:
                return None
            told = stream.codec_context
            if told.name not in PLAYED[path.suffix.lower()] | {"libdav1d", "libvpx-vp9"}:
                return None
            if told.pix_fmt not in EIGHT_BITS or stream.sample_aspect_ratio not in (None, 0, 1):
                return None
            if display_matrix(next(container.decode(stream))) is not None:
                return None
            tick, number = float(stream.time_base or 1), stream.index
        with av.open(f"file:{path}") as container:
            packets = [p for p in container.demux(container.streams[number]) if p.size]
    except (av.error.FFmpegError, OSError, StopIteration):
        return None
    if any(packet.is_discard or packet.is_corrupt or packet.pts is None for packet in packets):
        return None
    order = np.argsort([packet.pts or 0 for packet in packets])
    found = np.array([packet.pts or 0 for packet in packets], np.float64)[order] * tick
    # reordered at a variable rate, pictures are told to stand longer than they do: browsers seek by that
    until = found + np.array([packet.duration or 0 for packet in packets], np.float64)[order] * tick
    one_by_one = len(found) and found[0] == 0 and (np.diff(found) > 0).all()
    return found if one_by_one and (until[:-1] <= found[1:] + LONGER).all() else None


def _times(path: Path) -> np.ndarray:
    import av

    with av.open(f"file:{path}") as container:
        stream = container.streams.video[0]
        stamps = [packet.pts for packet in container.demux(stream) if packet.pts is not None]
        return np.sort(np.array(stamps, np.float64)) * float(stream.time_base or 1)


class CropCache:
    """People cut out of the shown files, as JPEG; the last ones are kept."""

    def __init__(self) -> None:
        self._found: OrderedDict[tuple[Path, int, tuple[int, ...]], bytes] = OrderedDict()
        self._reader: FrameReader | None = None
        self._lock = threading.Lock()

    def __call__(self, place: Place, frame: int, box: tuple[int, int, int, int]) -> bytes | None:
        """JPEG of a box, px of the source, with a little around it; None: no file is shown, or no such place."""
        shown = shown_file(place)
        if shown is None:
            return None
        key = (shown, frame, box)
        with self._lock:  # one decoder at a time
            if key not in self._found:
                made = self._cut(shown, place, frame, box)
                if made is None:
                    return None
                self._found[key] = made
                while len(self._found) > CACHED:
                    self._found.popitem(last=False)
            self._found.move_to_end(key)
            return self._found[key]

    def _cut(self, shown: Path, place: Place, frame: int, box: tuple[int, int, int, int]) -> bytes | None:
        stamps = times(place)
        if stamps is None or not 0 <= frame < len(stamps):
            return None
        if self._reader is None or self._reader.path != shown:
            self._reader = FrameReader(shown)
        image = self._reader(float(stamps[frame]))
        return None if image is None else crop(image, box, place.size)


class FrameReader:
    """Single frames of a shown file; it stays open."""

    def __init__(self, path: Path) -> None:
        import av

        self.path = path
        self._container = av.open(f"file:{path}")
        self._stream = self._container.streams.video[0]
        self._tick = float(self._stream.time_base or 1)

    def __call__(self, seconds: float) -> np.ndarray | None:
        """(H, W, 3) uint8 BGR, the frame that begins at a time of the file's clock."""
        self._container.seek(round(seconds / self._tick), stream=self._stream)
        for found in self._container.decode(self._stream):
            if found.pts is not None and found.pts * self._tick >= seconds - self._tick / 2:
                return found.to_ndarray(format="bgr24")
        return None


def crop(image: np.ndarray, box: tuple[int, int, int, int], size: tuple[int, int] | None) -> bytes | None:
    """JPEG of a box, ``CROP_HEIGHT`` px high; ``box`` is in px of a picture of ``size`` (height, width)."""
    import cv2

    height, width = image.shape[:2]
    scale = width / size[1] if size else 1.0
    x1, y1, x2, y2 = (side * scale for side in box)
    around = MARGIN * (y2 - y1)
    left, right = int(max(0, x1 - around)), int(min(width, np.ceil(x2 + around)))
    top, bottom = int(max(0, y1 - around)), int(min(height, np.ceil(y2 + around)))
    if right - left < 2 or bottom - top < 2:
        return None
    cut = image[top:bottom, left:right]
    wide = max(1, round(cut.shape[1] * CROP_HEIGHT / cut.shape[0]))
    if wide > 4 * CROP_HEIGHT:
        return None
    cut = cv2.resize(cut, (wide, CROP_HEIGHT), interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(".jpg", cut, [cv2.IMWRITE_JPEG_QUALITY, 85])
    return bytes(data.tobytes()) if done else None


class Proxies:
    """Copies for the browser, made one at a time in a thread."""

    def __init__(self) -> None:
        self._state: dict[Path, str] = {}
        self._one = threading.Lock()

    def state(self, place: Place) -> str:
        """ "ready", "making 40 %", "none" or what went wrong."""
        return "ready" if place.proxy.is_file() else self._state.get(place.proxy, "none")

    def begin(self, place: Place) -> None:
        if not self.state(place).startswith(("ready", "making")):
            self._state[place.proxy] = "making"
            threading.Thread(target=self._make, args=(place,), daemon=True).start()

    def _make(self, place: Place) -> None:
        total = place.frames

        def told(done: int) -> None:
            self._state[place.proxy] = f"making {min(99, 100 * done // max(1, total))} %"

        try:
            with self._one:
                make_proxy(place, told)
            self._state.pop(place.proxy, None)
        except InputError as error:
            self._state[place.proxy] = str(error)
