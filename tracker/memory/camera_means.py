"""What everybody looks like in a camera, which says nothing of anybody.

A camera's light, colours and angle are in every vector that a network makes of its pictures, most so of a camera
unlike those that it was trained on: people of one camera are nearer to each other than to themselves in another one.
Vectors are compared less the mean of the camera's people. It is a mean of people, not of visits, as one who passes
every day would be in it every day; and of few people it is mostly they themselves, so it counts by n / (n + ``half``).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

GROWN = 1.1  # times as many people: the mean is taken anew


@dataclass(slots=True, eq=False)
class CameraMeans:
    """The means of C cameras: as they would be now, and as they are in use.

    A mean is taken anew when a tenth more people have come than when it was taken, counted person by person: whoever
    reads the same people in the same order has the same means, whenever he asks.
    """

    dimension: int
    half: float | None  # so many people, and it counts half; None: vectors are compared as they are
    # (C, D) sum of the first vectors of its people
    total: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    people: np.ndarray = field(default_factory=lambda: np.zeros(0))  # (C,) how many
    taken: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))  # (C, D) the newest mean
    then: np.ndarray = field(default_factory=lambda: np.zeros(0))  # (C,) people when that was taken
    used: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))  # (C, D) what is taken off

    def __post_init__(self) -> None:
        self.total = np.zeros((0, self.dimension))
        self.taken = self.used = np.zeros((0, self.dimension), np.float32)

    def add_camera(self) -> None:
        """Room for one more."""
        more = ((0, 1), (0, 0))
        self.total, self.taken, self.used = (np.pad(a, more) for a in (self.total, self.taken, self.used))
        self.people, self.then = np.append(self.people, 0.0), np.append(self.then, 0.0)

    def meet(self, camera: int, vector: np.ndarray) -> None:
        """Somebody is seen in this camera for the first time."""
        self.total[camera] += vector
        self.people[camera] += 1
        if self.half is not None and self.people[camera] >= GROWN * self.then[camera]:
            self.taken[camera] = self.total[camera] / (self.people[camera] + self.half)
            self.then[camera] = self.people[camera]

    def renew(self) -> np.ndarray:
        """(C,) bool: cameras of which another mean is in use from now on."""
        changed = (self.taken != self.used).any(1)
        self.used = self.taken.copy()
        return np.asarray(changed)

    def nearest(self, vectors: np.ndarray) -> np.ndarray:
        """(M, D) what to take off pictures of unknown origin, (M, D): that of the camera whose people they are most
        like. Where cameras hardly differ, it does not matter which."""
        length = np.linalg.norm(self.used, axis=1)
        known = (length > 0).nonzero()[0]
        if not len(known):
            return np.zeros_like(vectors)
        return self.used[known[(vectors @ (self.used[known] / length[known, None]).T).argmax(1)]]
