"""Terms that learn which pairs to look at."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from retrace.reid.losses.pairs import Reversed
from retrace.reid.losses.triplets import drawn
from retrace.reid.sampling.held_back import FIGURES

LOWEST, HIGHEST = 0.1, 1.4  # distances that the histogram covers
ACTIONS = (0.8, 1.0, 1.25)  # what a bin is multiplied by
KEPT, MEANS = 20, (2, 8, 16, 32)  # looks that the policy sees, and over how many it sees the means
CLIP, DISCOUNT, RENEWED = 0.2, 0.99, 5  # of PPO; moves after which the old policy is renewed


class PolicySampling(nn.Module):
    """Margin loss whose negatives are drawn by a histogram over their distance, which a network learns to move.

    PADS (Roth et al. 2020). The histogram has ``bins`` bins in [0.1, 1.4] and begins even in [0.3, 0.7]. After each
    look at the images held back (census: {held: 0.1, look: 30}, about a fifth of the time) a policy, two layers of
    128, multiplies each bin by 0.8, 1 or 1.25, and all are normalised. It sees the last 20 looks (recall@1, 2, 4, 8,
    distances within and between people), their means over 2, 8, 16 and 32, the histogram and the progress; PPO (clip
    0.2, a value head, Adam at ``rate``, the old policy renewed every 5 moves) rewards it by the sign of the change of
    recall@1, one of the authors' two (the other adds NMI). Their options to draw positives as negatives are left out.
    """

    chances: torch.Tensor
    policy: torch.Tensor
    old: torch.Tensor
    moments: torch.Tensor
    history: torch.Tensor
    before: torch.Tensor
    chosen: torch.Tensor
    seen: torch.Tensor
    moves: torch.Tensor
    learned: torch.Tensor

    def __init__(
        self, *, alpha: float = 0.2, beta: float = 0.6, bins: int = 29, width: int = 128, rate: float = 0.01
    ) -> None:
        super().__init__()
        self.alpha, self.bins, self.rate = alpha, bins, rate
        self.beta = nn.Parameter(torch.tensor(beta))
        inputs = KEPT * FIGURES + len(MEANS) * FIGURES + bins + 1
        self.shapes = [(width, inputs), (width, width), (bins * len(ACTIONS) + 1, width)]
        # All of the policy is one vector and no parameter: the run's optimiser and its weight decay leave it alone.
        layers = [torch.cat([torch.randn(a, b) / b**0.5, torch.zeros(a, 1)], 1) for a, b in self.shapes]
        flat = torch.cat([layer.flatten() for layer in layers])
        self.register_buffer("chances", first_chances(bins))
        self.register_buffer("policy", flat)
        self.register_buffer("old", flat.clone())
        self.register_buffer("moments", torch.zeros(2, len(flat)))  # Adam's
        self.register_buffer("history", torch.zeros(max(KEPT, *MEANS), FIGURES))  # the latest last
        self.register_buffer("before", torch.zeros(inputs))  # what the latest move was made from
        self.register_buffer("chosen", torch.ones(bins, dtype=torch.int64))
        self.register_buffer("seen", torch.tensor(-1))  # the latest look's iteration
        self.register_buffer("moves", torch.tensor(-1))  # -1: not even a look
        self.register_buffer("learned", torch.tensor(0))  # updates of the policy

    def forward(
        self,
        unit_distances: torch.Tensor,
        positives: torch.Tensor,
        negatives: torch.Tensor,
        held: torch.Tensor,
        held_at: torch.Tensor,
        progress: torch.Tensor,
    ) -> torch.Tensor:
        if int(held_at) != int(self.seen):
            self.look(held, progress)
            self.seen.copy_(held_at)
        usable = positives.any(1) & negatives.any(1)
        if not usable.any():
            return unit_distances.sum() * 0
        return margin_by_histogram(
            unit_distances[usable], positives[usable], negatives[usable], self.chances, self.beta, self.alpha
        )

    def look(self, held: torch.Tensor, progress: torch.Tensor) -> None:
        """Learn from the latest move, and make the next; the first look, before all training, moves nothing."""
        self.history.copy_(torch.cat([self.history[1:], held[None]]))
        self.moves += 1
        if not int(self.moves):
            return
        state = self.state(progress)
        if int(self.moves) > 1:
            self.learn(torch.sign(self.history[-1, 0] - self.history[-2, 0]), state)
        if int(self.moves) % RENEWED == 1:
            self.old.copy_(self.policy)
        self.before.copy_(state)
        self.chosen.copy_(drawn(self.answer(self.policy, state)[0].softmax(1)).squeeze(1))
        self.chances.copy_(moved(self.chances, self.chosen))

    def state(self, progress: torch.Tensor) -> torch.Tensor:
        """What the policy sees."""
        means = [self.history[-count:].mean(0) for count in MEANS]
        told = progress.to(self.history).reshape(1)
        return torch.cat([self.history[-KEPT:].flatten(), *means, self.chances, told])

    def answer(self, weights: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(bins, 3) logits of the actions, and the value () of a state."""
        x, start = state, 0
        for k, (a, b) in enumerate(self.shapes):
            layer = weights[start : start + a * (b + 1)].view(a, b + 1)
            x = layer[:, :b] @ (F.relu(x) if k else x) + layer[:, b]
            start += a * (b + 1)
        return x[:-1].view(self.bins, len(ACTIONS)), x[-1]

    def learn(self, reward: torch.Tensor, state: torch.Tensor) -> None:
        """One step of PPO on the latest move, which led to ``state``."""
        with torch.no_grad():
            target = reward + DISCOUNT * self.answer(self.policy, state)[1]
            old = self.answer(self.old, self.before)[0]
        with torch.enable_grad():
            weights = self.policy.detach().clone().requires_grad_()
            logits, value = self.answer(weights, self.before)
            loss = ppo(logits, old, self.chosen, target - value.detach()) + (target - value).square() / 2
            (slope,) = torch.autograd.grad(loss, weights)
        self.learned += 1
        self.moments.copy_(
            torch.stack([0.9 * self.moments[0] + 0.1 * slope, 0.999 * self.moments[1] + 0.001 * slope**2])
        )
        count = int(self.learned)
        mean, square = self.moments[0] / (1 - 0.9**count), self.moments[1] / (1 - 0.999**count)
        self.policy -= self.rate * mean / (square.sqrt() + 1e-8)


class AdaptedSampling(nn.Module):
    """PADS without its network: `policy_sampling` that holds no images back.

    Every ``every`` steps each bin is multiplied by 0.8, 1 or 1.25, drawn from three logits a bin, which REINFORCE
    trains on the sign of the change of recall@1 inside the batches (ours). Such a reward is small beside its noise;
    what there is to gain is the histogram.
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
        self.register_buffer("chances", first_chances(bins))
        self.register_buffer("policy", torch.zeros(bins, len(ACTIONS)))
        self.register_buffer("chosen", torch.ones(bins, dtype=torch.int64))
        self.register_buffer("recall", torch.tensor(0.0))  # summed since the last move
        # mean between the two moves before; -1: there were none
        self.register_buffer("before", torch.tensor(-1.0))
        self.register_buffer("count", torch.tensor(0))

    def forward(
        self, unit_distances: torch.Tensor, positives: torch.Tensor, negatives: torch.Tensor
    ) -> torch.Tensor:
        usable = positives.any(1) & negatives.any(1)
        if not usable.any():
            return unit_distances.sum() * 0
        value = margin_by_histogram(
            unit_distances[usable], positives[usable], negatives[usable], self.chances, self.beta, self.alpha
        )
        self.look(unit_distances[usable].detach(), positives[usable], negatives[usable])
        return value

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


def ppo(
    logits: torch.Tensor, old: torch.Tensor, chosen: torch.Tensor, advantage: torch.Tensor
) -> torch.Tensor:
    """-mean over bins of min(r A, clip(r, 0.8, 1.2) A), r the new chance of what was chosen over the old one."""
    ratio = (logits.log_softmax(1) - old.log_softmax(1)).gather(1, chosen[:, None]).exp()
    return -torch.minimum(ratio * advantage, ratio.clamp(1 - CLIP, 1 + CLIP) * advantage).mean()


def first_chances(bins: int) -> torch.Tensor:
    """(bins,) even in [0.3, 0.7]."""
    middle = LOWEST + (torch.arange(bins) + 0.5) * (HIGHEST - LOWEST) / bins
    start = torch.where((middle >= 0.3) & (middle <= 0.7), 1.0, 1e-15)
    return start / start.sum()


def margin_by_histogram(
    distances: torch.Tensor,
    positives: torch.Tensor,
    negatives: torch.Tensor,
    chances: torch.Tensor,
    beta: torch.Tensor,
    alpha: float,
) -> torch.Tensor:
    """[d_ap - beta + alpha]+ + [beta - d_an + alpha]+ of one triplet an anchor, mean over what is above 0.

    Args:
        distances, positives, negatives: (A, B) of anchors that have both.
    """
    far = drawn(by_histogram(distances.detach(), negatives, chances))
    near = distances.gather(1, drawn(positives)).squeeze(1)
    beyond = distances.gather(1, far).squeeze(1)
    pulled, pushed = F.relu(near - beta + alpha), F.relu(beta - beyond + alpha)
    return (pulled + pushed).sum() / ((pulled > 0).sum() + (pushed > 0).sum()).clamp_min(1)


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
