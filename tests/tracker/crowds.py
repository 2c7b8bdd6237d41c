"""Random scenes that ask everything of a tracker: crossings, absences, doubles, classes, a moving camera, odd times."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from retrace.tracker.data import Detections

Given = tuple[Detections, float | None, np.ndarray | None]  # detections, timestamp, warp


@lru_cache(maxsize=64)
def crowd(
    seed: int,
    people: int = 6,
    frames: int = 30,
    dimension: int = 0,
    classes: int = 1,
    camera: bool = False,
    clock: bool = False,
    fps: float = 30.0,
) -> tuple[Given, ...]:
    """People who cross, vanish for a while, are seen twice or poorly; some vectors unknown.

    Many tests ask for the same scene, so it is drawn once: nobody may change what is given.

    Args:
        camera: it moves and zooms, and the warps say so (without rotation: with it
            tracker/motion/filters.py drops a coupling).
        clock: frames of unequal length, with timestamps.
    """
    rng = np.random.default_rng(seed)
    place, speed = rng.uniform(0, 150, (people, 2)), rng.normal(0, 3, (people, 2))
    size = rng.uniform(25, 45, (people, 1)) * [1, 2.2]
    kind, look = rng.integers(0, classes, people), rng.normal(size=(people, max(dimension, 1)))
    away, zoom, shift, time = np.zeros(people, int), 1.0, np.zeros(2), 0.0
    given: list[Given] = []
    for _ in range(frames):
        length = rng.choice([1.0, 1.0, 1.0, 0.7, 2.3]) if clock else 1.0
        time += length / fps
        place = place + speed * length + rng.normal(0, 0.5, (people, 2))
        away = np.where((away == 0) & (rng.random(people) < 0.08), rng.integers(1, 12, people), away - 1)
        away = np.maximum(away, 0)
        seen = np.flatnonzero(away == 0)
        twice = rng.choice(seen, rng.binomial(len(seen), 0.15), replace=False) if len(seen) else seen
        who = np.concatenate((seen, twice)).astype(int)
        box = np.concatenate((place, place + size), axis=1)[who] + rng.normal(0, 1.2, (len(who), 4))
        score = rng.choice([0.95, 0.8, 0.72, 0.58, 0.3], len(who)) + rng.uniform(0, 0.05, len(who))
        score[len(seen) :] *= rng.uniform(0.7, 1, len(twice))
        alarms = rng.poisson(0.4)
        corner = rng.uniform(-50, 200, (alarms, 2))
        false = np.concatenate((corner, corner + rng.uniform(20, 60, (alarms, 2))), axis=1)
        score = np.concatenate((score, rng.uniform(0.02, 0.99, alarms)))
        warp = None
        if camera:
            step, move = rng.uniform(0.97, 1.03), rng.normal(0, 4, 2)
            warp = np.array([[step, 0, move[0]], [0, step, move[1]]])
            zoom, shift = zoom * step, shift * step + move
        vectors = None
        if dimension:
            vectors = np.concatenate((look[who], rng.normal(size=(alarms, dimension))))
            vectors = vectors + rng.normal(0, 0.35, vectors.shape)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            vectors[rng.random(len(vectors)) < 0.1] = 0
        found = Detections(
            np.concatenate((box, false)) * zoom + np.tile(shift, 2),
            score,
            np.concatenate((kind[who], rng.integers(0, classes, alarms))),
            vectors,
        )
        for array in (found.xyxy, found.score, found.class_id, found.embedding, warp):
            if array is not None:
                array.setflags(write=False)
        given.append((found, time if clock else None, warp))
    return tuple(given)


def nightmare(seed: int, frames: int, dimension: int = 4, fps: float = 30.0) -> Iterator[Given]:
    """What no camera should send, and some do: see each branch."""
    rng = np.random.default_rng(seed)
    time, pace = 0.0, 1.0 / fps
    base = rng.uniform(0, 800, (12, 2))
    size = rng.uniform(20, 60, (12, 1)) * [1, 2]
    look = rng.normal(size=(4000, dimension))
    look = (look / np.linalg.norm(look, axis=1, keepdims=True)).astype(np.float32)
    for _ in range(frames):
        kind = rng.choice(KINDS, p=CHANCES)
        box = np.concatenate((base, base + size), axis=1) + rng.normal(0, 2, (12, 4))
        if kind == "empty":
            box = box[:0]
        elif kind == "thousand":
            corner = rng.uniform(0, 4000, (1000, 2))
            box = np.concatenate((corner, corner + rng.uniform(5, 120, (1000, 2))), axis=1)
        elif kind == "identical":
            box = np.repeat(box[:1], rng.integers(2, 120), axis=0)
        elif kind == "pixel":
            corner = rng.integers(0, 60, (40, 2))
            box = np.concatenate((corner, corner + 1), axis=1).astype(np.float64)
        elif kind == "speck":
            corner = rng.uniform(0, 1, (5, 2))
            box = np.concatenate((corner, corner + 1e-4), axis=1)
        elif kind == "no size":
            box[::2, 2:] = box[::2, :2]
        elif kind == "teleport":
            base = rng.uniform(-1e5, 1e5, (12, 2))
        elif kind == "resize":
            size = rng.uniform(1, 900, (12, 2))
        elif kind == "stall":
            time += rng.choice([2.0, 60.0, 1e5])
        elif kind == "pace":
            pace = rng.choice([1e-4, 1 / 120, 1 / 30, 0.2, 3.0])
        warp = None
        if kind == "warp":
            turn, zoom = rng.uniform(0, 2 * np.pi), np.exp(rng.uniform(-0.7, 0.7))
            linear = zoom * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
            warp = np.column_stack((linear * rng.choice([1, -1], 2), rng.normal(0, 300, 2)))
        time += pace * rng.uniform(0.5, 1.5)
        score = rng.random(len(box))
        score = np.round(score) if rng.random() < 0.3 else score
        vectors = look[: len(box)] if rng.random() < 0.7 else None
        if vectors is not None and rng.random() < 0.2:
            vectors = np.where(rng.random((len(box), 1)) < 0.5, vectors, np.float32(0))
        yield Detections(box, score, rng.integers(0, 2, len(box)), vectors), time, warp


ODD = {  # chance in a hundred; people as usual in the rest
    "empty": 8,
    "thousand": 0.6,
    "identical": 2,
    "pixel": 4,
    "speck": 2,
    "no size": 4,
    "teleport": 4,
    "resize": 4,
    "stall": 2,
    "pace": 3,
    "warp": 6,
}
KINDS = (*ODD, "people")
CHANCES = np.array([*ODD.values(), 100 - sum(ODD.values())]) / 100
