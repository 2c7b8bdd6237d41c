"""How sure a number is: bootstrap intervals over sequences, paired ones for the difference of two results.

A sequence is the unit: its frames are anything but independent. Few sequences give wide, rough intervals;
they say what another draw of such sequences would show, not what noise inside one would. Where there are too few,
people are the unit: what other people in the same places would have shown.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from retrace.eval.mot.score import Metrics, PersonMetrics, combine

SHOWN = ("HOTA", "DetA", "AssA", "MOTA", "IDF1")
OF_PEOPLE = ("HOTA", "DetA", "AssA", "IDF1", "IDSW")


def intervals(
    parts: Sequence[Metrics],
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    names: Sequence[str] = SHOWN,
) -> dict[str, tuple[float, float]]:
    """Percentile bootstrap of the combined metrics: name -> (low, high).

    Sequences are drawn with replacement and combined as the score itself is, so long sequences weigh more.
    """
    drawn = _draw([parts], draws, seed, names)[0]
    return _bounds(drawn, level, names)


def paired_intervals(
    mine: Sequence[Metrics],
    other: Sequence[Metrics],
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    names: Sequence[str] = SHOWN,
) -> dict[str, tuple[float, float]]:
    """The same for mine minus other, both on the same draw: name -> (low, high).

    ``mine`` and ``other`` are the same sequences in the same order.
    """
    if len(mine) != len(other):
        raise ValueError(f"a paired comparison needs the same sequences, got {len(mine)} and {len(other)}")
    a, b = _draw([mine, other], draws, seed, names)
    return _bounds(a - b, level, names)


def people_intervals(
    mine: Sequence[PersonMetrics],
    other: Sequence[PersonMetrics],
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Paired intervals of HOTA, DetA, AssA, IDF1 and IDSW over people, of all sequences: name -> (low, high) of mine
    minus other. IDSW is of as many people as there are.

    Args:
        mine, other: of the same people in the same order, see `retrace.eval.mot.score.score_people`.
    """
    if len(mine) != len(other) or not mine:
        raise ValueError(f"a paired comparison needs the same people, got {len(mine)} and {len(other)}")
    weight = np.random.default_rng(seed).multinomial(len(mine), np.full(len(mine), 1 / len(mine)), draws)
    a, b = _weighted(mine, weight), _weighted(other, weight)
    return _bounds(a - b, level, OF_PEOPLE)


def _weighted(people: Sequence[PersonMetrics], weight: np.ndarray) -> np.ndarray:
    """(draws, P) how often each is taken -> (draws, 5) `OF_PEOPLE`, as `combine` has them."""
    each = [p.hota for p in people]
    tp, fn, fp, associated = (
        weight @ np.array(rows)
        for rows in (
            [p.TP for p in each],
            [p.FN for p in each],
            [p.FP for p in each],
            [p.AssA * p.TP for p in each],
        )
    )
    detection, association = tp / np.maximum(1, tp + fn + fp), associated / np.maximum(1, tp)
    alphas = np.stack([np.sqrt(detection * association), detection, association], 1).mean(axis=2)
    right, missed, false, switches = (
        weight @ np.array([(p.identity.IDTP, p.identity.IDFN, p.identity.IDFP, p.IDSW) for p in people])
    ).T
    idf1 = right / np.maximum(1, right + 0.5 * missed + 0.5 * false)
    return np.column_stack((alphas, idf1, switches))


def _draw(results: list[Sequence[Metrics]], draws: int, seed: int, names: Sequence[str]) -> list[np.ndarray]:
    """For each result (draws, names) combined metrics; one draw takes the same sequences in all results.

    A draw is how often each sequence is taken. Few sequences repeat draws often, so each is scored once.
    """
    count = len(results[0])
    rng = np.random.default_rng(seed)
    taken = np.sort(rng.integers(0, count, (draws, count)), 1)
    distinct, which = np.unique(taken, axis=0, return_inverse=True)
    tables = []
    for parts in results:
        rows = [combine([parts[k] for k in draw]).row() for draw in distinct]
        tables.append(np.array([[row[n] for n in names] for row in rows])[which.ravel()])
    return tables


def _bounds(values: np.ndarray, level: float, names: Sequence[str]) -> dict[str, tuple[float, float]]:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return {name: (float(a), float(b)) for name, a, b in zip(names, low, high, strict=True)}
