"""Small random scenes with known identities, for invariants."""

from __future__ import annotations

import numpy as np

from retrace.tracker.data import Detections


def walk(seed: int, people: int = 6, frames: int = 40, dimension: int = 0) -> list[Detections]:
    """People on straight, noisy paths; misses, low scores, false alarms; vectors when ``dimension`` > 0."""
    rng = np.random.default_rng(seed)
    place = rng.uniform(0, 400, (people, 2))
    speed = rng.normal(0, 4, (people, 2))
    size = rng.uniform(25, 40, (people, 1)) * [1, 2.4]
    look = rng.normal(size=(people, max(dimension, 1)))
    scene = []
    for _ in range(frames):
        place = place + speed + rng.normal(0, 0.5, (people, 2))
        seen = np.flatnonzero(rng.random(people) < 0.85)
        box = np.concatenate((place, place + size), axis=1)[seen] + rng.normal(0, 1, (len(seen), 4))
        score = rng.choice([0.95, 0.85, 0.72, 0.3], len(seen)) + rng.uniform(0, 0.04, len(seen))
        alarms = rng.poisson(0.4)
        corner = rng.uniform(0, 400, (alarms, 2))
        box = np.concatenate(
            (box, np.concatenate((corner, corner + rng.uniform(20, 60, (alarms, 2))), axis=1))
        )
        score = np.concatenate((score, rng.uniform(0.05, 0.99, alarms)))
        vectors = None
        if dimension:
            vectors = np.concatenate((look[seen], rng.normal(size=(alarms, dimension))))
            vectors = vectors + rng.normal(0, 0.3, vectors.shape)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        scene.append(Detections(box, score, embedding=vectors))
    return scene


def take(detections: Detections, rows: np.ndarray, shift: tuple[float, float] = (0, 0)) -> Detections:
    """Some rows of a frame, in the given order, moved by ``shift`` px."""
    vectors = None if detections.embedding is None else detections.embedding[rows]
    return Detections(
        detections.xyxy[rows] + np.tile(shift, 2),
        detections.score[rows],
        detections.class_id[rows],
        vectors,
    )
