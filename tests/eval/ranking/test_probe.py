"""Linear probe: the minimum, scikit-learn's answer, chance."""

from __future__ import annotations

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.eval.ranking.probe import fit, linear_probe, predict


def data(seed: int, count: int = 120) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 4, count)
    return np.eye(6)[y] * 2 + rng.standard_normal((count, 6)), y


def test_is_a_minimum() -> None:
    x, y = data(0)
    weights, bias, mean, scale = fit(x, y, 4, 0.5)
    z = (x - mean) / scale

    def slow_cost(w: np.ndarray, b: np.ndarray) -> float:
        total = 0.0
        for row, label in zip(z, y, strict=True):
            logits = [sum(row[d] * w[d, k] for d in range(6)) + b[k] for k in range(4)]
            total += np.log(sum(np.exp(v) for v in logits)) - logits[label]
        return 0.5 * total + (w**2).sum() / 2

    best = slow_cost(weights, bias)
    rng = np.random.default_rng(1)
    for _ in range(10):
        assert slow_cost(weights + 0.01 * rng.standard_normal(weights.shape), bias) > best


def test_equal_to_scikit_learn() -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    x, y = data(2)
    weights, bias, mean, scale = fit(x, y, 4, 0.1)
    other = linear.LogisticRegression(C=0.1, tol=1e-8, max_iter=1000).fit((x - mean) / scale, y)
    np.testing.assert_allclose(weights, other.coef_.T, atol=2e-3)
    assert (predict((weights, bias, mean, scale), x) == other.predict((x - mean) / scale)).all()


def test_what_is_there_is_found_and_what_is_not_is_chance() -> None:
    (x, y), (x_test, y_test) = data(3, 300), data(4, 200)
    found = linear_probe(x, y + 10, x_test, y_test + 10)
    assert found.accuracy > 0.75
    assert (found.labels, found.images) == (4, 200)
    noise = np.random.default_rng(5)
    found = linear_probe(noise.standard_normal(x.shape), y, noise.standard_normal(x_test.shape), y_test)
    assert abs(found.accuracy - found.chance) < 0.12


def test_labels_that_were_not_trained_are_left_out() -> None:
    x, y = data(6)
    assert linear_probe(x[y < 2], y[y < 2], x, y).images == (y < 2).sum()
    with pytest.raises(InputError, match="expected 2 labels or more"):
        linear_probe(x[y < 1], y[y < 1], x, y)
