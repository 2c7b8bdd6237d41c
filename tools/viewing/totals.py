"""Totals of a run: people by time, lines, zones, dwell, a heat map. The numbers are `tracker.analytics`' own, the same
as of `tools/count.py`; lines and zones lie beside the run as the YAML that it reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from retrace.configs.errors import InputError
from retrace.configs.files import atomic_write, writing
from retrace.configs.loader import validate
from retrace.tools.runs.answers import Result, write_tables
from retrace.tools.viewing.place import Place
from retrace.tracker.analytics import Regions, heat_map, occupancy, read_regions, summarise

BINS = 120  # of time, at most
CELL = 24  # cells of the heat map from top to bottom
TABLES = ("persons", "people", "lines", "zones")


def regions_file(place: Place) -> Path:
    return place.beside(".regions.yaml")


def regions(place: Place) -> Regions:
    """The lines and zones drawn on the page, else those that the run was counted with.

    Raises:
        InputError: the file is there and broken.
    """
    path = regions_file(place)
    if path.is_file():
        return read_regions(path)
    told = place.record.get("regions")
    return validate(told, Regions, "run.json") if isinstance(told, dict) else Regions()


def save_regions(place: Place, raw: object) -> Regions:
    """Keep lines and zones as ``NAME.regions.yaml``; none: the file goes.

    Args:
        raw: lines and zones, and as ``known`` those that the one who draws has seen.

    Raises:
        InputError: they are none, or lie outside the picture; others have drawn meanwhile.
    """
    if not isinstance(raw, dict):
        raise InputError("expected lines and zones")
    raw = dict(raw)
    known = raw.pop("known", None)
    if known is not None and known != regions(place).model_dump(mode="json", exclude_none=True):
        raise InputError("lines and zones were changed meanwhile; look at them, then draw again")
    found, path = validate(raw, Regions, "regions"), regions_file(place)
    if place.size is not None:
        found.check(place.size, "regions")
    with writing(path):
        if not found.all:
            path.unlink(missing_ok=True)
            return found
        with atomic_write(path) as file:
            told = found.model_dump(mode="json", exclude_none=True)
            yaml.safe_dump(told, file, sort_keys=False, allow_unicode=True, default_flow_style=None)
    return found


def totals(place: Place) -> dict[str, Any]:
    """``sentences``; ``bin`` (s) and of each bin ``people`` and ``most``; ``lines`` with crossings, ``zones`` with
    visits; ``heat``: person-seconds by cell, row by row, ``cell`` px."""
    files = [place.result_file, place.edits_file, regions_file(place)]
    return place.kept("totals", files, lambda: _totals(place))


def _totals(place: Place) -> dict[str, Any]:
    table, fps, drawn = place.corrected().table, place.fps, regions(place)
    answers = summarise(table, fps, drawn)
    seconds = place.frames / fps
    width = next((w for w in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600) if seconds / w <= BINS), 3600)
    by_time = occupancy(table, fps, width)
    size = place.size or _extent(table.xyxy)
    heat = heat_map(table, fps, size, max(4.0, size[0] / CELL))
    return {
        "sentences": answers.sentences(),
        "regions": drawn.model_dump(mode="json", exclude_none=True),
        "bin": width,
        "people": by_time.people.tolist(),
        "most": by_time.most.tolist(),
        "lines": [
            {
                "name": one.line.name,
                "totals": one.totals(),
                "crossings": [
                    [round(t, 2), i, one.line.labels[0 if f else 1]]
                    for t, i, f in zip(one.time.tolist(), one.id.tolist(), one.forward.tolist(), strict=True)
                ],
            }
            for one in answers.crossings
        ],
        "zones": [
            {
                "name": one.zone.name,
                "people": len(np.unique(one.id)),
                "mean": round(float(one.seconds.mean()), 2) if len(one.id) else None,
                "visits": [
                    [round(b, 2), round(e, 2), i]
                    for b, e, i in zip(one.begin.tolist(), one.end.tolist(), one.id.tolist(), strict=True)
                ],
            }
            for one in answers.visits
        ],
        "cell": heat.cell,
        "heat": np.round(heat.seconds, 2).tolist(),
    }


def table_text(place: Place, which: str) -> bytes:
    """One of ``TABLES`` as CSV, of the corrected result.

    Raises:
        InputError: no such table, or no lines or zones to count.
    """
    import tempfile

    if which not in TABLES:
        raise InputError(f"no table {which!r}; there are {', '.join(TABLES)}")
    table = place.corrected().table
    drawn = regions(place)
    answers = summarise(table, place.fps, drawn)
    result = Result(place.name, table, place.fps, place.size, drawn)
    with tempfile.TemporaryDirectory() as folder:
        write_tables(Path(folder), result, answers, 60.0)
        path = Path(folder) / f"{place.name}.{which}.csv"
        if not path.is_file():
            raise InputError(f"draw {'a line' if which == 'lines' else 'a zone'} first")
        return path.read_bytes()


def _extent(xyxy: np.ndarray) -> tuple[int, int]:
    """(height, width) px that the boxes need."""
    right, bottom = xyxy[:, 2:].max(0, initial=1)
    return int(bottom) + 1, int(right) + 1
