"""People of an identity memory, over cameras and recordings, in one row each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from retrace.configs.errors import InputError
from retrace.tracker.memory.store import Store


def people(memory: Path | None) -> dict[str, Any]:
    """``cameras``, and ``people``: id, name, pinned, and their visits by beginning: tracklet, camera (index), source,
    track, begin, end (s, on the memory's clock), whether there is a crop.

    Raises:
        InputError: no memory was named, or it cannot be read.
    """
    if memory is None:
        raise InputError("No identity memory: `retrace view RUN --memory FILE` shows its people.")
    if not memory.is_file():
        raise InputError(f"{memory}: no such memory")
    store = Store(memory, readonly=True)
    try:
        member, _ = store.partition()
        cameras = store.read("SELECT number, name FROM camera ORDER BY number")
        at = {number: k for k, (number, _) in enumerate(cameras)}
        named = {
            person: (name, bool(pin))
            for person, name, pin in store.read("SELECT id, name, pinned FROM person")
        }
        found: dict[int, dict[str, Any]] = {}
        query = "SELECT id, camera, source, track, begin, end, crop IS NOT NULL FROM tracklet ORDER BY begin"
        for tracklet, camera, source, track, begin, end, crop in store.read(query):
            if tracklet not in member:
                continue
            person = member[tracklet]
            name, pinned = named.get(person, (None, False))
            row = found.setdefault(person, {"id": person, "name": name, "pinned": pinned, "visits": []})
            row["visits"].append(
                {
                    "tracklet": tracklet,
                    "camera": at[camera],
                    "source": source.rsplit(" ", 1)[0],
                    "track": track,
                    "begin": round(begin, 2),
                    "end": round(end, 2),
                    "crop": bool(crop),
                }
            )
        return {"cameras": [name for _, name in cameras], "people": [found[one] for one in sorted(found)]}
    finally:
        store.close()


def face(memory: Path | None, tracklet: int) -> bytes | None:
    """JPEG of a tracklet; None: there is none."""
    if memory is None or not memory.is_file():
        return None
    store = Store(memory, readonly=True)
    try:
        rows = store.read("SELECT crop FROM tracklet WHERE id = ?", (tracklet,))
        return bytes(rows[0][0]) if rows and rows[0][0] else None
    finally:
        store.close()
