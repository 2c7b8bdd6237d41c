"""Global identities for one source: its ended tracklets go to an identity memory, its results get the people's ids."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from retrace.configs.errors import InputError
from retrace.configs.files import atomic_write, partial_of, reveal, writing
from retrace.configs.loader import load_preset
from retrace.tracker.data import MotTable, Step
from retrace.tracker.memory import Decision, Memory, Tracklet
from retrace.tracker.memory.config import MemoryConfig, preset_for
from retrace.tracker.memory.editing import tidy
from retrace.tracker.memory.gather import Gather
from retrace.tracker.memory.memory import LATE
from retrace.tracker.memory.places import EVERY
from retrace.tracker.memory.proposals import now_and_then
from retrace.tracker.memory.store import begun
from retrace.tracker.mot_file import read_results, write_results
from retrace.tracker.site.ground import Ground

ASKED = 1.0  # s between two guesses at who those in view are, of a live source
APART = 3600.0  # s between two recordings whose clocks are not known: the hours between them mean nothing


@dataclass(frozen=True, slots=True)
class GlobalIds:
    """The people of one source's tracklets, T rows by track, then beginning."""

    track: np.ndarray  # (T,) int64
    begin: np.ndarray  # (T,) s of the source
    person: np.ndarray  # (T,) int64 global id

    def of(self, track: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        """(R,) the person of a track at a time; of the track's first tracklet where it began later."""
        place = np.lexsort((self.begin, self.track))
        track_of, begin = self.track[place], self.begin[place]
        found = np.zeros(len(track), np.int64)
        for one in np.unique(track):  # over tracks, once, when the source has ended
            mine = (track_of == one).nonzero()[0]
            here = (track == one).nonzero()[0]
            which = np.searchsorted(begin[mine], seconds[here] + 1e-6, side="right") - 1
            found[here] = self.person[place][mine[np.maximum(which, 0)]]
        return found


class Remembering:
    """Between a running tracker and a memory file; see `Job.memory`."""

    def __init__(
        self,
        path: str,
        weights: str,
        name: str,
        settings: str,
        camera: str | None,
        start: float | None,
        live: bool,
        crops: bool = True,
        engine: str | None = None,
        config: str | None = None,
        ground: Ground | None = None,
        height: int | None = None,
    ) -> None:
        """
        Args:
            path: the memory's file.
            weights: what the vectors come from.
            name: of the source.
            settings: a hash of all that the tracks depend on: the same run again is the same tracklets.
            camera: its name; None: the source's.
            start: s, where the source's time 0 lies on the memory's clock; None: now for a live source, else after
                everything that the memory holds.
            live: whether the source is.
            crops: keep a picture of each person.
            engine: see `Memory`.
            config: of the memory, a preset or a YAML file; None: that of the weights.
            ground: of cameras that see one place, this one among them; None: people are known by looks alone.
            height: px of the picture, where known.

        Raises:
            InputError: the file is no memory, or one of other weights; a ground without this camera;
                the engine cannot be had.
        """
        self.config = load_preset(config or preset_for(weights), MemoryConfig, "memory")
        self._ground = None if ground is None else ground.for_cameras([camera or name])
        self._path, self._weights, self._source = Path(path), weights, f"{name} {settings[:16]}"
        self._memory: Memory | None = None
        self._engine = engine
        if begun(self._path):
            self._memory = Memory(self._path, weights, config=self.config, engine=engine)
        else:
            with writing(self._path):  # also a place that cannot be written, before the first frame
                self._path.parent.mkdir(parents=True, exist_ok=True)
        self._live = live
        self._start, self._clock = self._beginning(start, live)
        every = None if ground is None else EVERY
        self.gather = Gather(
            camera or name, self._source, self.config, crops=crops, paths=every, height=height
        )
        self._waiting: list[Tracklet] = []
        # what was decided in the newest frame, or at the end: a row a tracklet, for people to read
        self.latest: list[dict[str, Any]] = []
        # of a live source: who those in view seem to be, by track
        self.seems: dict[int, Decision] = {}
        self._asks = -np.inf  # s, when the memory is asked again
        self._removed: Counter[str] = Counter()  # by the memory's limits
        self._jumped: list[str] = []
        self._late = 0  # tracklets that came too late to be joined
        # tracklet -> track, s of the source, person then
        self._decided: dict[int, tuple[int, float, int]] = {}

    def _beginning(self, start: float | None, live: bool) -> tuple[float, str]:
        """Where this source lies on the memory's clock: where a recording lay before, where it is told to, or now; and
        whose clock that is: the memory's, or one of its own, where nobody knows."""
        if self._memory is not None and not live:
            query = "SELECT value FROM meta WHERE key = ?"
            before = self._memory.store.read(query, (f"start:{self._source}",))
            if before:
                clock = self._memory.store.read(query, (f"clock:{self._source}",))
                begin, own = float(before[0][0]), str(clock[0][0]) if clock else ""
                if start is not None and (own or float(start) != begin):
                    whose = " by a clock of its own" if own else ""
                    there = f"this run is in {self._path} already, from {begin:g} s on{whose}"
                    raise InputError(
                        f"`memory_start` {start:g}: {there}; take another memory, or leave it out"
                    )
                return begin, own
        if start is not None:
            return float(start), ""
        if live:
            return time.time(), ""
        newest = self._memory.people.newest if self._memory is not None else -np.inf
        return (float(np.ceil(newest + APART)) if np.isfinite(newest) else 0.0), self._source

    def take(self, step: Step) -> None:
        """Take in a frame; what has ended is decided a window at a time, and is in :attr:`latest` then."""
        self.latest = []
        self._waiting += self.gather.take(step)
        if (
            self._waiting
            and step.frame.time - self._waiting[0].end > self.config.split_gap + self.config.window
        ):
            self._decide()
        if self._live and self._memory is not None and step.frame.time >= self._asks:
            self._asks = step.frame.time + ASKED
            there = self.gather.in_view(step.frame.time)
            by_clock = [replace(o, begin=o.begin + self._start, end=o.end + self._start) for o in there]
            told = zip(there, self._memory.ask(by_clock), strict=True)
            self.seems = {one.track: decision for one, decision in told if not decision.new}

    def finish(self) -> GlobalIds:
        """Decide what is left; who all of them are."""
        self.latest = []
        self._waiting += self.gather.finish()
        self._decide()
        if self._memory is None:
            return GlobalIds(*(np.zeros(0, kind) for kind in (np.int64, np.float64, np.int64)))
        rows = self._rows()
        self._jumped = self._ahead(self._memory)
        self._memory.close()
        track, begin, person = (np.array([row[k] for row in rows]) for k in range(3))
        return GlobalIds(track.astype(np.int64), begin.astype(float), person.astype(np.int64))

    def _ahead(self, memory: Memory) -> list[str]:
        """Whether this camera is so far ahead of all others that its clock may be wrong."""
        people, name = memory.people, self.gather.camera
        here = slice(0, people.size)
        mine = np.array(people.cameras, dtype=object)[people.camera_of[here]] == name
        by_the_clock = people.clock_of[here] == 0
        newest = [float(people.end_of[here][by_the_clock & of].max(initial=-np.inf)) for of in (mine, ~mine)]
        ahead = newest[0] - newest[1] if np.isfinite(newest).all() else 0.0
        if self._clock or ahead <= self.config.clock_jump:
            return []
        told = f"{name} is {ahead:,.0f} s ahead of all other cameras there, which are not late by it"
        return [f"{told}; if its clock is wrong: `retrace memory MEMORY clock {name} S`"]

    def _rows(self) -> list[tuple[int, float, int]]:
        """(track, begin, person) of this source's tracklets, s of the source; forgotten ones as they were decided."""
        assert self._memory is not None
        member, _ = self._memory.store.partition()
        there = self._memory.store.read(
            "SELECT id, track, begin FROM tracklet WHERE source = ? AND begin >= ?",
            (self._source, self._start - 1e-6 if self._live else -np.inf),
        )
        now = {one: (track, begin - self._start, member[one]) for one, track, begin in there}
        return sorted((self._decided | now).values())

    def _decide(self) -> None:
        if not self._waiting:
            return
        if self._memory is None:
            dimension = next((len(one.vector) for one in self._waiting if len(one.vector)), 0)
            if not dimension:
                return  # nobody has looks yet
            self._memory = Memory(self._path, self._weights, dimension, self.config, self._engine)
        store = self._memory.store
        if self._ground is not None:
            self._memory.set_ground(self._ground)
            self._ground = None  # it is in the file now
        told = [
            replace(
                one,
                begin=one.begin + self._start,
                end=one.end + self._start,
                clock=self._clock,
                path=None if one.path is None else one.path + np.array([self._start, 0, 0, 0]),
                vector=one.vector if len(one.vector) else np.zeros(store.dimension, np.float32),
            )
            for one in self._waiting
        ]
        with store.writing():  # before its tracklets: a run that dies between them finds its place again
            rows = [(f"start:{self._source}", repr(self._start))]
            rows += [(f"clock:{self._source}", self._clock)] if self._clock else []
            store.db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)
        decided = self._memory.add(told, live=self._live)
        for one, decision in zip(self._waiting, decided, strict=True):
            self._decided[decision.tracklet] = one.track, one.begin, decision.person
            self.latest.append(_row(one, decision))
            self._late += decision.reason == LATE and not decision.again
        self._waiting = []
        self._removed.update(tidy(self._memory))
        now_and_then(self._memory)

    def notes(self) -> list[str]:
        """What its user should know of the memory, beside who is who; after :meth:`finish`."""
        people, folded = self._removed["people"], self._removed["folded"]
        found = []
        if people or folded:
            found.append(
                f"its limits: {people} people forgotten, {folded} tracklets reduced to their person's mean"
            )
        if self._late:
            found.append(
                f"{self._late} tracklets came late and are people of their own: see `retrace memory MEMORY suggestions`"
            )
        return found + self._jumped

    # -- for checkpoints

    def state_dict(self) -> dict[str, Any]:
        """Open tracklets and those that wait, without their crops."""
        waiting = self._waiting
        dimension = max((len(one.vector) for one in waiting), default=0)
        vectors = [one.vector if len(one.vector) else np.zeros(dimension, np.float32) for one in waiting]
        pairs = [(k, other) for k, one in enumerate(waiting) for other in sorted(one.apart or ())]
        return {
            "start": np.array(self._start),
            "told": np.array([self._removed["people"], self._removed["folded"], self._late]),
            "waiting": np.array([(w.track, w.begin, w.end, w.boxes) for w in waiting]).reshape(-1, 4),
            "vectors": np.array(vectors, np.float32).reshape(len(waiting), dimension),
            "apart": np.array(pairs, np.int64).reshape(-1, 2),
            "decided": np.array([(one, *what) for one, what in self._decided.items()], float).reshape(-1, 4),
            "paths": np.array(
                [(k, *place) for k, one in enumerate(waiting) if one.path is not None for place in one.path],
                float,
            ).reshape(-1, 5),
            "boxes": np.array([(w.first_box, w.last_box) for w in waiting], np.float32).reshape(-1, 2, 4),
            **{f"gather_{name}": value for name, value in self.gather.state_dict().items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        own = {name.removeprefix("gather_"): state[name] for name in state if name.startswith("gather_")}
        self.gather.load_state_dict(own)
        self._start, apart = float(state["start"]), state["apart"]
        self._removed["people"], self._removed["folded"], self._late = state["told"].tolist()
        decided = state["decided"].tolist()
        self._decided = {int(one): (int(track), begin, int(person)) for one, track, begin, person in decided}
        self._waiting = [
            Tracklet(
                self.gather.camera,
                self._source,
                int(track),
                float(begin),
                float(end),
                int(count),
                state["vectors"][k],
                frozenset(apart[apart[:, 0] == k, 1].tolist()),
                first_box=state["boxes"][k][0],
                last_box=state["boxes"][k][1],
                path=state["paths"][state["paths"][:, 0] == k, 1:],
            )
            for k, (track, begin, end, count) in enumerate(state["waiting"])
        ]


def _row(one: Tracklet, decision: Decision) -> dict[str, Any]:
    """What became of a tracklet, in plain values; times are the source's."""
    told = {
        "track": one.track,
        "begin": round(one.begin, 3),
        "end": round(one.end, 3),
        "person": decision.person,
        "new": decision.new,
        "probability": decision.probability,
        "distance": decision.distance,
        "maybe": [other for other in (decision.maybe, decision.rival) if other is not None] or None,
        "reason": decision.reason,
    }
    return {key: value for key, value in told.items() if value is not None}


def rename_results(kept: Path, path: Path, people: GlobalIds, fps: float) -> tuple[MotTable, int]:
    """``path``: what the tracker said in ``kept``, with global ids. One person's second box in a frame (two boxes that
    were one crop twice) is left out.

    Returns:
        the new table, and how many boxes were left out.
    """
    table = read_results(kept)
    person = people.of(table.id, table.frame / fps)
    order = np.lexsort((-table.score, person, table.frame))
    frame, who = table.frame[order], person[order]
    first = np.ones(len(order), bool)
    first[1:] = (np.diff(frame) != 0) | (np.diff(who) != 0)
    rows = order[first]
    renamed = replace(table.take(rows), id=person[rows])
    write_results(path, renamed)
    return renamed, int((~first).sum())


def add_people(path: Path, people: GlobalIds, last: list[dict[str, Any]]) -> Path:
    """JSON lines, from what has grown of them: each track gets its ``person`` beside its ``id``; ``last``: what was
    decided when the source had ended."""
    grown, whole = partial_of(path), path.with_name(path.name + ".people")
    _add_to_last_line(grown, last)
    with writing(path), atomic_write(whole) as out, grown.open() as lines:
        for line in lines:
            told = json.loads(line)
            ids = np.array([track["id"] for track in told["tracks"]], np.int64)
            persons = people.of(ids, np.full(len(ids), told["time"]))
            for track, person in zip(told["tracks"], persons.tolist(), strict=True):
                track["person"] = person
            out.write(json.dumps(told, separators=(",", ":"), allow_nan=False) + "\n")
    whole.replace(path)
    grown.unlink()
    return path


def end_ledger(path: Path, last: list[dict[str, Any]]) -> Path:
    """The ledger gets its name, with ``last``: what was decided when the source had ended."""
    _add_to_last_line(partial_of(path), last)
    return reveal(partial_of(path), path)


def _add_to_last_line(path: Path, rows: list[dict[str, Any]]) -> None:
    """``people`` of a file of JSON lines' last frame gets more rows."""
    if not rows:
        return
    with writing(path), path.open("r+b") as file:
        begin = last_line(file)
        file.seek(begin)
        told = json.loads(file.readline())
        told["people"] = told.get("people", []) + rows
        file.seek(begin)
        file.truncate()
        file.write((json.dumps(told, separators=(",", ":"), allow_nan=False) + "\n").encode())


def last_line(file: BinaryIO) -> int:
    """Where the last line begins, which has a line end."""
    end = file.seek(0, 2)
    block, tail = 65_536, b""
    at = end
    while at > 0:
        at = max(0, at - block)
        file.seek(at)
        tail = file.read(end - at)
        if (found := tail.rstrip(b"\n").rfind(b"\n")) >= 0:
            return at + found + 1
    return 0
