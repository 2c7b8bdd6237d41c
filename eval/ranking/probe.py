"""Linear probe: what of a label can be read off frozen vectors by a linear classifier."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from retrace.configs import InputError

STRENGTHS = (0.01, 0.1, 1.0, 10.0)  # C, as scikit-learn counts it


@dataclass(frozen=True, slots=True)
class Probe:
    """What a probe found.

    Attributes:
        accuracy: on images that neither trained nor chose.
        chance: share of the commonest label among them.
        strength: C, chosen on a validation part.
        labels, images: tested.
    """

    accuracy: float
    chance: float
    strength: float
    labels: int
    images: int


def linear_probe(
    train: np.ndarray, train_labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray, *, seed: int = 0
) -> Probe:
    """Multinomial logistic regression with L2, standardised on its training part.

    A fifth of each label's training images (where it has five or more; the last of two or more otherwise) chooses C
    among `STRENGTHS`; then all training images count. Test images of labels that were not trained are left out.

    Args:
        train, test: (N, D), (M, D).
        train_labels, test_labels: (N,), (M,) whole numbers.

    Raises:
        InputError: fewer than 2 labels, or no test image of any.
    """
    kinds, y = np.unique(train_labels, return_inverse=True)
    inside = np.isin(test_labels, kinds)
    if len(kinds) < 2 or not inside.any():
        raise InputError(
            f"linear probe: expected 2 labels or more with test images of them, got {len(kinds)}"
        )
    rng = np.random.default_rng(seed)
    held = np.zeros(len(y), bool)
    for kind in range(len(kinds)):
        mine = rng.permutation(np.flatnonzero(y == kind))
        held[mine[: max(len(mine) // 5, int(len(mine) > 1))]] = True
    x = np.asarray(train, np.float64)
    scores = []
    for strength in STRENGTHS:
        fitted = fit(x[~held], y[~held], len(kinds), strength)
        scores.append((predict(fitted, x[held]) == y[held]).mean() if held.any() else 0.0)
    best = STRENGTHS[int(np.argmax(scores))]
    fitted = fit(x, y, len(kinds), best)
    truth = np.searchsorted(kinds, np.asarray(test_labels)[inside])
    found = predict(fitted, np.asarray(test, np.float64)[inside])
    chance = np.bincount(truth).max() / len(truth)
    return Probe(float((found == truth).mean()), float(chance), best, len(kinds), len(truth))


def fit(x: np.ndarray, y: np.ndarray, classes: int, strength: float) -> tuple[np.ndarray, ...]:
    """(weights (D, K), bias (K,), mean (D,), scale (D,)): minimum of C sum of cross-entropies + |weights|^2 / 2."""
    mean, scale = x.mean(0), x.std(0)
    scale = np.where(scale > 1e-12, scale, 1.0)
    z = (x - mean) / scale
    one = np.eye(classes)[y]
    size = z.shape[1] * classes

    def cost(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights, bias = flat[:size].reshape(z.shape[1], classes), flat[size:]
        logits = z @ weights + bias
        logits -= logits.max(1, keepdims=True)
        log_sum = np.log(np.exp(logits).sum(1, keepdims=True))
        value = strength * (log_sum[:, 0] - (logits * one).sum(1)).sum() + (weights**2).sum() / 2
        rest = strength * (np.exp(logits - log_sum) - one)
        return float(value), np.concatenate([(z.T @ rest + weights).ravel(), rest.sum(0)])

    found = minimize(cost, np.zeros(size + classes), jac=True, method="L-BFGS-B", options={"maxiter": 200})
    return found.x[:size].reshape(z.shape[1], classes), found.x[size:], mean, scale


def predict(fitted: tuple[np.ndarray, ...], x: np.ndarray) -> np.ndarray:
    """(N,) the likeliest label of each row."""
    weights, bias, mean, scale = fitted
    return np.argmax((x - mean) / scale @ weights + bias, 1)
