"""Tracklets of all cameras -> people: agglomeration by where they stand at the same moments."""

from __future__ import annotations

import numpy as np

from retrace.tracker.site.config import SiteConfig
from retrace.tracker.site.ground import Ground
from retrace.tracker.site.sightings import Sightings, apart, meetings


def link(s: Sightings, ground: Ground, config: SiteConfig) -> np.ndarray:
    """Who is who: (T,) int64, the person of each tracklet, numbered from 1 by who is seen first.

    Average linkage over moments: the distance of two groups of tracklets is the mean over all moments that they
    share, each at most ``far``, ``doubt`` moments at ``far`` beforehand. The nearest two are joined until none is
    nearer than ``limit``; never two that were seen beside each other in one camera. Tracklets that share no moment
    say nothing of each other, and meet only through others.

    Raises:
        InputError: a camera without homography, or one that sees the ground mirrored.

    Example:
        >>> from retrace.configs import load_preset
        >>> from retrace.tracker.mot_file import read_results
        >>> from retrace.tracker.site import Sightings, SiteConfig, learn_ground, link
        >>> seen = Sightings.of({name: read_results(f"runs/site/{name}.txt") for name in ("cam1", "cam2")})
        >>> config = load_preset("default", SiteConfig, "site")
        >>> seen.home.tolist()  # whose tracklet each is: six of either camera
        [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
        >>> link(seen, learn_ground(seen, config), config).tolist()
        [1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6]
    """
    s = s.take(s.frame % config.every == 0)
    first, second = meetings(s)
    distance = ground.for_cameras(s.cameras).facing(s).distance(s, first, second)
    return agglomerate(s, *shared(s, first, second, np.minimum(distance, config.far)), apart(s), config)


def shared(
    s: Sightings, first: np.ndarray, second: np.ndarray, distance: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(K, 2) pairs of tracklets that share moments, (K,) the sums of their distances, (K,) how many moments."""
    both = np.stack([s.tracklet[first], s.tracklet[second]], axis=1)
    pair, inverse, count = np.unique(both, axis=0, return_inverse=True, return_counts=True)
    return pair, np.bincount(inverse.ravel(), distance, len(pair)), count.astype(np.float64)


def agglomerate(
    s: Sightings,
    pair: np.ndarray,
    total: np.ndarray,
    count: np.ndarray,
    cannot: np.ndarray,
    config: SiteConfig,
) -> np.ndarray:
    """:func:`link` from what :func:`shared` gives, and (K, 2) pairs that are two people."""
    from scipy.sparse import coo_array  # late: they take a while, and few runs link cameras
    from scipy.sparse.csgraph import connected_components

    size = len(s.home)
    near = pair[believed(total, count, config) < config.limit]
    graph = coo_array((np.ones(len(near)), (near[:, 0], near[:, 1])), shape=(size, size))
    _, part = connected_components(graph, directed=False)  # groups of different parts can never come near
    person, place = np.arange(size), np.zeros(size, np.int64)
    for number in np.unique(part[near[:, 0]]).tolist():
        rows = (part == number).nonzero()[0]
        place[rows] = np.arange(len(rows))
        here = (part[pair] == number).all(1)
        never = _square(place[cannot[(part[cannot] == number).all(1)]], 1.0, len(rows)) > 0
        sums, counts = (_square(place[pair[here]], values[here], len(rows)) for values in (total, count))
        person[rows] = rows[join(sums, counts, never, config)]
    return _by_first(s, person)


def _square(pair: np.ndarray, value: np.ndarray | float, size: int) -> np.ndarray:
    """(K, 2) pairs of rows and their values -> (size, size) symmetric, 0 elsewhere."""
    found = np.zeros((size, size))
    found[pair[:, 0], pair[:, 1]] = value
    found[pair[:, 1], pair[:, 0]] = value
    return found


def join(total: np.ndarray, count: np.ndarray, never: np.ndarray, config: SiteConfig) -> np.ndarray:
    """(N, N) sums, counts and who may not -> (N,) the row whose group each belongs to."""
    group = np.arange(len(total))
    mean = believed(total, count, config)
    mean[never] = np.inf
    np.fill_diagonal(mean, np.inf)
    while True:
        i, j = divmod(int(mean.argmin()), len(mean))
        if not mean[i, j] < config.limit:
            return group
        for sums in (total, count):
            sums[i] += sums[j]
            sums[:, i] = sums[i]
        never[i] |= never[j]
        never[:, i] = never[i]
        group[group == j] = i
        alive = group == np.arange(len(group))
        mean[i] = np.where(alive & ~never[i], believed(total[i], count[i], config), np.inf)
        mean[i, i] = np.inf
        mean[:, i] = mean[i]
        mean[j], mean[:, j] = np.inf, np.inf


def believed(total: np.ndarray, count: np.ndarray, config: SiteConfig) -> np.ndarray:
    """Mean distance, with ``doubt`` moments at ``far`` beside those that were seen."""
    return (total + config.doubt * config.far) / (count + config.doubt)


def _by_first(s: Sightings, person: np.ndarray) -> np.ndarray:
    """(T,) any names -> 1, 2, ... by the first frame, then camera and tracklet; the unseen (skipped frames) last."""
    begin = np.full(len(person), np.iinfo(np.int64).max)
    np.minimum.at(begin, s.tracklet, s.frame)
    order = np.lexsort((np.arange(len(person)), begin))
    _, place, inverse = np.unique(person[order], return_index=True, return_inverse=True)
    found = np.empty(len(person), np.int64)
    found[order] = place.argsort().argsort()[inverse] + 1
    return found
