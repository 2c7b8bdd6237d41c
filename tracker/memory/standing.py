"""Where tracklets of calibrated cameras stood: kept in the file, asked when somebody else stood there, too."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np

from retrace.tracker.memory.apart import Apart
from retrace.tracker.memory.people import NOBODY, People
from retrace.tracker.memory.places import Path, Stood, same_place
from retrace.tracker.memory.store import Store
from retrace.tracker.memory.tracklet import Tracklet
from retrace.tracker.site.config import SiteConfig
from retrace.tracker.site.ground import Ground


class Standing:
    """The cameras' planes, and the paths of tracklets; for one `Memory`."""

    def __init__(self, store: Store, config: SiteConfig) -> None:
        self._store, self._config = store, config
        given = store.read("SELECT substr(key, 8), value FROM meta WHERE key LIKE 'ground:%'")
        self._plane = {name: np.array(json.loads(text), float).reshape(3, 3) for name, text in given}

    def set_ground(self, ground: Ground) -> None:
        """Keep where cameras look."""
        planes = {name: plane.tolist() for name, plane in zip(ground.cameras, ground.plane, strict=True)}
        with self._store.writing():
            rows = [(f"ground:{name}", json.dumps(plane)) for name, plane in planes.items()]
            self._store.db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)
        self._plane |= {name: np.array(plane) for name, plane in planes.items()}

    def of(
        self,
        people: People,
        tracklets: Sequence[Tracklet],
        rows: Mapping[int, int],
        apart: Apart,
    ) -> dict[int, Stood]:
        """Who of the new tracklets was seen by another camera at the same time and place; rows of people.

        Args:
            people: everybody.
            tracklets: of a window; their paths are written down.
            rows: of ``people``, by place in the window, of those that are new.
            apart: who is surely somebody else.
        """
        new = {
            row: Path(path, self._plane[tracklets[k].camera])
            for k, row in rows.items()
            if len(path := self._keep(people, tracklets[k], row)) and tracklets[k].camera in self._plane
        }
        if not new:
            return {}
        times = np.concatenate([walk.place[[0, -1], 0] for walk in new.values()])
        here = slice(0, people.size)
        was = people.placed[here] & (people.person_of[here] != NOBODY)
        was &= (people.end_of[here] >= times.min()) & (people.begin_of[here] <= times.max())
        there = {
            int(row): (int(people.person_of[row]), self._kept(people, int(row))) for row in was.nonzero()[0]
        }
        never = set()
        for row in new:
            for other in apart.tracklets.get(int(people.tracklet[row]), ()):
                beside = people.row_of_tracklet[other]
                never.add((row, beside if beside in new else -1 - int(people.person_of[beside])))
        for person, _ in there.values():
            never |= {(-1 - person, -1 - other) for other in apart.persons.get(person, ())}
        camera = {row: int(people.camera_of[row]) for row in (*new, *there)}
        boxes = {rows[k]: tracklets[k].boxes for k in rows}
        return same_place(new, there, camera, never, boxes, self._config)

    def _keep(self, people: People, one: Tracklet, row: int) -> np.ndarray:
        """(M, 4) of a new tracklet, by the corrected clock; it is written down."""
        if one.path is None or not len(one.path):
            return np.zeros((0, 4))
        people.placed[row] = True
        values = int(people.tracklet[row]), one.path.astype("<f8").tobytes()
        self._store.db.execute("INSERT INTO path VALUES (?, ?)", values)
        return one.path + np.array([people.clock[people.camera_of[row]], 0, 0, 0])

    def _kept(self, people: People, row: int) -> Path:
        """Where the tracklet of a row stood, from the file."""
        query = "SELECT places FROM path WHERE tracklet = ?"
        ((blob,),) = self._store.read(query, (int(people.tracklet[row]),))
        camera = int(people.camera_of[row])
        place = np.frombuffer(blob, "<f8").reshape(-1, 4) + np.array([people.clock[camera], 0, 0, 0])
        return Path(place, self._plane[people.cameras[camera]])
