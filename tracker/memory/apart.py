"""Who is surely somebody else: seen beside each other, kept apart by hand, or in two places at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from retrace.tracker.memory.config import MemoryConfig
from retrace.tracker.memory.people import NOBODY, People
from retrace.tracker.memory.store import Store


class Apart:
    """What keeps people apart, for one `Memory`."""

    def __init__(self, store: Store, people: People, config: MemoryConfig) -> None:
        self._people, self._config = people, config
        self.tracklets: dict[int, set[int]] = {}  # tracklet -> tracklets that are surely not the same person
        self.persons: dict[
            int, set[int]
        ] = {}  # row of a person -> rows of people who are surely not the same
        for a, b, _ in store.apart():
            self.link(a, b)
        for row in range(people.size):
            self.put(row)
        self.widen()

    def widen(self) -> None:
        """The cameras have become more: (C, C) bool, two that see no common place."""
        names, told = np.array(self._people.cameras, dtype=object), self._config.disjoint
        groups = [names] if told is True else [] if told is False else [*told]
        found = np.zeros((len(names), len(names)), bool)
        for group in groups:
            inside = np.isin(names, list(group))
            found |= inside[:, None] & inside
        self._disjoint = found & ~np.eye(len(names), dtype=bool)

    def link(self, a: int, b: int) -> None:
        """Two tracklets are two people."""
        self.tracklets.setdefault(a, set()).add(b)
        self.tracklets.setdefault(b, set()).add(a)

    def put(self, row: int) -> None:
        """The tracklet of this row has got its person, who is none of those whom it was kept apart from."""
        me = int(self._people.person_of[row])
        if int(self._people.tracklet[row]) in self.tracklets and me != NOBODY:
            for other in self.of([row]).tolist():
                self.persons.setdefault(me, set()).add(other)
                self.persons.setdefault(other, set()).add(me)

    def merge(self, kept: int, gone: int) -> None:
        """The second person is the first."""
        for other in self.persons.pop(gone, set()):
            self.persons.setdefault(kept, set()).add(other)
            self.persons[other] = self.persons[other] - {gone} | {kept}

    def of(self, rows: Sequence[int]) -> np.ndarray:
        """(M,) rows of people who were seen beside one of these tracklets, or of whom somebody has said that they are
        another."""
        others = sorted(
            {o for one in self._people.tracklet[rows].tolist() for o in self.tracklets.get(one, ())}
        )
        who = self._people.person_of[[self._people.row_of_tracklet[other] for other in others]]
        return who[who != NOBODY]

    def elsewhere(self, row: int) -> np.ndarray:
        """(M,) rows of people who were somewhere else at that time, where no camera sees what the tracklet's sees."""
        people, here, me = self._people, slice(0, self._people.size), int(self._people.camera_of[row])
        if not self._disjoint[me].any():
            return np.zeros(0, np.int64)
        overlap = np.minimum(people.end_of[here], people.end_of[row])
        overlap = overlap - np.maximum(people.begin_of[here], people.begin_of[row])
        meets = (overlap > self._config.disjoint_overlap) & self._disjoint[me][people.camera_of[here]]
        meets &= people.clock_of[here] == people.clock_of[row]
        who = people.person_of[here][meets]
        return np.unique(who[who != NOBODY])

    def strangers(self, person: int) -> set[int]:
        """Rows of people who are surely not this one (a row), by all that is known of both."""
        found = set(self.persons.get(person, ()))
        if self._disjoint.any():
            rows = (self._people.person_of[: self._people.size] == person).nonzero()[0]
            found |= {int(other) for row in rows for other in self.elsewhere(int(row))}
        return found - {person}
