"""Batches of identities that look alike: hard negatives from one matrix product instead of from luck."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from retrace.configs import InputError
from retrace.reid.sampling.census import Census


def neighbour_batches(
    labels: np.ndarray,
    identities: int,
    images: int,
    seed: int | tuple[int, ...],
    census: Census,
    anchors: int = 4,
) -> Iterator[np.ndarray]:
    """Endless batches of some identities drawn at random and their nearest ones, K images each.

    With ``anchors`` 1 the graph sampler of QAConv (Liao and Shao 2022), with more the batches of the hierarchical
    triplet loss (Ge et al. 2018: l' classes and the m - 1 nearest of each). In a pass each identity
    is an anchor once; one that is already in the batch is not taken twice, the next nearest is.

    Args:
        labels: (N,) int64 in [0, C).
        identities: P.
        images: K.
        anchors: of the P; must divide it.

    Yields:
        (P * K,) int64 rows, images of an identity side by side.

    Raises:
        InputError: fewer than P identities.
    """
    groups = grouped(labels, identities)
    distances = census.distances.copy()
    np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, axis=1, kind="stable")
    number = 0
    while True:
        rng = np.random.default_rng((*np.atleast_1d(seed), number))
        order = rng.permutation(len(groups))
        for start in range(0, len(order) - anchors + 1, anchors):
            chosen = with_neighbours(order[start : start + anchors], nearest, identities)
            yield np.concatenate([drawn(groups[i], images, rng) for i in chosen])
        number += 1


def with_neighbours(anchors: np.ndarray, nearest: np.ndarray, identities: int) -> list[int]:
    """The anchors, and in turn for each its nearest identity that is not yet taken, P in all."""
    taken = dict.fromkeys(int(a) for a in anchors)
    queues = [iter(nearest[a]) for a in anchors]
    while len(taken) < identities:
        for queue in queues:
            near = next((int(c) for c in queue if int(c) not in taken), None)
            if near is not None:
                taken[near] = None
    return list(taken)


def cluster_batches(
    labels: np.ndarray, identities: int, images: int, seed: int | tuple[int, ...], census: Census
) -> Iterator[np.ndarray]:
    """Endless batches, each from one cluster of images (Divide and Conquer, Sanakoyeu et al. 2019).

    A cluster comes as often as its share of images. An identity with a single image in it is not drawn there,
    and a cluster with fewer than P others gives way to batches from everything.

    Raises:
        InputError: too few identities for a batch.
    """
    everything = grouped(labels, identities)
    within = [
        [rows for rows in (g[census.clusters[g] == k] for g in everything) if len(rows) > 1]
        for k in range(int(census.clusters.max()) + 1)
    ]
    shares = np.bincount(census.clusters) / len(census.clusters)
    rng = np.random.default_rng((*np.atleast_1d(seed), 0))
    while True:
        groups = within[rng.choice(len(shares), p=shares)]
        groups = groups if len(groups) >= identities else everything
        chosen = rng.choice(len(groups), identities, replace=False)
        yield np.concatenate([drawn(groups[i], images, rng) for i in chosen])


def together_batches(
    labels: np.ndarray,
    identities: int,
    images: int,
    seed: int,
    cameras: np.ndarray,
    frames: np.ndarray | None,
) -> Iterator[np.ndarray]:
    """Endless batches of people who are seen together: certainly different ones, whoever they are.

    A moment (a frame of a camera) is drawn, and of everybody in it that one image and K - 1 others of theirs; more
    moments follow until there are P. In a pass each moment is drawn once. Labels may be tracks that nobody identified.

    Args:
        labels, cameras, frames: (N,); frames None: the data have no such column.

    Yields:
        (P * K,) int64 rows, images of an identity side by side.

    Raises:
        InputError: no frames, fewer than P identities.
    """
    if frames is None:
        raise InputError(
            "sampler.kind=together: the data have no label column 'frame'; `retrace mot-crops` writes one"
        )
    groups = grouped(labels, identities)
    _, which = np.unique(np.stack([cameras, frames], 1), axis=0, return_inverse=True)
    order = np.argsort(which.ravel(), kind="stable")
    moments = np.split(order, np.flatnonzero(np.diff(which.ravel()[order])) + 1)
    number = 0
    taken: dict[int, int] = {}  # identity -> its row in the moment
    while True:
        rng = np.random.default_rng((seed, number))
        for moment in rng.permutation(len(moments)):
            for row in rng.permutation(moments[moment]):
                if len(taken) < identities:
                    taken.setdefault(int(labels[row]), int(row))
            if len(taken) == identities:
                yield np.concatenate([_with_others(row, groups[i], images, rng) for i, row in taken.items()])
                taken = {}
        number += 1


def _with_others(row: int, group: np.ndarray, images: int, rng: np.random.Generator) -> np.ndarray:
    """A row and K - 1 others of its group."""
    others = group[group != row] if len(group) > 1 else group
    return np.append(row, drawn(others, images - 1, rng))


def random_batches(labels: np.ndarray, count: int, seed: int) -> Iterator[np.ndarray]:
    """Endless batches of ``count`` images whoever is on them: each once a pass.

    Raises:
        InputError: fewer images than a batch.
    """
    number = 0
    while True:
        order = np.random.default_rng((seed, number)).permutation(len(labels))
        for start in range(0, len(order) - count + 1, count):
            yield order[start : start + count]
        if len(order) < count:
            raise InputError(f"a batch of {count} images: the training set has only {len(order)}")
        number += 1


def grouped(labels: np.ndarray, identities: int) -> list[np.ndarray]:
    """The rows of each identity.

    Raises:
        InputError: fewer than P identities.
    """
    order = np.argsort(labels, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1) if len(labels) else []
    if len(groups) < identities:
        raise InputError(
            f"batch.identities={identities}: the training set has only {len(groups)} identities; lower it"
        )
    return groups


def drawn(group: np.ndarray, images: int, rng: np.random.Generator) -> np.ndarray:
    """K rows of an identity, with replacement only if it has fewer."""
    return rng.choice(group, images, replace=len(group) < images)
