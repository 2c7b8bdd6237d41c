"""Names of places: which are URLs, and how they are shown and turned into file names without their secrets."""

from __future__ import annotations

import re

LONGEST = 200  # characters of a place in a message


def is_url(spec: str) -> bool:
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", spec) is not None


def redact(url: str) -> str:
    """A URL without user, password, query and fragment, any of which may hold a secret."""
    scheme, _, rest = url.partition("://")
    # the last @, since an unescaped password may hold any character
    return f"{scheme}://{re.split('[?#]', rest.rsplit('@', 1)[-1], maxsplit=1)[0]}"


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
