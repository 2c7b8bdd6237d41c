"""What has been counted up to now, frame by frame: for counters on a picture. The same rules as over a whole table."""

from __future__ import annotations

import numpy as np

from retrace.tracker.analytics.counting import GAP, feet, meetings, sides
from retrace.tracker.analytics.regions import Line, Regions, Zone, inside
from retrace.tracker.data import Tracks


class CountsSoFar:
    """Crossings of each line and people in each zone, up to the frame that was taken last.

    After the last frame ``crossed`` equals ``crossings(table, line, fps).totals()`` of the same boxes.

    Args:
        regions: lines and zones, px of the frames that the tracks come from.

    Example:
        >>> import numpy as np
        >>> from retrace import Tracks
        >>> from retrace.tracker.analytics import CountsSoFar, Line, Regions, Zone
        >>> door = Line(name="door", points=((96, 0), (96, 96)))
        >>> hall = Zone(name="hall", points=((0, 0), (96, 0), (96, 96), (0, 96)))
        >>> counts = CountsSoFar(Regions(lines=(door,), zones=(hall,)))
        >>> one = np.ones(1, np.int64)
        >>> for time, left in ((0.0, 60), (0.1, 90)):  # one person to the right
        ...     counts.take(time, Tracks(one, np.array([[left, 20, left + 24, 70]]), one, one, one))
        >>> counts.crossed, counts.present  # nobody is in the hall now, one has been
        ([{'left': 0, 'right': 1}], [(0, 1)])
    """

    def __init__(self, regions: Regions) -> None:
        self._lines = [_LineSoFar(line) for line in regions.lines]
        self._zones = [_ZoneSoFar(zone) for zone in regions.zones]

    def take(self, time: float, tracks: Tracks) -> None:
        """Take in one frame at ``time`` s, which is after the last one's."""
        for line in self._lines:
            line.take(time, tracks)
        for zone in self._zones:
            zone.take(tracks)

    @property
    def crossed(self) -> list[dict[str, int]]:
        """Of each line: how many in each direction, by its name."""
        return [dict(zip(one.line.labels, one.count, strict=True)) for one in self._lines]

    @property
    def present(self) -> list[tuple[int, int]]:
        """Of each zone: how many are in it now, and how many different ones have been."""
        return [(one.now, len(one.ever)) for one in self._zones]


class _LineSoFar:
    def __init__(self, line: Line) -> None:
        self.line, self.count = line, [0, 0]  # forward, back
        # where everybody was last on a side, M rows by id: id, time (s), foot (px), distance (px)
        self._id, self._time = np.zeros(0, np.int64), np.zeros(0)
        self._foot, self._away = np.zeros((0, 2)), np.zeros(0)

    def take(self, time: float, tracks: Tracks) -> None:
        foot, away = sides(self.line, tracks.xyxy.astype(np.float64))
        here = away.nonzero()[0]
        ids, foot, away = tracks.id[here], foot[here], away[here]
        recent = time - self._time <= GAP
        _, was, now = np.intersect1d(self._id[recent], ids, assume_unique=True, return_indices=True)
        was = recent.nonzero()[0][was]
        met, _, _ = meetings(self.line, self._foot[was], self._away[was], foot[now], away[now])
        forward = int((away[now][met] > 0).sum())
        self.count[0] += forward
        self.count[1] += len(met) - forward
        kept = recent & ~np.isin(self._id, ids)
        self._id, self._time = np.append(self._id[kept], ids), np.append(self._time[kept], [time] * len(ids))
        self._foot = np.concatenate((self._foot[kept], foot))
        self._away = np.append(self._away[kept], away)


class _ZoneSoFar:
    def __init__(self, zone: Zone) -> None:
        self._corner, self.now, self.ever = np.array(zone.points), 0, set[int]()

    def take(self, tracks: Tracks) -> None:
        within = inside(feet(tracks.xyxy), self._corner)
        self.now = int(within.sum())
        self.ever |= set(tracks.id[within].tolist())
