"""Terms that look at the batch as one thing: every image beside every other."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from retrace.configs import InputError
from retrace.reid.losses.batch import SMALLEST


def group_loss(
    embeddings: torch.Tensor,
    logits: torch.Tensor,
    ids: torch.Tensor,
    positives: torch.Tensor,
    *,
    temperature: float = 10.0,
    anchors: int = 1,
    steps: int = 1,
) -> torch.Tensor:
    """Images that look alike agree on who they are (Group Loss, Elezi et al. 2020).

    Each image starts with the chances softmax(logits / T), the first ``anchors`` images of an identity with
    certainty. W is the correlation of vectors, negative ones 0. ``steps`` times X <- X * (W X), rows divided by
    their sum; mean of -log X at the right identity. Goes beside cross_entropy, without which the logits mean nothing.
    T large (the authors: 24 to 79): a sharp start leaves the dynamics nothing to do; ours, for people: 10.

    Group Loss++ (2022) adds steps of inference only, so it trains the same way.
    """
    centred = F.normalize(embeddings - embeddings.mean(1, keepdim=True), dim=1)
    similar = F.relu(centred @ centred.T)
    similar = similar + torch.diag(1 - similar.diagonal())  # also where a vector is constant
    chances = (logits / temperature).softmax(1)
    nth = torch.tril(positives.int(), -1).sum(1)
    chances = torch.where((nth < anchors)[:, None], F.one_hot(ids, logits.shape[1]).float(), chances)
    return replicated(similar, chances, ids, steps)


def replicated(similar: torch.Tensor, chances: torch.Tensor, ids: torch.Tensor, steps: int) -> torch.Tensor:
    """Replicator dynamics of (B, C) chances under (B, B) similarities, and their cross-entropy."""
    for _ in range(steps):
        chances = chances * (similar @ chances)
        chances = chances / chances.sum(1, keepdim=True).clamp_min(SMALLEST)
    return -(chances.gather(1, ids[:, None]) + SMALLEST).log().mean()


class MessagePassing(nn.Module):
    """Cross-entropy of vectors after message passing over the batch (Seidenschwarz et al. 2021).

    The batch is a fully connected graph: ``layers`` of multi-head attention over it with residual, norm and a
    two-layer network (a post-norm transformer layer, no positions), then BNNeck, classifier, label-smoothed
    cross-entropy of logits / temperature. Dropped at test. The paper works at the network's full width; ``width``
    256 first, since small networks would be outweighed (ours).
    """

    def __init__(
        self,
        classes: int,
        dimensions: int,
        *,
        width: int = 256,
        layers: int = 1,
        heads: int = 4,
        temperature: float = 0.2,
        label_smoothing: float = 0.1,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.temperature, self.smoothing = temperature, label_smoothing
        self.reduce = nn.Linear(dimensions, width) if width != dimensions else nn.Identity()
        self.layers = nn.Sequential(
            *(
                nn.TransformerEncoderLayer(width, heads, 4 * width, dropout, batch_first=True)
                for _ in range(layers)
            )
        )
        self.neck = nn.BatchNorm1d(width)
        self.neck.bias.requires_grad_(False)
        self.classifier = nn.Linear(width, classes, bias=False)
        nn.init.normal_(self.classifier.weight, std=0.001)

    def forward(self, embeddings: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        passed = self.layers(self.reduce(embeddings)[None])[0]
        # A batch norm has nothing to say of one image.
        logits = self.classifier(self.neck(passed) if len(passed) > 1 else passed)
        return F.cross_entropy(logits / self.temperature, ids, label_smoothing=self.smoothing)


class SpectralClustering(nn.Module):
    """Identities - tr(C P): the subspace of the vectors against that of the labels (Law et al. 2017).

    C and P project onto the columns of the one-hot labels and of the raw vectors F; P = F (F'F + ridge I)^-1 F'. Zero,
    gradient too, where F has as many dimensions as the batch has images, so it needs a head narrower than the batch's
    identities. A reference: an inferior classifier for people (docs/losses.md).
    """

    def __init__(self, dimensions: int, identities: int, *, ridge: float = 1e-4) -> None:
        super().__init__()
        self.ridge = ridge
        if dimensions >= identities:
            raise InputError(
                f"losses.spectral_clustering: needs a vector narrower than the batch's {identities} identities, not "
                f"{dimensions} dimensions: put it on a head of fewer"
            )

    def forward(self, embeddings: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        present, place = ids.unique(return_inverse=True)
        labels = F.one_hot(place, len(present)).float()
        labels = labels / labels.sum(0).sqrt()  # orthonormal columns: C = labels labels'
        gram = embeddings.T @ embeddings
        gram = gram + self.ridge * torch.eye(len(gram), device=gram.device)
        shared = embeddings.T @ labels
        return len(present) - (shared * torch.linalg.solve(gram, shared)).sum()


def facility_location(
    unit_distances: torch.Tensor, ids: torch.Tensor, *, gamma: float = 1.0, sweeps: int = 5
) -> torch.Tensor:
    """Clusters around images of the batch against clusters by identity (Song et al. 2017). A reference.

    F(S) = -sum_i min over medoids j in S of d_ij; L = [max_S (F(S) + gamma (1 - NMI(S, identities))) - F*]+, F* with
    the best medoid of each identity. The maximum over sets of as many medoids as identities is searched outside of the
    graph, as the authors do: greedily, then up to ``sweeps`` rounds of swaps inside each cluster; every candidate of a
    step is looked at at once. Where it ends may depend on the order of the batch.
    """
    present, place = ids.unique(return_inverse=True)
    if len(present) < 2:
        return unit_distances.sum() * 0
    one_hot = F.one_hot(place, len(present)).float()
    itself = torch.eye(len(ids), dtype=torch.bool, device=ids.device)
    unit_distances = unit_distances.masked_fill(itself, 0)  # rounding leaves 3e-4 there
    chosen = best_medoids(unit_distances.detach(), one_hot, gamma, sweeps)
    found = -unit_distances[:, chosen].amin(1).sum()
    within = (unit_distances[:, :, None] * one_hot[:, None, :]).sum(0)  # (B, C): image j to all of identity c
    # Of each identity the image with the smallest sum of distances to the others.
    truth = -within.masked_fill(one_hot == 0, torch.inf).amin(0).sum()
    lacking = 1 - medoid_nmi(unit_distances.detach(), chosen[None], one_hot)[0]
    return F.relu(found + gamma * lacking - truth)


@torch.no_grad()
def best_medoids(distances: torch.Tensor, one_hot: torch.Tensor, gamma: float, sweeps: int) -> torch.Tensor:
    """(C,) medoids of the largest -sum of distances + gamma (1 - NMI) that the search finds."""
    count, classes = one_hot.shape
    chosen = torch.zeros(0, dtype=torch.int64, device=distances.device)
    for _ in range(classes):
        others = torch.tensor(
            [j for j in range(count) if j not in set(chosen.tolist())], device=distances.device
        )
        sets = torch.cat([chosen.expand(len(others), -1), others[:, None]], 1)
        chosen = sets[_worth(distances, sets, one_hot, gamma).argmax()]
    for _ in range(sweeps):
        before = chosen.clone()
        for k in range(classes):
            mine = (distances[:, chosen].argmin(1) == k).nonzero()[:, 0]
            mine = torch.cat([chosen[k : k + 1], mine[~torch.isin(mine, chosen)]])
            sets = chosen.repeat(len(mine), 1)
            sets[:, k] = mine
            chosen = sets[_worth(distances, sets, one_hot, gamma).argmax()]
        if torch.equal(before, chosen):
            break
    return chosen


def _worth(distances: torch.Tensor, sets: torch.Tensor, one_hot: torch.Tensor, gamma: float) -> torch.Tensor:
    """(S,) of sets of medoids (S, k)."""
    near = distances[:, sets].amin(2).sum(0)
    return -near + gamma * (1 - medoid_nmi(distances, sets, one_hot))


def medoid_nmi(distances: torch.Tensor, sets: torch.Tensor, one_hot: torch.Tensor) -> torch.Tensor:
    """(S,) NMI (arithmetic mean) of the identities and of each image's nearest medoid of each set (S, k)."""
    nearest = F.one_hot(distances[:, sets].argmin(2), sets.shape[1]).float()  # (B, S, k)
    joint = torch.einsum("bsk,bc->skc", nearest, one_hot) / len(one_hot)

    def entropy(shares: torch.Tensor) -> torch.Tensor:
        return -torch.special.xlogy(shares, shares).flatten(1).sum(1)

    both = entropy(joint.sum(1)) + entropy(joint.sum(2))
    return torch.where(both > 0, 2 * (both - entropy(joint)) / both.clamp_min(SMALLEST), 0)
