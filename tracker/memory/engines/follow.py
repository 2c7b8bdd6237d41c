"""An engine in step with a memory: what the file holds is in it, and nothing else."""

from __future__ import annotations

import numpy as np

from retrace.tracker.memory.engines.engine import Engine, rows_of
from retrace.tracker.memory.people import NOBODY, People

BLOCK = 65_536  # tracklets told at once


class Follower:
    """Tells an engine what has come and gone since it was last told; on opening, whatever differs: it may be a cache of
    an older file, or hold what another file of the same name held.

    Example:
        >>> import numpy as np
        >>> from retrace.tracker.memory import Memory, Tracklet
        >>> from retrace.tracker.memory.engines import Exact, Follower
        >>> follower = Follower(Exact(dimension=2))
        >>> with Memory("followed.db", "weights", dimension=2) as memory:
        ...     _ = memory.add([Tracklet("door", "monday", 1, 5.0, 9.0, 40, np.array([1, 0], np.float32))])
        ...     follower.follow(memory.people), follower.follow(memory.people)
        ((1, 0), (0, 0))
        >>> follower.close()  # the engine, too
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._people: People | None = None
        self._size = 0  # rows of those people that were told

    def follow(self, people: People) -> tuple[int, int]:
        """Bring the engine in step; returns how many vectors it got and lost.

        Raises:
            InputError: the engine cannot keep them: a full disk, a server that does not answer.
        """
        if people is self._people and people.size == self._size:
            return 0, 0
        fresh = people is not self._people
        self._people = None  # what is told halfway is compared anew
        start = 0 if fresh else self._size
        there = (people.person_of[start : people.size] != NOBODY) & people.known[start : people.size]
        rows = start + there.nonzero()[0]
        had: dict[int, int] = {}
        if fresh:
            ids, checks = self.engine.held()
            had = dict(zip(ids.tolist(), checks.tolist(), strict=True))
            gone = np.setdiff1d(ids, people.tracklet[rows])
            self.engine.remove(gone)
        else:
            gone = np.zeros(0, np.int64)
        added, lost = 0, len(gone)
        for k in range(0, len(rows), BLOCK):
            some = rows[k : k + BLOCK]
            told = rows_of(
                people.tracklet[some],
                people.camera_of[some],
                people.begin_of[some],
                people.end_of[some],
                people.vectors[some],
            )
            before = [had.get(one) for one in told.id.tolist()] if had else [None] * len(some)
            new = np.array(
                [check != was for check, was in zip(told.check.tolist(), before, strict=True)], bool
            )
            other = told.id[new & np.array([was is not None for was in before], bool)]
            if len(other):
                self.engine.remove(other)
            if new.any():
                self.engine.add(told.take(new))
            added, lost = added + int(new.sum()), lost + len(other)
        self._people, self._size = people, people.size
        return added, lost

    def close(self) -> None:
        """Keep what was told, and let go of the engine.

        Raises:
            InputError: as :meth:`follow`.
        """
        try:
            self.engine.flush()
        finally:
            self.engine.close()
