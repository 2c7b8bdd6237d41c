"""Kalman filters as a textbook has them: full matrices, one track at a time."""

import numpy as np


def textbook(kind):
    """Standard deviations as the papers write them: (start, process, measurement) of an 8-state filter, from z."""
    if kind == "sort":  # 7 states there: the aspect has no speed
        root = np.sqrt
        return (
            lambda z: root([10, 10, 10, 10, 1e4, 1e4, 1e4, 0]),
            lambda z: root([1, 1, 1, 1, 0.01, 0.01, 0.0001, 0]),
            lambda z: root([1, 1, 10, 10]),
        )
    if kind == "xyah":
        return (
            lambda z: [z[3] / 10, z[3] / 10, 1e-2, z[3] / 10, z[3] / 16, z[3] / 16, 1e-5, z[3] / 16],
            lambda z: [z[3] / 20, z[3] / 20, 1e-2, z[3] / 20, z[3] / 160, z[3] / 160, 1e-5, z[3] / 160],
            lambda z: [z[3] / 20, z[3] / 20, 1e-1, z[3] / 20],
        )
    if kind == "xyhr":  # SORT's, and the aspect measured almost exactly
        root = np.sqrt
        return (
            lambda z: root([10, 10, 10, 10, 1e4, 1e4, 1e4, 1e4]),
            lambda z: root([1, 1, 1, 1, 0.01, 0.01, 0.01, 0.01]),
            lambda z: root([1, 1, 10, 0.01]),
        )
    if kind == "linear":  # no filter: nothing is uncertain
        return lambda z: np.zeros(8), lambda z: np.zeros(8), lambda z: np.zeros(4)
    side = lambda z: np.array([z[2], z[3], z[2], z[3]])  # noqa: E731
    return (
        lambda z: np.concatenate((side(z) / 10, side(z) / 16)),
        lambda z: np.concatenate((side(z) / 20, side(z) / 160)),
        lambda z: side(z) / 20,
    )


class Textbook:
    """mean (8,), covariance (8, 8): predict and update with full matrices."""

    def __init__(self, kind, z):
        self.start, self.process, self.measurement = textbook(kind)
        self.mean = np.concatenate((z, np.zeros(4)))
        self.cov = np.diag(np.square(self.start(z)))

    def predict(self, steps=1.0):
        move = np.eye(8)
        move[:4, 4:] = np.eye(4) * steps
        noise = np.diag(np.square(self.process(self.mean[:4]))) * steps
        for size in (2, 3):  # a size that would vanish stands still
            if self.mean[size] + steps * self.mean[4 + size] <= 0:
                self.mean[4 + size] = 0
        self.mean = move @ self.mean
        self.cov = move @ self.cov @ move.T + noise

    def update(self, z, doubt=1.0):
        see = np.eye(4, 8)
        s = see @ self.cov @ see.T + doubt * np.diag(np.square(self.measurement(self.mean[:4])))
        gain = self.cov @ see.T @ np.linalg.inv(s)
        self.mean = self.mean + gain @ (z - self.mean[:4])
        self.cov = self.cov - gain @ see @ self.cov

    def warp(self, matrix, power):
        zoom = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
        block = np.diag(zoom ** np.array(power, float))
        block[:2, :2] = matrix[:, :2]
        full = np.kron(np.eye(2), block)
        self.mean = full @ self.mean
        self.mean[:2] += matrix[:, 2]
        self.cov = full @ self.cov @ full.T


def boxes(rng, n):
    corner = rng.uniform(0, 500, (n, 2))
    return np.concatenate((corner, corner + rng.uniform(20, 90, (n, 2)) * [1, 2.5]), axis=1)
