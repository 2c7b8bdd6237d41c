"""Terms on pairs of images."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


def contrastive(
    distances: torch.Tensor,
    ids: torch.Tensor,
    *,
    margin: float = 1.0,
) -> torch.Tensor:
    """mean over pairs of d^2 if same, [margin - d]+^2 if not (Hadsell et al. 2006, equation 4, without its 1/2).

    Positive and negative pairs are averaged apart and added, since a batch holds far more negatives.
    """
    first, second = torch.triu_indices(len(ids), len(ids), 1, device=ids.device)
    pair, same = distances[first, second], (ids[first] == ids[second]).float()
    pull = (same * pair.square()).sum() / same.sum().clamp_min(1)
    push = ((1 - same) * F.relu(margin - pair).square()).sum() / (1 - same).sum().clamp_min(1)
    return pull + push


def multi_similarity(
    cosines: torch.Tensor,
    positives: torch.Tensor,
    negatives: torch.Tensor,
    *,
    alpha: float = 2.0,
    beta: float = 50.0,
    base: float = 0.5,
    epsilon: float = 0.1,
) -> torch.Tensor:
    """Multi-similarity with its mining (Wang et al. 2019), mean over the batch.

    1/a log(1 + sum_p e^(-a (s - l))) + 1/b log(1 + sum_n e^(b (s - l))); a positive counts if s - epsilon is below
    the anchor's largest negative, a negative if s + epsilon is above its smallest positive. The paper's text has l = 1,
    its code 0.5.
    """
    hardest = cosines.masked_fill(~negatives, -torch.inf).amax(1, keepdim=True)
    easiest = cosines.masked_fill(~positives, torch.inf).amin(1, keepdim=True)
    pull = positives & (cosines - epsilon < hardest)
    push = negatives & (cosines + epsilon > easiest)
    return (
        _soft_count(-alpha * (cosines - base), pull) / alpha
        + _soft_count(beta * (cosines - base), push) / beta
    ).mean()


def _soft_count(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(B,) log(1 + sum over the mask of e^score)."""
    padded = F.pad(scores.masked_fill(~mask, -torch.inf), (1, 0))  # e^0 = 1
    return padded.logsumexp(1)


def ranked_list(
    unit_distances: torch.Tensor,
    positives: torch.Tensor,
    negatives: torch.Tensor,
    *,
    alpha: float = 1.2,
    margin: float = 0.4,
    temperature: float = 10.0,
    balance: float = 0.5,
) -> torch.Tensor:
    """Ranked list loss (Wang et al. 2019): a border for positives, one for negatives.

    Positives beyond alpha - m cost d - (alpha - m), negatives within alpha cost alpha - d, each averaged over those
    that cost something, negatives weighted by e^(T (alpha - d)); (1 - balance) and balance of the two; mean over
    anchors.
    """
    inner = alpha - margin
    pull = positives & (unit_distances > inner)
    push = negatives & (unit_distances < alpha)
    near = ((unit_distances - inner) * pull).sum(1) / pull.sum(1).clamp_min(1)
    weights = (temperature * (alpha - unit_distances.detach())).masked_fill(~push, -torch.inf)
    weights = weights.softmax(1).nan_to_num(0)  # a row without negatives has no weights
    far = (weights * (alpha - unit_distances)).sum(1)
    return ((1 - balance) * near + balance * far).mean()


def spanning_tree(
    unit_distances: torch.Tensor,
    ids: torch.Tensor,
    positives: torch.Tensor,
    negatives: torch.Tensor,
    *,
    margin: float = 1.0,
) -> torch.Tensor:
    """Contrastive, but of a person's pairs only those of the shortest tree that joins all the images.

    mean of d^2 over the tree's pairs + mean of [margin - d]+^2 over the negative pairs. From DAMLRRM (Xu et al.
    2019): a front and a back view need only be joined by way of a side view. Its two streams are not here.
    """
    tree = tree_pairs(unit_distances.detach(), ids)
    pull = (unit_distances.square() * tree).sum() / tree.sum().clamp_min(1)
    push = (F.relu(margin - unit_distances).square() * negatives).sum() / negatives.sum().clamp_min(1)
    return pull + push


def tree_pairs(distances: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """(B, B) bool, one entry a pair: the minimum spanning tree of each identity's images (Prim, all at once)."""
    present, place = ids.unique(return_inverse=True)
    count = len(ids)
    own = place[None, :] == torch.arange(len(present), device=ids.device)[:, None]  # (identities, B)
    first = own.int().argmax(1)
    inside = torch.zeros(count, dtype=torch.bool, device=ids.device)
    inside[first] = True
    tree = torch.zeros(count, count, dtype=torch.bool, device=ids.device)
    same = place[:, None] == place[None, :]
    for _ in range(int(own.sum(1).max()) - 1):
        open_pairs = same & inside[:, None] & ~inside[None, :]
        best = distances.masked_fill(~open_pairs, torch.inf).min(0)  # for each image outside
        nearest = best.values.masked_fill(~own, torch.inf).min(1)  # for each identity
        grows = nearest.values.isfinite()
        new = nearest.indices[grows]
        tree[best.indices[new], new] = True
        inside[new] = True
    return tree


def tracklet_pairs(
    cosines: torch.Tensor,
    ids: torch.Tensor,
    cameras: torch.Tensor,
    positives: torch.Tensor,
    negatives: torch.Tensor,
    frame: torch.Tensor,
    *,
    margin: float = 0.5,
) -> torch.Tensor:
    """Learning from video (after Wang and Gupta 2015): one track is one person, boxes of one frame are several.

    Identities are tracks, cameras are videos, ``frame`` is a label column: what `tools/mot_crops.py` writes. Two tracks
    are known to be different people if two of their boxes in the batch are of one frame of one video; of all other
    pairs of tracks nothing is known, and they are left out. mean over anchors with a positive and a known negative of
    [D(a, p) - D(a, n) + margin]+, D = 1 - cosine, p the farthest positive, n the nearest known negative (the authors:
    the hardest four). Wants batches of people who are seen together: sampler together.
    """
    together = (frame[:, None] == frame[None]) & (cameras[:, None] == cameras[None]) & negatives
    apart = known_apart(together, ids)
    usable = positives.any(1) & apart.any(1)
    if not usable.any():
        return cosines.sum() * 0
    near = cosines.masked_fill(~positives, torch.inf).amin(1)[usable]
    far = cosines.masked_fill(~apart, -torch.inf).amax(1)[usable]
    return F.relu(far - near + margin).mean()


def known_apart(together: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """(B, B) bool: images of tracks of which some two images are in one frame."""
    present, place = ids.unique(return_inverse=True)
    tracks = torch.zeros(len(present), len(present), dtype=torch.bool, device=ids.device)
    first, second = together.nonzero().unbind(1)
    tracks[place[first], place[second]] = True
    return tracks[place][:, place]


class BoostedSlices(nn.Module):
    """An ensemble inside one vector: slices of growing length, each trained on what the one before gets wrong.

    BIER (Opitz et al. 2017, algorithm 1). Of a slice's cosines s, the loss of a pair is log(1 + e^(-alpha (s - b) m)),
    m = 1 for positives and -cost for negatives, times 1 / the number of positives (negatives), times what boosting
    leaves: sigmoid(-F), doubled for negatives, F the running score 0.5 + sum eta (s - b) alpha m of the slices before.
    Mean over slices. Nothing is added at test.

    adversary > 0: A-BIER (Opitz et al. 2018): two-layer networks look for what one slice says of another, and the
    slices, by a reversed gradient, unlearn it.
    """

    def __init__(
        self,
        dimensions: int,
        *,
        shares: tuple[float, ...] = (3, 5, 8),
        alpha: float = 2.0,
        border: float = 0.5,
        cost: float = 25.0,
        eta: float = 0.06,
        adversary: float = 0.0,
    ) -> None:
        super().__init__()
        self.alpha, self.border, self.cost, self.eta = alpha, border, cost, eta
        edges = torch.tensor([0.0, *shares]).cumsum(0) / sum(shares) * dimensions
        self.sizes = edges.round().long().diff().tolist()
        if min(self.sizes) < 1:
            raise ValueError(f"{dimensions} dimensions cannot be shared out by {list(shares)}")
        self.adversary = adversary
        pairs = [(i, j) for j in range(len(self.sizes)) for i in range(j)] if adversary else []
        self.pairs = pairs
        self.guesses = nn.ModuleList(guesser(self.sizes[j], self.sizes[i]) for i, j in pairs)

    def forward(
        self, embeddings: torch.Tensor, positives: torch.Tensor, negatives: torch.Tensor
    ) -> torch.Tensor:
        slices = [F.normalize(part, dim=1) for part in embeddings.split(self.sizes, 1)]
        sign = positives.float() - self.cost * negatives.float()
        counts = positives.sum().clamp_min(1) * positives + negatives.sum().clamp_min(1) * negatives
        each = (positives | negatives) / counts.clamp_min(1)
        score, total = torch.full_like(sign, 0.5), embeddings.new_zeros(())
        boost = torch.ones_like(sign)
        for part in slices:
            push = self.alpha * (part @ part.T - self.border) * sign
            total = total + (each * boost * F.softplus(-push)).sum() / len(slices)
            score = score + self.eta * push.detach()
            boost = (-score).sigmoid() * torch.where(negatives, 2, 1)
        for (i, j), guess in zip(self.pairs, self.guesses, strict=True):
            total = total + self.adversary * agreement(slices[i], slices[j], guess)
        return total


class Reversed(torch.autograd.Function):
    """The same vectors; what learns from the loss behind it learns, what lies before it unlearns."""

    @staticmethod
    def forward(context: object, vectors: torch.Tensor) -> torch.Tensor:
        return vectors.view_as(vectors)

    @staticmethod
    def backward(context: object, *gradients: torch.Tensor) -> torch.Tensor:
        return -gradients[0]


def guesser(source: int, target: int, width: int = 512) -> nn.Module:
    """A two-layer network from one vector to another."""
    return nn.Sequential(nn.Linear(source, width), nn.ReLU(), nn.Linear(width, target))


def agreement(one: torch.Tensor, other: torch.Tensor, guess: nn.Module) -> torch.Tensor:
    """-mean (t * g(s))^2: ``guess`` looks for what ``other`` says of ``one``; both unlearn it (DiVA)."""
    target = Reversed.apply(one)
    found = F.normalize(guess(Reversed.apply(other)), dim=1)
    return -(target * found).square().mean()
