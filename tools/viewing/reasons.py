"""What the ledger of a run says to the page: what happened when, and why somebody was joined to what in a frame."""

from __future__ import annotations

from typing import Any

import numpy as np

from retrace.configs.errors import InputError
from retrace.tools.viewing.place import Place
from retrace.tracker.ledger.by_identity import History
from retrace.tracker.ledger.explain import FrameStory, tell_frame
from retrace.tracker.ledger.pairs_in_words import Pair
from retrace.tracker.ledger.switches_in_words import likely_switches

MOST_PAIRS = 8


def events(place: Place) -> list[dict[str, Any]]:
    """What happened, by frame: ``frame, kind, id, other, text``. Kinds: "merged" (another identity of the tracker goes
    on as the same person), and of the ledger "switch" (an identity may have changed), "double" (dropped as a double).
    Ids are today's, 0 where nobody has the box any more. Who came, went and was found again the boxes say
    themselves."""
    told = place.ledger()
    if told is None:
        return merged(place)
    path = place.beside(".ledger.jsonl")
    found = place.kept("switches", [path], lambda: likely_switches(told))
    rows = [
        {
            "frame": one.frame,
            "kind": "switch",
            "id": place.today(one.frame, one.before),
            "other": place.today(one.frame, one.after),
            "text": one.text,
            "own": [one.before, one.after],
        }
        for one in found
    ]
    rows += [
        {
            "frame": frame,
            "kind": "double",
            "id": place.today(frame, identity),
            "other": place.today(frame, by),
            "text": f"id {identity} was dropped as a double of id {by}",
            "own": [identity, by],
        }
        for identity, (frame, why, by) in told.ended.items()
        if why == "duplicate" and identity > 0
    ]
    return sorted([*map(called, rows), *merged(place)], key=lambda row: (row["frame"], row["id"]))


def called(row: dict[str, Any]) -> dict[str, Any]:
    """The row, whose text has the tracker's ids, with what they are called today where that is something else."""
    now = {
        own: name for own, name in zip(row.pop("own"), (row["id"], row["other"]), strict=True) if own != name
    }
    words = ", ".join(f"id {own} is {name or 'nobody'} now" for own, name in now.items() if own)
    return {**row, "text": f"{row['text']} ({words})"} if words else row


def merged(place: Place) -> list[dict[str, Any]]:
    """Where an identity of the tracker goes on as somebody who was there before: an identity memory, a pass
    afterwards or a hand has joined them."""
    table, own = place.corrected().table, place.corrected_tracker_ids()
    known = own > 0
    pair, first = np.unique(np.stack((table.id[known], own[known])), axis=1, return_index=True)
    frame = table.frame[known][first]
    order = np.lexsort((frame, pair[0]))
    person, mine, frame = pair[0][order], pair[1][order], frame[order]
    later = (np.diff(person) == 0).nonzero()[0] + 1
    return [
        {
            "frame": int(frame[k]),
            "kind": "merged",
            "id": int(person[k]),
            "other": 0,
            "text": f"the tracker's id {mine[k]} goes on as {person[k]}, who was its id {mine[k - 1]} before",
        }
        for k in later.tolist()
    ]


def moment(place: Place, frame: int, person: int) -> dict[str, Any]:
    """Why a person was joined to what in a frame: ``lines`` in words (frames count from 1 there), ``own`` box, and the
    candidate ``pairs``: stage, detection, cost, limit, joined, terms and gates, why not, the box, whose it became."""
    told = place.ledger()
    if told is None:
        return {"lines": ["No ledger: `track.py --save mot,ledger` keeps the reasons."], "pairs": []}
    identity = _tracker_id(place, frame, person)
    if identity is None:
        return {
            "lines": ["Drawn by hand, or filled in afterwards: the tracker knows nothing of it."],
            "pairs": [],
        }
    try:
        lines = tell_frame(told, frame, identity)
    except InputError as error:
        return {"lines": [str(error)], "pairs": []}
    if identity != person:
        lines = [
            f"The tracker itself called them id {identity}; ids in these lines are the tracker's.",
            *lines,
        ]
    story = FrameStory(told, frame)
    pairs = story.pairs(id=identity)[:MOST_PAIRS]
    rivals = [
        rival
        for pair in pairs
        if pair.joined
        for rival in story.pairs(detection=pair.detection)
        if rival.id != identity
    ]
    seen = told.sighting(identity, frame)
    expected = told.expectation(identity, frame)
    return {
        "lines": lines,
        "own": None if seen is None else _box(seen["xyxy"]),
        "expected": None if expected is None else _box(expected["xyxy"]),
        "pairs": [_told(place, story, frame, pair) for pair in pairs],
        "rivals": [_told(place, story, frame, pair) for pair in rivals[:MOST_PAIRS]],
    }


def loose(place: Place) -> dict[str, list[Any]]:
    """Detections that went nowhere: ``frame`` (N,), ``xyxy`` (4 N) px, ``score`` (N,)."""
    told = place.ledger()
    if told is None:
        return {"frame": [], "xyxy": [], "score": []}
    path = place.beside(".ledger.jsonl")
    return place.kept("loose", [path], lambda: _loose(told))


def _loose(told: History) -> dict[str, list[Any]]:
    frames: list[int] = []
    boxes: list[float] = []
    scores: list[float] = []
    for kept in told.file.frames():
        table = kept.detections
        if not table["count"]:
            continue
        rows = (~np.isin(table["fate"], ["matched", "new"])).nonzero()[0]
        frames += [kept.frame] * len(rows)
        boxes += np.round(table["xyxy"][rows], 1).ravel().tolist()
        scores += np.round(table["score"][rows], 3).tolist()
    return {"frame": frames, "xyxy": boxes, "score": scores}


def _tracker_id(place: Place, frame: int, person: int) -> int | None:
    """What the tracker called a person of today in a frame, or in the frame nearest to it."""
    table, own = place.corrected().table, place.corrected_tracker_ids()
    rows = ((table.id == person) & (own != 0)).nonzero()[0]
    if not len(rows):
        return None
    return int(own[rows[np.abs(table.frame[rows] - frame).argmin()]])


def _told(place: Place, story: FrameStory, frame: int, pair: Pair) -> dict[str, Any]:
    found = story.detection(pair.detection)
    return {
        "id": place.today(frame, pair.id),
        "stage": pair.stage + 1,
        "detection": pair.detection,
        "cost": _number(pair.cost),
        "limit": _number(pair.limit),
        "joined": pair.joined,
        "sum": pair.sum(),
        "refusal": pair.refusal(),
        "fate": story.fate_of(pair.detection),
        "box": _box(found["xyxy"]),
        "score": _number(float(found["score"])),
    }


def _box(xyxy: np.ndarray) -> list[int]:
    return np.rint(np.asarray(xyxy, np.float64)).astype(int).tolist()


def _number(value: float) -> float | None:
    return round(value, 4) if np.isfinite(value) else None
