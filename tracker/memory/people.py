"""The memory's arrays: every tracklet, every person, made from the file and kept beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np

from retrace.tracker.memory.camera_means import CameraMeans
from retrace.tracker.memory.store import Store, from_blob

NOBODY = -1
BLOCK = 8_192  # people turned at once


@dataclass(slots=True, eq=False)
class People:
    """N tracklets and P people in arrays that grow; rows in the order in which the file got them."""

    dimension: int
    camera_means: CameraMeans  # what everybody looks like in each camera
    cameras: list[str] = field(default_factory=list)
    clock: np.ndarray = field(default_factory=lambda: np.zeros(0))  # (C,) s to be added to a camera's times
    # (C,) s, end of its last tracklet; -inf
    newest_of: np.ndarray = field(default_factory=lambda: np.zeros(0))
    timed_of: np.ndarray = field(default_factory=lambda: np.zeros(0))  # (C,) likewise, by the memory's clock
    size: int = 0  # N
    count: int = 0  # P
    empty: int = 0  # rows of people who were merged into others
    # (capacity of tracklets, ...)
    tracklet: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # its id in the file
    camera_of: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    begin_of: np.ndarray = field(default_factory=lambda: np.zeros(0))  # s, by the corrected clock
    end_of: np.ndarray = field(default_factory=lambda: np.zeros(0))  # s, likewise
    # (., D) unit; 0: folded
    vectors: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    # number of a clock, 0: the memory's
    clock_of: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    placed: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))  # whether it has a path
    known: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))  # whether it has a vector
    person_of: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # row of a person, NOBODY
    # (capacity of people, ...)
    person: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # global id
    total: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))  # (., D) sum of vectors
    # (., C) tracklets of known looks that are in it, by camera; of folded ones shares of those that are left
    counts: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    # (row of a person, camera) whom the mean of the camera knows
    met: set[tuple[int, int]] = field(default_factory=set)
    # tracklet rows that were put since the means of cameras were last renewed
    fresh: list[int] = field(default_factory=list)
    # (., D) unit: each one's direction less what is common to all
    mean: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    looks: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))  # whether anything is known of them
    views: np.ndarray = field(default_factory=lambda: np.zeros(0))  # cameras of which their mean is
    # tracklets
    members: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    last: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # tracklet row that ended last
    been: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), bool))  # (., C) seen in the camera
    # (source, track, begin as it came) -> tracklet row
    row_of: dict[tuple[str, int, float], int] = field(default_factory=dict)
    # (source, track) -> tracklet rows
    rows_of_track: dict[tuple[str, int], list[int]] = field(default_factory=dict)
    row_of_tracklet: dict[int, int] = field(default_factory=dict)  # id in the file -> row
    person_row: dict[int, int] = field(default_factory=dict)  # global id -> row
    clock_number: dict[str, int] = field(default_factory=lambda: {"": 0})  # of a name
    clock_of_source: dict[str, int] = field(default_factory=dict)  # the memory's where there is none

    @classmethod
    def read(cls, store: Store, least_boxes: int = 1, half: float | None = None) -> Self:
        """Everything that the file holds.

        Args:
            store: the file.
            least_boxes: tracklets of fewer say nothing of looks.
            half: see `CameraMeans`.
        """
        made = cls(store.dimension, CameraMeans(store.dimension, half))
        made.vectors, made.total, made.mean = (np.zeros((0, store.dimension), np.float32) for _ in range(3))
        for number, name, clock in store.read("SELECT number, name, clock FROM camera ORDER BY number"):
            made.add_camera(number, name)
            made.clock[number] = clock
        for source, clock in store.read("SELECT substr(key, 7), value FROM meta WHERE key LIKE 'clock:%'"):
            made.set_clock(source, clock)
        member, _ = store.partition()
        alive = {*member.values()}
        for (person,) in store.read("SELECT id FROM person ORDER BY id"):
            if person in alive:
                made.add_person(person)
        folded: dict[int, int] = {}  # row of a person -> how many vectors are in his sum
        for person, total, count in folds(store):
            row = made.person_row[person]
            made.total[row] += np.frombuffer(total, "<f4")
            folded[row] = folded.get(row, 0) + count
        length = np.linalg.norm(made.total[: made.count], axis=1, keepdims=True)
        mean = made.total[: made.count] / np.maximum(length, 1e-12)
        # by row: the cameras of tracklets whose vectors are in it
        gone: dict[int, list[int]] = {row: [] for row in folded}
        oldest: dict[int, int] = {}  # by row: the camera of his oldest tracklet
        query = "SELECT id, camera, source, track, begin, end, boxes, vector FROM tracklet ORDER BY id"
        for tracklet, camera, source, track, begin, end, boxes, blob in store.read(query):
            enough = boxes >= least_boxes
            vector = from_blob(blob) if blob and enough else np.zeros(store.dimension, np.float32)
            row = made.add_tracklet(tracklet, camera, source, track, begin, end, vector)
            if tracklet in member:
                person = made.person_row[member[tracklet]]
                oldest.setdefault(person, camera)
                if blob is None and enough and person in gone:
                    gone[person].append(camera)
                made.put(row, person)
        # what was split off since has left its vector: to the camera of the oldest that is left, whoever comes later
        for person, where in gone.items():
            where = where or [oldest[person]] * (person in oldest)
            for camera in sorted({*where}):
                made.met.add((person, camera))
                made.camera_means.meet(camera, mean[person])
                made.counts[person, camera] += folded[person] * where.count(camera) / len(where)
        made.renew()
        made._turn(np.arange(made.count))
        for (tracklet,) in store.read("SELECT tracklet FROM path"):
            made.placed[made.row_of_tracklet[tracklet]] = True
        return made

    # -- growing

    def add_camera(self, number: int, name: str) -> None:
        """Room for a camera that the file has just got."""
        if number == len(self.cameras):
            self.cameras.append(name)
            self.clock = np.append(self.clock, 0.0)
            self.newest_of, self.timed_of = (np.append(a, -np.inf) for a in (self.newest_of, self.timed_of))
            self.been, self.counts = (np.pad(a, ((0, 0), (0, 1))) for a in (self.been, self.counts))
            self.camera_means.add_camera()

    def set_clock(self, source: str, clock: str) -> None:
        """The times of what comes from this source are by that clock."""
        self.clock_of_source[source] = self.clock_number.setdefault(clock, len(self.clock_number))

    def add_tracklet(
        self,
        tracklet: int,
        camera: int,
        source: str,
        track: int,
        begin: float,
        end: float,
        vector: np.ndarray,
    ) -> int:
        """Its row; it is nobody's yet. Times are those that the camera's own clock says."""
        row, self.size = self.size, self.size + 1
        if row == len(self.tracklet):
            for name in (
                "tracklet",
                "camera_of",
                "begin_of",
                "end_of",
                "clock_of",
                "vectors",
                "known",
                "placed",
                "person_of",
            ):
                setattr(self, name, _longer(getattr(self, name)))
        clock = self.clock[camera]
        self.tracklet[row], self.camera_of[row] = tracklet, camera
        self.begin_of[row], self.end_of[row] = begin + clock, end + clock
        self.vectors[row], self.known[row], self.person_of[row] = vector, vector.any(), NOBODY
        self.clock_of[row] = self.clock_of_source.get(source, 0)
        self.newest_of[camera] = max(self.newest_of[camera], end + clock)
        if not self.clock_of[row]:
            self.timed_of[camera] = max(self.timed_of[camera], end + clock)
        self.row_of[source, track, begin] = self.row_of_tracklet[tracklet] = row
        self.rows_of_track.setdefault((source, track), []).append(row)
        return row

    def add_person(self, person: int) -> int:
        """The row of a person who has no tracklet yet."""
        row, self.count = self.count, self.count + 1
        if row == len(self.person):
            for name in ("person", "total", "mean", "looks", "views", "members", "last"):
                setattr(self, name, _longer(getattr(self, name)))
            more = ((0, len(self.person) - row), (0, len(self.cameras) - self.been.shape[1]))
            self.been, self.counts = np.pad(self.been, more), np.pad(self.counts, more)
        self.person[row], self.members[row], self.last[row] = person, 0, NOBODY
        self.total[row] = self.mean[row] = self.looks[row] = self.views[row] = 0
        self.person_row[person] = row
        return row

    def put(self, row: int, person: int) -> None:
        """Tracklet ``row`` belongs to the person of row ``person``."""
        self.person_of[row], camera = person, int(self.camera_of[row])
        self.been[person, camera] = True
        if self.known[row]:
            self.fresh.append(row)
            self.counts[person, camera] += 1
            self.total[person] += self.vectors[row]
            self._turn(np.array([person]))
        self.members[person] += 1
        if self.last[person] == NOBODY or self.end_of[self.last[person]] <= self.end_of[row]:
            self.last[person] = row

    def merge(self, kept: int, gone: int) -> None:
        """The second person is the first; his row stays empty."""
        self.met |= {(kept, camera) for camera in range(len(self.cameras)) if (gone, camera) in self.met}
        rows = self.person_of[: self.size] == gone
        self.person_of[: self.size][rows] = kept
        for array in (self.total, self.members, self.counts):
            array[kept] += array[gone]
            array[gone] = 0
        self.been[kept] |= self.been[gone]
        last = self.last[[kept, gone]]
        self.last[kept] = last[int(self.end_of[last[1]] > self.end_of[last[0]])]
        self.been[gone], self.last[gone] = False, NOBODY
        self._turn(np.array([kept, gone]))
        self.empty += 1

    def renew(self) -> None:
        """What is common to a camera's people, where many have come since it was taken. They are met in the order of
        their tracklets, as whoever reads the file meets them."""
        for row in sorted(self.fresh):
            place = int(self.person_of[row]), int(self.camera_of[row])
            if place not in self.met:
                self.met.add(place)
                self.camera_means.meet(place[1], self.vectors[row])
        self.fresh.clear()
        grown = self.camera_means.renew()
        if grown.any():
            there = np.asarray(self.been[: self.count][:, grown].any(axis=1), bool)
            self._turn(there.nonzero()[0])

    def _turn(self, persons: np.ndarray) -> None:
        """The directions of the sums of people (rows), and of how many views they are."""
        self.views[persons] = (self.counts[persons] > 0).sum(1)
        for start in range(0, len(persons), BLOCK):
            some = persons[start : start + BLOCK]
            less = self.centred_totals(some)
            norm = np.linalg.norm(less, axis=1, keepdims=True)
            self.mean[some] = less / np.maximum(norm, 1e-12)
            self.looks[some] = (norm[:, 0] > 0) & self.total[some].any(1)

    def centred_totals(self, persons: np.ndarray) -> np.ndarray:
        """(K, D) sums of people (rows) less what is common where they were seen."""
        if self.camera_means.half is None:
            return self.total[persons]
        less, counts = self.total[persons], self.counts[persons]
        # not one product of matrices: its last bits would depend on who is asked together
        for camera in counts.any(0).nonzero()[0]:
            rows = counts[:, camera].nonzero()[0]
            less[rows] -= counts[rows, camera, None] * self.camera_means.used[camera]
        return np.asarray(less)

    def directions_of(self, rows: np.ndarray) -> np.ndarray:
        """(K, D) float32 unit vectors of tracklets less what is common to their cameras; 0: not known."""
        less = self.centred(self.vectors[rows], self.camera_of[rows])
        less[~self.known[rows]] = 0
        return less

    def centred(self, vectors: np.ndarray, camera: np.ndarray) -> np.ndarray:
        """(K, D) float32 unit vectors less what is common to their cameras (K,); of a new one, `NOBODY`, to the camera
        that they look most like."""
        if self.camera_means.half is None:
            return vectors.copy()
        used = self.camera_means.nearest(vectors)
        used[camera != NOBODY] = self.camera_means.used[camera[camera != NOBODY]]
        less = vectors - used
        return np.asarray(less / np.maximum(np.linalg.norm(less, axis=1, keepdims=True), 1e-12))

    # -- looking

    @property
    def alive(self) -> int:
        """How many people there are."""
        return self.count - self.empty

    @property
    def newest(self) -> float:
        """s, the end of the tracklet that ended last; -inf: none."""
        return float(self.newest_of.max(initial=-np.inf))

    def now(self, jump: float, timed: bool = False) -> float:
        """s, :attr:`newest` of the cameras whose clocks can be right: one that is more than ``jump`` ahead of all
        others would make everybody else late for as long. ``timed``: of what came by the memory's clock alone."""
        newest = self.timed_of if timed else self.newest_of
        times = np.sort(newest[np.isfinite(newest)])
        while len(times) > 1 and times[-1] - times[-2] > jump:
            times = times[:-1]
        return float(times[-1]) if len(times) else -np.inf

    def directions(self) -> np.ndarray:
        """(P, D) float32 unit mean vectors less what is common; zero where no looks are known."""
        return self.mean[: self.count]

    def beside(self, row: int, source: str, tracks: frozenset[int] | None) -> np.ndarray:
        """(M,) rows of the tracklets of surely different people: seen in one frame with tracklet ``row``.

        Args:
            tracks: of the same source, seen beside it; None: whoever was there at the same time in the same camera.
        """
        if tracks is None:
            rows = (self.camera_of[: self.size] == self.camera_of[row]).nonzero()[0]
        else:
            rows = np.array(
                [r for track in sorted(tracks) for r in self.rows_of_track.get((source, track), ())], int
            )
        meets = (self.begin_of[rows] <= self.end_of[row]) & (self.end_of[rows] >= self.begin_of[row])
        return rows[meets & (rows != row)]


def folds(store: Store) -> list[tuple[int, bytes, int]]:
    """(person who has them now, sum of folded vectors, how many): of whoever a merge or an undo left without tracklets
    they are whose his last one is."""
    rows = store.read("SELECT id, total, folded FROM person WHERE folded ORDER BY id")
    if not rows:
        return []
    (member, alias), assigned = store.partition(), store.assigned()
    has = {*assigned.values()}
    last = dict(store.read("SELECT b, a FROM log WHERE op = 'assign' ORDER BY seq"))
    found = []
    for person, total, folded in rows:
        if person in has:
            found.append((alias.get(person, person), total, folded))
        elif last.get(person) in member:
            found.append((member[last[person]], total, folded))
    return found


def _longer(array: np.ndarray) -> np.ndarray:
    """Twice the rows."""
    grown = np.zeros((max(64, 2 * len(array)), *array.shape[1:]), array.dtype)
    grown[: len(array)] = array
    return grown
