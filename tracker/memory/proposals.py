"""Everybody compared with everybody now and then: who of the memory may be one person after all.

What is decided when a tracklet ends is decided once. Later looks may tell that two people are one; that is written down
as a suggestion, and nobody's id changes until somebody merges them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrace.tracker.memory.editing import suggestions
from retrace.tracker.memory.evidence import appearance_ratio
from retrace.tracker.memory.memory import Memory
from retrace.tracker.memory.nearest import nearest
from retrace.tracker.memory.people import NOBODY

MOST = 16  # people like one, whom he is compared with
AT_ONCE = 4_096  # people who are compared with all others at once
BY = "recluster"  # in the log


@dataclass(frozen=True, slots=True)
class Proposal:
    """Two people who are likelier one than not."""

    older: int
    younger: int
    probability: float


def now_and_then(memory: Memory) -> list[Proposal]:
    """:func:`propose`, where enough has come since it was last done (``recluster`` of the config); for those who add
    without end."""
    share, size = memory.config.recluster, memory.people.size
    if share is None:
        return []
    before = memory.store.read("SELECT value FROM meta WHERE key = 'reclustered'")
    if size <= (1 + share) * (int(before[0][0]) if before else 0):
        return []
    return propose(memory)


def propose(memory: Memory) -> list[Proposal]:
    """Average linkage of all people, by the probability that says who joins; what it would join is suggested.

    People who were seen beside each other, or of whom somebody has said that they are two, are never joined, and who
    is suggested already is not suggested again. The log gets a row a proposal; ids stay.

    Raises:
        InputError: a file that cannot be written.
    """
    memory.refresh()
    people, size = memory.people, memory.people.size
    known = {(one.older, one.younger) for one in suggestions(memory.store)}
    found = []
    for a, b, probability in joined(memory):
        older, younger = sorted((int(people.person[a]), int(people.person[b])))
        if (older, younger) not in known:
            found.append(Proposal(older, younger, round(probability, 6)))
    with memory.store.writing() as changed:
        if changed:  # by another process, since these people were read
            there = {*memory.store.partition()[0].values()}
            found = [one for one in found if {one.older, one.younger} <= there]
        at = people.now(memory.config.clock_jump)
        for one in found:
            told = {"posterior": one.probability, "reason": "alike when everybody was compared"}
            memory.store.append(memory.store.operation(), at, BY, "suggest", one.older, one.younger, **told)
        memory.store.db.execute("INSERT OR REPLACE INTO meta VALUES ('reclustered', ?)", (str(size),))
    return found


def joined(memory: Memory) -> list[tuple[int, int, float]]:
    """(row of a person, row of another, probability that they are one), the surest first; of a group of more than two
    each with the one that it was nearest to when it was joined."""
    from scipy.sparse import coo_array  # late: they take a while, and few runs look for proposals
    from scipy.sparse.csgraph import connected_components

    people, config = memory.people, memory.config
    rows = (people.looks[: people.count] & (people.last[: people.count] != NOBODY)).nonzero()[0]
    one, other = _alike(people.mean[rows])
    one, other = rows[one], rows[other]
    prior = np.log(memory.returning() / max(people.alive, 1)) - np.log1p(-memory.returning())
    least = np.log(config.accept / (1 - config.accept)) - prior  # nats of looks
    distance = 1.0 - np.einsum("kd,kd->k", people.mean[one].astype(np.float64), people.mean[other])
    same = (people.been[one] & people.been[other]).any(1)
    views = people.views[one], people.views[other]
    likely = appearance_ratio(distance, same, memory.unit(), config, *views) >= least
    one, other = one[likely], other[likely]
    graph = coo_array((np.ones(len(one)), (one, other)), shape=(people.count,) * 2)
    _, part = connected_components(graph, directed=False)
    found: list[tuple[int, int, float]] = []
    for number in np.unique(part[one]).tolist():  # groups of different parts are never joined
        here = (part == number).nonzero()[0]
        found += _linked(memory, here, least)
    odds = np.array([ratio + prior for *_, ratio in found])
    told = [(a, b, float(1 / (1 + np.exp(-odd)))) for (a, b, _), odd in zip(found, odds, strict=True)]
    return sorted(told, key=lambda each: (-each[2], each[0], each[1]))


def _alike(mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of (P, D) who are among each other's `MOST` nearest, from either side, each pair once."""
    pairs = []
    for start in range(0, len(mean), AT_ONCE):
        some, _ = nearest(mean[start : start + AT_ONCE], mean, MOST + 1)
        here = np.broadcast_to(np.arange(start, start + len(some))[:, None], some.shape)
        pairs.append(np.stack((np.minimum(here, some), np.maximum(here, some)), axis=-1).reshape(-1, 2))
    both = np.unique(np.concatenate(pairs or [np.zeros((0, 2), np.int64)]), axis=0)
    both = both[both[:, 0] != both[:, 1]]
    return both[:, 0], both[:, 1]


def _linked(memory: Memory, rows: np.ndarray, least: float) -> list[tuple[int, int, float]]:
    """The joins among people ``rows``: the likeliest two first, then their common mean stands for both."""
    people = memory.people
    total, been = people.centred_totals(rows).astype(np.float64), people.been[rows].copy()
    known = people.counts[rows] > 0  # (P, C), cameras of which the sums are
    members = [[int(row)] for row in rows]
    never = _never(rows, memory)
    found: list[tuple[int, int, float]] = []
    while len(members) > 1:
        mean = total / np.linalg.norm(total, axis=1, keepdims=True)
        same = (been[:, None] & been[None]).any(2)
        views = known.sum(1)
        apart = 1.0 - mean @ mean.T
        ratio = appearance_ratio(apart, same, memory.unit(), memory.config, views[:, None], views)
        ratio[never | ~np.tri(len(members), k=-1, dtype=bool)] = -np.inf
        i, j = np.unravel_index(int(ratio.argmax()), ratio.shape)
        if ratio[i, j] < least:
            return found
        found.append((*_nearest_two(people.mean, members[j], members[i]), float(ratio[i, j])))
        total[j] += total[i]
        been[j] |= been[i]
        known[j] |= known[i]
        never[j] |= never[i]
        never[:, j] |= never[:, i]
        members[j] += members.pop(int(i))
        total, been, known = (np.delete(array, i, 0) for array in (total, been, known))
        never = np.delete(np.delete(never, i, 0), i, 1)
    return found


def _never(rows: np.ndarray, memory: Memory) -> np.ndarray:
    """(P, P) bool, who of the people ``rows`` are surely two."""
    place = {int(row): k for k, row in enumerate(rows)}
    found = np.zeros((len(rows),) * 2, bool)
    for row, k in place.items():
        for other in memory.apart.strangers(row):
            if other in place:
                found[k, place[other]] = found[place[other], k] = True
    return found


def _nearest_two(mean: np.ndarray, one: list[int], other: list[int]) -> tuple[int, int]:
    """Of two groups of people those two who are most alike."""
    like = mean[one] @ mean[other].T
    i, j = np.unravel_index(int(like.argmax()), like.shape)
    return one[i], other[j]
