"""Images of the training people that nobody trains on, and how the network does on them on the way.

What PADS rewards its policy with (Roth et al. 2020): other images of the same people, not other people.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import pdist

RANKS = (1, 2, 4, 8)
FIGURES = len(RANKS) + 2


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """One look.

    Attributes:
        figures: (6,) float32, see :func:`figures_of`.
        iteration: when it was taken.
    """

    figures: np.ndarray
    iteration: int


def hold_back(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """(N,) bool: ``share`` of each identity's images, where that is at least 2 and leaves at least 2."""
    rng = np.random.default_rng((seed, 0x4E1D))
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]  # shuffled within identities
    _, start, which, count = np.unique(
        labels[order], return_index=True, return_inverse=True, return_counts=True
    )
    few = np.round(share * count).astype(int)
    few[(few < 2) | (count - few < 2)] = 0
    found = np.zeros(len(labels), bool)
    found[order[np.arange(len(labels)) - start[which] < few[which]]] = True
    return found


def figures_of(vectors: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Recall@1, 2, 4, 8 of each image among the others, mean distance within identities and between their means.

    Args:
        vectors: (N, D) float32 unit rows.
        labels: (N,), each at least twice.

    Returns:
        (6,) float32.
    """
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -np.inf)
    same = labels[:, None] == labels[None, :]
    np.fill_diagonal(same, False)
    near = np.argsort(-scores, axis=1, kind="stable")[:, : max(RANKS)]
    hits = np.take_along_axis(same, near, 1)
    recalls = [hits[:, :k].any(1).mean() for k in RANKS]
    within = np.sqrt((2 - 2 * scores[same]).clip(0)).mean()
    sums = np.zeros((int(labels.max()) + 1, vectors.shape[1]))
    np.add.at(sums, labels, vectors)
    means = sums[np.unique(labels)] / np.bincount(labels)[np.unique(labels)][:, None]
    between = pdist(means).mean() if len(means) > 1 else 0.0
    return np.array([*recalls, within, between], np.float32)
