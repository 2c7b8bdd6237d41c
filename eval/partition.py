"""Identities as a clustering of tracklets or visits: how pure, how broken up, what returns were found.

Exact definitions, all weighted by ``weight`` (1, boxes or seconds: say which): purity and B-cubed after Bagga and
Baldwin 1998; IDF1 by one bijection of identities and people; returns and strangers by the first visits.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from retrace.configs import InputError


@dataclass(frozen=True, slots=True)
class PartitionMetrics:
    """How well N tracklets were put together; fractions in [0, 1]."""

    idf1: float
    purity: float  # share of the weight that belongs to the majority person of its identity
    b3_precision: float
    b3_recall: float
    pair_precision: float  # of pairs of tracklets in one identity, those of one person
    pair_recall: float  # of pairs of one person, those in one identity
    identities: int
    people: int
    fragmentation: float  # (identities that a person is the majority of - people) / people
    # of visits of somebody seen before, those with the identity of an earlier visit of theirs
    return_recall: float
    stranger_acceptance: float  # of first visits, those that were given somebody's identity (FPIR)
    returns: int  # how many visits were returns
    strangers: int  # how many were first ones

    @property
    def b3_f1(self) -> float:
        total = self.b3_precision + self.b3_recall
        return 2 * self.b3_precision * self.b3_recall / total if total else 0.0


def evaluate_partition(
    person: np.ndarray, identity: np.ndarray, begin: np.ndarray, weight: np.ndarray | None = None
) -> PartitionMetrics:
    """Score computed identities of tracklets.

    Args:
        person: (N,) who it is.
        identity: (N,) who it is said to be.
        begin: (N,) s, when it begins; the order of visits.
        weight: (N,) > 0; default 1.

    Raises:
        InputError: arrays of unlike length, weights that are none.
    """
    count = len(person)
    weight = np.ones(count) if weight is None else np.asarray(weight, np.float64)
    if not (len(identity) == len(begin) == len(weight) == count):
        raise InputError(
            f"expected arrays of one length, got {count}, {len(identity)}, {len(begin)}, {len(weight)}"
        )
    if count and not (np.isfinite(weight).all() and weight.min() > 0):
        raise InputError("weights must be positive numbers")
    if not count:
        nan = float("nan")
        return PartitionMetrics(nan, nan, nan, nan, nan, nan, 0, 0, nan, nan, nan, 0, 0)
    people, p = np.unique(person, return_inverse=True)
    names, k = np.unique(identity, return_inverse=True)
    pair, pair_of, pairs = np.unique(k * len(people) + p, return_inverse=True, return_counts=True)
    who, whom = np.divmod(pair, len(people))  # identity and person of each pair that shares tracklets
    shared = np.bincount(pair_of, weight)  # the weight that they share
    of_name, of_person, total = np.bincount(k, weight), np.bincount(p, weight), weight.sum()
    order = np.lexsort((whom, -shared, who))
    best = order[_first(who[order])]  # of each identity, the pair with its majority person
    majority = np.unique(whom[best], return_counts=True)[1]
    joined = _pairs(pairs).sum()
    returns, strangers, found, accepted = _returns(p, k, np.asarray(begin, np.float64))
    return PartitionMetrics(
        idf1=_bijection(who, whom, shared) / float(total),
        purity=float(shared[best].sum() / total),
        b3_precision=float((shared**2 / of_name[who]).sum() / total),
        b3_recall=float((shared**2 / of_person[whom]).sum() / total),
        pair_precision=_share(joined, _pairs(np.bincount(k)).sum()),
        pair_recall=_share(joined, _pairs(np.bincount(p)).sum()),
        identities=len(names),
        people=len(people),
        fragmentation=float((majority - 1).sum() / len(people)),
        return_recall=_share(found, returns),
        stranger_acceptance=_share(accepted, strangers),
        returns=returns,
        strangers=strangers,
    )


def _bijection(row: np.ndarray, col: np.ndarray, weight: np.ndarray) -> float:
    """The greatest weight that pairs of rows and columns have, each used once; (E,) pairs, sorted by row.

    A part of the graph that has one row or one column takes its best pair; the others are solved one by one.
    """
    height = int(row.max()) + 1
    graph = coo_array((np.ones(len(row)), (row, height + col)), shape=(height + int(col.max()) + 1,) * 2)
    _, part = connected_components(graph, directed=False)
    part = part[row]
    order = np.argsort(part, kind="stable")
    edge = np.append(_first(part[order]).nonzero()[0], len(order))
    total = 0.0
    for begin, end in itertools.pairwise(edge.tolist()):
        here = order[begin:end]
        rows, r = np.unique(row[here], return_inverse=True)
        cols, c = np.unique(col[here], return_inverse=True)
        if min(len(rows), len(cols)) == 1:
            total += float(weight[here].max())
            continue
        table = np.zeros((len(rows), len(cols)))
        table[r, c] = weight[here]
        total += float(table[linear_sum_assignment(table, maximize=True)].sum())
    return total


def _pairs(count: np.ndarray) -> np.ndarray:
    return count * (count - 1) / 2


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")


def _returns(person: np.ndarray, identity: np.ndarray, begin: np.ndarray) -> tuple[int, int, int, int]:
    """Returns, first visits, returns with an earlier identity of theirs, first visits with anybody's identity."""
    order = np.argsort(begin, kind="stable")
    person, identity = person[order], identity[order]
    first_of_person = _first(person)
    first_of_pair = _first(person * (int(identity.max()) + 1) + identity)
    known_identity = ~_first(identity)
    returns = int((~first_of_person).sum())
    return (
        returns,
        len(person) - returns,
        int((~first_of_person & ~first_of_pair).sum()),
        int((first_of_person & known_identity).sum()),
    )


def _first(value: np.ndarray) -> np.ndarray:
    """(N,) bool, which rows are the first of their value."""
    first = np.zeros(len(value), bool)
    first[np.unique(value, return_index=True)[1]] = True
    return first


@dataclass(frozen=True, slots=True)
class ReturnsByGap:
    """Returns after an absence of ``least`` to ``most`` s, since the person's earlier visit that ended last."""

    least: float
    most: float
    same: int  # returns to the camera of that visit
    same_found: int  # of these, those with an identity of an earlier visit of theirs
    other: int  # to another camera
    other_found: int

    @property
    def recall(self) -> float:
        return _share(self.same_found + self.other_found, self.same + self.other)


def returns_by_gap(
    person: np.ndarray,
    identity: np.ndarray,
    camera: np.ndarray,
    begin: np.ndarray,
    end: np.ndarray,
    limits: Sequence[float],
) -> list[ReturnsByGap]:
    """Return recall by how long somebody was away.

    Args:
        person, identity, camera: (N,) of visits: who it is, who it is said to be, where.
        begin, end: (N,) s.
        limits: s, rising; a row between each two, and one from -inf (he was still elsewhere) and one to inf.

    Raises:
        InputError: arrays of unlike length.
    """
    lengths = {len(each) for each in (person, identity, camera, begin, end)}
    if len(lengths) > 1:
        raise InputError(f"expected arrays of one length, got {sorted(lengths)}")
    count = np.zeros((len(limits) + 1, 2, 2), int)  # gap, other camera, found
    order = np.argsort(begin, kind="stable")
    for one in np.unique(person):  # over people
        mine = order[person[order] == one]
        for k in range(1, len(mine)):
            before, now = mine[:k], mine[k]
            last = before[np.argmax(end[before])]
            gap = int(np.searchsorted(limits, begin[now] - end[last], side="right"))
            found = bool((identity[before] == identity[now]).any())
            count[gap, int(camera[last] != camera[now]), int(found)] += 1
    edge = [-np.inf, *limits, np.inf]
    return [
        ReturnsByGap(edge[k], edge[k + 1], int(c[0].sum()), int(c[0, 1]), int(c[1].sum()), int(c[1, 1]))
        for k, c in enumerate(count)
    ]
