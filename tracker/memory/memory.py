"""People remembered beyond their tracks: ended tracklets in, global identities out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from retrace.configs.errors import InputError, one_line
from retrace.configs.loader import load_preset, validate
from retrace.tracker.memory.apart import Apart
from retrace.tracker.memory.config import MemoryConfig, preset_for
from retrace.tracker.memory.decide import NEW, Candidates, Round, decide
from retrace.tracker.memory.engines import Engine, Follower, cache_of, check_engine, open_engine
from retrace.tracker.memory.evidence import appearance_ratio
from retrace.tracker.memory.nearest import Nearest, nearest
from retrace.tracker.memory.people import NOBODY, People
from retrace.tracker.memory.places import Stood, merged
from retrace.tracker.memory.standing import Standing
from retrace.tracker.memory.store import Store, from_blob, to_blob
from retrace.tracker.memory.tracklet import Decision, Tracklet, check
from retrace.tracker.memory.ways import Ways
from retrace.tracker.site.config import SiteConfig
from retrace.tracker.site.ground import Ground

LATE = "came late"
DIGITS = 4  # of a probability or a distance that is told
PRIOR_WEIGHT = 20.0
RIVALS = 4  # of the likeliest people, who are asked whether they are one
ONE_PERSON = 3.0  # nats of looks from which two people of the memory may well be one
SURE = 0.9  # posterior from which a join teaches how long people take from camera to camera


class Memory:
    """An identity memory over one file: who returns, decided by probability. Leave it by `with`, or :meth:`close` it.

    It is told of :class:`Tracklet` and answers with :class:`Decision`. Vectors are (D,) float32 unit, all of one
    network's; times are s on the memory's clock. What is decided is in the file at once, and whatever other processes
    write there is seen. `tracker/memory/store.py` says what stands where.

    Example:
        >>> import numpy as np
        >>> from retrace.tracker.memory import Memory, Tracklet
        >>> looks = np.eye(2, dtype=np.float32)  # of two people
        >>> with Memory("returns.db", "weights", dimension=2) as memory:
        ...     monday = memory.add([Tracklet("door", "monday", 1, 5.0, 9.0, 40, looks[0])])
        ...     both = [Tracklet("door", "tuesday", k + 1, 99.0 + k, 104.0, 40, looks[k]) for k in (0, 1)]
        ...     tuesday = memory.add(both)
        >>> [(one.person, one.new) for one in monday + tuesday]
        [(1, True), (1, False), (2, True)]
    """

    def __init__(
        self,
        path: str | Path,
        weights: str = "",
        dimension: int = 0,
        config: MemoryConfig | str | None = None,
        engine: Engine | str | None = None,
        site: SiteConfig | None = None,
        **overrides: Any,
    ) -> None:
        """
        Args:
            path: the file; made where it is not.
            weights: what makes the vectors (a hash or a name); a memory of others is refused.
            dimension: of the vectors.
            config: a preset in configs/memory, or a YAML file; ``overrides`` replace single values. None: that of the
                weights, if they are shipped ones, else "default".
            engine: where vectors are searched (`engines.open_engine`); it is kept in step while tracklets are added.
                None: the means of all people, in these arrays.
            site: of cameras that see one place (`set_ground`); None: the default.

        Raises:
            InputError: no such preset; a file that is no memory, is damaged, was made with other weights.
        """
        if isinstance(config, str):
            config = load_preset(config, MemoryConfig, "memory", overrides)
        elif config is not None and overrides:
            config = validate({**config.model_dump(), **overrides}, MemoryConfig, "config")
        elif config is None:  # before a file is made
            load_preset("default", MemoryConfig, "memory", overrides)
        self.site = site if site is not None else load_preset("default", SiteConfig, "site")
        self.store = Store(path, weights, dimension)
        try:
            name = preset_for(self.store.weights)
            self.config = config or load_preset(name, MemoryConfig, "memory", overrides)
            self._read()
        except BaseException:
            self.store.close()
            raise
        self._kind = ""  # of the engine that it has open
        self._follower = None if engine is None else Follower(self._opened(engine))

    def _read(self) -> None:
        """Everything in arrays, from the file.

        Raises:
            InputError: what stands there cannot be.
        """
        try:
            with self.store.as_it_was():
                self._read_all()
        except (KeyError, IndexError, TypeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"{self.store.path}: is damaged ({one_line(error)}); restore a copy of it"
            ) from None

    def _read_all(self) -> None:
        self.store.changed()  # from here on
        self._spoken_for: dict[int, list[int]] = {}  # row -> rows of this window that are one with it
        self.people = People.read(self.store, self.config.least_boxes, self.config.centre_half)
        self.ways = Ways(self.store, self.people)
        self.apart = Apart(self.store, self.people, self.config)
        told = dict(self.store.read("SELECT key, value FROM meta WHERE key LIKE 'strangers%'"))
        self._strangers = np.array([float(told.get(key, 0)) for key in self._strangers_keys()])
        self._standing = Standing(self.store, self.site)
        self.stale = self._merged = False
        # When limits were last looked at, and how many people there were: not since the file was read. A process that
        # opens a memory now and then, or writes beside others, would otherwise never see a tenth more come.
        self.tidied = (-np.inf, 0)

    def _strangers_keys(self) -> tuple[str, str]:
        """Where the sum of strangers' distances stands, and their number: distances of vectors that are centred in
        another way, as in older files, are another unit."""
        half = self.config.centre_half
        ending = "" if half is None else f"_centred_{half:g}"
        return f"strangers_sum{ending}", f"strangers_pairs{ending}"

    def refresh(self) -> None:
        """Read again what was edited here, or written by another process, since the arrays were made.

        Raises:
            InputError: the file is damaged, or cannot be read.

        Example:
            >>> import numpy as np
            >>> from retrace.tracker.memory import Memory, Tracklet
            >>> here, there = (Memory("shared.db", "weights", dimension=2) for _ in range(2))  # as two processes
            >>> _ = there.add([Tracklet("door", "monday", 1, 5.0, 9.0, 40, np.array([1, 0], np.float32))])
            >>> there.close()
            >>> before = here.people.alive
            >>> here.refresh()
            >>> before, here.people.alive  # how many people it knows
            (0, 1)
            >>> here.close()
        """
        if self.stale or self.store.changed():
            self._read()

    @property
    def engine(self) -> Engine | None:
        """Where vectors are searched, in step with the file; None: in these arrays.

        Raises:
            InputError: the file is damaged, the engine cannot be brought in step.

        Example:
            >>> import numpy as np
            >>> from retrace.tracker.memory import Memory, Tracklet
            >>> with Memory("searched.db", "weights", dimension=2, engine="exact") as memory:
            ...     _ = memory.add([Tracklet("door", "monday", 1, 5.0, 9.0, 40, np.array([1, 0], np.float32))])
            ...     memory.engine.search(np.array([[0.6, 0.8]], np.float32), most=1)[0]  # ids of tracklets
            array([[1]])
        """
        if self._follower is None:
            return None
        self.refresh()
        self._follower.follow(self.people)
        return self._follower.engine

    def _opened(self, engine: Engine | str) -> Engine:
        if not isinstance(engine, str):
            return engine
        kind, address = check_engine(engine)
        if address and kind != "hnsw" and kind not in self.servers():
            with self.store.writing():  # not where: addresses hold passwords
                self.store.db.execute("INSERT OR IGNORE INTO meta VALUES (?, '')", (f"server:{kind}",))
        self._kind = kind
        count = int(self.people.known[: self.people.size].sum())
        return open_engine(engine, self.store.path, self.store.collection(), self.store.dimension, count)

    def leave_no_vectors(self) -> None:
        """What was deleted from the file is not to be found in what vectors are searched in: the engine that this
        memory has open follows at once, a graph beside it that it has not open goes. A server that it has not open
        keeps them until somebody opens it; `servers` tells of it."""
        if self._kind != "hnsw":
            cache_of(self.store.path).unlink(missing_ok=True)
        if self.engine is not None:  # in step now
            self.engine.flush()

    def servers(self) -> list[str]:
        """Kinds of engines outside this machine that have ever followed this memory, and that it has not open."""
        told = [
            kind for (kind,) in self.store.read("SELECT substr(key, 8) FROM meta WHERE key LIKE 'server:%'")
        ]
        return [kind for kind in told if kind != self._kind]

    def close(self) -> None:
        """Let go of the file, and of the engine, which is brought in step first.

        Raises:
            InputError: the engine cannot keep what it was told: a full disk, a server that does not answer.
        """
        try:
            if self._follower is not None:
                self._follower.close()
        finally:
            self.store.close()

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- cameras

    def set_ground(self, ground: Ground) -> None:
        """Where cameras look: people who are seen by two of them at one place at one time are one person.

        Their tracklets need a ``path``. What was decided before stays.

        Raises:
            InputError: the file cannot be written.

        Example:
            >>> import numpy as np
            >>> from retrace.tracker.memory import Memory, Tracklet
            >>> from retrace.tracker.site import Ground
            >>> second = np.arange(10.0)
            >>> walk = np.stack([second, 5 * second, 0 * second + 100, 0 * second + 60], axis=1)  # s, then px
            >>> looks = np.eye(2, dtype=np.float32)  # of one person from two sides
            >>> with Memory("places.db", "weights", dimension=2) as memory:
            ...     memory.set_ground(Ground(("left", "right"), np.stack([np.eye(3), np.eye(3)])))
            ...     seen = [("left", looks[0]), ("right", looks[1])]
            ...     stays = [Tracklet(name, name, 1, 0.0, 9.0, 40, vector, path=walk) for name, vector in seen]
            ...     [decided.person for decided in memory.add(stays)]
            [1, 1]
        """
        self._standing.set_ground(ground)

    # -- deciding

    def add(self, tracklets: Sequence[Tracklet], by: str = "tracker", live: bool = True) -> list[Decision]:
        """Remember tracklets that ended in one window, and say who they are; all or nothing.

        One that is there already (same source, track, beginning) keeps its person. One that ended more than
        ``lateness`` before the newest becomes a person of its own, with a suggestion if somebody is like it.

        Args:
            tracklets: in any order.
            by: who says so, for the log.
            live: whether they come as they happen; of a recording nothing is late: cameras are tracked one by one.

        Raises:
            InputError: a vector of another size or no unit vector, times that are none, a file that cannot be
                written, a memory that was closed.
        """
        for one in tracklets:
            check(one, self.store.dimension)
        try:
            with self.store.writing() as changed:
                if changed or self.stale:
                    self._read()
                decided = self._add(tracklets, by, live)
        except BaseException:
            self.stale = True  # the arrays may know what the file does not
            raise
        if self._follower is not None:
            self._follower.follow(self.people)
        self.stale |= self._merged  # who reads the file knows one person from the beginning
        return decided

    def _add(self, tracklets: Sequence[Tracklet], by: str, live: bool) -> list[Decision]:
        now = self.people.now(self.config.clock_jump, timed=True)
        watermark = now - self.config.lateness if live else -np.inf
        found, rows = self._take_in(tracklets)
        self.ways.absent([*rows.values()])
        stood = self._standing.of(self.people, tracklets, rows, self.apart)
        for kept, gone, row in merged(stood):
            self._merge_by_place(kept, gone, row, by)
        for k, row in rows.items():
            if row in stood and stood[row].person is not None:
                found[k] = self._settle_by_place(row, stood[row], by)
        spoken_for = {
            k: stood[row] for k, row in rows.items() if row in stood and stood[row].first is not None
        }
        for k, place in spoken_for.items():
            self._spoken_for.setdefault(int(place.first or 0), []).append(rows[k])
        self._settle_by_looks(
            tracklets, {k: row for k, row in rows.items() if k not in spoken_for}, found, watermark, by
        )
        for k, place in spoken_for.items():
            person = int(self.people.person_of[place.first or 0])
            found[k] = self._settle_by_place(rows[k], replace(place, person=person), by)
        self._spoken_for.clear()
        self.ways.write()
        self.people.renew()
        return [found[k] for k in range(len(tracklets))]

    def _take_in(self, tracklets: Sequence[Tracklet]) -> tuple[dict[int, Decision], dict[int, int]]:
        """What is known already of those that are here again, and the rows of the others; by place in the window."""
        found, rows = {}, {}
        for k, one in enumerate(tracklets):
            row = self.people.row_of.get((one.source, one.track, one.begin))
            if row is None:
                rows[k] = self._insert(one)
            elif self.people.person_of[row] == NOBODY:
                raise InputError(
                    f"track {one.track} of {one.source} begins twice at {one.begin} s in one window"
                )
            else:
                found[k] = self._as_before(row)
        for k, row in rows.items():
            self._meet(tracklets[k], row)
        return found, rows

    def _as_before(self, row: int) -> Decision:
        """What was decided of a tracklet that is here again, and whose it is now."""
        tracklet, person = int(self.people.tracklet[row]), int(self.people.person[self.people.person_of[row]])
        why, like = self.store.decided(tracklet)
        maybe, rival = [*like, None, None][:2]
        told = (why.get("new", False), why.get("posterior", 1.0), maybe, why.get("reason", ""))
        return Decision(tracklet, person, *told, why.get("distance"), rival, again=True)

    def _settle_by_looks(
        self,
        tracklets: Sequence[Tracklet],
        rows: Mapping[int, int],
        found: dict[int, Decision],
        watermark: float,
        by: str,
    ) -> None:
        """Decide all that are not yet in ``found``, and put them there."""
        enough, end = self.config.least_boxes, self.people.end_of
        some = [k for k in rows if k not in found and tracklets[k].boxes >= enough]
        some.sort(key=lambda k: (end[rows[k]], k))
        late = [k for k in some if end[rows[k]] < watermark]
        open_ = [k for k in some if end[rows[k]] >= watermark]
        near = Nearest(self.people, np.array([rows[k] for k in (*open_, *late)], np.int64))
        while open_:
            asked = [rows[k] for k in open_]
            given = self._candidates(asked, near)
            now = decide(given, self.returning(), self.config.accept, self.config.ambiguous)
            chosen = now.person != NEW
            if not chosen.any():
                chosen = self._first_of_their_kind(asked)
            for j in chosen.nonzero()[0]:
                found[open_[j]] = self._settle(asked[j], now, int(j), by)
                near.changed.add(int(self.people.person_of[asked[j]]))
            open_ = [k for j, k in enumerate(open_) if not chosen[j]]
        for k in late:
            given = self._candidates([rows[k]], near)
            now = decide(given, self.returning(), 2.0, 1.0)  # nobody is as sure as that
            found[k] = self._settle(rows[k], now, 0, by, LATE)
            near.changed.add(int(self.people.person_of[rows[k]]))
        for k in rows.keys() - found.keys():
            found[k] = self._settle(rows[k], _certain(NEW), 0, by, "too few boxes to tell")

    def _merge_by_place(self, kept: int, gone: int, row: int, by: str) -> None:
        """Two people (rows) are one: tracklet ``row`` stood where either did. The log can undo it."""
        people = self.people
        at, ids = float(people.end_of[row]), (int(people.person[kept]), int(people.person[gone]))
        reason = f"tracklet {people.tracklet[row]} stood where both did"
        self.store.append(self.store.operation(), at, by, "merge", *ids, reason=reason)
        people.merge(kept, gone)
        self.apart.merge(kept, gone)
        self._merged = True

    def _settle_by_place(self, row: int, stood: Stood, by: str) -> Decision:
        """Whoever stood where this one did at the same time is this one."""
        assert stood.person is not None
        people, person = self.people, stood.person
        other = people.tracklet[people.last[person] if stood.first is None else stood.first]
        reason = f"stood where he did: {stood.distance:.2f} body heights apart over {stood.moments} moments"
        pair = sorted((int(people.tracklet[row]), int(other)))
        self.store.db.execute("INSERT OR IGNORE INTO link VALUES ('must', ?, ?, ?)", (*pair, reason))
        return self._settle(row, _certain(person, stood.maybe), 0, by, reason)

    def _insert(self, one: Tracklet) -> int:
        """The tracklet in the file and in the arrays; its row."""
        if one.camera in self.people.cameras:
            camera = self.people.cameras.index(one.camera)
        else:
            camera = self.store.camera(one.camera)
            self.people.add_camera(camera, one.camera)
            self.ways.transit.widen(len(self.people.cameras))
            self.apart.widen()
        if one.clock and one.source not in self.people.clock_of_source:
            told = (f"clock:{one.source}", one.clock)
            self.store.db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", told)
            self.people.set_clock(one.source, one.clock)
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
        vector = np.zeros(self.store.dimension, np.float32)
        if one.boxes >= self.config.least_boxes:
            vector = from_blob(to_blob(one.vector))  # as whoever opens the file has it
        return self.people.add_tracklet(number, camera, one.source, one.track, one.begin, one.end, vector)

    def _candidates(self, some: Sequence[int], near: Nearest) -> Candidates:
        """Who the tracklets ``some`` (rows) may be."""
        people, rows = self.people, np.asarray(some)
        person, distance = near.of(rows)  # (K, C)
        if not person.shape[1]:
            return Candidates(person, distance, distance, people.alive, distance > 0)
        times = people.begin_of[rows], people.end_of[rows]
        ratio = self._ratio(person, distance, people.camera_of[rows], *times, people.clock_of[rows])
        for k, row in enumerate(rows):
            mine = [int(row), *self._spoken_for.get(int(row), ())]
            apart = np.concatenate((self.apart.of(mine), self.apart.elsewhere(int(row))))
            if len(apart):
                ratio[k, np.isin(person[k], apart)] = -np.inf
        return Candidates(person, ratio, distance, people.alive, self._alike(person, ratio))

    def _ratio(
        self,
        person: np.ndarray,
        distance: np.ndarray,
        camera: np.ndarray,
        begin: np.ndarray,
        end: np.ndarray,
        clock: np.ndarray,
    ) -> np.ndarray:
        """(K, C) log-likelihood ratios of candidates ``person`` at ``distance`` (K, C), by looks and times; of the
        tracklets' ``camera`` (`NOBODY`: a new one), ``begin``, ``end``, ``clock``, (K,) each."""
        people, last = self.people, self.people.last[person]
        here = (camera != NOBODY)[:, None]
        been = people.been[person, camera[:, None]] & here
        ratio = appearance_ratio(distance, been, self.unit(), self.config, people.views[person])
        if self.config.transit:
            to = np.broadcast_to(camera[:, None], person.shape)
            away = begin[:, None] - people.end_of[last]
            told = self.ways.transit.ratio(people.camera_of[last], to, away, self.config.transit_floor)
            timely = people.clock_of[last] == clock[:, None]
            timely &= people.begin_of[last] <= end[:, None]  # else it came out of order
            ratio += np.where(timely & here, told, 0.0)
        ratio[~people.looks[person]] = -np.inf
        return ratio

    def ask(self, tracklets: Sequence[Tracklet]) -> list[Decision]:
        """Who the tracklets of one camera and moment would be if they ended now; nothing is written.

        Args:
            tracklets: those that are in view together, so each is somebody else; ``apart`` is not looked at.

        Returns:
            one each, ``tracklet`` 0; ``person`` 0 where it would be somebody new.

        Raises:
            InputError: as for :meth:`add`.

        Example:
            >>> import numpy as np
            >>> from retrace.tracker.memory import Memory, Tracklet
            >>> looks = np.eye(2, dtype=np.float32)  # of two people
            >>> with Memory("asked.db", "weights", dimension=2) as memory:
            ...     _ = memory.add([Tracklet("door", "monday", 1, 5.0, 9.0, 40, looks[0])])
            ...     both = [Tracklet("door", "tuesday", k + 1, 99.0, 99.5, 5, looks[k]) for k in (0, 1)]
            ...     [(who.person, who.new) for who in memory.ask(both)], memory.people.size  # still one tracklet
            ([(1, False), (0, True)], 1)
        """
        for one in tracklets:
            check(one, self.store.dimension)
        self.refresh()
        people = self.people
        if not people.count or not tracklets:
            return [Decision(0, 0, True, 1.0) for _ in tracklets]
        camera = np.array(
            [
                people.cameras.index(one.camera) if one.camera in people.cameras else NOBODY
                for one in tracklets
            ]
        )
        ahead = np.where(camera == NOBODY, 0.0, people.clock[camera])
        begin, end = (
            np.array([getattr(one, name) for one in tracklets]) + ahead for name in ("begin", "end")
        )
        clock = np.array([people.clock_number.get(one.clock, NOBODY) for one in tracklets])
        looks = people.centred(np.stack([one.vector for one in tracklets]), camera)
        person, cosine = nearest(looks, people.directions())
        distance = 1.0 - cosine.astype(np.float64)
        ratio = self._ratio(person, distance, camera, begin, end, clock)
        given = Candidates(person, ratio, distance, people.alive, self._alike(person, ratio))
        now = decide(given, self.returning(), self.config.accept, self.config.ambiguous)
        found = []
        for who, chance, far in zip(now.person.tolist(), now.probability, now.distance, strict=True):
            new = who == NEW
            named, away = (0, None) if new else (int(people.person[who]), round(float(far), DIGITS))
            found.append(Decision(0, named, new, round(float(chance), DIGITS), distance=away))
        return found

    def _alike(self, person: np.ndarray, ratio: np.ndarray) -> np.ndarray:
        """(K, C) bool: of the `RIVALS` likeliest, who may well be the same person as the likeliest."""
        found = np.zeros(person.shape, bool)
        order = np.argsort(-ratio, axis=1, kind="stable")[:, :RIVALS]
        who = np.take_along_axis(person, order, axis=1)  # (K, R)
        mean, views = self.people.mean[who].astype(np.float64), self.people.views[who]  # (K, R, D), (K, R)
        distance = 1.0 - np.einsum("krd,kd->kr", mean, mean[:, 0])
        here = np.zeros(who.shape, bool)
        like = appearance_ratio(distance, here, self.unit(), self.config, views, views[:, :1]) > ONE_PERSON
        like &= np.isfinite(np.take_along_axis(ratio, order, axis=1))
        for k, r in np.argwhere(like[:, 1:]):
            like[k, r + 1] = int(who[k, r + 1]) not in self.apart.strangers(int(who[k, 0]))
        np.put_along_axis(found, order, like, axis=1)
        return found

    def unit(self) -> float:
        """The mean distance of different people: of pairs that were seen beside each other here, once there are
        enough of them, else as where the maps were fitted."""
        enough = self._strangers[1] >= self.config.strangers_pairs
        return float(self._strangers[0] / self._strangers[1]) if enough else self.config.strangers

    def returning(self) -> float:
        """The prior that who comes is somebody known: as many as have been so far, the config's word counting as
        `PRIOR_WEIGHT` tracklets."""
        tracklets, people = self.people.size, self.people.alive
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
            self.apart.link(a, b)
        known = beside[people.known[beside]] if one.apart is not None else beside[:0]
        if len(known) and people.known[row]:
            mine = people.directions_of(np.array([row]))[0]
            distance = 1.0 - people.directions_of(known).astype(np.float64) @ mine
            self._strangers += distance.sum(), len(distance)
            told = [
                (key, repr(float(value)))
                for key, value in zip(self._strangers_keys(), self._strangers, strict=True)
            ]
            self.store.db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", told)

    def _first_of_their_kind(self, some: Sequence[int]) -> np.ndarray:
        """(K,) bool: the tracklets of newcomers who are like no earlier one of this window. The others are asked
        again when those are people."""
        rows = np.asarray(some)
        vector, camera = self.people.directions_of(rows).astype(np.float64), self.people.camera_of[rows]
        ratio = appearance_ratio(1.0 - vector @ vector.T, camera[:, None] == camera, self.unit(), self.config)
        return np.asarray(~np.tril(ratio > 0, -1).any(1))

    def _settle(self, row: int, now: Round, j: int, by: str, reason: str = "") -> Decision:
        """Write down what was decided of one tracklet: whose it is, and whom it may be instead."""
        people, tracklet, at = self.people, int(self.people.tracklet[row]), float(self.people.end_of[row])
        operation, joined = self.store.operation(), int(now.person[j])
        probability, new = round(float(now.probability[j]), DIGITS), joined == NEW
        like = [
            (int(people.person[who]), round(float(chance), DIGITS))
            for who, chance in (
                (now.second[j], now.second_probability[j]),
                (now.rival[j], now.rival_probability[j]),
            )
            if who != NEW and chance >= self.config.suggest
        ]
        if new:
            joined = people.add_person(self.store.new_person(at))
            between = "like two people nearly equally" if now.rival[j] != NEW else "like nobody"
            reason = reason or between
        reason = reason or "by looks"
        person = int(people.person[joined])
        distance = None if new or not np.isfinite(now.distance[j]) else round(float(now.distance[j]), DIGITS)
        evidence = {"posterior": probability, "reason": reason, "distance": distance, "new": new or None}
        self.store.append(operation, at, by, "assign", tracklet, person, **evidence)
        for other, chance in like:
            self.store.append(operation, at, by, "suggest", other, person, posterior=chance)
        if not new and probability >= SURE:
            self.ways.joined(row, joined)
        people.put(row, joined)
        self.apart.put(row)
        maybe, rival = [*(who for who, _ in like), None, None][:2]
        return Decision(tracklet, person, new, probability, maybe, reason, distance, rival)


def _certain(person: int, maybe: int | None = None) -> Round:
    """One tracklet whose person is not a question of likeness."""
    second = NEW if maybe is None else maybe
    values = (person, 1.0, np.nan, second, 0.0 if maybe is None else 1.0, NEW, 0.0)
    return Round(*(np.array([value]) for value in values))
