"""Which images make a batch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from retrace.configs import InputError


def identity_batches(
    labels: np.ndarray,
    identities: int,
    images: int,
    seed: int,
    order: str = "largest",
    cameras: np.ndarray | None = None,
) -> Iterator[np.ndarray]:
    """Endless batches of P identities with K images each (Hermans et al. 2017, section 2).

    One pass deals out every image: an identity's images are shuffled and cut into hands of K; a hand that is
    not full is filled with other images of the identity, drawn with replacement only if it has fewer than K.
    Each batch takes one hand of P different identities; a pass ends when fewer than P identities have one.

    Which come first is ``order``. "largest": those with most hands left, with ties in random order, so that
    few hands stay over; where sources differ in images a person, a pass begins with the one and ends with the
    other. "spread": each identity's hands lie evenly over the pass, so every batch is a mixture in the
    proportions of the whole. "source": as spread, but a batch is of one source, so that telling sources apart
    helps nobody; batches of the sources alternate by their share. Identities seen by a common camera are of
    one source.

    Args:
        labels: (N,) identities of the training images.
        identities: P.
        images: K.
        seed: the same seed gives the same batches.
        order: see above.
        cameras: (N,); for "source".

    Yields:
        (P * K,) int64 rows of ``labels``, images of an identity side by side.

    Raises:
        InputError: fewer than P identities.
    """
    sorted_rows = np.argsort(labels, kind="stable")
    edges = np.flatnonzero(np.diff(labels[sorted_rows])) + 1
    groups = np.split(sorted_rows, edges) if len(labels) else []
    if len(groups) < identities:
        raise InputError(
            f"batch.identities={identities}: the training set has only {len(groups)} identities; lower it"
        )
    sources = np.zeros(len(groups), int)
    if order == "source" and cameras is not None:
        sources = _sources(groups, cameras)
    fewest = np.bincount(sources).min()
    if fewest < identities:
        raise InputError(
            f"batch.identities={identities}: a source has only {fewest} identities; lower it, or leave "
            "batch.order=source out"
        )
    number = 0
    while True:
        rng = np.random.default_rng((seed, number))
        if order == "largest":
            yield from _one_pass(groups, identities, images, rng)
        else:
            yield from _even_pass(groups, sources, identities, images, rng)
        number += 1


def _sources(groups: list[np.ndarray], cameras: np.ndarray) -> np.ndarray:
    """(I,) the source of each identity, from 0: identities and cameras that hang together."""
    seen = [np.unique(cameras[group]) for group in groups]
    source = {int(camera): int(camera) for camera in np.unique(cameras)}
    for places in seen:
        joined = {source[int(camera)] for camera in places}
        source = {camera: min(joined) if of in joined else of for camera, of in source.items()}
    return np.unique([source[int(places[0])] for places in seen], return_inverse=True)[1]


def _even_pass(
    groups: list[np.ndarray], sources: np.ndarray, identities: int, images: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """One pass in the orders "spread" (one source) and "source"."""
    batches, times = [], []
    for source in range(sources.max() + 1):
        hands = [
            (i, hand) for i in np.flatnonzero(sources == source) for hand in _hands(groups[i], images, rng)
        ]
        counts = np.bincount([i for i, _ in hands])
        place = np.concatenate([(rng.permutation(n) + rng.random(n)) / n for n in counts if n])
        queue = [hands[k] for k in np.argsort(place)]
        own = []
        while len({i for i, _ in queue[: 4 * identities]}) >= identities:
            batch, queue = _take(queue, identities)
            own.append(batch)
        batches += own
        times += list((np.arange(len(own)) + rng.random(len(own))) / max(len(own), 1))
    for k in np.argsort(times):
        yield batches[k]


def _take(queue: list[tuple[int, np.ndarray]], identities: int) -> tuple[np.ndarray, list]:
    """The first hands of P different identities, and the queue without them."""
    taken: dict[int, int] = {}
    for place, (identity, _) in enumerate(queue):
        if identity not in taken:
            taken[identity] = place
        if len(taken) == identities:
            break
    gone = set(taken.values())
    last = max(gone) + 1
    rest = [hand for place, hand in enumerate(queue[:last]) if place not in gone] + queue[last:]
    return np.concatenate([queue[place][1] for place in taken.values()]), rest


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
