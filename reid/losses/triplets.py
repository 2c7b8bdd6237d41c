"""Terms on triplets: an anchor, an image of the same person, an image of somebody else."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn


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


def hierarchical_triplet(
    cosines: torch.Tensor,
    ids: torch.Tensor,
    positives: torch.Tensor,
    negatives: torch.Tensor,
    class_levels: torch.Tensor,
    class_spread: torch.Tensor,
    *,
    beta: float = 0.1,
) -> torch.Tensor:
    """Triplets whose margin is how far apart two identities are in the class tree (Ge et al. 2018).

    sum over triplets [d2_ap - d2_an + beta + d_H(y_a, y_n) - s_ya]+ / (2 Z), Z triplets, d2 the squared distance of
    unit vectors (the paper prints a plain norm, but its margins are squared distances), d_H and s from the
    census. Goes with the sampler neighbour; after a census from random weights the tree is noise.
    """
    squared = 2 - 2 * cosines
    margin = beta + class_levels[ids][:, ids] - class_spread[ids][:, None]
    triplet = positives[:, :, None] & negatives[:, None, :]
    loss = F.relu(squared[:, :, None] - squared[:, None, :] + margin[:, None, :])
    return (loss * triplet).sum() / (2 * triplet.sum().clamp_min(1))


def drawn_triplet(
    unit_distances: torch.Tensor,
    positives: torch.Tensor,
    negatives: torch.Tensor,
    *,
    margin: float = 0.2,
    switch: float = 0.0,
    form: Literal["triplet", "contrastive"] = "triplet",
) -> torch.Tensor:
    """One triplet drawn for each anchor, of unit vectors; with rho-switch (Roth et al. 2020).

    triplet: [d_ap - d_an + m]+; contrastive: d_ap + [m - d_an]+. With probability ``switch`` (a, p, n) becomes
    (a, a, p): an image of the same person is pushed away up to the margin, which keeps directions in the space that
    compressing every person to a point would lose. Mean over anchors with a positive and a negative. The authors
    take 0.2 to 0.4; it works against terms that compress classes, cross-entropy and centre first.
    """
    usable = positives.any(1) & negatives.any(1)
    if not usable.any():
        return unit_distances.sum() * 0
    distances = unit_distances[usable]
    near = distances.gather(1, drawn(positives[usable])).squeeze(1)
    far = distances.gather(1, drawn(negatives[usable])).squeeze(1)
    switched = torch.rand(len(near), device=near.device) < switch
    return triplet_values(near, far, switched, margin, form).mean()


def triplet_values(
    near: torch.Tensor, far: torch.Tensor, switched: torch.Tensor, margin: float, form: str
) -> torch.Tensor:
    """(N,) losses of triplets with d_ap ``near`` and d_an ``far``; a switched one is (a, a, p)."""
    pull, push = torch.where(switched, 0, near), torch.where(switched, near, far)
    if form == "contrastive":
        return pull + F.relu(margin - push)
    return F.relu(pull - push + margin)


def drawn(chances: torch.Tensor) -> torch.Tensor:
    """(N, B) weights, each row with one above 0 -> (N, 1) int64 column drawn by them."""
    return torch.multinomial(chances.float(), 1)


class Margin(nn.Module):
    """[d_ap - beta + a]+ + [beta - d_an + a]+ with a learned border beta, negatives drawn by their distance.

    Wu et al. 2017 ("Sampling matters"); the sum over the drawn triplets is divided by the number
    of terms that are not 0, as the authors do. A negative's chance is one over the density of its distance on the
    sphere, distances below 0.5 counted as 0.5 and none beyond 1.4 (beyond it too where an anchor has no other).
    In 512 dimensions that would be hard mining, so the density is taken of at most ``cap`` dimensions (128: the
    paper's vectors). beta is one an identity, and learns with ``lr`` (the paper: 5e-4); ``beta`` is its start.

    triplets: "identity"; "shuffled": the batch's identities are shuffled first, so what is learned is shared by
    people (DiVA, Milbich et al. 2020, its released default); "shared": anchor, positive and negative are three
    people (Sharing Matters, Milbich et al. 2020); "intra": all three are one person (DiVA). The last three are for a
    head of their own, with one beta for all. ``switch``: as in drawn_triplet.
    """

    def __init__(
        self,
        classes: int,
        dimensions: int,
        *,
        alpha: float = 0.2,
        beta: float = 1.2,
        cap: int = 128,
        switch: float = 0.0,
        triplets: Literal["identity", "shuffled", "shared", "intra"] = "identity",
    ) -> None:
        super().__init__()
        self.alpha, self.switch, self.triplets = alpha, switch, triplets
        self.dimensions = min(dimensions, cap)
        self.beta = nn.Parameter(torch.full((classes if triplets == "identity" else 1,), beta))

    def forward(
        self,
        unit_distances: torch.Tensor,
        ids: torch.Tensor,
        positives: torch.Tensor,
        negatives: torch.Tensor,
    ) -> torch.Tensor:
        if self.triplets == "shuffled":
            order = torch.randperm(len(ids), device=ids.device)
            positives, negatives = positives[order][:, order], negatives[order][:, order]
        elif self.triplets == "intra":
            negatives = positives
        elif self.triplets == "shared":
            positives = negatives
        usable = positives.any(1) & negatives.any(1)
        distances, pull, push = unit_distances[usable], positives[usable], negatives[usable]
        if not len(distances):
            return unit_distances.sum() * 0
        if self.triplets == "intra":
            pairs = pull.sum(1) > 1  # a positive and another negative
            distances, pull, push = distances[pairs], pull[pairs], push[pairs]
            far = drawn(push) if len(push) else torch.zeros(0, 1, dtype=torch.int64, device=ids.device)
            pull = pull.scatter(1, far, False)
        else:
            far = drawn(distance_weights(distances.detach(), push, self.dimensions))
            if self.triplets == "shared":
                pull = pull & (ids != ids[far])
                kept = pull.any(1)
                distances, pull, far = distances[kept], pull[kept], far[kept]
        if not len(distances):
            return unit_distances.sum() * 0
        near = distances.gather(1, drawn(pull)).squeeze(1)
        beyond = distances.gather(1, far).squeeze(1)
        switched = torch.rand(len(near), device=near.device) < self.switch
        beta = self.beta[ids[usable]] if self.triplets == "identity" else self.beta
        pulled = F.relu(near - beta + self.alpha) * ~switched
        pushed = F.relu(beta - torch.where(switched, near, beyond) + self.alpha)
        return (pulled + pushed).sum() / ((pulled > 0).sum() + (pushed > 0).sum()).clamp_min(1)


def distance_weights(distances: torch.Tensor, negatives: torch.Tensor, dimensions: int) -> torch.Tensor:
    """(N, B) chances of negatives: one over the density of their distance on the unit sphere (Wu et al. 2017).

    log q = (D - 2) log d + (D - 3) / 2 log(1 - d^2 / 4). The largest of a row is 1.
    """
    d = distances.clamp(0.5, 1.999)
    log = (2.0 - dimensions) * d.log() - (dimensions - 3) / 2 * (1 - d.square() / 4).log()
    inside = negatives & (distances <= 1.4)
    inside = torch.where(inside.any(1, keepdim=True), inside, negatives)
    log = log.masked_fill(~inside, -torch.inf)
    return (log - log.amax(1, keepdim=True)).exp()


def selection_balance(
    unit: torch.Tensor,
    unit_distances: torch.Tensor,
    ids: torch.Tensor,
    positives: torch.Tensor,
    negatives: torch.Tensor,
    *,
    margin: float = 0.3,
    balance: float = 0.1,
) -> torch.Tensor:
    """Batch-hard triplets, and a pull of what they select back to what the batch holds.

    Mining changes the distribution: + balance x sum over identities of |mean of f over the rows that occur in the
    chosen triplets, as often as they do - mean of f over the batch|^2. The idea of Yu et al. 2018 ("Correcting the
    triplet selection bias"), whose exact correction we could not read, hence the other name.
    """
    usable = positives.any(1) & negatives.any(1)
    if not usable.any():
        return unit.sum() * 0
    farthest = unit_distances.masked_fill(~positives, -torch.inf)[usable].max(1)
    closest = unit_distances.masked_fill(~negatives, torch.inf)[usable].min(1)
    loss = F.relu(farthest.values - closest.values + margin).mean()
    chosen = torch.cat([usable.nonzero()[:, 0], farthest.indices, closest.indices])
    return loss + balance * selection_gap(unit, ids, chosen)


def selection_gap(vectors: torch.Tensor, ids: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """sum over identities of |mean of the chosen rows, as often as they occur - mean of all rows|^2."""
    present, place = ids.unique(return_inverse=True)

    def means(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        zeros = vectors.new_zeros(len(present), vectors.shape[1])
        counts = torch.bincount(place[rows], minlength=len(present))[:, None]
        return zeros.index_add(0, place[rows], vectors[rows]) / counts.clamp_min(1), counts

    every, _ = means(torch.arange(len(ids), device=ids.device))
    some, counts = means(chosen)
    return ((some - every).square() * (counts > 0)).sum()
