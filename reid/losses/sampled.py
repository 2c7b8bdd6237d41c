"""Terms that learn which pairs to look at."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from retrace.reid.losses.pairs import Reversed
from retrace.reid.losses.triplets import drawn

LOWEST, HIGHEST = 0.1, 1.4  # distances that the histogram covers
ACTIONS = (0.8, 1.0, 1.25)  # what a bin is multiplied by


class AdaptedSampling(nn.Module):
    """Margin loss whose negatives are drawn by a histogram over their distance, and a policy that moves it.

    PADS (Roth et al. 2020): chances of ``bins`` bins in [0.1, 1.4], at the start even in [0.3, 0.7]; every ``every``
    steps each bin is multiplied by 0.8, 1 or 1.25 and all are normalised. The authors' policy is a network trained by
    PPO on recall and NMI of validation images. Here it is three logits a bin, trained by REINFORCE on the sign of
    the change of recall@1 inside the batches (ours): no images are held back. Such a reward is small beside its
    noise; what there is to gain is the histogram.
    """

    chances: torch.Tensor
    policy: torch.Tensor
    chosen: torch.Tensor
    recall: torch.Tensor
    before: torch.Tensor
    count: torch.Tensor

    def __init__(
        self, *, alpha: float = 0.2, beta: float = 0.6, bins: int = 29, every: int = 30, rate: float = 0.5
    ) -> None:
        super().__init__()
        self.alpha, self.every, self.rate = alpha, every, rate
        self.beta = nn.Parameter(torch.tensor(beta))
        middle = LOWEST + (torch.arange(bins) + 0.5) * (HIGHEST - LOWEST) / bins
        start = torch.where((middle >= 0.3) & (middle <= 0.7), 1.0, 1e-15)
        self.register_buffer("chances", start / start.sum())
        self.register_buffer("policy", torch.zeros(bins, len(ACTIONS)))
        self.register_buffer("chosen", torch.ones(bins, dtype=torch.int64))
        self.register_buffer("recall", torch.tensor(0.0))  # summed since the last move
        self.register_buffer(
            "before", torch.tensor(-1.0)
        )  # mean between the two moves before; -1: there were none
        self.register_buffer("count", torch.tensor(0))

    def forward(
        self, unit_distances: torch.Tensor, positives: torch.Tensor, negatives: torch.Tensor
    ) -> torch.Tensor:
        usable = positives.any(1) & negatives.any(1)
        distances, pull, push = unit_distances[usable], positives[usable], negatives[usable]
        if not len(distances):
            return unit_distances.sum() * 0
        far = drawn(by_histogram(distances.detach(), push, self.chances))
        near = distances.gather(1, drawn(pull)).squeeze(1)
        beyond = distances.gather(1, far).squeeze(1)
        pulled, pushed = F.relu(near - self.beta + self.alpha), F.relu(self.beta - beyond + self.alpha)
        self.look(distances.detach(), pull, push)
        return (pulled + pushed).sum() / ((pulled > 0).sum() + (pushed > 0).sum()).clamp_min(1)

    @torch.no_grad()
    def look(self, distances: torch.Tensor, positives: torch.Tensor, negatives: torch.Tensor) -> None:
        """Count recall@1 of a batch; after ``every`` of them learn from the last move, and make the next."""
        nearest = distances.masked_fill(~(positives | negatives), torch.inf).argmin(1, keepdim=True)
        self.recall += positives.gather(1, nearest).float().mean()
        self.count += 1
        if int(self.count) < self.every:
            return
        now = self.recall / self.count
        if float(self.before) >= 0:
            reward = torch.sign(now - self.before)
            taken = F.one_hot(self.chosen, len(ACTIONS)).float()
            self.policy += self.rate * reward * (taken - self.policy.softmax(1))
        self.before.copy_(now)
        self.recall.zero_()
        self.count.zero_()
        self.chosen.copy_(drawn(self.policy.softmax(1)).squeeze(1))
        self.chances.copy_(moved(self.chances, self.chosen))


def moved(chances: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
    """(bins,) chances after the action of each bin, an index into `ACTIONS`."""
    found = chances * chances.new_tensor(ACTIONS)[actions]
    return found / found.sum()


def by_histogram(distances: torch.Tensor, negatives: torch.Tensor, chances: torch.Tensor) -> torch.Tensor:
    """(N, B) chances of negatives: that of their distance's bin; where a row has none of any weight, even."""
    place = ((distances - LOWEST) / (HIGHEST - LOWEST) * len(chances)).floor().long()
    inside = negatives & (place >= 0) & (place < len(chances))
    weights = chances[place.clamp(0, len(chances) - 1)] * inside
    poor = weights.sum(1, keepdim=True) < 1e-12
    return torch.where(poor, negatives.float(), weights)


class LearnedSampler(nn.Module):
    """A small network weighs the negatives of each anchor, and learns to find those that hurt. A reference.

    After DE-DSP (Duan et al. 2019), of which we could read the abstract only: a sampler network trained with the
    embedding. mean over anchors of [mean_p d_ap - sum_n w_n d_an + margin]+ - ``even`` sum_n w_n log w_n, w the softmax
    over an anchor's negatives of a two-layer network of |f_a - f_n|, which goes up the loss by a reversed gradient;
    ``even`` keeps it from staring at one image. Batches of neighbours find hard negatives for one matrix product.
    """

    def __init__(self, dimensions: int, *, margin: float = 0.3, even: float = 0.1, width: int = 32) -> None:
        super().__init__()
        self.margin, self.even = margin, even
        self.weigh = nn.Sequential(nn.Linear(dimensions, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(
        self,
        unit: torch.Tensor,
        unit_distances: torch.Tensor,
        positives: torch.Tensor,
        negatives: torch.Tensor,
    ) -> torch.Tensor:
        usable = positives.any(1) & negatives.any(1)
        if not usable.any():
            return unit.sum() * 0
        seen = unit.detach()
        scores = self.weigh((seen[usable][:, None] - seen[None]).abs()).squeeze(2)
        return sampler_values(
            Reversed.apply(scores),
            unit_distances[usable],
            positives[usable],
            negatives[usable],
            self.margin,
            self.even,
        ).mean()


def sampler_values(
    scores: torch.Tensor,
    distances: torch.Tensor,
    positives: torch.Tensor,
    negatives: torch.Tensor,
    margin: float,
    even: float,
) -> torch.Tensor:
    """(A,) losses of anchors from the (A, B) scores of their negatives."""
    log = scores.masked_fill(~negatives, -torch.inf).log_softmax(1)
    weights = log.exp()
    near = (distances * positives).sum(1) / positives.sum(1)
    far = (weights * distances).sum(1)
    crowded = (weights * log.masked_fill(~negatives, 0)).sum(1)
    return F.relu(near - far + margin) - even * crowded
