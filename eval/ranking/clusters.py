"""Vectors as clusters: K-means against identities, by NMI, AMI and F1 of pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from retrace.configs import InputError
from retrace.configs.errors import one_of
from retrace.eval.ranking.pairing import DISTRACTOR, METRICS, Metric, checked_features, unit_rows


@dataclass(frozen=True, slots=True)
class ClusterScores:
    """How clusters agree with identities, in [0, 1] (AMI may be a little below 0).

    Attributes:
        nmi: 2 I / (H + H); rises with the number of clusters, also of clusters at random.
        ami: (I - E[I]) / ((H + H) / 2 - E[I]), E[I] of clusters at random of the same sizes (Vinh et al. 2010).
        f1: of pairs: precision, the share of pairs in one cluster that are one identity; recall the other way.
        clusters: k, the number of identities.
    """

    nmi: float
    ami: float
    f1: float
    clusters: int


def clustering_scores(
    features: np.ndarray, ids: np.ndarray, *, metric: Metric = "cosine", seed: int = 0, rounds: int = 30
) -> ClusterScores:
    """K-means with as many clusters as identities, against the identities.

    Junk and distractors are left out. Lloyd's algorithm from k random images; the figures move a little with the
    seed: compare only at equal data.

    Args:
        features: (N, D).
        ids: (N,).

    Raises:
        InputError: another metric, wrong shapes or numbers, fewer than two identities.
    """
    one_of("metric", metric, METRICS)
    x, norms = checked_features(features, "features", len(np.asarray(ids)))
    mine = np.asarray(ids) > DISTRACTOR
    kinds, truth = np.unique(np.asarray(ids)[mine], return_inverse=True)
    if len(kinds) < 2:
        raise InputError(f"clusters: expected two identities or more, got {len(kinds)}")
    x = x[mine]
    if metric == "cosine":
        x = unit_rows(x, norms[mine])
    found = kmeans(x, len(kinds), np.random.default_rng(seed), rounds)
    joint = contingency(truth, found)
    return ClusterScores(nmi(joint), ami(joint), pair_f1(joint), len(kinds))


def kmeans(x: np.ndarray, k: int, rng: np.random.Generator, rounds: int) -> np.ndarray:
    """Cluster of each row. A cluster that runs empty keeps its old centre."""
    centres = x[np.sort(rng.choice(len(x), k, replace=False))].copy()
    label = np.full(len(x), -1)
    for _ in range(rounds):
        offset = np.einsum("kd,kd->k", centres, centres) / 2
        parts = [x[i : i + 4096] for i in range(0, len(x), 4096)]
        found = np.concatenate([np.argmax(part @ centres.T - offset, 1) for part in parts])
        if np.array_equal(found, label):
            break
        label = found
        order = np.argsort(label, kind="stable")
        kinds, start, count = np.unique(label[order], return_index=True, return_counts=True)
        centres[kinds] = np.add.reduceat(x[order], start) / count[:, None].astype(np.float32)
    return label


def contingency(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(A, B) int64: how many items have label i (from 0) by the one and j by the other."""
    size = (int(a.max()) + 1, int(b.max()) + 1)
    return np.bincount(a * size[1] + b, minlength=size[0] * size[1]).reshape(size)


def nmi(joint: np.ndarray) -> float:
    """Normalised mutual information, arithmetic mean; 0 where both have one label only."""
    rows, columns = entropy(joint.sum(1)), entropy(joint.sum(0))
    return 2 * (rows + columns - entropy(joint.ravel())) / (rows + columns) if rows + columns else 0.0


def ami(joint: np.ndarray) -> float:
    """NMI with what chance gives taken off; 1 where both have one label only, as scikit-learn says."""
    rows, columns = joint.sum(1), joint.sum(0)
    expected = expected_information(rows, columns)
    mean = (entropy(rows) + entropy(columns)) / 2
    if np.isclose(mean, expected, atol=1e-15):
        return 1.0
    return (entropy(rows) + entropy(columns) - entropy(joint.ravel()) - expected) / (mean - expected)


def entropy(counts: np.ndarray) -> float:
    """In nats, of shares of the counts."""
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log(p)).sum())


def expected_information(rows: np.ndarray, columns: np.ndarray) -> float:
    """Mean mutual information over all tables with these margins (Vinh et al. 2010, equation 24), in nats.

    sum over cells and n of n / N log(N n / (a b)) P(n), P hypergeometric. A cell's share depends on a and b only, so
    each pair of different sizes is done once.
    """
    total = int(rows.sum())
    found = 0.0
    for a, times_a in zip(*np.unique(rows[rows > 0], return_counts=True), strict=True):
        for b, times_b in zip(*np.unique(columns[columns > 0], return_counts=True), strict=True):
            n = np.arange(max(1, a + b - total), min(a, b) + 1)
            log = (
                gammaln(a + 1) + gammaln(b + 1) + gammaln(total - a + 1) + gammaln(total - b + 1)
                - gammaln(total + 1) - gammaln(n + 1) - gammaln(a - n + 1) - gammaln(b - n + 1)
                - gammaln(total - a - b + n + 1)
            )  # fmt: skip
            found += times_a * times_b * float((n / total * np.log(total * n / (a * b)) * np.exp(log)).sum())
    return found


def pair_f1(joint: np.ndarray) -> float:
    """F1 of the pairs of items that share a cluster against those that share a label; 0 where there is none."""
    both, rows, columns = (float((c * (c - 1) / 2).sum()) for c in (joint, joint.sum(1), joint.sum(0)))
    return 2 * both / (rows + columns) if rows + columns else 0.0
