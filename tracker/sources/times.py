"""When a frame is: timestamps made into seconds that always grow, and the nominal rate of frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESTART = 1.0  # s; timestamps that go back further than this have begun anew
LONGEST_GAP = 3600.0  # s; a longer one between two frames is damage, not an idle hour of a recorder
FASTEST = 120.0  # frames/s; a container that states more may be telling the tick of its clock
PLAUSIBLE = (1e-3, 10_000.0)  # frames/s
LIKE = 0.1  # share by which a measured rate may differ from the stated one


@dataclass(slots=True)
class Timeline:
    """Seconds since the first timestamp it is shown.

    Timestamps are honoured as they are (variable frame rate) with three repairs: a missing one, or one that is
    not later than that of the frame before, counts as one frame duration later; timestamps that go back by
    more than ``RESTART`` seconds, or ahead by more than ``LONGEST_GAP``, have begun anew, so all that follows
    is shifted to go on from there.
    """

    tick: float  # s
    fps: float
    origin: float | None = None  # s on the container's clock that is time 0
    last: float | None = None  # s, what was told last
    jumps: int = 0  # gaps that were not believed
    jumped: float = 0.0  # s in all of them

    def __call__(self, pts: int | None) -> float:
        now = None if pts is None else pts * self.tick
        if self.last is None:
            self.origin, self.last = now, 0.0
            return 0.0
        expected = self.last + 1 / self.fps
        if now is not None and self.origin is None:
            self.origin = now - expected  # the frames before had no timestamp
        time = expected if now is None or self.origin is None else now - self.origin
        ahead = time - self.last
        if now is not None and (ahead < -RESTART or ahead > LONGEST_GAP):
            if ahead > 0:
                self.jumps, self.jumped = self.jumps + 1, self.jumped + time - expected
            self.origin, time = now - expected, expected
        self.last = time if ahead > 0 else expected
        return self.last


def rate_of(seconds: Sequence[float]) -> float | None:
    """Frames a second from the times of frames in a row, in any order; None where they do not tell.

    The mean of the steps that are like the median one, within a factor of two: neither idle stretches nor
    the rounding of a coarse clock count.
    """
    steps = np.diff(np.unique(seconds))
    if not len(steps):
        return None
    middle = float(np.sort(steps)[(len(steps) - 1) // 2])  # one of them, the lower of two
    like = steps[(steps > middle / 2) & (steps < middle * 2)]
    return round(1 / float(like.mean()), 3)


def arrival_rate(arrivals: Sequence[float]) -> float | None:
    """Frames a second from when frames arrived, s, ascending; None where they do not tell.

    The step in which half of the time was spent: frames that had waited in a buffer come at once and take none.
    """
    steps = np.sort(np.diff(arrivals))
    spent = np.cumsum(steps)
    if not len(steps) or spent[-1] <= 0:
        return None
    return round(1 / float(steps[np.searchsorted(spent, spent[-1] / 2)]), 3)


def may_be_a_tick(stated: float | None, tick: float) -> bool:
    """Whether a container's rate says nothing, or nothing but how long a ``tick`` (s) of its clock is."""
    return stated is None or stated > FASTEST or abs(stated * tick - 1) < 1e-6


def nominal_rate(stated: float | None, measured: float | None) -> float | None:
    """The rate to go by: the stated one, unless the timestamps tell another.

    Args:
        stated: by the container, frames/s; None: not at all.
        measured: by the timestamps, where the stated one may be a tick; None: not measured, or no telling.

    Returns:
        frames/s within ``PLAUSIBLE``; None: neither is to be believed.
    """
    low, high = PLAUSIBLE
    measured = measured if measured is not None and low <= measured <= high else None
    stated = stated if stated is not None and low <= stated <= high else None
    if stated is None:
        return measured
    if measured is None:
        return stated if stated <= FASTEST else None
    return stated if abs(measured / stated - 1) <= LIKE else measured
