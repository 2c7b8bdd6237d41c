"""How vectors fill their space: spectral decay, density, alignment, uniformity. Diagnostics of training, no scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrace.configs import InputError

SMALLEST = 1e-12  # of a share of the spectrum: the mean of logarithms is decided by the tail


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Singular values of N vectors of D numbers.

    Attributes:
        rho: spectral decay (Roth et al. 2020): KL from the uniform distribution to the singular values' shares;
            0 is flat, and flatter generalises better in their study. Compare only equal N and D.
        rho_rest: the same without the largest value.
        effective_rank: e to the entropy of the shares.
        rank: values above 1e-6 of the largest; below D, rho is decided by the dead directions.
        count, dimensions: N and D.
    """

    rho: float
    rho_rest: float
    effective_rank: float
    rank: int
    count: int
    dimensions: int


@dataclass(frozen=True, slots=True)
class Density:
    """Distances of unit vectors within and between identities.

    Attributes:
        intra: mean Euclidean distance of an identity's pairs, averaged over identities with several images.
        inter: mean Euclidean distance of the identities' means.
        ratio: intra / inter (pi_ratio of Roth et al. 2020, by Euclidean distances).
        alignment: mean squared distance of the pairs of one identity (Wang and Isola 2020).
        uniformity: log of the mean of e^(-2 d^2) over all pairs; lower is more even.
    """

    intra: float
    inter: float
    ratio: float
    alignment: float
    uniformity: float


def spectrum(vectors: np.ndarray) -> Spectrum:
    """Of (N, D) rows, not centred; in float64 from the D x D Gram matrix.

    Raises:
        InputError: fewer than 2 vectors, or all are 0.
    """
    x = np.asarray(vectors, np.float64)
    if x.ndim != 2 or len(x) < 2 or not x.any():
        raise InputError(f"spectrum: expected at least 2 vectors that are not all 0, got shape {x.shape}")
    values = np.sqrt(np.linalg.eigvalsh(x.T @ x).clip(0))[::-1]
    shares = values / values.sum()
    entropy = -(shares[shares > 0] * np.log(shares[shares > 0])).sum()
    rank = int((values > 1e-6 * values[0]).sum())
    return Spectrum(_decay(values), _decay(values[1:]), float(np.exp(entropy)), rank, *x.shape)


def _decay(values: np.ndarray) -> float:
    """mean over k of log(1 / (D p_k))."""
    total = values.sum()
    if not len(values) or not total:
        return 0.0
    shares = (values / total).clip(SMALLEST)
    return float(-np.log(len(values) * shares).mean())


def density(vectors: np.ndarray, ids: np.ndarray) -> Density:
    """Of (N, D) unit rows with (N,) identities; memory grows with the largest identity and with N x 1024.

    Raises:
        InputError: fewer than 2 identities, or none with 2 images.
    """
    x, ids = np.asarray(vectors, np.float64), np.asarray(ids)
    people = [x[ids == identity] for identity in np.unique(ids)]
    several = [own for own in people if len(own) > 1]
    if len(people) < 2 or not several:
        raise InputError("density: expected at least 2 identities, one of them with 2 images")
    squares = [_pairs(own) for own in several]
    means = np.stack([own.mean(0) for own in people])
    intra = float(np.mean([np.sqrt(d).mean() for d in squares]))
    inter = float(np.sqrt(_pairs(means)).mean())
    total = sum(
        float(np.exp(-2 * _squared(x[start : start + 1024], x)).sum()) for start in range(0, len(x), 1024)
    )
    uniformity = float(np.log((total - len(x)) / (len(x) * (len(x) - 1))))  # without each with itself
    return Density(intra, inter, intra / inter, float(np.concatenate(squares).mean()), uniformity)


def _squared(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(n, D), (m, D) -> (n, m) squared distances."""
    squares = (one**2).sum(1)[:, None] + (other**2).sum(1) - 2 * one @ other.T
    return squares.clip(0)


def _pairs(vectors: np.ndarray) -> np.ndarray:
    """(n, D) -> squared distances of the n (n - 1) / 2 pairs."""
    return _squared(vectors, vectors)[np.triu_indices(len(vectors), 1)]
