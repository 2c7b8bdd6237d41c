"""The memory's arrays: every tracklet, every person, made from the file and kept beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np

from retrace.tracker.memory.store import Store, from_blob

NOBODY = -1


@dataclass(slots=True, eq=False)
class People:
    """N tracklets and P people in arrays that grow; rows in the order in which the file got them."""

    dimension: int
    cameras: list[str] = field(default_factory=list)
    size: int = 0  # N
    count: int = 0  # P
    # (capacity of tracklets, ...)
    tracklet: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # its id in the file
    camera_of: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    begin_of: np.ndarray = field(default_factory=lambda: np.zeros(0))  # s
    end_of: np.ndarray = field(default_factory=lambda: np.zeros(0))  # s
    vectors: np.ndarray = field(
        default_factory=lambda: np.zeros((0, 0), np.float32)
    )  # (., D) unit; 0: folded
    known: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))  # whether it has a vector
    person_of: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # row of a person, NOBODY
    # (capacity of people, ...)
    person: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # global id
    total: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))  # (., D) sum of vectors
    mean: np.ndarray = field(
        default_factory=lambda: np.zeros((0, 0), np.float32)
    )  # (., D) its direction, unit
    members: np.ndarray = field(
        default_factory=lambda: np.zeros(0, np.int64)
    )  # tracklets, folded ones included
    last: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # tracklet row that ended last
    been: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), bool))  # (., C) seen in the camera
    newest: float = -np.inf  # s, the end of the tracklet that ended last
    row_of: dict[tuple[str, int, float], int] = field(
        default_factory=dict
    )  # (source, track, begin) -> tracklet row
    rows_of_track: dict[tuple[str, int], list[int]] = field(
        default_factory=dict
    )  # (source, track) -> tracklet rows
    row_of_tracklet: dict[int, int] = field(default_factory=dict)  # id in the file -> row
    person_row: dict[int, int] = field(default_factory=dict)  # global id -> row

    @classmethod
    def read(cls, store: Store) -> Self:
        """Everything that the file holds."""
        made = cls(store.dimension)
        made.cameras = [name for (name,) in store.read("SELECT name FROM camera ORDER BY number")]
        made.been = np.zeros((0, len(made.cameras)), bool)
        member, _ = store.partition()
        alive = {*member.values()}
        for person, total, folded in store.read("SELECT id, total, folded FROM person ORDER BY id"):
            if person in alive or folded:
                row = made.add_person(person)
                if folded:
                    made.total[row] += np.frombuffer(total, "<f4")
                    made.members[row] += folded
                    made.mean[row] = made.total[row] / max(float(np.linalg.norm(made.total[row])), 1e-12)
        query = "SELECT id, camera, source, track, begin, end, vector FROM tracklet ORDER BY id"
        for tracklet, camera, source, track, begin, end, blob in store.read(query):
            vector = from_blob(blob) if blob else np.zeros(store.dimension, np.float32)
            row = made.add_tracklet(tracklet, camera, source, track, begin, end, vector)
            if tracklet in member:
                made.put(row, made.person_row[member[tracklet]])
        return made

    # -- growing

    def add_camera(self, number: int, name: str) -> None:
        """Room for a camera that the file has just got."""
        if number == len(self.cameras):
            self.cameras.append(name)
            self.been = np.pad(self.been, ((0, 0), (0, 1)))

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
        """Its row; it is nobody's yet."""
        row, self.size = self.size, self.size + 1
        if row == len(self.tracklet):
            for name in ("tracklet", "camera_of", "begin_of", "end_of", "vectors", "known", "person_of"):
                setattr(self, name, _longer(getattr(self, name), self.dimension))
        self.tracklet[row], self.camera_of[row], self.begin_of[row], self.end_of[row] = (
            tracklet,
            camera,
            begin,
            end,
        )
        self.vectors[row], self.known[row], self.person_of[row] = vector, vector.any(), NOBODY
        self.newest = max(self.newest, end)
        self.row_of[source, track, begin] = self.row_of_tracklet[tracklet] = row
        self.rows_of_track.setdefault((source, track), []).append(row)
        return row

    def add_person(self, person: int) -> int:
        """The row of a person who has no tracklet yet."""
        row, self.count = self.count, self.count + 1
        if row == len(self.person):
            for name in ("person", "total", "mean", "members", "last"):
                setattr(self, name, _longer(getattr(self, name), self.dimension))
            self.been = np.pad(
                self.been, ((0, len(self.person) - row), (0, len(self.cameras) - self.been.shape[1]))
            )
        self.person[row], self.members[row], self.last[row] = person, 0, NOBODY
        self.total[row] = self.mean[row] = 0
        self.person_row[person] = row
        return row

    def put(self, row: int, person: int) -> None:
        """Tracklet ``row`` belongs to the person of row ``person``."""
        self.person_of[row] = person
        self.total[person] += self.vectors[row]
        self.mean[person] = self.total[person] / max(float(np.linalg.norm(self.total[person])), 1e-12)
        self.members[person] += 1
        self.been[person, self.camera_of[row]] = True
        if self.last[person] == NOBODY or self.end_of[self.last[person]] <= self.end_of[row]:
            self.last[person] = row

    # -- looking

    def directions(self) -> np.ndarray:
        """(P, D) float32 unit mean vectors; zero where no looks are known."""
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


def _longer(array: np.ndarray, dimension: int) -> np.ndarray:
    """Twice the rows."""
    width = (dimension,) if array.ndim == 2 else ()
    grown = np.zeros((max(64, 2 * len(array)), *width), array.dtype)
    grown[: len(array)] = array.reshape(len(array), *width)
    return grown
