"""People remembered beyond their tracks: ended tracklets in, global identities out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retrace.configs.errors import InputError
from retrace.configs.loader import load_preset
from retrace.tracker.memory.config import MemoryConfig
from retrace.tracker.memory.decide import NEW, Candidates, Round, decide
from retrace.tracker.memory.evidence import TRANSIT_BINS, Transit, appearance_ratio, transit_bin
from retrace.tracker.memory.people import NOBODY, People
from retrace.tracker.memory.store import Store, to_blob

BINS = len(TRANSIT_BINS) + 1
PRIOR_WEIGHT = 20.0
MOST = 32  # people by looks who are asked when they were last seen; all others are too unlike
SURE = 0.9  # posterior from which a join teaches how long people take from camera to camera


@dataclass(frozen=True, slots=True, eq=False)
class Tracklet:
    """One stay of one person in one camera, as a tracker saw it."""

    camera: str
    source: str  # the recording: with `track` and `begin` it tells this tracklet from all others
    track: int  # the tracker's id
    begin: float  # s, on the memory's clock
    end: float  # s
    boxes: int  # with known looks
    vector: np.ndarray  # (D,) float32 unit, the mean of its boxes' vectors; 0 where no looks are known
    apart: frozenset[int] | None = None  # tracks seen beside it; None: all that were there at the same time
    first_box: np.ndarray | None = None  # (4,) xyxy px
    last_box: np.ndarray | None = None
    crop: bytes | None = None  # JPEG


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of a tracklet."""

    tracklet: int
    person: int
    new: bool  # nobody whom the memory knew
    probability: float  # that it is this person, or a new one
    maybe: int | None = None  # somebody else it may be
    reason: str = ""


class Memory:
    """An identity memory over one file; `tracker/memory/store.py` says what stands where."""

    def __init__(
        self,
        path: str | Path,
        weights: str = "",
        dimension: int = 0,
        config: MemoryConfig | str = "default",
        **overrides: Any,
    ) -> None:
        """
        Args:
            path: the file; made where it is not.
            weights: what makes the vectors (a hash or a name); a memory of others is refused.
            dimension: of the vectors.
            config: a preset in configs/memory, or a YAML file; ``overrides`` replace single values.

        Raises:
            InputError: no such preset; a file that is no memory, is damaged, was made with other weights.
        """
        if not isinstance(config, MemoryConfig):
            config = load_preset(config, MemoryConfig, "memory", overrides)
        self.config = config
        self.store = Store(path, weights, dimension)
        self._read()

    def _read(self) -> None:
        """Everything in arrays, from the file."""
        self.store.changed()  # from here on
        self.people, self.transit = People.read(self.store), Transit()
        self.transit.widen(len(self.people.cameras))
        for start, stop, column, same, anybody in self.store.read("SELECT * FROM transit"):
            self.transit.same[start, stop, column] = same
            self.transit.anybody[start, stop, column] = anybody
        self._cannot: dict[int, set[int]] = {}
        for a, b in self.store.read("SELECT a, b FROM link WHERE kind = 'cannot'"):
            self._cannot.setdefault(a, set()).add(b)
            self._cannot.setdefault(b, set()).add(a)
        told = dict(self.store.read("SELECT key, value FROM meta WHERE key LIKE 'strangers%'"))
        self._strangers = np.array(
            [float(told.get("strangers_sum", 0)), float(told.get("strangers_pairs", 0))]
        )
        self._changed_to: set[int] = set()  # cameras
        self.stale = False

    def refresh(self) -> None:
        """Read again what was edited here, or written by another process, since the arrays were made."""
        if self.stale or self.store.changed():
            self._read()

    def close(self) -> None:
        self.store.close()

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- deciding

    def add(self, tracklets: Sequence[Tracklet], by: str = "tracker") -> list[Decision]:
        """Remember tracklets that ended in one window, and say who they are; all or nothing.

        One that is there already (same source, track, beginning) keeps its person. One that ended more than
        ``lateness`` before the newest becomes a person of its own, with a suggestion if somebody is like it.

        Raises:
            InputError: a vector of another size or no unit vector, times that are none, a file that cannot be
                written.
        """
        for one in tracklets:
            _check(one, self.store.dimension)
        try:
            with self.store.writing() as changed:
                if changed or self.stale:
                    self._read()
                return self._add(tracklets, by)
        except BaseException:
            self.stale = True  # the arrays may know what the file does not
            raise

    def _add(self, tracklets: Sequence[Tracklet], by: str) -> list[Decision]:
        found: dict[int, Decision] = {}
        watermark = self.people.newest - self.config.lateness
        rows: dict[int, int] = {}
        for k, one in enumerate(tracklets):
            row = self.people.row_of.get((one.source, one.track, one.begin))
            if row is None:
                rows[k] = self._insert(one)
            else:
                person = int(self.people.person[self.people.person_of[row]])
                found[k] = Decision(int(self.people.tracklet[row]), person, False, 1.0, None, "known already")
        for k, row in rows.items():
            self._meet(tracklets[k], row)
        enough = self.config.least_boxes
        open_ = sorted((k for k in rows if tracklets[k].boxes >= enough), key=lambda k: (tracklets[k].end, k))
        late = [k for k in open_ if tracklets[k].end < watermark]
        open_ = [k for k in open_ if tracklets[k].end >= watermark]
        while open_:
            some = [rows[k] for k in open_]
            now = decide(self._candidates(some), self.returning(), self.config.accept, self.config.ambiguous)
            chosen = now.person != NEW
            if not chosen.any():
                chosen = self._first_of_their_kind(some)
            for j in chosen.nonzero()[0]:
                found[open_[j]] = self._settle(tracklets[open_[j]], some[j], now, int(j), by)
            open_ = [k for j, k in enumerate(open_) if not chosen[j]]
        for k in late:
            now = decide(self._candidates([rows[k]]), self.returning(), 2.0, 1.0)  # nobody is as sure as that
            found[k] = self._settle(tracklets[k], rows[k], now, 0, by, "came late")
        for k in rows.keys() - found.keys():
            nobody = Round(*(np.array([value]) for value in (NEW, 1.0, np.nan, NEW, 0.0)))
            found[k] = self._settle(tracklets[k], rows[k], nobody, 0, by, "too few boxes to tell")
        self._write_transit()
        return [found[k] for k in range(len(tracklets))]

    def _insert(self, one: Tracklet) -> int:
        """The tracklet in the file and in the arrays; its row."""
        camera = self.store.camera(one.camera)
        self.people.add_camera(camera, one.camera)
        self.transit.widen(len(self.people.cameras))
        boxes = [
            None if box is None else np.asarray(box, "<f4").tobytes() for box in (one.first_box, one.last_box)
        ]
        values = (
            camera,
            one.source,
            one.track,
            one.begin,
            one.end,
            one.boxes,
            to_blob(one.vector),
            *boxes,
            one.crop,
        )
        insert = (
            "INSERT INTO tracklet (camera, source, track, begin, end, boxes, vector, first_box, last_box, crop) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        )
        number = int(self.store.db.execute(insert, values).lastrowid or 0)
        vector = (
            one.vector if one.boxes >= self.config.least_boxes else np.zeros(self.store.dimension, np.float32)
        )
        return self.people.add_tracklet(number, camera, one.source, one.track, one.begin, one.end, vector)

    def _candidates(self, some: Sequence[int]) -> Candidates:
        """Who the tracklets ``some`` (rows) may be."""
        people, rows = self.people, np.asarray(some)
        if not people.count:
            nobody = np.zeros((len(rows), 0))
            return Candidates(nobody.astype(np.int64), nobody, nobody, 0)
        cosine = people.vectors[rows] @ people.directions().T  # (K, P)
        person = np.argpartition(-cosine, min(MOST, people.count) - 1, axis=1)[:, :MOST]  # (K, C)
        distance = 1.0 - np.take_along_axis(cosine, person, axis=1).astype(np.float64)
        camera = people.camera_of[rows][:, None]
        ratio = appearance_ratio(distance, people.been[person, camera], self.unit(), self.config)
        last = people.last[person]
        away = people.begin_of[rows][:, None] - people.end_of[last]
        to = np.broadcast_to(camera, person.shape)
        ratio += self.transit.ratio(people.camera_of[last], to, away, self.config.transit_floor)
        ratio[~people.mean[person].any(2)] = -np.inf  # nothing is known of their looks
        for k, row in enumerate(rows):
            ratio[k, self._kept_apart(row)[person[k]]] = -np.inf
        return Candidates(person, ratio, distance, people.count)

    def _kept_apart(self, row: int) -> np.ndarray:
        """(P,) bool: who was seen beside this tracklet, or who somebody has said it is not."""
        found = np.zeros(self.people.count, bool)
        others = self._cannot.get(int(self.people.tracklet[row]), ())
        who = self.people.person_of[[self.people.row_of_tracklet[other] for other in others]]
        found[who[who != NOBODY]] = True
        return found

    def unit(self) -> float:
        """The mean distance of different people: of pairs that were seen beside each other here, once there are
        enough of them, else as where the maps were fitted."""
        enough = self._strangers[1] >= self.config.strangers_pairs
        return float(self._strangers[0] / self._strangers[1]) if enough else self.config.strangers

    def returning(self) -> float:
        """The prior that who comes is somebody known: as many as have been so far, the config's word counting as
        `PRIOR_WEIGHT` tracklets."""
        tracklets, people = self.people.size, self.people.count
        return (PRIOR_WEIGHT * self.config.returning + max(tracklets - people, 0)) / (
            PRIOR_WEIGHT + tracklets
        )

    def _meet(self, one: Tracklet, row: int) -> None:
        """Who was seen beside this tracklet is somebody else: links that forbid, and distances of surely different
        people, the unit of these cameras."""
        people, tracklet = self.people, int(self.people.tracklet[row])
        beside = people.beside(row, one.source, one.apart)
        pairs = [(min(tracklet, other), max(tracklet, other)) for other in people.tracklet[beside].tolist()]
        insert = "INSERT OR IGNORE INTO link VALUES ('cannot', ?, ?, 'seen together')"
        self.store.db.executemany(insert, pairs)
        for a, b in pairs:
            self._cannot.setdefault(a, set()).add(b)
            self._cannot.setdefault(b, set()).add(a)
        known = beside[people.known[beside]] if one.apart is not None else beside[:0]
        if len(known) and people.known[row]:
            distance = 1.0 - people.vectors[known].astype(np.float64) @ people.vectors[row]
            self._strangers += distance.sum(), len(distance)
            told = [
                ("strangers_sum", repr(float(self._strangers[0]))),
                ("strangers_pairs", repr(float(self._strangers[1]))),
            ]
            self.store.db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", told)

    def _first_of_their_kind(self, some: Sequence[int]) -> np.ndarray:
        """(K,) bool: the tracklets of newcomers who are like no earlier one of this window. The others are asked
        again when those are people."""
        rows = np.asarray(some)
        vector, camera = self.people.vectors[rows].astype(np.float64), self.people.camera_of[rows]
        ratio = appearance_ratio(1.0 - vector @ vector.T, camera[:, None] == camera, self.unit(), self.config)
        return np.asarray(~np.tril(ratio > 0, -1).any(1))

    def _settle(self, one: Tracklet, row: int, now: Round, j: int, by: str, reason: str = "") -> Decision:
        """Write down what was decided of one tracklet: whose it is, and whom it may be instead."""
        people, tracklet = self.people, int(self.people.tracklet[row])
        operation, joined = self.store.operation(), int(now.person[j])
        probability, maybe = float(now.probability[j]), None
        new = joined == NEW
        if new:
            joined = people.add_person(self.store.new_person(one.end))
            reason = reason or "like nobody"
        else:
            reason = reason or f"as likely as {probability:.3f}, distance {now.distance[j]:.3f}"
        person = int(people.person[joined])
        second, chance = int(now.second[j]), float(now.second_probability[j])
        if second != NEW and chance >= self.config.suggest:
            maybe = int(people.person[second])
        evidence = {"posterior": round(probability, 6), "reason": reason}
        if not new:
            evidence["distance"] = round(float(now.distance[j]), 6)
        self.store.append(operation, one.end, by, "assign", tracklet, person, **evidence)
        if maybe is not None:
            self.store.append(operation, one.end, by, "suggest", maybe, person, posterior=round(chance, 6))
        self._learn_transit(row, joined, not new and probability >= SURE)
        people.put(row, joined)
        return Decision(tracklet, person, new, probability, maybe, reason)

    def _learn_transit(self, row: int, joined: int, sure: bool) -> None:
        """How long anybody has been away when this one came, and how long the one it is."""
        people, to = self.people, int(self.people.camera_of[row])
        last = people.last[: people.count]
        last = last[last != NOBODY]
        start, away = people.camera_of[last], people.begin_of[row] - people.end_of[last]
        count = np.bincount(start * BINS + transit_bin(away), minlength=len(people.cameras) * BINS)
        self.transit.anybody[: len(people.cameras), to] += count.reshape(-1, BINS)
        self._changed_to.add(to)
        if sure:
            before = people.last[joined]
            gap = people.begin_of[row] - people.end_of[before]
            self.transit.same[people.camera_of[before], to, int(transit_bin(np.array(gap)))] += 1

    def _write_transit(self) -> None:
        """What this window has learned of ways."""
        for to in sorted(self._changed_to):
            start, column = self.transit.anybody[:, to].nonzero()
            told = zip(start.tolist(), column.tolist(), strict=True)
            rows = [
                (s, to, c, float(self.transit.same[s, to, c]), float(self.transit.anybody[s, to, c]))
                for s, c in told
            ]
            self.store.db.executemany("INSERT OR REPLACE INTO transit VALUES (?, ?, ?, ?, ?)", rows)
        self._changed_to.clear()


def _check(one: Tracklet, dimension: int) -> None:
    where = f"track {one.track} of {one.source}"
    if np.shape(one.vector) != (dimension,):
        raise InputError(
            f"{where}: its vector has shape {np.shape(one.vector)}, this memory's have ({dimension},)"
        )
    norm = float(np.linalg.norm(one.vector))
    if not (abs(norm - 1) <= 1e-2 or (one.boxes == 0 and norm == 0)):  # NaN fails too
        raise InputError(f"{where}: its vector has norm {float(np.linalg.norm(one.vector)):g}, expected 1")
    if not (np.isfinite(one.begin) and np.isfinite(one.end) and one.begin <= one.end):
        raise InputError(f"{where}: begins at {one.begin} s and ends at {one.end} s")
