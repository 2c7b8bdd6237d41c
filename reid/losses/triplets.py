"""Terms on triplets: an anchor, an image of the same person, an image of somebody else."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def batch_hard_triplet(
    embeddings: torch.Tensor,
    distances: torch.Tensor,
    positives: torch.Tensor,
    negatives: torch.Tensor,
    *,
    margin: float | None = 0.3,
) -> torch.Tensor:
    """mean_a [margin + max_p d(a, p) - min_n d(a, n)]+ over the batch (Hermans et al. 2017, equation 5).

    d is the Euclidean distance (not squared, vectors not normalised). margin None: softplus of the
    difference instead. Anchors without a positive or without a negative do not count.
    """
    usable = positives.any(1) & negatives.any(1)
    farthest = distances.masked_fill(~positives, -torch.inf).amax(1)[usable]
    closest = distances.masked_fill(~negatives, torch.inf).amin(1)[usable]
    if not len(farthest):
        return embeddings.sum() * 0
    gap = farthest - closest
    return (F.softplus(gap) if margin is None else F.relu(gap + margin)).mean()


def weighted_triplet(
    embeddings: torch.Tensor, distances: torch.Tensor, positives: torch.Tensor, negatives: torch.Tensor
) -> torch.Tensor:
    """Weighted-regularised triplet of AGW (Ye et al. 2021, section 4): no margin.

    softplus(sum_p w_p d(a, p) - sum_n w_n d(a, n)); w_p is the softmax of d over an anchor's positives,
    w_n the softmax of -d over its negatives.
    """
    usable = positives.any(1) & negatives.any(1)
    if not usable.any():
        return embeddings.sum() * 0
    distances, positives, negatives = distances[usable], positives[usable], negatives[usable]
    pull = distances.masked_fill(~positives, -torch.inf).softmax(1)
    push = (-distances).masked_fill(~negatives, -torch.inf).softmax(1)
    return F.softplus((pull * distances).sum(1) - (push * distances).sum(1)).mean()
