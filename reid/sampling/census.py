"""The training set looked at as a whole: what identities look like on average, and how near they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.cluster.hierarchy import cophenet, linkage
from scipy.cluster.vq import kmeans2
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import squareform

from retrace.configs import InputError


@dataclass(frozen=True, slots=True, eq=False)
class Census:
    """What samplers and terms may know of C identities of N training images.

    Attributes:
        means: (C, D) float32 mean of an identity's unit vectors, not normalised.
        spread: (C,) float32 mean squared distance of an identity's pairs; of one with a single image the mean of
            the others'.
        levels: (C, C) float32 squared distance of the level at which two identities join (:func:`class_levels`).
        clusters: (N,) int64 cluster of each image; empty where nobody asked.
        iteration: when it was taken.
    """

    means: np.ndarray
    spread: np.ndarray
    levels: np.ndarray
    clusters: np.ndarray
    iteration: int

    @property
    def distances(self) -> np.ndarray:
        """(C, C) float32 mean squared distance of an image of one identity and one of another."""
        return 2 - 2 * self.means @ self.means.T

    def state_dict(self) -> dict[str, Any]:
        """Arrays as they go into a checkpoint."""
        return {name: getattr(self, name) for name in Census.__slots__}


def take_census(
    vectors: np.ndarray,
    labels: np.ndarray,
    iteration: int = 0,
    levels: int = 16,
    top: str = "max",
    clusters: int = 0,
    seed: int = 0,
    before: Census | None = None,
) -> Census:
    """Count what there is.

    Args:
        vectors: (N, D) float32 unit rows.
        labels: (N,) int64 in [0, C), each at least once.
        levels, top: see :func:`class_levels`.
        clusters: of the images, by K-means; 0: none.
        before: the census before this one; clusters keep its numbers as far as they hold the same images.

    Raises:
        InputError: fewer than 2 identities.
    """
    counts = np.bincount(labels)
    if len(counts) < 2:
        raise InputError(f"a census needs at least 2 identities, got {len(counts)}")
    sums = np.zeros((len(counts), vectors.shape[1]))
    np.add.at(sums, labels, vectors)
    means = sums / counts[:, None]
    # The mean of |a - b|^2 over the ordered pairs of n unit vectors is 2 n (1 - |mean|^2) / (n - 1).
    several = counts > 1
    spread = 2 * counts * (1 - (means**2).sum(1)).clip(0) / np.maximum(counts - 1, 1)
    spread[~several] = spread[several].mean() if several.any() else 0
    found = np.empty(0, np.int64)
    if clusters:
        rng = np.random.default_rng((seed, iteration))
        found = kmeans2(vectors.astype(np.float64), clusters, minit="++", seed=rng)[1].astype(np.int64)
        if before is not None and len(before.clusters) == len(found):
            found = renumbered(found, before.clusters, clusters)
    return Census(
        means.astype(np.float32),
        spread.astype(np.float32),
        class_levels(2 - 2 * means @ means.T, spread, levels, top).astype(np.float32),
        found,
        iteration,
    )


def renumbered(clusters: np.ndarray, before: np.ndarray, count: int) -> np.ndarray:
    """(N,) clusters with the numbers under which they share the most images with those before."""
    shared = np.zeros((count, count), np.int64)
    np.add.at(shared, (clusters, before), 1)
    old, new = linear_sum_assignment(-shared)
    names = np.empty(count, np.int64)
    names[old] = new
    return names[clusters]


def class_levels(distances: np.ndarray, spread: np.ndarray, levels: int = 16, top: str = "max") -> np.ndarray:
    """The class tree of the hierarchical triplet loss (Ge et al. 2018), as a distance.

    Level l = 0..L stands for d_l = d_0 + l (t - d_0) / L, d_0 the mean spread. At level l identities are joined
    whose squared distance is below d_l, directly or by way of others (single linkage: the paper does not say).

    Args:
        distances: (C, C) mean squared distances of identities.
        spread: (C,).
        levels: L.
        top: t: "sphere": 4, as published; "max": the largest distance there is, since those of people fill less
            than a third of the sphere.

    Returns:
        (C, C) d_l of the first level at which two identities are joined; the last where they never are.
    """
    first = float(spread.mean())
    last = 4.0 if top == "sphere" else max(float(distances[~np.eye(len(distances), dtype=bool)].max()), first)
    thresholds = first + np.arange(levels + 1) * (last - first) / levels
    square = np.maximum((distances + distances.T) / 2, 0)
    np.fill_diagonal(square, 0)
    heights = squareform(cophenet(linkage(squareform(square, checks=False), "single")))
    return thresholds[np.searchsorted(thresholds, heights, side="right").clip(max=levels)]
