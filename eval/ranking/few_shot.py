"""Few-shot: who is it, among N people of whom K images are known (Snell et al. 2017, section 2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrace.configs import InputError
from retrace.eval.ranking.pairing import DISTRACTOR, checked_features, unit_rows

QUERIES = 15  # images asked for of each person, at most


@dataclass(frozen=True, slots=True)
class FewShot:
    """Accuracy of nearest-mean episodes.

    Attributes:
        ways, shots: N and K.
        accuracy: mean over episodes.
        half: of its 95 % interval over episodes (1.96 standard errors).
        people: who can take part.
    """

    ways: int
    shots: int
    across: bool
    accuracy: float
    half: float
    people: int


def evaluate_few_shot(
    features: np.ndarray,
    ids: np.ndarray,
    cameras: np.ndarray,
    *,
    ways: int = 5,
    shots: int = 1,
    across: bool = False,
    episodes: int = 600,
    seed: int = 0,
) -> FewShot:
    """Episodes: N people drawn, K images of each as support, the others (15 at most) as queries.

    A query is given to the person whose mean of unit support vectors is nearest to it. Accuracy is over an episode's
    queries, then over episodes.

    Args:
        features: (N, D).
        ids, cameras: (N,).
        across: a person's support is of one camera, drawn among those with enough images, the queries are of others:
            ReID's own question.

    Raises:
        InputError: wrong shapes, or fewer people than ways who have enough images.
    """
    x, norms = checked_features(features, "features", len(np.asarray(ids)))
    x = unit_rows(x, norms)
    people = [np.flatnonzero(np.asarray(ids) == k) for k in np.unique(np.asarray(ids)) if k > DISTRACTOR]
    seen = np.asarray(cameras)
    able = [rows for rows in people if _splits(rows, seen, shots, across)]
    if len(able) < ways or ways < 2 or shots < 1:
        raise InputError(
            f"{ways}-way {shots}-shot{' across cameras' * across}: only {len(able)} people have enough images; "
            "ask for fewer ways or shots"
        )
    rng = np.random.default_rng(seed)
    found = [
        _episode(x, [able[k] for k in rng.choice(len(able), ways, replace=False)], seen, shots, across, rng)
        for _ in range(episodes)
    ]
    half = 1.96 * float(np.std(found, ddof=1)) / episodes**0.5 if episodes > 1 else float("nan")
    return FewShot(ways, shots, across, float(np.mean(found)), half, len(able))


def _splits(rows: np.ndarray, cameras: np.ndarray, shots: int, across: bool) -> list[np.ndarray]:
    """Of one person, the sets of rows that a support may be drawn from, each with something left to ask for."""
    if not across:
        return [rows] if len(rows) > shots else []
    kinds, counts = np.unique(cameras[rows], return_counts=True)
    return [
        rows[cameras[rows] == kind]
        for kind, count in zip(kinds, counts, strict=True)
        if shots <= count < len(rows)
    ]


def _episode(
    x: np.ndarray,
    chosen: list[np.ndarray],
    cameras: np.ndarray,
    shots: int,
    across: bool,
    rng: np.random.Generator,
) -> float:
    means, asked, truth = [], [], []
    for way, rows in enumerate(chosen):
        splits = _splits(rows, cameras, shots, across)
        pool = splits[rng.integers(len(splits))]
        support = rng.choice(pool, shots, replace=False)
        rest = np.setdiff1d(rows, pool if across else support)
        queries = rest if len(rest) <= QUERIES else rng.choice(rest, QUERIES, replace=False)
        means.append(x[support].mean(0))
        asked.append(queries)
        truth.append(np.full(len(queries), way))
    centres = np.stack(means)
    # |q - c|^2 = 1 - 2 q c + c^2: the 1 is the same for all.
    scores = x[np.concatenate(asked)] @ centres.T - np.einsum("kd,kd->k", centres, centres) / 2
    return float((scores.argmax(1) == np.concatenate(truth)).mean())
