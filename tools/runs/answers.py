"""Finished results and the answers they hold: read, written as tables, compared with the truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from retrace.configs.errors import InputError
from retrace.configs.files import partial_of
from retrace.configs.loader import validate
from retrace.tracker.analytics import Regions, Summary, occupancy
from retrace.tracker.data import MotTable, frame_rate
from retrace.tracker.mot_file import read_results
from retrace.tracker.outputs.tables import crossings_csv, occupancy_csv, persons_csv, visits_csv
from retrace.tracker.run.checkpoint import checkpoint_of, kept_at
from retrace.tracker.run.manifest import growing, rate_of, records_of, size_of


@dataclass(frozen=True, slots=True)
class Result:
    """One sequence's tracks."""

    name: str
    table: MotTable
    fps: float
    size: tuple[int, int] | None  # (height, width) px, where it is known
    regions: Regions = field(default_factory=Regions)  # that the run counted
    told_fps: float | None = None  # what its run.json says


def results_of(place: Path, fps: float | None) -> list[Result]:
    """The result in a text file, which needs ``fps``; or every one of a run folder, which does not. What a stopped run
    has so far is called NAME.partial.

    Raises:
        InputError: nothing there, no frame rate, a folder that is no run, a broken run.json.
    """
    if not place.exists():
        raise InputError(
            f"{place}: no such file or folder; expected a NAME.txt in MOT format, or a run's folder"
        )
    if not place.is_dir():
        if fps is None:
            raise InputError(f"{place}: a text file does not know its frame rate; give `fps`")
        return [Result(place.stem, read_results(place), frame_rate(fps), None)]
    records = _killed(place) | records_of(place)
    if not records or not all(isinstance(one, dict) and "complete" in one for one in records.values()):
        raise InputError(f"{place}: no run.json of tools/track.py there; name a NAME.txt and its `fps`")
    texts = {name: _text_of(place, name, bool(record["complete"])) for name, record in records.items()}
    if not any(texts.values()):
        raise InputError(f"{place}: no sequence in its run.json of which there is a result")
    found = []
    for name, text in texts.items():
        if text is None:
            continue
        record = records[name]
        measured = rate_of(record, "measured_fps") or rate_of(record)
        rate = measured if fps is None else frame_rate(fps)
        if rate is None:
            raise InputError(f"{place}: run.json knows no frame rate of {name}; give `fps`")
        told = record.get("regions")
        regions = validate(told, Regions, f"{place}/run.json") if isinstance(told, dict) else Regions()
        called = name if record["complete"] else f"{name}.partial"
        found.append(Result(called, read_results(text), rate, size_of(record), regions, measured))
    return found


def _killed(place: Path) -> dict[str, Any]:
    """Of sequences whose run was killed there is the text so far, and the frame rate in their checkpoints."""
    kept = {name: kept_at(checkpoint_of(place, name)) for name in growing(place)}
    return {name: {"complete": False, "fps": at[1] if at else None} for name, at in kept.items()}


def _text_of(place: Path, name: str, complete: bool) -> Path | None:
    """The tracks of a sequence; of a stopped run those so far, if anything is left of it."""
    if complete:
        return place / f"{name}.txt"
    grown = [partial_of(place / f"{name}{ending}") for ending in (".txt", ".online.txt")]
    return next(filter(Path.exists, grown), None)


def write_tables(folder: Path, result: Result, answers: Summary, minute: float) -> list[Path]:
    """NAME.persons.csv and NAME.people.csv; NAME.lines.csv and NAME.zones.csv where regions were given."""
    bins = occupancy(result.table, result.fps, minute)  # before anything is written: it may refuse
    made = [
        persons_csv(folder / f"{result.name}.persons.csv", answers.persons),
        occupancy_csv(folder / f"{result.name}.people.csv", bins),
    ]
    if answers.crossings:
        made.append(crossings_csv(folder / f"{result.name}.lines.csv", answers.crossings))
    if answers.visits:
        made.append(visits_csv(folder / f"{result.name}.zones.csv", answers.visits))
    return made


def compare(ours: Summary, truth: Summary) -> Iterator[str]:
    """How far the answers are from the truth's, a line each."""
    yield f"people: {len(ours.persons)}, in truth {len(truth.persons)}"
    yield f"at most at once: {ours.most_at_once}, in truth {truth.most_at_once}"
    for mine, right in zip(ours.crossings, truth.crossings, strict=True):
        for direction, count in right.totals().items():
            yield f"{mine.line.name} ({direction}): {mine.totals()[direction]}, in truth {count}"
    for seen, real in zip(ours.visits, truth.visits, strict=True):
        dwell = f"{_total(seen.seconds):.1f} person-seconds, in truth {_total(real.seconds):.1f}"
        yield f"{seen.zone.name}: {len(seen.id)} visits, in truth {len(real.id)}; {dwell}"


def _total(seconds: np.ndarray) -> float:
    return float(seconds.sum())
