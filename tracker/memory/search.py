"""Where and when was this person: photos in, visits out, and an honest 'nobody'."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from retrace.configs.errors import InputError
from retrace.tracker.memory.engines import NONE, Engine, Where
from retrace.tracker.memory.evidence import appearance_ratio, posterior
from retrace.tracker.memory.memory import Memory
from retrace.tracker.memory.nearest import MOST
from retrace.tracker.memory.people import NOBODY, People


@dataclass(frozen=True, slots=True)
class Visit:
    """One tracklet of a person who was found."""

    tracklet: int
    camera: str
    begin: float  # s
    end: float  # s
    similarity: float  # cosine to the nearest photo; of the person's mean, where its own vector is gone


@dataclass(frozen=True, slots=True)
class Found:
    """A person, with the visits that fit the filter, the most similar first."""

    person: int
    probability: float  # posterior that the photos show this person, beside all others and nobody
    visits: tuple[Visit, ...]


def search(
    memory: Memory,
    photos: np.ndarray,
    least: float = 0.05,
    top: int = 10,
    since: float | None = None,
    until: float | None = None,
    cameras: Collection[str] | None = None,
) -> list[Found]:
    """People who may be on the photos, the likeliest first; empty: nobody reaches ``least``.

    Everybody's mean vector is compared, and every vector of those who are named; with an engine, the means of those
    whose tracklets it finds to be the nearest.

    Args:
        photos: (M, D) float32 unit vectors of one person.
        least: posterior below which nobody is named.
        since, until: s; only visits that touch this time.
        cameras: names; only visits there.

    Raises:
        InputError: vectors of another size or not of norm 1, an unknown camera, an empty time.
    """
    memory.refresh()
    people = memory.people
    photos = np.atleast_2d(np.asarray(photos, np.float32))
    if photos.ndim != 2 or photos.shape[1] != people.dimension or not len(photos):
        raise InputError(
            f"photos must be (M, {people.dimension}) vectors of this memory's weights, got {photos.shape}"
        )
    norm = np.linalg.norm(photos, axis=1)
    if not (np.abs(norm - 1) <= 1e-2).all():
        raise InputError(f"photo vectors must have norm 1, got {norm.min():g} to {norm.max():g}")
    rows = _fitting(memory, since, until, cameras)
    if not len(rows):
        return []
    there = np.zeros(people.count, bool)
    there[people.person_of[rows]] = True
    count = int(there.sum())
    engine = memory.engine
    if engine is None:
        who = there.nonzero()[0]
        mean = (people.directions() @ photos.T)[who]  # (P, M)
    else:
        numbers = (
            None if cameras is None else tuple(people.cameras.index(name) for name in sorted({*cameras}))
        )
        who = _owners(engine, people, photos, max(MOST, 4 * top), Where(numbers, since, until))
        with_vectors = np.zeros(people.count, bool)
        with_vectors[people.person_of[rows[people.known[rows]]]] = True
        who = np.union1d(who, (there & ~with_vectors).nonzero()[0])  # only their means are left
        mean = people.mean[who] @ photos.T
    distance = 1.0 - mean.mean(1, dtype=np.float64)
    elsewhere = np.zeros((1, len(who)), bool)
    ratio = appearance_ratio(distance[None], elsewhere, memory.unit(), memory.config)
    chance = posterior(ratio, memory.returning(), count)[0][0]
    best = np.lexsort((who, -chance))[:top]
    found = []
    for person in best[chance[best] >= least]:  # over the answers
        mine = rows[people.person_of[rows] == who[person]]
        own = people.known[mine][:, None]  # what was folded is in the mean
        nearest = (np.where(own, people.vectors[mine], people.mean[who[person]]) @ photos.T).max(1)
        order = np.lexsort((mine, -nearest))
        visits = tuple(
            Visit(
                int(people.tracklet[row]),
                people.cameras[people.camera_of[row]],
                float(people.begin_of[row]),
                float(people.end_of[row]),
                float(like),
            )
            for row, like in zip(mine[order], nearest[order], strict=True)
        )
        found.append(Found(int(people.person[who[person]]), float(chance[person]), visits))
    return found


def _owners(engine: Engine, people: People, photos: np.ndarray, most: int, where: Where) -> np.ndarray:
    """(P,) rows of the people whose tracklets are nearest to the photos: ``most`` at least, if there are so many."""
    ask = 8 * most
    while True:
        ids, _ = engine.search(photos, ask, where)
        rows = [people.row_of_tracklet[one] for one in np.unique(ids[ids != NONE]).tolist()]
        who = np.unique(people.person_of[rows])
        if len(who) >= most or (ids == NONE).any():
            return who
        ask *= 4


def _fitting(
    memory: Memory, since: float | None, until: float | None, cameras: Collection[str] | None
) -> np.ndarray:
    """(R,) rows of the tracklets of people of known looks that fit the filter."""
    people, here = memory.people, slice(0, memory.people.size)
    for name, time in (("since", since), ("until", until)):
        if time is not None and time != time:
            raise InputError(f"`{name}` is nan: expected seconds on the memory's clock")
    if since is not None and until is not None and since > until:
        raise InputError(f"nothing lies between {since} s and {until} s: since must not be after until")
    owner = people.person_of[here]
    fits = (owner != NOBODY) & people.looks[owner]
    if since is not None:
        fits &= people.end_of[here] >= since
    if until is not None:
        fits &= people.begin_of[here] <= until
    if cameras is not None:
        unknown = sorted({*cameras} - {*people.cameras})
        if unknown:
            raise InputError(
                f"no camera {unknown[0]!r} in this memory; it knows {', '.join(people.cameras) or 'none'}"
            )
        chosen = np.array([name in cameras for name in people.cameras], bool)
        fits &= chosen[people.camera_of[here]]
    return np.asarray(fits.nonzero()[0])
