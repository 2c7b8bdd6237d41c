"""Which objectives can be told apart: paired differences over seeds and people, groups instead of ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import spearmanr, t

LEVEL = 0.95
Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over seeds and people, or a difference of two, with its interval."""

    value: float
    low: float
    high: float
    p: float  # two-sided, of the mean being 0
    seeds: int


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """What S runs scored on I people: sums over a person's queries, so that people with many weigh as in mAP."""

    values: np.ndarray  # (S, I)
    queries: np.ndarray  # (I,)


def sums(results: Sequence[Result], name: str = "ap") -> Sums:
    """Of one entrant's finals; ``name``: "ap", or "hits" of rank-1."""
    values = np.array([one["people"][name] for one in results], float)
    return Sums(values, np.array(results[0]["people"]["queries"], float))


def estimate(mine: Sums, other: Sums | None = None) -> Estimate:
    """The mean of ``mine``, or of ``mine`` minus ``other``, run by run and person by person.

    Runs of one seed share their batches and first weights, and all runs share the people, so with z_si the summed
    difference of seed s on person i, N queries in all and D = sum z / (S N):

        V = sum_i (mean_s z_si - n_i D)^2 I / (I - 1) / N^2  +  var_s (sum_i z_si / N) / S

    people and seeds each as if they were drawn (the part that both hold is counted twice, on the safe side).
    Student's t with Satterthwaite's degrees of freedom, V^2 / (V_people^2 / (I - 1) + V_seeds^2 / (S - 1)). A single
    seed has no variance to take: the interval is then of people only, and the reader has to be told.
    """
    count = len(mine.values) if other is None else min(len(mine.values), len(other.values))
    z = mine.values[:count] - (0 if other is None else other.values[:count])
    total, people = mine.queries.sum(), z.shape[1]
    value = z.sum() / (count * total)
    rest = z.mean(0) - mine.queries * value
    by_people = (rest**2).sum() * people / (people - 1) / total**2
    by_seeds = z.sum(1).var(ddof=1) / total**2 / count if count > 1 else 0.0
    variance = by_people + by_seeds
    if variance == 0:
        return Estimate(value, value, value, 1.0 if value == 0 else 0.0, count)
    freedom = variance**2 / (by_people**2 / (people - 1) + (by_seeds**2 / (count - 1) if count > 1 else 0))
    half = t.ppf((1 + LEVEL) / 2, freedom) * variance**0.5
    p = 2 * t.sf(abs(value) / variance**0.5, freedom)
    return Estimate(float(value), float(value - half), float(value + half), float(p), count)


def rejected(p_values: Sequence[float], alpha: float = 1 - LEVEL) -> list[bool]:
    """Which of several hypotheses fall (Holm 1979): the k-th smallest p against alpha / (m - k), until one stands."""
    order = np.argsort(p_values, kind="stable")
    found = [False] * len(p_values)
    for k, at in enumerate(order):
        if p_values[at] > alpha / (len(p_values) - k):
            break
        found[at] = True
    return found


def groups(entrants: Mapping[str, Sums]) -> dict[str, int]:
    """Entrant -> number of its group from 1, the best group first, in order of the means.

    A group is its best and all that Holm's procedure does not tell apart from it; the next group begins with the
    best of the others. Inside a group the order means nothing.
    """
    left = sorted(entrants, key=lambda name: -estimate(entrants[name]).value)
    found: dict[str, int] = {}
    number = 0
    while left:
        number += 1
        best, *others = left
        apart = rejected([estimate(entrants[best], entrants[name]).p for name in others])
        inside = [best, *(name for name, away in zip(others, apart, strict=True) if not away)]
        found |= dict.fromkeys(inside, number)
        left = [name for name in left if name not in inside]
    return found


def rank_correlation(one: Mapping[str, float], other: Mapping[str, float]) -> tuple[float, float, int] | None:
    """Spearman's rho of two columns over the entrants in both, its p, and how many; None below 4."""
    names = [name for name in one if name in other]
    if len(names) < 4:
        return None
    found = spearmanr([one[n] for n in names], [other[n] for n in names])
    return float(found.statistic), float(found.pvalue), len(names)
