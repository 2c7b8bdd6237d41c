"""Tracklets of all cameras -> people: agglomeration by where they stand at the same moments."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

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
    """
    s = s.take(s.frame % config.every == 0)
    first, second = meetings(s)
    distance = ground.for_cameras(s.cameras).facing(s).distance(s, first, second)
    total, count = shared(s, first, second, np.minimum(distance, config.far))
    return agglomerate(s, total, count, apart(s), config)


def shared(
    s: Sightings, first: np.ndarray, second: np.ndarray, distance: np.ndarray
) -> tuple[coo_array, coo_array]:
    """(T, T) symmetric: sums of distances over common moments, and how many they are."""
    pair = (
        np.concatenate([s.tracklet[first], s.tracklet[second]]),
        np.concatenate([s.tracklet[second], s.tracklet[first]]),
    )
    size = (len(s.home), len(s.home))
    return (
        coo_array((np.tile(distance, 2), pair), shape=size),
        coo_array((np.ones(2 * len(first)), pair), shape=size),
    )


def agglomerate(
    s: Sightings, total: coo_array, count: coo_array, cannot: np.ndarray, config: SiteConfig
) -> np.ndarray:
    """:func:`link` from (T, T) sums and counts of common moments and (K, 2) pairs that are two people."""
    size = len(s.home)
    total, count = total.tocsr(), count.tocsr()
    near = count.tocoo()
    if not near.nnz:  # nobody was seen with anybody
        return _by_first(s, np.arange(size))
    mean = _believed(total[near.row, near.col], near.data, config)
    close = mean < config.limit
    graph = coo_array((close[close], (near.row[close], near.col[close])), shape=(size, size))
    _, part = connected_components(graph, directed=False)  # groups of different parts can never come near
    forbidden = coo_array((np.ones(len(cannot)), (cannot[:, 0], cannot[:, 1])), shape=(size, size)).tocsr()
    person = np.arange(size)
    for rows in np.split(np.argsort(part, kind="stable"), np.cumsum(np.bincount(part))[:-1]):
        if len(rows) > 1:
            block = np.ix_(rows, rows)
            never = forbidden[block].toarray() > 0
            person[rows] = rows[
                _join(total[block].toarray(), count[block].toarray(), never | never.T, config)
            ]
    return _by_first(s, person)


def _join(total: np.ndarray, count: np.ndarray, never: np.ndarray, config: SiteConfig) -> np.ndarray:
    """(N, N) sums, counts and who may not -> (N,) the row whose group each belongs to."""
    group = np.arange(len(total))
    mean = _believed(total, count, config)
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
        mean[i] = np.where(alive & ~never[i], _believed(total[i], count[i], config), np.inf)
        mean[i, i] = np.inf
        mean[:, i] = mean[i]
        mean[j], mean[:, j] = np.inf, np.inf


def _believed(total: np.ndarray, count: np.ndarray, config: SiteConfig) -> np.ndarray:
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
