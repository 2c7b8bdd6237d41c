"""Who is who, for all tracklets that ended in one window: pure arrays in, decisions out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrace.tracker.association.assignment import solve
from retrace.tracker.memory.evidence import posterior

NEW = -1  # a person whom the memory did not know


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Who each of K tracklets may be: the C likeliest of the people by looks and time."""

    person: np.ndarray  # (K, C) int64 rows of people
    ratio: np.ndarray  # (K, C) log-likelihood ratios, -inf: it cannot be
    distance: np.ndarray  # (K, C) of looks
    people: int  # P, how many there are in all
    # (K, C) bool, who may well be the same person as the likeliest one: no rivals of each other
    alike: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Round:
    """One round of a window: K tracklets."""

    person: np.ndarray  # (K,) row of the person it joins, NEW: none
    probability: np.ndarray  # (K,) of that person, or of a new one
    distance: np.ndarray  # (K,) of looks to that person, NaN: none
    second: np.ndarray  # (K,) row of the next likely person, NEW: none
    second_probability: np.ndarray  # (K,)
    # (K,) row of somebody else, of a tracklet that fits him and ``second`` nearly equally, NEW: none
    rival: np.ndarray
    rival_probability: np.ndarray  # (K,)


def decide(given: Candidates, returning: float, accept: float, ambiguous: float) -> Round:
    """The gated assignment that makes the sum of log odds largest; nobody gets two tracklets of one round.

    Two people of the memory may be one, whom it did not know again. A tracklet that fits both is no less his for that:
    it goes to the likelier of them, by the probability of both together.

    Two pieces of one person that end in the same window are decided in two rounds: call again with the rest.

    Args:
        given: the candidates.
        returning: prior that a tracklet is of somebody known.
        accept: posterior from which it joins.
        ambiguous: how many times likelier than the next person the best one must be.
    """
    count = len(given.ratio)
    each, fresh = posterior(given.ratio, returning, given.people)
    order = np.argsort(-each, axis=1, kind="stable")[:, :2]
    top = np.zeros((count, 2))  # of the best and the next
    top[:, : order.shape[1]] = np.take_along_axis(each, order, axis=1)
    who = np.full((count, 2), NEW)
    who[:, : order.shape[1]] = np.take_along_axis(given.person, order, axis=1)
    who[top == 0] = NEW
    together, rival, other = _together(each, order[:, :1], given.alike)
    somebody, clear = who[:, 0] != NEW, together >= ambiguous * rival
    joins = somebody & clear & (together >= accept)
    between = somebody & ~clear & (together + rival >= accept)  # two share what would be enough for one
    row = joins.nonzero()[0]  # above one half there is one candidate a row: only people are fought for
    gain = np.log(together[row] / np.maximum(1 - together[row], 1e-12)) + 1e-9
    joined, _ = solve(row, who[row, 0], np.maximum(gain, 1e-9))
    won = np.zeros(count, bool)
    won[joined] = True
    distance = np.full(count, np.nan)
    if order.shape[1]:
        distance[won] = np.take_along_axis(given.distance, order[:, :1], axis=1)[won, 0]
    rivals = np.full(count, NEW)
    if order.shape[1]:
        rivals[between] = np.take_along_axis(given.person, other[:, None], axis=1)[between, 0]
    return Round(
        np.where(won, who[:, 0], NEW),
        np.where(won, together, fresh),
        distance,
        np.where(won, who[:, 1], who[:, 0]),
        np.where(won, top[:, 1], top[:, 0]),
        rivals,
        np.where(between, rival, 0.0),
    )


def _together(
    each: np.ndarray, best: np.ndarray, alike: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(K,) probability of the likeliest and of those who are one with him, of the likeliest other, and his column."""
    if not best.shape[1]:
        return np.zeros(len(each)), np.zeros(len(each)), np.zeros(len(each), np.int64)
    same = alike.copy()
    np.put_along_axis(same, best, True, axis=1)
    others = np.where(same, 0.0, each)
    return (each * same).sum(1), others.max(1), others.argmax(1)
