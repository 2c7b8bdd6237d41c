"""Lines and zones that somebody draws on the picture, read strictly from YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from retrace.configs.errors import InputError
from retrace.configs.loader import Strict, validate
from retrace.configs.reading import read_yaml


def _number(value: object) -> object:
    """True is no 1 here, and "1" no number."""
    if isinstance(value, bool | str):
        raise ValueError("expected a number without quotes")
    return value


Pixel = Annotated[float, Field(allow_inf_nan=False), BeforeValidator(_number)]
Point = tuple[Pixel, Pixel]
Name = Annotated[str, Field(min_length=1, max_length=60)]


class Line(Strict):
    """A line from its first point to its second, px. Who goes from its left to its right (as seen by somebody who
    walks along it) goes in the first direction.

    Raises:
        ValueError: two equal points, or two directions of one name; :func:`read_regions` makes it an InputError.

    Example:
        >>> from retrace.tracker.analytics import Line
        >>> Line(name="door", points=((96, 0), (96, 96))).labels  # downwards: its right is the picture's left
        ('left', 'right')
        >>> Line(name="door", points=((96, 0), (96, 96)), directions=("in", "out")).labels
        ('in', 'out')
    """

    name: Name
    points: tuple[Point, Point]
    # default: as in the picture, "right" and "left" or "down" and "up"
    directions: tuple[Name, Name] | None = None

    @model_validator(mode="after")
    def _has_length(self) -> Self:
        if self.points[0] == self.points[1]:
            raise ValueError(f"line {self.name!r} begins where it ends; give two different points")
        if self.directions and self.directions[0] == self.directions[1]:
            raise ValueError(f"line {self.name!r}: its two directions need different names")
        return self

    @property
    def labels(self) -> tuple[str, str]:
        """What the two directions are called."""
        if self.directions is not None:
            return self.directions
        (x1, y1), (x2, y2) = self.points
        right, down = y1 - y2, x2 - x1  # the normal that points to the line's right, y downwards
        if abs(right) >= abs(down):
            return ("right", "left") if right > 0 else ("left", "right")
        return ("down", "up") if down > 0 else ("up", "down")


class Zone(Strict):
    """A polygon, px; its edges may not cross each other.

    Raises:
        ValueError: they do, or there is no area; :func:`read_regions` makes it an InputError.

    Example:
        >>> from retrace import read_ground_truth
        >>> from retrace.tracker.analytics import Zone, occupancy
        >>> corner = Zone(name="corner", points=((192, 0), (192, 96), (96, 96)))
        >>> truth = read_ground_truth("gt/MOT17-02-FRCNN/gt/gt.txt")  # two people, one goes right, one slowly left
        >>> occupancy(truth, fps=10, bin_seconds=1.0, zone=corner).people.tolist()  # whose feet are in it
        [0, 0, 1]
    """

    name: Name
    points: Annotated[tuple[Point, ...], Field(min_length=3, max_length=1000)]

    @model_validator(mode="after")
    def _is_simple(self) -> Self:
        corner = np.array(self.points)
        if crosses_itself(corner):
            raise ValueError(f"zone {self.name!r} crosses itself; list its corners in order around it")
        x, y = corner.T
        if abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) < 1e-9:
            raise ValueError(f"zone {self.name!r} has no area")
        return self


class Regions(Strict):
    """What is counted.

    Raises:
        ValueError: two regions of one name; :func:`read_regions` makes it an InputError.

    Example:
        >>> from retrace.tracker.analytics import Line, Regions, Zone
        >>> hall = Zone(name="hall", points=((0, 0), (60, 0), (60, 96), (0, 96)))
        >>> regions = Regions(lines=(Line(name="door", points=((96, 0), (96, 96))),), zones=(hall,))
        >>> [region.name for region in regions.all]
        ['door', 'hall']
        >>> regions.check((96, 192), "regions.yaml")  # every one has a part in a picture of 192 x 96 px
    """

    lines: tuple[Line, ...] = ()
    zones: tuple[Zone, ...] = ()

    @property
    def all(self) -> tuple[Line | Zone, ...]:
        """Lines, then zones."""
        return (*self.lines, *self.zones)

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [region.name for region in self.all]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{twice[0]!r} names two regions; give each a name of its own")
        return self

    def check(self, size: tuple[int, int], origin: str) -> None:
        """Refuse what lies wholly outside a picture of ``size`` (height, width) px.

        Raises:
            InputError: names the region and the picture.
        """
        for region in self.all:
            low, high = np.min(region.points, axis=0), np.max(region.points, axis=0)
            if (high < 0).any() or low[0] > size[1] or low[1] > size[0]:
                raise InputError(
                    f"{origin}: {region.name!r} lies outside the picture of {size[1]}x{size[0]} px; "
                    "points are x, y in pixels from the top left"
                )


def read_regions(path: str | Path) -> Regions:
    """Lines and zones from YAML: ``lines: [{name, points: [[x, y], [x, y]]}]``, ``zones: [{name, points: [...]}]``.

    Raises:
        InputError: not readable, not YAML, an unknown key, a zone that crosses itself, two regions of one name.

    Example:
        >>> from retrace.tracker.analytics import read_regions
        >>> [line.name for line in read_regions("regions.yaml").lines]
        ['door']
    """
    content = read_yaml(Path(path))
    for kind, given in content.items() if isinstance(content, dict) else ():
        if kind in ("lines", "zones") and not isinstance(given, list):
            raise InputError(
                f"{path}: {kind} is a list, e.g. {kind}: [{{name: a, points: [[x, y], [x, y]]}}]"
            )
    found = validate(content, Regions, str(path))
    if not found.all:
        raise InputError(f"{path}: holds neither lines nor zones")
    return found


def crosses_itself(corner: np.ndarray) -> bool:
    """Whether two edges of the closed polygon (V, 2) that are no neighbours touch."""
    count = len(corner)
    begin, end = corner, np.roll(corner, -1, axis=0)
    first, second = np.triu_indices(count, 2)
    apart = ~((first == 0) & (second == count - 1))
    a, b = first[apart], second[apart]
    return bool(segments_meet(begin[a], end[a], begin[b], end[b]).any())


def segments_meet(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> np.ndarray:
    """(P,) bool, whether segment a-b touches segment c-d; (P, 2) px each."""

    def side(p: np.ndarray, q: np.ndarray, r: np.ndarray) -> np.ndarray:
        return np.sign((q - p)[:, 0] * (r - p)[:, 1] - (q - p)[:, 1] * (r - p)[:, 0])

    def within(p: np.ndarray, q: np.ndarray, r: np.ndarray) -> np.ndarray:
        return ((np.minimum(p, q) <= r) & (r <= np.maximum(p, q))).all(1)

    abc, abd, cda, cdb = side(a, b, c), side(a, b, d), side(c, d, a), side(c, d, b)
    meet = (abc * abd < 0) & (cda * cdb < 0)
    for turn, p, q, r in ((abc, a, b, c), (abd, a, b, d), (cda, c, d, a), (cdb, c, d, b)):
        meet |= (turn == 0) & within(p, q, r)
    return meet


def inside(point: np.ndarray, corner: np.ndarray) -> np.ndarray:
    """(N,) bool, which of the points (N, 2) lie in the polygon (V, 2): a ray to the right crosses an odd number of
    its edges (even-odd rule; the lower end of an edge belongs to it, the upper does not)."""
    x, y = point[:, 0], point[:, 1]
    odd = np.zeros(len(point), bool)
    # over corners, not points
    for (x1, y1), (x2, y2) in zip(corner, np.roll(corner, -1, axis=0), strict=True):
        if y1 == y2:
            continue
        spans = (y1 <= y) != (y2 <= y)
        odd ^= spans & (x < x1 + (y - y1) * (x2 - x1) / (y2 - y1))
    return odd
