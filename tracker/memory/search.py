"""Where and when was this person: photos in, visits out, and an honest 'nobody'."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from retrace.configs.errors import InputError
from retrace.tracker.boxes import area
from retrace.tracker.data import Frame
from retrace.tracker.memory.engines import NONE, Engine, Where
from retrace.tracker.memory.evidence import appearance_ratio, posterior
from retrace.tracker.memory.memory import Memory
from retrace.tracker.memory.nearest import MOST
from retrace.tracker.memory.people import NOBODY, People
from retrace.tracker.pipeline import Embed

if TYPE_CHECKING:
    from retrace.tracker.detection.boxes_file import Detector

CROP = 1.3  # height / width from which a picture is a crop of one person
SEEN = 0.3  # score from which a box is a person


@dataclass(frozen=True, slots=True)
class Visit:
    """One tracklet of a person who was found.

    Example:
        >>> import numpy as np
        >>> from retrace.tracker.memory import Memory, Tracklet, search
        >>> looks = np.eye(2, dtype=np.float32)  # of two people
        >>> with Memory("visits.db", "weights", dimension=2) as memory:
        ...     _ = memory.add([Tracklet("door", "monday", 1, 5.0, 9.0, 40, looks[0])])
        ...     visit = search(memory, looks[:1])[0].visits[0]
        >>> visit.camera, visit.end - visit.begin, visit.similarity  # s, cosine
        ('door', 4.0, 1.0)
    """

    tracklet: int
    camera: str
    begin: float  # s
    end: float  # s
    similarity: float  # cosine to the nearest photo; of the person's mean, where its own vector is gone


@dataclass(frozen=True, slots=True)
class Found:
    """A person, with the visits that fit the filter, the most similar first.

    Example:
        >>> import numpy as np
        >>> from retrace.tracker.memory import Memory, Tracklet, search
        >>> looks = np.eye(2, dtype=np.float32)  # of two people
        >>> with Memory("found.db", "weights", dimension=2) as memory:
        ...     stays = [Tracklet("door", "monday", k + 1, 9.0 * k, 9.0 * k + 5, 40, looks[k]) for k in (0, 1)]
        ...     _ = memory.add(stays)
        ...     found = search(memory, np.array([[0.8, 0.6]], np.float32), least=0)
        >>> [one.person for one in found], found[0].probability > found[1].probability, len(found[0].visits)
        ([1, 2], True, 1)
    """

    person: int
    probability: float  # posterior that the photos show this person, beside all others and nobody
    visits: tuple[Visit, ...]


def is_crop(photo: np.ndarray) -> bool:
    """Whether a picture (H, W, 3) is taken for a crop of one person, by its shape."""
    return bool(photo.shape[0] >= CROP * photo.shape[1])


def photo_vectors(
    photos: Sequence[np.ndarray], embed: Embed, detector: Detector | None = None, names: Sequence[str] = ()
) -> np.ndarray:
    """(M, D) float32 unit rows, one a photo: of the crop itself, or of the largest person in the picture.

    Args:
        photos: (H, W, 3) uint8 BGR each.
        embed: the embedder of the memory's weights.
        detector: of `open_detector`, finds people where a photo is no crop (`is_crop`); None: all are crops.
        names: of the photos, for messages; default: their numbers, from 1.

    Raises:
        InputError: no photo, or nobody is found in one; the message names it.

    Example:
        >>> import numpy as np
        >>> from retrace import Embedder
        >>> from retrace.tracker.memory import photo_vectors
        >>> crop = np.full((128, 64, 3), 90, np.uint8)
        >>> photo_vectors([crop], Embedder.from_weights("auto")).shape  # for `search(memory, ...)`
        (1, 512)
    """
    if not len(photos):
        raise InputError("no photos to search by")
    found = []
    for name, photo in zip(names or [f"photo {k + 1}" for k in range(len(photos))], photos, strict=True):
        height, width = photo.shape[:2]
        box = np.array([[0, 0, width, height]], np.float32)
        if detector is not None and not is_crop(photo):
            box = _largest_person(photo, detector, name)
        found.append(embed(photo, box)[0])
    return np.stack(found)


def _largest_person(photo: np.ndarray, detector: Detector, name: str) -> np.ndarray:
    """(1, 4) the largest box of those that are sure."""
    seen = detector.find(Frame(0, 0.0, photo))
    sure = seen.xyxy[seen.score >= SEEN]
    if not len(sure):
        raise InputError(
            f"{name}: nobody found in the picture ({detector.description}); give a crop of the person"
        )
    return np.asarray(sure[[area(sure).argmax()]])


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

    Example:
        >>> import numpy as np
        >>> from retrace.tracker.memory import Memory, Tracklet, search
        >>> looks = np.eye(2, dtype=np.float32)  # of two people
        >>> with Memory("people.db", "weights", dimension=2) as memory:
        ...     _ = memory.add([Tracklet("door", "monday", 1, 5.0, 9.0, 40, looks[0])])
        ...     found = search(memory, looks[:1], least=0.4)
        ...     nobody = search(memory, looks[1:], least=0.4)
        >>> found[0].person, found[0].visits[0].camera, nobody
        (1, 'door', [])
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
    less = people.centred(photos, np.full(len(photos), NOBODY))
    if engine is None:
        who = there.nonzero()[0]
        mean = (people.directions() @ less.T)[who]  # (P, M)
    else:
        numbers = (
            None if cameras is None else tuple(people.cameras.index(name) for name in sorted({*cameras}))
        )
        who = _owners(engine, people, photos, max(MOST, 4 * top), Where(numbers, since, until))
        with_vectors = np.zeros(people.count, bool)
        with_vectors[people.person_of[rows[people.known[rows]]]] = True
        who = np.union1d(who, (there & ~with_vectors).nonzero()[0])  # only their means are left
        mean = people.mean[who] @ less.T
    distance = 1.0 - mean.mean(1, dtype=np.float64)
    elsewhere = np.zeros((1, len(who)), bool)
    ratio = appearance_ratio(distance[None], elsewhere, memory.unit(), memory.config, people.views[who])
    chance = posterior(ratio, memory.returning(), count)[0][0]
    best = np.lexsort((who, -chance))[:top]
    found = []
    for person in best[chance[best] >= least]:  # over the answers
        mine = rows[people.person_of[rows] == who[person]]
        own = people.known[mine][:, None]  # what was folded is in the mean
        whole = people.total[who[person]] / max(float(np.linalg.norm(people.total[who[person]])), 1e-12)
        nearest = (np.where(own, people.vectors[mine], whole) @ photos.T).max(1)
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
