"""A run that goes on: server-sent events with the latest picture and its tracks, and word that the result has grown."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from retrace.tools.viewing.place import Place, stamp
from retrace.tracker.outputs.live import onlooker_file, picture_file

POLL = 0.03  # s between two looks at the files
TOUCH = 1.0  # s between two signs to the tracker that somebody looks on
GROWN = 2.0  # s between two notices that the result has grown
LARGEST = 8_000_000  # bytes of a picture


async def events(place: Place) -> AsyncIterator[str]:
    """Until the run is whole: ``picture`` (frame, time, at, size, tracks, jpeg in base64) for each new one, ``grown``,
    at last ``done``."""
    loop = asyncio.get_running_loop()
    path, grown = picture_file(place.folder, place.name), place.beside(".txt.partial")
    onlooker = onlooker_file(place.folder, place.name)
    shown, size, touched, told = None, stamp(grown), -TOUCH, loop.time()
    yield ": here\n\n"
    while grown.is_file():
        now = loop.time()
        if now - touched >= TOUCH:
            with suppress(OSError):  # a folder that is read-only has no live picture
                onlooker.touch()
            touched = now
        latest = stamp(path)
        if latest is not None and latest != shown:
            shown, picture = latest, read_picture(path)
            if picture is not None:
                yield _event("picture", picture)
        if now - told >= GROWN and stamp(grown) != size:
            size, told = stamp(grown), now
            yield _event("grown", {})
        await asyncio.sleep(POLL)
    yield _event("done", {})


def read_picture(path: Path) -> dict[str, Any] | None:
    """What `tracker/outputs/live.py` wrote; None: nothing that can be read."""
    try:
        whole = path.read_bytes()
        head, _, jpeg = whole[:LARGEST].partition(b"\n")
        told = json.loads(head)
    except (OSError, ValueError, RecursionError):
        return None
    return {**told, "jpeg": base64.b64encode(jpeg).decode()} if isinstance(told, dict) else None


def _event(kind: str, value: dict[str, Any]) -> str:
    return f"event: {kind}\ndata: {json.dumps(value, separators=(',', ':'))}\n\n"
