"""What a person wants to know first, and as a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from retrace.tracker.analytics.counting import Crossings, Visits, crossings, visits
from retrace.tracker.analytics.paths import Persons, persons
from retrace.tracker.analytics.regions import Line, Regions
from retrace.tracker.data import MotTable

PEOPLE = {"person", "pedestrian", "people"}
WAYS = {"left": "to the left", "right": "to the right", "up": "upwards", "down": "downwards"}


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """A whole video in numbers.

    Example:
        >>> from retrace import read_ground_truth
        >>> from retrace.tracker.analytics import read_regions, summarise
        >>> truth = read_ground_truth("gt/MOT17-02-FRCNN/gt/gt.txt")  # two people, one goes right, one slowly left
        >>> summary = summarise(truth, fps=10, regions=read_regions("regions.yaml"))
        >>> summary.sentences()
        ['2 people, at most 2 at once', "1 crossed 'door' to the right"]
        >>> summary.as_json()["lines"]
        {'door': {'left': 0, 'right': 1}}
    """

    persons: Persons
    most_at_once: int
    at: float  # s, when that was first
    crossings: tuple[Crossings, ...]
    visits: tuple[Visits, ...]
    classes: dict[str, int] = field(default_factory=dict)  # how many of each, where not all are people

    def __str__(self) -> str:
        return "; ".join(self.sentences())

    def sentences(self) -> list[str]:
        """'11 people, at most 7 at once', '4 crossed door to the left', ..."""
        count = len(self.persons)
        if not count:
            return ["nobody"]
        who = _people(count)
        if self.classes:
            kinds = ", ".join(f"{number} {name}" for name, number in self.classes.items())
            who = f"{count} objects ({kinds})"
        said = [f"{who}, at most {self.most_at_once} at once"]
        for found in self.crossings:
            for direction, times in found.totals().items():
                if times:
                    said.append(f"{times} crossed {found.line.name!r} {_towards(found.line, direction)}")
            if not len(found.id):
                said.append(f"nobody crossed {found.line.name!r}")
        for seen in self.visits:
            if not len(seen.id):
                said.append(f"nobody was in {seen.zone.name!r}")
                continue
            mean, inside = seen.seconds.mean(), len(np.unique(seen.id))
            said.append(f"{_people(inside, bool(self.classes))} in {seen.zone.name!r}, {mean:.1f} s a visit")
        return said

    def as_json(self) -> dict[str, Any]:
        """Plain numbers, for run.json and for pages."""
        return {
            "people": len(self.persons),
            **({"classes": self.classes} if self.classes else {}),
            "most_at_once": self.most_at_once,
            "most_at_once_at": round(self.at, 3),
            "lines": {found.line.name: found.totals() for found in self.crossings},
            "zones": {
                seen.zone.name: {
                    "people": len(np.unique(seen.id)),
                    "visits": len(seen.id),
                    "seconds_a_visit": round(float(seen.seconds.mean()), 3) if len(seen.id) else None,
                }
                for seen in self.visits
            },
        }


def summarise(
    table: MotTable, fps: float, regions: Regions | None = None, names: Mapping[int, str] | None = None
) -> Summary:
    """Everything that is counted of one video.

    Args:
        table: tracks, with ids.
        fps: frames/s.
        regions: lines and zones.
        names: of classes; without them everybody is a person.

    Raises:
        InputError: fps is no positive number.

    Example:
        >>> from retrace import read_ground_truth
        >>> from retrace.tracker.analytics import summarise
        >>> truth = read_ground_truth("gt/MOT17-02-FRCNN/gt/gt.txt")  # two people, one goes right, one slowly left
        >>> summary = summarise(truth, fps=10)
        >>> print(summary)
        2 people, at most 2 at once
        >>> summary.most_at_once, summary.at  # when that was first, s
        (2, 0.0)
    """
    regions = regions or Regions()
    people = persons(table, fps)
    frame, in_frame = np.unique(table.frame, return_counts=True)
    top = int(in_frame.argmax()) if len(frame) else 0
    return Summary(
        people,
        int(in_frame[top]) if len(frame) else 0,
        float(frame[top] / fps) if len(frame) else 0.0,
        tuple(crossings(table, line, fps) for line in regions.lines),
        tuple(visits(table, zone, fps) for zone in regions.zones),
        _classes(people, names or {}),
    )


def _classes(people: Persons, names: Mapping[int, str]) -> dict[str, int]:
    """How many of each class, the most first; empty where all are people."""
    kinds, count = np.unique(people.class_id, return_counts=True)
    found = {
        names.get(kind, f"class{kind}"): n for kind, n in zip(kinds.tolist(), count.tolist(), strict=True)
    }
    if not names or not set(found) - PEOPLE:
        return {}
    return dict(sorted(found.items(), key=lambda one: (-one[1], one[0])))


def _towards(line: Line, direction: str) -> str:
    return WAYS[direction] if line.directions is None else f"({direction})"


def _people(count: int, objects: bool = False) -> str:
    one, many = ("object", "objects") if objects else ("person", "people")
    return f"1 {one}" if count == 1 else f"{count} {many}"
