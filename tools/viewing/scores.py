"""How good a run is, where the truth is known, before and after correction; and where two runs differ."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from retrace.eval.mot import evaluate
from retrace.eval.mot.identity_switches import identity_switches
from retrace.eval.mot.matched import MatchedRows, matched_rows
from retrace.eval.mot.sequences import guess_benchmark
from retrace.tools.viewing.place import Place
from retrace.tracker.data import MotTable
from retrace.tracker.mot_file import read_ground_truth

SHOWN = ("HOTA", "DetA", "AssA", "IDF1", "MOTA", "IDSW", "FP", "FN", "MT", "ML", "Frag")
MOST = 2_000  # moments that are listed
SHORTEST = 0.5  # s, of a time in which somebody is in one of two runs only


def truth_file(place: Place, given: Path | None) -> Path | None:
    """Where the ground truth of a sequence lies: as given (a file, or a folder of sequences), else in the source's own
    folder; None: nowhere."""
    places = []
    if given is not None:
        places = [given / place.name / "gt" / "gt.txt"] if given.is_dir() else [given]
    if place.source is not None:
        places.append(Path(place.source) / "gt" / "gt.txt")
    return next((path for path in places if path.is_file()), None)


def scores(place: Place, truth: Path) -> dict[str, Any]:
    """Metrics ``before`` and ``after`` correction (names to numbers), and of the corrected result: ``switches``
    (frame, person, id before, id after), ``misses`` (person, first and last frame, the id he has otherwise), and
    ``identities`` (id, boxes, of which right, whose).

    Raises:
        InputError: the truth cannot be read, or is of other frames.
    """
    files = [place.result_file, place.edits_file, truth]
    return place.kept("scores", files, lambda: _scores(place, truth))


def _scores(place: Place, path: Path) -> dict[str, Any]:
    truth, benchmark = read_ground_truth(path), guess_benchmark([place.name])
    after = place.corrected().table
    length = max(place.frames, int(truth.frame.max(initial=0)) + 1)
    told: dict[str, Any] = {}
    for name, table in (("before", place.table()), ("after", after)):
        row = evaluate(truth, table, length, benchmark).row()
        told[name] = {key: round(float(row[key]), 5) for key in SHOWN}
    rows = matched_rows(truth, after, length, benchmark)
    usual = _usual(truth.id[rows.gt], after.id[rows.result])
    return {
        **told,
        "switches": [
            {"frame": s.frame, "person": s.person, "before": s.before, "after": s.after}
            for s in identity_switches(truth, after, length, benchmark)
        ][:MOST],
        "misses": [
            {"person": person, "first": first, "last": last, "id": usual.get(person, 0)}
            for person, first, last in stretches(truth.id[rows.missed], truth.frame[rows.missed])
        ][:MOST],
        "identities": _identities(truth, after, rows),
    }


def _usual(ours: np.ndarray, theirs: np.ndarray) -> dict[int, int]:
    """To whom each of ``ours`` is matched most often."""
    pair, count = np.unique(np.stack((ours, theirs)), axis=1, return_counts=True)
    order = np.lexsort((-pair[1], count))
    return dict(zip(pair[0][order].tolist(), pair[1][order].tolist(), strict=True))  # the last one stays


def _identities(truth: MotTable, result: MotTable, rows: MatchedRows) -> list[dict[str, int]]:
    """By id: its boxes, how many of them are the person's whose most are, and who that is."""
    whose = _usual(result.id[rows.result], truth.id[rows.gt])
    ids, boxes = np.unique(result.id, return_counts=True)
    person = np.array([whose.get(one, 0) for one in result.id[rows.result].tolist()], np.int64)
    right = truth.id[rows.gt] == person
    count = dict(
        zip(*(a.tolist() for a in np.unique(result.id[rows.result][right], return_counts=True)), strict=True)
    )
    return [
        {"id": one, "boxes": many, "right": count.get(one, 0), "person": whose.get(one, 0)}
        for one, many in zip(ids.tolist(), boxes.tolist(), strict=True)
    ]


def stretches(ids: np.ndarray, frames: np.ndarray) -> list[tuple[int, int, int]]:
    """Rows of (id, frame) as (id, first, last frame) of what is without a gap, by first frame."""
    order = np.lexsort((frames, ids))
    ids, frames = ids[order], frames[order]
    new = np.ones(len(ids), bool)
    new[1:] = (ids[1:] != ids[:-1]) | (frames[1:] > frames[:-1] + 1)
    first = new.nonzero()[0]
    last = np.append(first[1:], len(ids))[: len(first)] - 1
    found = zip(ids[first].tolist(), frames[first].tolist(), frames[last].tolist(), strict=True)
    return sorted(found, key=lambda row: (row[1], row[0]))


def differences(here: Place, there: Place) -> list[dict[str, Any]]:
    """Where two runs of one video differ, by frame: ``frame, kind, id, other, text``. Kinds: "split" (one person here
    is two there), "joined" (two here are one there), "only here", "only there" (for half a second or more)."""
    ours, theirs = (
        replace(t, score=np.ones(len(t)), class_id=np.ones(len(t), np.int64))
        for t in (here.corrected().table, there.corrected().table)
    )
    length = max(here.frames, there.frames)
    found: list[dict[str, Any]] = []
    for s in identity_switches(ours, theirs, length):
        text = f"who stays {s.person} here changes from {s.before} to {s.after} there"
        found.append({"frame": s.frame, "kind": "split", "id": s.person, "other": s.after, "text": text})
    for s in identity_switches(theirs, ours, length):
        text = f"who stays {s.person} there changes from {s.before} to {s.after} here"
        found.append({"frame": s.frame, "kind": "joined", "id": s.after, "other": s.person, "text": text})
    rows = matched_rows(ours, theirs, length)
    for kind, table, left in (("only here", ours, rows.missed), ("only there", theirs, rows.false)):
        for person, first, last in stretches(table.id[left], table.frame[left]):
            seconds = (last - first + 1) / here.fps
            if seconds >= SHORTEST:
                who = {"id": person, "other": 0} if kind == "only here" else {"id": 0, "other": person}
                text = f"{person} is {kind} for {seconds:.1f} s"
                found.append({"frame": first, "kind": kind, **who, "text": text})
    return sorted(found, key=lambda row: (row["frame"], row["kind"]))[:MOST]
