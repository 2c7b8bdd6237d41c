"""People who walk over a square that several cameras see, by a pinhole model: boxes, and who they are."""

from __future__ import annotations

import numpy as np

from retrace.tracker.data import MotTable

SIZE = (640, 480)  # px
TALL = 1.7  # m
CORNERS = [(-9.0, -9.0), (9.0, -9.0), (9.0, 9.0), (-9.0, 9.0)]  # m, where cameras hang, 4 m high


def projection(x: float, y: float, z: float = 4.0, focal: float = 420.0) -> np.ndarray:
    """(3, 4) of a camera at (x, y, z) that looks at the middle of the square."""
    forward = -np.array([x, y, z]) / np.linalg.norm([x, y, z])
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    turn = np.array([right, np.cross(forward, right), forward])
    inner = np.array([[focal, 0, SIZE[0] / 2], [0, focal, SIZE[1] / 2], [0, 0, 1]])
    return inner @ np.c_[turn, -turn @ np.array([x, y, z])]


def to_ground(k: int) -> np.ndarray:
    """(3, 3) pixels of camera k -> m."""
    return np.linalg.inv(projection(*CORNERS[k])[:, [0, 1, 3]])


def paths(people: int, frames: int, seed: int) -> np.ndarray:
    """(people, frames, 2) m, each round a circle of its own."""
    rng = np.random.default_rng(seed)
    middle, reach = rng.uniform(-2.5, 2.5, (people, 1, 2)), rng.uniform(1.0, 3.0, (people, 1, 1))
    turn = rng.uniform(0, 6.28, (people, 1)) + np.arange(frames) * rng.choice([-1, 1], (people, 1)) * 0.06
    return middle + reach * np.stack([np.cos(turn), np.sin(turn)], axis=2)


def view(walks: np.ndarray, k: int, noise: float = 0.0, seed: int = 0) -> MotTable:
    """What camera k sees of walks (people, frames, 2); ids are people from 1; ``noise`` px on every edge."""
    people, frames = walks.shape[:2]
    feet = np.concatenate([walks, np.zeros((people, frames, 1)), np.ones((people, frames, 1))], axis=2)
    tops = feet + np.array([0, 0, TALL, 0])
    camera = projection(*CORNERS[k])
    foot, top = (points @ camera.T for points in (feet, tops))
    foot, top = foot[..., :2] / foot[..., 2:], top[..., :2] / top[..., 2:]
    half = (foot[..., 1] - top[..., 1]) * 0.2
    xyxy = np.stack([foot[..., 0] - half, top[..., 1], foot[..., 0] + half, foot[..., 1]], axis=2)
    xyxy = xyxy + np.random.default_rng(seed + k).normal(0, noise, xyxy.shape) if noise else xyxy
    seen = (xyxy[..., :2] > 0).all(2) & (xyxy[..., 2:] < SIZE).all(2)
    person, frame = np.broadcast_arrays(np.arange(people)[:, None] + 1, np.arange(frames))
    order = np.lexsort((person[seen], frame[seen]))
    one = np.ones(int(seen.sum()))
    return MotTable(
        frame[seen][order], person[seen][order], xyxy[seen][order], one, one.astype(np.int64), one
    )


def site(
    people: int = 6, frames: int = 120, cameras: int = 3, noise: float = 0.0, seed: int = 0
) -> dict[str, MotTable]:
    """By camera; the same id in two cameras is the same person."""
    walks = paths(people, frames, seed)
    return {f"cam{k + 1}": view(walks, k, noise, seed) for k in range(cameras)}
