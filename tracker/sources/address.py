"""Names of places: which are URLs, and how they are shown and turned into file names without their secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable

from retrace.configs.errors import InputError, nearest

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
HOST = re.compile(r"(localhost|\[[^\]]*\]|[^/:]*\.[^/:]*)(:[0-9]{1,5})?(/|$)")
LONGEST = 200  # characters of a place in a message
# What FFmpeg reads live pictures by: from a named host; and by what may also listen, on a port alone.
OF_A_HOST = (
    *("rtsp", "rtsps", "http", "https", "hls", "rtmp", "rtmps", "rtmpt", "rtmpe", "rtmpte", "rtmpts"),
    *("mms", "mmsh", "mmst", "icecast", "ftp", "sftp"),
)
BY_A_PORT = ("udp", "udplite", "rtp", "srtp", "tcp", "tls", "srt", "rist", "sctp", "sap", "zmq")


def is_url(spec: str) -> bool:
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", spec) is not None


def check_address(url: str) -> None:
    """Refuse the URL of a stream behind which there can never be one; nobody is asked.

    Raises:
        InputError: an unknown scheme, no host, a port that is none; without the URL's secrets.

    Example:
        >>> from retrace.tracker.sources.address import check_address
        >>> check_address("rtsp://me:secret@camera-1:554/stream")
    """
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    if scheme not in (*OF_A_HOST, *BY_A_PORT):
        raise InputError(
            f"{shown(url)}: no streams come by {scheme!r}; {nearest(scheme, (*OF_A_HOST, *BY_A_PORT))}"
        )
    place = re.split("[/?#]", rest, maxsplit=1)[0].rpartition("@")[2]  # as FFmpeg takes it apart
    host, port = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(.*)", place, re.DOTALL).groups()  # type: ignore[union-attr]
    if port not in ("", ":") and not (re.fullmatch(":[0-9]{1,5}", port) and 0 < int(port[1:]) < 65536):
        raise InputError(
            f"{shown(url)}: its port is no number from 1 to 65535 (in a password / ? # @ : are %2F %3F %23 %40 %3A)"
        )
    if not host.strip("[]") and (scheme in OF_A_HOST or len(port) < 2):
        raise InputError(f"{shown(url)}: names no host; expected {scheme}://HOST/...")


def redact(url: str) -> str:
    """A URL without user, password, query and fragment, any of which may hold a secret.

    An unescaped password may hold any character, and so may a query: where an @ comes after ? or # and what is before
    looks like no host, nothing is left of it.
    """
    scheme, _, rest = url.partition("://")
    before, *after = re.split("[?#]", rest, maxsplit=1)
    place = before.rsplit("@", 1)[-1]
    if after and "@" in after[0] and not HOST.match(place):
        return f"{scheme}://"
    return f"{scheme}://{place}"


def without_secrets(words: Iterable[str]) -> list[str]:
    """What a user typed, as it may be written down: every URL in it redacted; a word that is one, as a whole."""
    told = []
    for word in words:
        option, value = re.fullmatch(r"(--?[\w-]+=)?(.*)", word, re.DOTALL).groups("")  # type: ignore[union-attr]
        told.append(
            option + redact(value) if is_url(value) else URL.sub(lambda found: redact(found[0]), word)
        )
    return told


def shown(place: str) -> str:
    """A place as messages call it: a URL redacted, its middle left out where it is very long."""
    place = redact(place) if is_url(place) else place
    if len(place) > LONGEST:
        place = f"{place[: LONGEST // 2]}...{place[-LONGEST // 2 :]}"
    return place if place.isprintable() else ascii(place)[1:-1]


def url_name(url: str) -> str:
    """A file name from a URL: host and path, nothing that may be secret."""
    place = redact(url).partition("://")[2]
    return re.sub(r"[^A-Za-z0-9.-]+", "_", place).strip("_.")[:LONGEST] or "stream"
