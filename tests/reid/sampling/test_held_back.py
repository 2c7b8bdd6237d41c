"""Images that nobody trains on: which, and what is said of the network's answers to them."""

from __future__ import annotations

import numpy as np
import pytest

from retrace.reid.sampling.held_back import figures_of, hold_back


def test_a_share_of_everybody_who_has_enough() -> None:
    """A quarter of 8, 9, 3 and 12 images: 2, 2, none (1 is no pair), 3."""
    labels = np.random.default_rng(0).permutation(np.repeat([5, 7, 8, 9], [8, 9, 3, 12]))
    held = hold_back(labels, 0.25, seed=1)
    assert [int(held[labels == c].sum()) for c in (5, 7, 8, 9)] == [2, 2, 0, 3]
    np.testing.assert_array_equal(held, hold_back(labels, 0.25, seed=1))
    assert (held != hold_back(labels, 0.25, seed=2)).any()
    assert not hold_back(labels, 0.0, seed=1).any()
    assert not hold_back(np.array([0, 0, 0]), 0.9, seed=1).any(), "2 have to stay"


def test_figures_by_hand() -> None:
    """Unit vectors at 0, 10 and 100 degrees (a), at 90 and 180 (b).

    Nearest first: 0: 10a 90b; 10: 0a 90b; 100: 90b 10a/180b; 90: 100a 10a 180b; 180: 100a 90b.
    """
    angles = np.deg2rad([0, 10, 100, 90, 180])
    vectors = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    labels = np.array([4, 4, 4, 6, 6])
    got = figures_of(vectors, labels)
    ranks = []  # of the first of one's own
    for i in range(5):
        others = sorted((k for k in range(5) if k != i), key=lambda k: -float(vectors[i] @ vectors[k]))
        ranks.append(1 + next(n for n, k in enumerate(others) if labels[k] == labels[i]))
    assert ranks[:2] == [1, 1]
    assert ranks[4] == 2
    assert got[:4].tolist() == pytest.approx([np.mean([r <= k for r in ranks]) for k in (1, 2, 4, 8)])
    pairs = [(0, 10), (10, 0), (0, 100), (100, 0), (10, 100), (100, 10), (90, 180), (180, 90)]
    chords = [2 * np.sin(np.deg2rad(abs(a - b)) / 2) for a, b in pairs]
    assert got[4] == pytest.approx(np.mean(chords), rel=1e-5)
    means = [vectors[:3].mean(0), vectors[3:].mean(0)]
    assert got[5] == pytest.approx(np.linalg.norm(means[0] - means[1]), rel=1e-5)
