"""Tracks and answers as CSV files: a row a box, a person, a crossing, a visit, a minute.

Times are seconds with three digits, places are px with one; a file has its name only once it is whole.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from io import TextIOWrapper
from pathlib import Path

import numpy as np

from retrace.configs.files import atomic_write, writing
from retrace.tracker.analytics import Crossings, Occupancy, Persons, Visits
from retrace.tracker.data import MotTable

BOX_COLUMNS = ("frame", "time", "id", "x1", "y1", "x2", "y2", "score", "class_id", "class")


def boxes_csv(path: str | Path, table: MotTable, fps: float, names: Mapping[int, str] | None = None) -> Path:
    """A row a box. Frames count from 0; ``names`` says what the classes are called."""
    names = names or {}
    return _write(
        path,
        BOX_COLUMNS,
        (
            (frame, _s(frame / fps), person, *map(_px, box), f"{score:.4f}", kind, names.get(int(kind), ""))
            for frame, person, box, score, kind in zip(
                table.frame, table.id, table.xyxy, table.score, table.class_id, strict=True
            )
        ),
    )


def persons_csv(
    path: str | Path,
    persons: Persons,
    names: Mapping[int, str] | None = None,
    crops: Mapping[int, str] | None = None,
) -> Path:
    """A row a person: from when to when, how far, how fast, and where the best crop is; ``crops``: its file by id."""
    names, crops = names or {}, crops or {}
    columns = (
        "id",
        "class_id",
        "class",
        "begin",
        "end",
        "seconds",
        "boxes",
        "path_px",
        "speed_heights_per_s",
    )
    best = ("mean_score", "best_frame", "best_x1", "best_y1", "best_x2", "best_y2", "best_crop")
    return _write(
        path,
        (*columns, *best),
        (
            (
                persons.id[k],
                persons.class_id[k],
                names.get(int(persons.class_id[k]), ""),
                _s(persons.begin[k]),
                _s(persons.end[k]),
                _s(persons.seconds[k]),
                persons.boxes[k],
                _px(persons.path[k]),
                "" if np.isnan(persons.speed[k]) else f"{persons.speed[k]:.3f}",
                f"{persons.score[k]:.4f}",
                persons.best_frame[k],
                *map(_px, persons.best_xyxy[k]),
                crops.get(int(persons.id[k]), ""),
            )
            for k in range(len(persons))
        ),
    )


def crossings_csv(path: str | Path, crossings: Iterable[Crossings]) -> Path:
    """A row a crossing of a line, line after line, by time."""
    return _write(
        path,
        ("line", "time", "id", "direction", "x", "y"),
        (
            (one.line.name, _s(time), person, one.line.labels[0 if forward else 1], *map(_px, place))
            for one in crossings
            for time, person, forward, place in zip(one.time, one.id, one.forward, one.place, strict=True)
        ),
    )


def visits_csv(path: str | Path, visits: Iterable[Visits]) -> Path:
    """A row a visit to a zone, zone after zone, by its beginning."""
    return _write(
        path,
        ("zone", "id", "begin", "end", "seconds"),
        (
            (one.zone.name, person, _s(begin), _s(end), _s(end - begin))
            for one in visits
            for person, begin, end in zip(one.id, one.begin, one.end, strict=True)
        ),
    )


def occupancy_csv(path: str | Path, occupancy: Occupancy) -> Path:
    """A row a bin of time (a minute): different people, and the most at once."""
    rows = zip(map(_s, occupancy.begin), occupancy.people, occupancy.most, strict=True)
    return _write(path, ("begin", "people", "most_at_once"), rows)


def _write(path: str | Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    path = Path(path)
    with writing(path), atomic_write(path, "wb") as file:
        text = TextIOWrapper(file, "utf-8", "replace", "\n")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
        text.detach()
    return path


def _s(seconds: float) -> str:
    return f"{seconds:.3f}"


def _px(pixels: float) -> str:
    return f"{pixels:.1f}"
