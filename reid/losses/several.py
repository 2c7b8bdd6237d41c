"""Terms between several vectors of one image: heads that shall differ, views that shall agree."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import nn

from retrace.configs import InputError
from retrace.reid.losses.batch import Batch
from retrace.reid.losses.pairs import agreement, guesser
from retrace.reid.losses.triplets import Margin


class Separation(nn.Module):
    """What a head says shall not be what the vector ``on`` says (DiVA, Milbich et al. 2020).

    -mean over images and dimensions of (t * r(s))^2, t the vector, s the head ``other``, both unit, r a two-layer
    network; r looks for what they share, t and s, by a reversed gradient, unlearn it. The published weights are
    100 to 1500, with a rate of 1e-5 for r.
    """

    def __init__(self, dimensions: int, heads: Mapping[str, int], *, other: str = "") -> None:
        super().__init__()
        if other not in heads:
            raise InputError(f"losses.separation.other: expected a head, one of {', '.join(heads) or 'none'}")
        self.other = other
        self.guess = guesser(heads[other], dimensions)

    def forward(self, unit: torch.Tensor, heads: dict[str, torch.Tensor]) -> torch.Tensor:
        return agreement(unit, F.normalize(heads[self.other], dim=1), self.guess)


def diversity(
    heads: dict[str, torch.Tensor], *, learners: tuple[str, ...] = (), margin: float = 1.0
) -> torch.Tensor:
    """[margin - |a_i - b_i|^2]+ over images and pairs of heads: learners shall differ (ABE, Kim et al. 2018).

    Unit vectors of one length; all heads, unless ``learners`` names some.
    """
    names = learners or tuple(heads)
    if len(names) < 2 or not heads.keys() >= set(names):
        raise ValueError(f"needs at least two of model.heads, has {', '.join(heads) or 'none'}")
    units = torch.stack([F.normalize(heads[name], dim=1) for name in names])
    first, second = torch.triu_indices(len(names), len(names), 1, device=units.device)
    return F.relu(margin - (units[first] - units[second]).square().sum(2)).mean()


def orthogonal_maps(maps: torch.Tensor, *, steps: int = 3) -> torch.Tensor:
    """Largest less smallest eigenvalue of the channels' Gram matrix (ABD-Net, Chen et al. 2019).

    Of F (c x hw) of each image, channels of unit length, F F' is c x c; both eigenvalues by power iteration, the
    smallest as that of (largest I - F F'). Mean over images; the authors weigh it 1e-6 x .01 of raw maps. Channels that
    respond to different places see more of a person.
    """
    flat = F.normalize(maps.flatten(2), dim=2)
    gram = flat @ flat.transpose(1, 2)
    largest = _dominant(gram, steps)
    eye = torch.eye(gram.shape[1], device=gram.device)
    smallest = largest - _dominant(largest[:, None, None] * eye - gram, steps)
    return (largest - smallest).mean()


def _dominant(matrices: torch.Tensor, steps: int) -> torch.Tensor:
    """(N, c, c) symmetric -> (N,) Rayleigh quotients after some power iterations from a vector of ones and twos."""
    count = matrices.shape[1]
    start = 1 + torch.arange(count, device=matrices.device).float() / count
    vector = start.expand(len(matrices), count)[..., None]
    with torch.no_grad():
        for _ in range(steps):
            vector = F.normalize(matrices @ vector, dim=1)
    vector = F.normalize(vector, dim=1)
    return (vector.transpose(1, 2) @ matrices @ vector)[:, 0, 0]


def nt_xent(unit: torch.Tensor, second: torch.Tensor, *, temperature: float = 0.5) -> torch.Tensor:
    """Two views of an image agree, all other images of the batch disagree (SimCLR, Chen et al. 2020, equation 1).

    -log e^(s_ij / T) / sum over k != i of e^(s_ik / T) over the 2B views, mean. T 0.5 for small sets, 0.1 for large.
    Needs no identities: with sampler random it pre-trains on crops nobody labelled. Strong colour changes take away
    what tells people apart, and erased or tightly cropped views cut them in half.
    """
    views = torch.cat([unit, F.normalize(second, dim=1)])
    count = len(unit)
    scores = (views @ views.T / temperature).masked_fill(
        torch.eye(2 * count, dtype=torch.bool, device=unit.device), -torch.inf
    )
    return F.cross_entropy(scores, torch.arange(2 * count, device=unit.device).roll(count))


def cross_scale(
    cosines: torch.Tensor,
    ids: torch.Tensor,
    positives: torch.Tensor,
    labels: dict[str, torch.Tensor],
    *,
    scales: tuple[str, ...] = (),
    scale: float = 32.0,
    margin: float = 0.1,
    step: float = 0.3,
) -> torch.Tensor:
    """Labels of several scales in one space, after Cross-Scale Learning (Sun et al. 2021; its text we could not read).

    log(1 + sum over negatives e^(scale (s_n - s_p + m))) for each positive pair (same identity), mean; m is
    ``margin`` for a negative of the same coarse labels and ``step`` more for each label column of ``scales``, from fine
    to coarse, in which they differ as well. Nothing is pulled together at a coarse scale, so the scales do not fight.
    """
    missing = [name for name in scales if name not in labels]
    if missing or not scales:
        raise ValueError(f"needs label columns for scales, has {', '.join(labels) or 'none'}")
    margins = torch.full_like(cosines, margin)
    for name in scales:
        margins = margins + step * (labels[name][:, None] != labels[name][None, :])
    raised = (scale * (cosines + margins)).masked_fill(ids[:, None] == ids[None, :], -torch.inf)
    anchor, positive = positives.nonzero().unbind(1)
    if not len(anchor):
        return cosines.sum() * 0
    return F.softplus(raised[anchor].logsumexp(1) - scale * cosines[anchor, positive]).mean()


def cascade(
    cosines: torch.Tensor,
    positives: torch.Tensor,
    negatives: torch.Tensor,
    heads: dict[str, torch.Tensor],
    *,
    learners: tuple[str, ...] = (),
    shares: tuple[float, ...] = (1.0, 0.5, 0.2),
    margin: float = 1.0,
) -> torch.Tensor:
    """Each further vector of an image sees only what the one before found hard (HDC, Yuan et al. 2017).

    Contrastive of unit vectors, squared distances: mean of d2 over positive pairs + mean of [margin - d2]+ over
    negative ones, of the embedding (all pairs) and then of each head; head k keeps the hardest ``shares``[k] of all
    pairs, positive and negative apart, among those that the vector before kept, by that vector's losses. Summed.
    The paper's vectors come from three depths of the network; ours from heads on its last map. Test: kept heads.
    """
    names = learners or tuple(heads)
    if shares[0] != 1 or list(shares) != sorted(shares, reverse=True):
        raise ValueError(f"shares must fall from 1, got {list(shares)}")
    if len(names) != len(shares) - 1 or not heads.keys() >= set(names):
        raise ValueError(
            f"needs {len(shares) - 1} of model.heads, one for each share but the first, has "
            f"{', '.join(heads) or 'none'}"
        )
    seen = [cosines, *(Batch(embeddings=heads[name])["cosines"] for name in names)]
    total = cosines.new_zeros(())
    upper = torch.ones_like(positives).triu(1)
    for kind, pull in ((positives & upper, True), (negatives & upper, False)):
        kept = kind.nonzero()
        count = len(kept)
        hardness = cosines.new_zeros(count)
        for s, share in zip(seen, shares, strict=True):
            most = max(round(share * count), 1)
            if len(kept) > most:
                kept = kept[hardness.argsort(descending=True, stable=True)[:most]]
            squared = 2 - 2 * s[kept[:, 0], kept[:, 1]]
            values = squared if pull else margin - squared  # ranked before the hinge, which makes ties
            total = total + F.relu(values).sum() / max(len(kept), 1)
            hardness = values.detach()
    return total


class DividedSlices(nn.Module):
    """Each cluster of images trains its own slice of the vector (Divide and Conquer, Sanakoyeu et al. 2019).

    The vector is cut into as many slices as the census has clusters; a batch of one cluster (sampler: {kind: cluster})
    trains its slice, normalised by itself, with a margin loss of its own (beta learned); from the share ``whole`` of
    the run on, every batch trains the whole vector. A batch that mixes clusters counts for the commonest. Clusters
    keep their numbers from one census to the next (Hungarian method on the overlap).
    """

    def __init__(
        self,
        classes: int,
        dimensions: int,
        clusters: int,
        *,
        alpha: float = 0.2,
        beta: float = 1.2,
        whole: float = 0.5,
    ) -> None:
        super().__init__()
        if dimensions % max(clusters, 1):
            raise ValueError(f"{dimensions} dimensions cannot be cut into {clusters} slices")
        self.size, self.whole = dimensions // max(clusters, 1), whole
        self.learners = nn.ModuleList(
            Margin(classes, self.size if k < clusters else dimensions, alpha=alpha, beta=beta)
            for k in range(clusters + 1)
        )

    def forward(
        self, embeddings: torch.Tensor, ids: torch.Tensor, cluster: torch.Tensor, progress: torch.Tensor
    ) -> torch.Tensor:
        late = float(progress) >= self.whole
        which = len(self.learners) - 1 if late else int(torch.bincount(cluster).argmax())
        mine = embeddings if late else embeddings[:, which * self.size : (which + 1) * self.size]
        seen = Batch(embeddings=mine, ids=ids)
        return self.learners[which](*(seen[n] for n in ("unit_distances", "ids", "positives", "negatives")))
