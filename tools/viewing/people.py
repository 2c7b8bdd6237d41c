"""People of an identity memory, over cameras and recordings, in one row each; and the hand that mends them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from retrace.configs.errors import InputError
from retrace.tracker.memory import Memory, editing
from retrace.tracker.memory.store import Store

LATEST = 50  # operations that are told


def people(memory: Path | None) -> dict[str, Any]:
    """``cameras``, and ``people``: id, name, pinned, and their visits by beginning: tracklet, camera (index), source,
    track, begin, end (s, on the memory's clock), whether there is a crop. ``log``, what was joined or done by hand, the
    latest first: operation, text, whether it can be undone. ``suggestions``: a, b (people who may be one), text.

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
        named = store.called()
        found: dict[int, dict[str, Any]] = {}
        query = (
            "SELECT id, camera, source, track, begin + clock AS b, end + clock, crop IS NOT NULL FROM tracklet "
            "JOIN camera ON number = camera ORDER BY b"
        )
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
        return {
            "cameras": [name for _, name in cameras],
            "people": [found[one] for one in sorted(found)],
            "log": _log(store),
            "suggestions": _suggestions(store),
        }
    finally:
        store.close()


def _log(store: Store) -> list[dict[str, Any]]:
    rows = store.read(
        "SELECT operation, by, op, a, b, COUNT(*) FROM log WHERE op IN ('merge', 'undo') OR by = 'user' "
        "GROUP BY operation ORDER BY operation DESC LIMIT ?",
        (LATEST,),
    )
    gone = store.undone()
    told = []
    for operation, by, op, a, b, count in rows:
        words = {
            "merge": f"{b} is {a}",
            "assign": f"{count} visit{'s' if count > 1 else ''} split off as {b}",
            "undo": f"undid operation {a}",
            "reject": f"{b} is not {a}",
        }.get(op, op)
        undoable = op in ("merge", "undo", "assign", "reject") and operation not in gone
        told.append({"operation": operation, "text": f"{words}, by {by}", "undoable": undoable})
    return told


def _suggestions(store: Store) -> list[dict[str, Any]]:
    """Pairs who may be one person and are still two."""
    return [
        {
            "a": one.older,
            "b": one.younger,
            "text": ", ".join(f"{key} {value}" for key, value in one.evidence.items()),
        }
        for one in editing.suggestions(store)
    ]


def edit(memory: Path | None, told: Any, at: float) -> str:
    """One edit as :func:`people` lists what it is about, in words what was done: ``{"op": "merge", "a", "b"}``,
    ``{"op": "split", "tracklets": [...]}``, ``{"op": "undo", "operation"}``, ``{"op": "name", "person", "name"}``,
    ``{"op": "pin", "person", "pinned"}``.

    Args:
        at: s since 1970, for the log.

    Raises:
        InputError: no memory, another form, or what :mod:`retrace.tracker.memory.editing` refuses.
    """
    if memory is None or not memory.is_file():
        raise InputError("No identity memory: `retrace view RUN --memory FILE` shows its people.")
    op = told.get("op") if isinstance(told, dict) else None
    if op not in EDITS:
        raise InputError(f"expected an edit with op {', '.join(EDITS)}, got {str(told)[:100]}")
    with Memory(memory) as opened:
        return EDITS[op](opened, told, at)


def _whole(told: dict[str, Any], *keys: str) -> list[int]:
    found = [told.get(key) for key in keys]
    if not all(isinstance(one, int) and not isinstance(one, bool) and 0 <= one < 2**63 for one in found):
        raise InputError(f"{told['op']}: expected whole numbers {', '.join(keys)}")
    return found  # type: ignore[return-value]


def _merge(memory: Memory, told: dict[str, Any], at: float) -> str:
    a, b = _whole(told, "a", "b")
    return f"{max(a, b)} is {min(a, b)} now: operation {editing.merge(memory, a, b, at)}"


def _split(memory: Memory, told: dict[str, Any], at: float) -> str:
    tracklets = told.get("tracklets")
    if not isinstance(tracklets, list) or not all(type(one) is int for one in tracklets):
        raise InputError("split: expected a list of tracklets")
    person, operation = editing.split(memory, tracklets, at)
    return f"they are {person} now: operation {operation}"


def _undo(memory: Memory, told: dict[str, Any], at: float) -> str:
    (operation,) = _whole(told, "operation")
    return f"operation {operation} is undone: operation {editing.undo(memory, operation, at)}"


def _name(memory: Memory, told: dict[str, Any], at: float) -> str:
    (person,), text = _whole(told, "person"), told.get("name")
    if not isinstance(text, str):
        raise InputError("name: expected a text")
    editing.name(memory, person, text)
    return f"{person} is called {text.strip()}"


def _pin(memory: Memory, told: dict[str, Any], at: float) -> str:
    (person,), pinned = _whole(told, "person"), told.get("pinned")
    if not isinstance(pinned, bool):
        raise InputError("pin: expected pinned true or false")
    editing.pin(memory, person, pinned)
    return f"{person} is {'pinned: no limit forgets them' if pinned else 'no longer pinned'}"


EDITS: dict[str, Callable[[Memory, dict[str, Any], float], str]] = {
    "merge": _merge,
    "split": _split,
    "undo": _undo,
    "name": _name,
    "pin": _pin,
}


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
