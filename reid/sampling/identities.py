"""Which images make a batch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from retrace.configs import InputError


def identity_batches(labels: np.ndarray, identities: int, images: int, seed: int) -> Iterator[np.ndarray]:
    """Endless batches of P identities with K images each (Hermans et al. 2017, section 2).

    One pass deals out every image: an identity's images are shuffled and cut into hands of K; a hand that is
    not full is filled with other images of the identity, drawn with replacement only if it has fewer than K.
    Each batch takes one hand of P different identities, those with most hands left first with ties in random
    order, so that few hands stay over; a pass ends when fewer than P identities have one.

    Args:
        labels: (N,) identities of the training images.
        identities: P.
        images: K.
        seed: the same seed gives the same batches.

    Yields:
        (P * K,) int64 rows of ``labels``, images of an identity side by side.

    Raises:
        InputError: fewer than P identities.
    """
    order = np.argsort(labels, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1) if len(labels) else []
    if len(groups) < identities:
        raise InputError(
            f"batch.identities={identities}: the training set has only {len(groups)} identities; lower it"
        )
    number = 0
    while True:
        yield from _one_pass(groups, identities, images, np.random.default_rng((seed, number)))
        number += 1


def _one_pass(
    groups: list[np.ndarray], identities: int, images: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    hands = [_hands(group, images, rng) for group in groups]
    left = np.array([len(h) for h in hands])
    while np.count_nonzero(left) >= identities:
        chosen = np.lexsort((rng.random(len(left)), -left))[:identities]
        left[chosen] -= 1
        yield np.concatenate([hands[i][left[i]] for i in chosen])


def _hands(group: np.ndarray, images: int, rng: np.random.Generator) -> np.ndarray:
    """(n,) rows of one identity -> (ceil(n / K), K)."""
    shuffled = rng.permutation(group)
    missing = -len(group) % images
    if missing:
        in_last = len(group) % images
        others = shuffled[:-in_last] if len(group) > images else shuffled
        shuffled = np.concatenate([shuffled, rng.choice(others, missing, replace=len(others) < missing)])
    return shuffled.reshape(-1, images)
