"""A run that goes on: server-sent events with the latest picture and its tracks, and word that the result has grown."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from retrace.tools.viewing.place import Place

POLL = 0.03  # s between two looks at the files
GROWN = 2.0  # s between two words that the result has grown
LARGEST = 8_000_000  # bytes of a picture


async def events(place: Place) -> AsyncIterator[str]:
    """Until the run is whole: ``picture`` (frame, time, size, tracks, jpeg in base64) for each new one, ``grown``, at
    last ``done``."""
    shown, size, waited = None, -1, GROWN
    yield ": here\n\n"
    while True:
        path = place.beside(".live.partial")
        stamp = _stamp(path)
        if stamp is not None and stamp != shown:
            picture = read_picture(path)
            if picture is not None:
                shown = stamp
                yield _event("picture", picture)
        grown = _size(place.beside(".txt.partial"))
        if grown is None:
            yield _event("done", {})
            return
        if grown != size and waited >= GROWN:
            size, waited = grown, 0.0
            yield _event("grown", {"bytes": grown})
        await asyncio.sleep(POLL)
        waited += POLL


def read_picture(path: Path) -> dict[str, Any] | None:
    """What `tracker/outputs/live.py` wrote; None: nothing that can be read."""
    try:
        whole = path.read_bytes()
    except OSError:
        return None
    head, _, jpeg = whole[:LARGEST].partition(b"\n")
    try:
        told = json.loads(head)
    except (ValueError, RecursionError):
        return None
    return {**told, "jpeg": base64.b64encode(jpeg).decode()} if isinstance(told, dict) else None


def _event(kind: str, value: dict[str, Any]) -> str:
    return f"event: {kind}\ndata: {json.dumps(value, separators=(',', ':'))}\n\n"


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        told = path.stat()
    except OSError:
        return None
    return told.st_mtime_ns, told.st_ino


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
