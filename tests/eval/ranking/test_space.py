"""Spectral decay, density, alignment and uniformity by hand and by loops."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.eval.ranking.space import density, spectrum


def directions(*degrees: float) -> np.ndarray:
    turned = np.radians(degrees)
    return np.stack([np.cos(turned), np.sin(turned)], 1)


def test_decay_by_hand() -> None:
    """Singular values 4, 2, 1, 1: log 2 / 4; without the largest .056633."""
    random = np.random.default_rng(0)
    left = np.linalg.qr(random.normal(size=(9, 4)))[0]
    right = np.linalg.qr(random.normal(size=(4, 4)))[0]
    found = spectrum(left @ np.diag([4.0, 2, 1, 1]) @ right)
    assert found.rho == pytest.approx(0.173287, abs=1e-6)
    assert found.rho_rest == pytest.approx(0.056633, abs=1e-6)
    shares = [0.5, 0.25, 0.125, 0.125]
    assert found.effective_rank == pytest.approx(math.exp(-sum(p * math.log(p) for p in shares)))
    assert (found.rank, found.count, found.dimensions) == (4, 9, 4)


def test_a_flat_spectrum_decays_not_and_dead_directions_are_counted() -> None:
    assert spectrum(np.eye(5)).rho == pytest.approx(0, abs=1e-12)
    dead = spectrum(np.eye(5)[:, [0, 1, 2, 2, 2]])
    assert dead.rank == 3
    assert dead.rho > 5  # finite, though a share is 0


def test_density_by_hand() -> None:
    """Unit vectors at 0, 20 (class 0), 90, 130 degrees (class 1)."""
    found = density(directions(0, 20, 90, 130), np.array([0, 0, 1, 1]))
    assert found.intra == pytest.approx(0.515668, abs=1e-6)
    assert found.inter == pytest.approx(1.474538, abs=1e-6)
    assert found.ratio == pytest.approx(0.349715, abs=1e-6)
    assert found.alignment == pytest.approx(0.2943, abs=1e-4)
    assert found.uniformity == pytest.approx(-1.5494, abs=1e-4)


def test_density_by_loops() -> None:
    random = np.random.default_rng(1)
    x = random.normal(size=(14, 5))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    ids = np.array([3, 3, 3, 5, 5, 6, 7, 7, 7, 7, 8, 8, 9, 3])
    found = density(x, ids)
    intra, squares = [], []
    for identity in set(ids.tolist()):
        own = [((a - b) ** 2).sum() for a, b in itertools.combinations(x[ids == identity], 2)]
        if own:
            intra.append(np.mean(np.sqrt(own)))
            squares += own
    means = [x[ids == identity].mean(0) for identity in sorted(set(ids.tolist()))]
    inter = np.mean([np.linalg.norm(a - b) for a, b in itertools.combinations(means, 2)])
    every = [math.exp(-2 * ((a - b) ** 2).sum()) for a, b in itertools.combinations(x, 2)]
    assert found.intra == pytest.approx(np.mean(intra))
    assert found.inter == pytest.approx(inter)
    assert found.ratio == pytest.approx(np.mean(intra) / inter)
    assert found.alignment == pytest.approx(np.mean(squares))
    assert found.uniformity == pytest.approx(math.log(np.mean(every)))


def test_too_little_is_refused() -> None:
    with pytest.raises(InputError, match="at least 2 vectors"):
        spectrum(np.zeros((4, 3)))
    with pytest.raises(InputError, match="at least 2 identities"):
        density(np.eye(3), np.array([1, 1, 1]))
    with pytest.raises(InputError, match="one of them with 2 images"):
        density(np.eye(3), np.array([1, 2, 3]))
