"""Files and URLs opened by FFmpeg, and why one could not be, in a few words."""

from __future__ import annotations

import time

import av
from av.container import InputContainer

from retrace.configs.errors import InputError, system_reason
from retrace.tracker.sources.address import is_url, shown

NO_TIMESTAMPS = 0x80  # AVFMT_NOTIMESTAMPS among a format's flags: FFmpeg makes them up, 25 a second
PATIENCE = 60.0  # s that a file may take: a playlist without an end waits for more for ever
OPTIONS = {"rtsp_flags": "prefer_tcp"}  # UDP loses packets and does not pass most routers


def open_container(place: str, timeout: float | None = None) -> InputContainer:
    """A file or URL opened by FFmpeg; ``timeout`` in seconds bounds the opening and each read.

    Files are given ``PATIENCE`` seconds for that.

    Raises:
        InputError: it cannot be opened; the message says why, without credentials.
    """
    network, begin = is_url(place), time.monotonic()
    limit = timeout or PATIENCE
    try:
        container = av.open(
            place if network else f"file:{place}",  # a name like 10:30.mp4 would be protocol 10
            options=OPTIONS if place.lower().startswith("rtsp") else {},
            timeout=(limit, limit),
        )
    except (av.error.FFmpegError, OSError, ValueError) as error:
        if network:
            late = timeout is not None and time.monotonic() - begin >= timeout  # told as many kinds of error
            why = f"no answer in {timeout:g} s" if late else reason(error)
            what = "check the address, the network and the login"
            raise InputError(f"{shown(place)}: no stream ({why}); {what}") from None
        raise InputError(f"{shown(place)}: not readable as a video ({reason(error)})") from None
    if container.format.name == "tty":  # FFmpeg would play any text
        container.close()
        raise InputError(f"{shown(place)}: not readable as a video (it is a text file)")
    return container


def reason(error: Exception) -> str:
    """Why, in a few words, without the address that FFmpeg adds."""
    if isinstance(error, av.error.ExitError):
        return "no answer in time"
    if isinstance(error, InputError):
        return str(error)
    return system_reason(error)
