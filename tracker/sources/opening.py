"""What a source's name means: a file, a folder, a sequence, a camera or a stream."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from retrace.configs import InputError
from retrace.configs.files import reading
from retrace.tracker.data import frame_rate
from retrace.tracker.sources import images, streams, videos
from retrace.tracker.sources.address import is_url, redact, shown, url_name
from retrace.tracker.sources.container import NO_TIMESTAMPS, open_container
from retrace.tracker.sources.source import Source

KINDS = "a video file, image folder, MOTChallenge sequence folder, camera index or stream URL"


def open_source(
    spec: str | Path,
    *,
    fps: float | None = None,
    square_pixels: bool = False,
    reconnect_for: float = 60.0,
    timeout: float = 10.0,
) -> Source:
    """The source that ``spec`` names; opened once, to see that it can be read.

    What lies there under that name comes first: a folder named ``0000`` is no camera.

    Args:
        spec: a video file; a folder of images; a MOTChallenge sequence folder (``seqinfo.ini``, with or
            without its images); a camera's index ("0"); the URL of a stream (rtsp, rtmp, udp, http ...).
        fps: of an image folder (30 when not given) or a video without timestamps, which do not say. What has
            times of its own refuses it.
        square_pixels: widen or heighten the pictures of a video whose pixels are not square, so that people
            have their shape; boxes are in the new pixels then. Otherwise such a video is warned about.
        reconnect_for: s without a frame after which a live source is given up.
        timeout: s that a network stream may take to open, and may be silent.

    Raises:
        InputError: there is nothing, or nothing that can be read; ``fps`` has no effect.

    Example:
        >>> from retrace import open_source
        >>> source = open_source("video.mp4")
        >>> source.fps, source.size  # frames/s; height and width, px
        (10.0, (96, 192))
        >>> for frame in source:
        ...     if frame.index == 2:
        ...         print(frame.time, frame.image.shape)  # s; (H, W, 3) uint8 BGR
        0.2 (96, 192, 3)
    """
    spec = str(spec)
    fps = None if fps is None else frame_rate(fps)
    path = _local_path(spec)
    with reading(shown(spec), f"expected {KINDS}"):
        if path is not None and path.is_dir():
            return images.folder_source(path, fps)
        if path is not None and path.is_file():
            return videos.video_source(str(path), path.stem, fps=fps, square=square_pixels)
        there = path is not None and path.exists()
    if is_url(spec) and path is None:
        return _open_url(spec, fps, square_pixels, reconnect_for, timeout)
    if re.fullmatch("[0-9]{1,4}", spec) and not there:
        live = streams.Live(f"camera{int(spec)}", f"camera {int(spec)}", reconnect_for, timeout)
        _refuse_rate(fps, live.shown)
        return streams.live_source(live, partial(streams.connect_camera, int(spec)))
    what = "is no file and no folder" if there else "no such file or folder"
    raise InputError(f"{shown(spec) or 'an empty name'}: {what}; expected {KINDS}")


def _local_path(spec: str) -> Path | None:
    """The path that ``spec`` is, or a ``file://`` URL names; None for other URLs and what cannot be a path."""
    from urllib.parse import unquote, urlsplit

    if spec.lower().startswith("file://"):
        return Path(unquote(urlsplit(spec).path))
    return None if not spec or is_url(spec) or "\0" in spec else Path(spec)


def _open_url(url: str, fps: float | None, square: bool, reconnect_for: float, timeout: float) -> Source:
    """A video that lies behind a URL, or a live stream: what has no duration, or as a raw video no size, is live."""
    if has_an_end(url, timeout):
        name = Path(redact(url).partition("://")[2]).stem
        name = re.sub(r"[^A-Za-z0-9.-]+", "_", name) or "video"
        return videos.video_source(url, name, fps=fps, square=square, timeout=timeout)
    live = streams.Live(url_name(url), redact(url), reconnect_for, timeout)
    _refuse_rate(fps, live.shown)
    return streams.live_source(live, partial(streams.connect_url, url, timeout, square))


def has_an_end(url: str, timeout: float = 10.0) -> bool:
    """Whether a video lies at this URL, not a stream that goes on.

    Args:
        url: of any kind; only http is asked.
        timeout: s that it may take to open.

    Raises:
        InputError: nothing that can be opened lies there.

    Example:
        >>> from retrace.tracker.sources import has_an_end
        >>> has_an_end("rtsp://192.168.0.7/stream")  # a camera goes on; nobody is asked
        False
    """
    if not re.match("https?:", url, re.IGNORECASE):
        return False
    with open_container(url, timeout) as container:
        raw = container.format.flags & NO_TIMESTAMPS
        return container.duration is not None or bool(raw and container.size > 0)


def _refuse_rate(fps: float | None, place: str) -> None:
    if fps is not None:
        raise InputError(f"{place}: a live source is timed as it comes, so fps does nothing; leave it out")
