"""How far cameras' clocks are off each other, from people who passed several of them.

Who walks from one camera to the other is seen there later by the way's time plus what the clocks are apart; who walks
back, by that less the way's time. So the differences of their times lie on both sides of what the clocks are apart, as
far away on either, if the way takes as long there and back. Where people walk one way only nobody can tell the way from
the clock. Which visit followed which is not known before the clocks are, so the middle is looked for first: most pairs
of differences are symmetric about it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrace.tracker.memory.people import NOBODY, People

FEWEST = 5  # passages each way before they are believed
LONGEST = 600.0  # s between two visits that are compared
NEAR = 3.0  # s; midpoints so near each other speak for one offset
DIFFERENCES = 600  # of a pair of cameras, at most; more are thinned
APART = 3.0  # the way's time over the spread, below which both sides cannot be told
LOOSE = 1.4826  # deviation of a normal distribution over the median of its distances from the median


@dataclass(frozen=True, slots=True)
class Passages:
    """People who went straight between two cameras, by the clocks as they are."""

    first: str
    second: str
    there: float  # s, median from the middle of a visit to the first to that to the second; NaN: nobody
    back: float  # s, the same of who came back, from the second to the first
    count_there: int
    count_back: int
    spread: float  # s, deviation of both about their medians, robust

    @property
    def known(self) -> bool:
        """Whether enough people went both ways, and these can be told from each other."""
        both = min(self.count_there, self.count_back) >= FEWEST
        return both and (self.there + self.back) / 2 > APART * self.spread

    @property
    def offset(self) -> float:
        """s that the second clock is ahead of the first; NaN: not known."""
        return (self.there - self.back) / 2 if self.known else float("nan")

    @property
    def error(self) -> float:
        """s, one deviation of :attr:`offset`: of a median 1.25 times that of a mean."""
        shares = 1 / max(self.count_there, 1) + 1 / max(self.count_back, 1)
        return 1.25 * self.spread * float(np.sqrt(shares)) / 2 if self.known else float("nan")


def passages(people: People) -> list[Passages]:
    """All pairs of cameras that anybody passed both of, in the order of the cameras."""
    row = (people.person_of[: people.size] != NOBODY).nonzero()[0]
    middle = (people.begin_of[row] + people.end_of[row]) / 2
    found = []
    for a in range(len(people.cameras)):
        for b in range(a + 1, len(people.cameras)):
            here, there = (people.camera_of[row] == camera for camera in (a, b))
            one, other = _differences(people.person_of[row], middle, here.nonzero()[0], there.nonzero()[0])
            if len(one):
                found.append(_pair(people.cameras[a], people.cameras[b], one, other))
    return found


def _differences(
    person: np.ndarray, middle: np.ndarray, here: np.ndarray, there: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(N,) which visit to the one camera, (N,) s from it to one to the other, of the same person within `LONGEST`."""
    visit, step = [], []
    there = there[np.argsort(person[there], kind="stable")]
    begin = np.searchsorted(person[there], person[here], side="left")
    end = np.searchsorted(person[there], person[here], side="right")
    for k, (i, j) in enumerate(zip(begin.tolist(), end.tolist(), strict=True)):  # over visits
        found = middle[there[i:j]] - middle[here[k]]
        found = found[np.abs(found) <= LONGEST]
        visit.append(np.full(len(found), k))
        step.append(found)
    return np.concatenate(visit or [np.zeros(0, int)]), np.concatenate(step or [np.zeros(0)])


def _pair(first: str, second: str, visit: np.ndarray, step: np.ndarray) -> Passages:
    about = _centre(step)
    order = np.lexsort((np.abs(step - about), visit))
    nearest = order[np.append(True, np.diff(visit[order]) != 0)]  # of each visit to the first camera
    ways = [step[nearest][side] for side in (step[nearest] > about, step[nearest] <= about)]
    middles = [float(np.median(way)) if len(way) else float("nan") for way in ways]
    off = np.concatenate([np.abs(way - middle) for way, middle in zip(ways, middles, strict=True)])
    counts = len(ways[0]), len(ways[1])
    return Passages(first, second, middles[0], -middles[1], *counts, float(LOOSE * np.median(off)))


def _centre(step: np.ndarray) -> float:
    """s about which most pairs of differences are symmetric."""
    some = np.sort(step)[:: max(1, -(-len(step) // DIFFERENCES))]
    i, j = np.triu_indices(len(some), 1)
    middle = np.sort((some[i] + some[j]) / 2)
    if not len(middle):
        return float(step[0])
    low = np.searchsorted(middle, middle - NEAR, side="left")
    high = np.searchsorted(middle, middle + NEAR, side="right")
    best = int((high - low).argmax())
    return float(middle[low[best] : high[best]].mean())


def clocks(found: list[Passages], cameras: list[str]) -> dict[str, float]:
    """s to be added to each camera's times so that all agree: least squares over pairs, the surest counting most.

    Cameras that no passages connect with an earlier one keep theirs: 0. The first of those that are connected does.
    """
    known = [one for one in found if np.isfinite(one.offset)]
    place = {name: k for k, name in enumerate(cameras)}
    told = np.zeros(len(cameras))
    rows = [(place[one.first], place[one.second], one.offset, 1 / max(one.error, 1e-3)) for one in known]
    for group in _connected(rows, len(cameras)):
        inside = [each for each in rows if each[0] in group]
        free = group[1:]
        table = np.zeros((len(inside), len(free)))
        want = np.zeros(len(inside))
        for k, (a, b, offset, weight) in enumerate(inside):  # clock b - clock a = -offset
            for camera, sign in ((a, -weight), (b, weight)):
                if camera in free:
                    table[k, free.index(camera)] = sign
            want[k] = -offset * weight
        told[free] = np.linalg.lstsq(table, want, rcond=None)[0]
    return dict(zip(cameras, told.tolist(), strict=True))


def _connected(rows: list[tuple[int, int, float, float]], count: int) -> list[list[int]]:
    """Cameras in groups of two or more that pairs connect, in their order."""
    group = list(range(count))
    for a, b, *_ in rows:
        low, high = sorted((group[a], group[b]))
        group = [low if each == high else each for each in group]
    members = [[k for k in range(count) if group[k] == name] for name in sorted({*group})]
    return [each for each in members if len(each) > 1]
