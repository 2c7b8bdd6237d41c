"""How long people take from camera to camera, as one memory learns it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from retrace.tracker.memory.evidence import TRANSIT_BINS, Transit, absences, transit_bin
from retrace.tracker.memory.people import NOBODY, People
from retrace.tracker.memory.store import Store

BINS = len(TRANSIT_BINS) + 1


class Ways:
    """Counts of the file, and what a window adds to them; for one `Memory`."""

    def __init__(self, store: Store, people: People) -> None:
        self._store, self._people = store, people
        self._changed_to: set[int] = set()  # cameras
        self.transit = Transit()
        self.transit.widen(len(people.cameras))
        for stop, blob in store.read("SELECT * FROM transit"):
            counts = np.frombuffer(blob, "<f8").reshape(2, -1, BINS)  # cameras there were when it was written
            for have, written in zip((self.transit.same, self.transit.anybody), counts, strict=True):
                have[: len(written), stop] = written

    def absent(self, rows: Sequence[int]) -> None:
        """How long anybody has been away when the tracklets of these rows came."""
        people = self._people
        last = people.last[: people.count]
        last = last[last != NOBODY]
        for clock in np.unique(people.clock_of[rows]).tolist():
            mine = [row for row in rows if people.clock_of[row] == clock]
            self._absent_from(last[people.clock_of[last] == clock], mine)

    def _absent_from(self, last: np.ndarray, rows: Sequence[int]) -> None:
        """The same of people whose last tracklets are ``last``, all by one clock."""
        people = self._people
        if not len(last):
            return
        to, begin = people.camera_of[rows], people.begin_of[rows]
        order = np.lexsort((people.end_of[last], people.camera_of[last]))
        end, camera = people.end_of[last][order], people.camera_of[last][order]
        edge = np.searchsorted(camera, np.arange(len(people.cameras) + 1))
        for start in (np.diff(edge) > 0).nonzero()[0]:  # over cameras where somebody was last seen
            count = absences(end[edge[start] : edge[start + 1]], begin)
            np.add.at(self.transit.anybody[start], to, count)
        self._changed_to |= {*to.tolist()}

    def joined(self, row: int, person: int) -> None:
        """How long a person (a row) took to come as the tracklet of ``row``, of whom it is sure enough."""
        people, before = self._people, self._people.last[person]
        if people.clock_of[before] != people.clock_of[row] or people.begin_of[before] > people.end_of[row]:
            return
        gap = people.begin_of[row] - people.end_of[before]
        start, to = people.camera_of[before], people.camera_of[row]
        self.transit.same[start, to, int(transit_bin(np.array(gap)))] += 1

    def write(self) -> None:
        """What this window has learned."""
        counts = np.stack([self.transit.same, self.transit.anybody])  # (2, C, C, B)
        rows = [(to, counts[:, :, to].astype("<f8").tobytes()) for to in sorted(self._changed_to)]
        self._store.db.executemany("INSERT OR REPLACE INTO transit VALUES (?, ?)", rows)
        self._changed_to.clear()
