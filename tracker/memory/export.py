"""Everything that a memory knows of one person, to be handed over: as plain values, or as a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from retrace.configs.errors import InputError
from retrace.configs.files import atomic_folder, write_json, writing
from retrace.tracker.memory.editing import known, merged_into
from retrace.tracker.memory.people import folds
from retrace.tracker.memory.store import Store, from_blob

LOG = ("seq", "operation", "at", "by", "op", "a", "b", "evidence")
TRACKLET = (
    "tracklet",
    "camera",
    "source",
    "track",
    "begin",
    "end",
    "boxes",
    "crop_bytes",
    "first_box",
    "last_box",
)


def export(store: Store, person: int) -> dict[str, Any]:
    """Everything that the memory knows of one person, as plain values: times on the memory's clock, boxes xyxy px;
    vectors and pictures are only counted (:func:`export_folder`).

    Raises:
        InputError: no such person.
    """
    person = known(store, person)
    member, _ = store.partition()
    mine = sorted(tracklet for tracklet, owner in member.items() if owner == person)
    name, pinned = store.called()[person]
    ((created,),) = store.read("SELECT created FROM person WHERE id = ?", (person,))
    ids = {person, *merged_into(store, person)}
    named = dict(store.read("SELECT id, name FROM person WHERE name IS NOT NULL ORDER BY id"))
    return {
        "person": person,
        "name": name,
        "pinned": pinned,
        "created": created,
        "also_known_as": sorted(ids - {person}),
        "names": {one: named[one] for one in sorted(ids) if one in named},
        "tracklets": [_tracklet(store, tracklet) for tracklet in mine],
        "links": _links(store, {*mine}, member),
        "log": _log(store, {*mine}, ids),
    }


def _tracklet(store: Store, tracklet: int) -> dict[str, Any]:
    query = (
        "SELECT t.id, c.name, source, track, begin + clock, end + clock, boxes, LENGTH(crop), first_box, last_box "
        "FROM tracklet t JOIN camera c ON c.number = t.camera WHERE t.id = ?"
    )
    told = dict(zip(TRACKLET, store.read(query, (tracklet,))[0], strict=True))
    for box in ("first_box", "last_box"):
        told[box] = None if told[box] is None else np.frombuffer(told[box], "<f4").round(2).tolist()
    return told


def _links(store: Store, mine: set[int], member: dict[int, int]) -> list[dict[str, Any]]:
    """What ties these tracklets together, or keeps them apart from others', as far as it stands."""
    undone = {f"operation {operation}" for operation in store.undone()}
    rows = store.read("SELECT kind, a, b, reason FROM link ORDER BY a, b, kind")
    return [
        {"kind": kind, "a": a, "b": b, "reason": reason}
        for kind, a, b, reason in rows
        if {a, b} & mine and reason not in undone and (kind == "cannot" or member.get(a) == member.get(b))
    ]


def _log(store: Store, mine: set[int], ids: set[int]) -> list[dict[str, Any]]:
    """Rows of the log about these tracklets and ids."""
    rows = store.read(f"SELECT {', '.join(LOG)} FROM log ORDER BY seq")
    return [
        dict(zip(LOG, row, strict=True))
        for row in rows
        if (row[4] == "assign" and row[5] in mine)
        or (row[4] in ("merge", "suggest", "reject") and {row[5], row[6]} & ids)
    ]


def export_folder(store: Store, person: int, folder: Path) -> dict[str, int]:
    """:func:`export` as ``person.json``, the pictures as ``TRACKLET.jpg``, and ``vectors.npz``: ``tracklet`` (T,) and
    ``vector`` (T, D) float32 unit, of those that have their own, and ``mean`` (D,) unit, which folded ones are in, too.

    Returns:
        how many tracklets, pictures and vectors there are.

    Raises:
        InputError: no such person; the folder is there already, or cannot be written.
    """
    told = export(store, person)
    if folder.exists():
        raise InputError(f"{folder}: is there already; name a new folder")
    pictures, vectors = 0, {}
    with writing(folder), atomic_folder(folder) as grown:
        write_json(grown / "person.json", told)
        for one in (each["tracklet"] for each in told["tracklets"]):
            ((vector, crop),) = store.read("SELECT vector, crop FROM tracklet WHERE id = ?", (one,))
            if crop is not None:
                (grown / f"{one}.jpg").write_bytes(crop)
                pictures += 1
            if vector is not None:
                vectors[one] = from_blob(vector)
        looks = np.array([*vectors.values()], np.float32).reshape(len(vectors), store.dimension)
        folded = [np.frombuffer(total, "<f4") for owner, total, _ in folds(store) if owner == told["person"]]
        total = looks.sum(0) + np.sum(folded, axis=0)
        mean = (total / max(float(np.linalg.norm(total)), 1e-12)).astype(np.float32)
        np.savez(grown / "vectors.npz", tracklet=np.array([*vectors], np.int64), vector=looks, mean=mean)
    return {"tracklets": len(told["tracklets"]), "pictures": pictures, "vectors": len(vectors)}
