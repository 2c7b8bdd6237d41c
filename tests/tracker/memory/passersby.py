"""People who pass cameras again and again, with vectors like their own."""

from __future__ import annotations

import numpy as np

from retrace.tracker.memory import Tracklet

D = 128


def vector_of(person: int, rng: np.random.Generator, spread: float = 0.3) -> np.ndarray:
    """(D,) a noisy unit vector around the person's own."""
    own = np.random.default_rng(1000 + person).normal(size=D)
    noisy = own / np.linalg.norm(own) + rng.normal(size=D) * spread / np.sqrt(D)
    return (noisy / np.linalg.norm(noisy)).astype(np.float32)


def tracklet(person: int, begin: float, rng: np.random.Generator | None = None, **other: object) -> Tracklet:
    rng = rng or np.random.default_rng(int(begin * 10) + person)
    given: dict = {
        "camera": "door", "source": "door", "track": int(begin * 10) * 100 + person, "begin": begin,
        "end": begin + 3.0, "boxes": 5, "vector": vector_of(person, rng), "apart": frozenset(),
    }  # fmt: skip
    return Tracklet(**{**given, **other})


def day(seed: int, people: int = 8, visits: int = 60, cameras: int = 3) -> list[tuple[int, Tracklet]]:
    """(person, tracklet) by end; nobody is twice in a camera at once."""
    rng = np.random.default_rng(seed)
    free = np.zeros(people)
    found = []
    for k in range(visits):
        person = int(rng.integers(people))
        begin = float(max(free[person], 5.0 * k) + rng.uniform(0, 5))
        free[person] = begin + 10
        camera = f"c{int(rng.integers(cameras))}"
        found.append(
            (
                person,
                tracklet(
                    person, begin, rng, camera=camera, source=camera, track=k, apart=None, end=begin + 4.0
                ),
            )
        )
    return sorted(found, key=lambda pair: pair[1].end)
