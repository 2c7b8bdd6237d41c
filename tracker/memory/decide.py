"""Who is who, for all tracklets that ended in one window: pure arrays in, decisions out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrace.tracker.association.assignment import solve
from retrace.tracker.memory.evidence import posterior

NEW = -1  # a person whom the memory did not know


@dataclass(frozen=True, slots=True, eq=False)
class Round:
    """One round of a window: K tracklets among P people."""

    person: np.ndarray  # (K,) row of the person it joins, NEW: none
    probability: np.ndarray  # (K,) of that person, or of a new one
    second: np.ndarray  # (K,) row of the next likely person, NEW: none
    second_probability: np.ndarray  # (K,)


def decide(ratio: np.ndarray, returning: float, accept: float, ambiguous: float) -> Round:
    """The gated assignment that makes the sum of log odds largest; nobody gets two tracklets of one window.

    Two pieces of one person that end in the same window are decided in two rounds: call again with the rest.

    Args:
        ratio: (K, P) log-likelihood ratios, -inf where it cannot be.
        returning: prior that a tracklet is of somebody known.
        accept: posterior from which it joins.
        ambiguous: how many times likelier than the next person the best one must be.
    """
    count, people = ratio.shape
    each, fresh = posterior(ratio, returning)
    best = np.full(count, NEW)
    second, next_probability = np.full(count, NEW), np.zeros(count)
    if people:
        order = np.argsort(-each, axis=1, kind="stable")
        first = order[:, 0]
        if people > 1:
            next_probability = each[np.arange(count), order[:, 1]]
            second = np.where(next_probability > 0, order[:, 1], NEW)
        sure = each >= accept
        clear = each[np.arange(count), first] >= ambiguous * next_probability
        row, col = (sure & clear[:, None]).nonzero()
        gain = np.log(each[row, col] / np.maximum(1 - each[row, col], 1e-12)) + 1e-9
        joined_row, joined_col = solve(row, col, np.maximum(gain, 1e-9))
        best[joined_row] = joined_col
        lost = (best == NEW) & (each[np.arange(count), first] > 0)
        second[lost], next_probability[lost] = first[lost], each[lost, first[lost]]
    probability = np.where(best == NEW, fresh, each[np.arange(count), best] if people else fresh)
    return Round(best, probability, second, next_probability)
