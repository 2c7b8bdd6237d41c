"""The obvious way to the best links."""

from __future__ import annotations

from itertools import combinations

from retrace.tracker.offline.linking import Links


def pairs(links: Links):
    return list(zip(links.earlier.tolist(), links.later.tolist(), strict=True))


def slow_best(cost, limit):
    """All matchings tried: of the pairs {(earlier, later): cost or None} the set of largest total gain."""
    usable = [pair for pair, c in cost.items() if c is not None]
    best, gain = set(), 0.0
    for size in range(1, min(len(usable), 6) + 1):
        for some in combinations(usable, size):
            free = all(len({pair[end] for pair in some}) == size for end in (0, 1))
            total = sum(limit - cost[pair] for pair in some)
            if free and total > gain + 1e-12:
                best, gain = set(some), total
    return best
