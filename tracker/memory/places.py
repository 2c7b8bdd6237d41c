"""One person in several views at once: who stands at one place of a shared ground at one time needs no looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from retrace.tracker.site.config import SiteConfig
from retrace.tracker.site.ground import homogeneous, miss
from retrace.tracker.site.linking import believed, join

EVERY = 0.5  # s between two places of a path
LONGEST = 2.0  # s between two places of a path, above which nobody knows where he was meanwhile


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """Where one tracklet stood, by time."""

    place: np.ndarray  # (M, 4) float64: s, x and y of the feet, px, and the height of the box, px
    plane: np.ndarray  # (3, 3) pixels of its camera -> the ground


def apart(one: Path, other: Path, far: float) -> tuple[float, int]:
    """How far apart two stood while both were seen: the sum over moments of ``one``, and how many.

    A moment's distance is the mean over both pictures of where the other's feet fall, in heights of the own box, at
    most ``far``; where the other stood then is interpolated.
    """
    time, seen = one.place[:, 0], other.place
    after = np.searchsorted(seen[:, 0], time)
    both = (after > 0) & (after < len(seen))
    both[both] &= seen[after[both], 0] - seen[after[both] - 1, 0] <= LONGEST
    exact = np.isin(time, seen[:, 0])
    rows = (both | exact).nonzero()[0]
    if not len(rows):
        return 0.0, 0
    there = np.stack([np.interp(time[rows], seen[:, 0], seen[:, k]) for k in (1, 2, 3)], axis=1)
    here = one.place[rows, 1:]
    planes = _facing(one), _facing(other)
    ground = homogeneous(here[:, :2]) @ planes[0].T, homogeneous(there[:, :2]) @ planes[1].T
    misses = (
        miss(ground[1] @ np.linalg.inv(planes[0]).T, here[:, :2], here[:, 2]),
        miss(ground[0] @ np.linalg.inv(planes[1]).T, there[:, :2], there[:, 2]),
    )
    return float(np.minimum((misses[0] + misses[1]) / 2, far).sum()), len(rows)


def _facing(path: Path) -> np.ndarray:
    """The plane, signed so that his feet lie before the horizon."""
    return path.plane * (1.0 if np.median(homogeneous(path.place[:, 1:3]) @ path.plane[2]) >= 0 else -1.0)


@dataclass(frozen=True, slots=True)
class Stood:
    """Whom a new tracklet is one with, by place."""

    person: int | None  # of the people who were there; None: none of them
    also: tuple[int, ...]  # others of them who are this person
    first: int | None  # or the new tracklet that speaks for both; None: it speaks for itself
    distance: float  # body heights, mean over `moments`, from them
    moments: int
    maybe: int | None  # another of those people who was there, too


def same_place(
    new: Mapping[int, Path],
    there: Mapping[int, tuple[int, Path]],
    camera: Mapping[int, int],
    never: set[tuple[int, int]],
    boxes: Mapping[int, int],
    config: SiteConfig,
) -> dict[int, Stood]:
    """Which new tracklets are views of one person.

    Tracklets and the people who were there are joined as in `retrace.tracker.site.linking`: the nearest two first,
    until none is nearer than ``config.limit``; never two who cannot be one. People who have ids already are one only
    through a new tracklet that stood where both did.

    Args:
        new: tracklet -> its path.
        there: tracklet -> its person and path, of tracklets decided before.
        camera: of all tracklets.
        never: pairs of new tracklets and of -1 - person who are surely two.
        boxes: of the new ones; who has most speaks for those who are one with it.

    Returns:
        of the new tracklets that are one with anybody, whom.
    """
    people = sorted({person for person, _ in there.values()})
    names: list[int] = [*new, *(-1 - person for person in people)]  # of the nodes
    node = {name: k for k, name in enumerate(names)}
    total, count = np.zeros((2, len(names), len(names)))
    for k, (one, path) in enumerate(new.items()):
        others = [(each, node[each], new[each]) for each in [*new][k + 1 :]]
        others += [(each, node[-1 - person], found) for each, (person, found) in there.items()]
        for each, place, found in others:
            if camera[each] != camera[one]:
                far, moments = apart(path, found, config.far)
                for i, j in ((k, place), (place, k)):
                    total[i, j] += far
                    count[i, j] += moments
    apart_ = np.zeros(total.shape, bool)
    for a, b in never:
        if a in node and b in node:
            apart_[node[a], node[b]] = apart_[node[b], node[a]] = True
    before = total.copy(), count.copy()
    group = join(total, count, apart_ | np.eye(len(names), dtype=bool), config)
    return _told([*new], people, group, *before, apart_, boxes, config)


def _told(
    new: Sequence[int],
    people: Sequence[int],
    group: np.ndarray,
    total: np.ndarray,
    count: np.ndarray,
    never: np.ndarray,
    boxes: Mapping[int, int],
    config: SiteConfig,
) -> dict[int, Stood]:
    near = believed(total, count, config) < config.limit
    found = {}
    for k, one in enumerate(new):
        mine = (group == group[k]).nonzero()[0]
        if len(mine) == 1:
            continue
        others = mine[mine != k]
        moments = int(count[k, others].sum())
        distance = float(total[k, others].sum() / max(moments, 1))
        who = [people[m - len(new)] for m in mine if m >= len(new)]
        lead = max((new[m] for m in mine if m < len(new)), key=lambda name: (boxes[name], -name))
        also = [m for m in range(len(new), len(group)) if near[k, m] and m not in mine and not never[k, m]]
        maybe = people[min(also, key=lambda m: total[k, m] / count[k, m]) - len(new)] if also else None
        first = None if who or lead == one else lead
        found[one] = Stood(who[0] if who else None, tuple(who[1:]), first, distance, moments, maybe)
    return found


def merged(stood: Mapping[int, Stood]) -> list[tuple[int, int, int]]:
    """(person who stays, person who is he, new tracklet that stood where both did), each pair once."""
    pairs = {
        (place.person, other): row
        for row, place in stood.items()
        if place.person is not None
        for other in place.also
    }
    return [(kept, gone, row) for (kept, gone), row in sorted(pairs.items())]
