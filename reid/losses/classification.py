"""Terms on the scores of classes."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from retrace.reid.losses.batch import SMALLEST


def cross_entropy(
    logits: torch.Tensor,
    ids: torch.Tensor,
    *,
    label_smoothing: float = 0.0,
    temperature: float = 1.0,
) -> torch.Tensor:
    """Softmax cross-entropy; smoothed labels are (1 - e) one-hot + e / C (Szegedy et al. 2016, section 7)."""
    return F.cross_entropy(logits / temperature, ids, label_smoothing=label_smoothing)


class Classifier(nn.Module):
    """Softmax cross-entropy with a classifier of its own, on whatever vector ``on`` names.

    parts > 1: the vector is cut into equal parts with a classifier each, and their cross-entropies are summed:
    PCB's stripes (Sun et al. 2018) on a head of kind stripes.
    """

    def __init__(
        self,
        classes: int,
        dimensions: int,
        *,
        parts: int = 1,
        label_smoothing: float = 0.0,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        if dimensions % parts:
            raise ValueError(f"{dimensions} dimensions cannot be cut into {parts} parts")
        self.smoothing, self.temperature = label_smoothing, temperature
        self.weight = nn.Parameter(0.001 * torch.randn(parts, classes, dimensions // parts))

    def forward(self, embeddings: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        parts = embeddings.unflatten(1, (len(self.weight), -1))
        logits = torch.einsum("bpd,pcd->pcb", parts, self.weight) / self.temperature
        own = ids.expand(len(self.weight), -1)
        return F.cross_entropy(logits, own, label_smoothing=self.smoothing) * len(self.weight)


class ArcFace(nn.Module):
    """Softmax cross-entropy of s cos(theta + m) for the own class, s cos(theta) for others (Deng et al. 2019, eq. 3).

    With ``centres`` K > 1 a class's cosine is the largest of its K sub-centres' (Deng et al. 2020):
    a person seen from the front and from the back need not be one point. Beyond theta = pi - m, where the cosine
    would rise again, it is cos(theta) - m sin(m), as in the authors' code. The sine is a root of a clamped
    square, so a vector that equals its centre has a gradient. s 64, m 0.5 are for faces by the million; for 500 to
    1000 people 30 and 0.3 rad start faster (ours).
    """

    def __init__(
        self, classes: int, dimensions: int, *, scale: float = 30.0, margin: float = 0.3, centres: int = 1
    ) -> None:
        super().__init__()
        self.scale, self.margin = scale, margin
        self.centres = nn.Parameter(torch.randn(classes, centres, dimensions))

    def forward(self, unit: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        cosines = torch.einsum("bd,ckd->bck", unit, F.normalize(self.centres, dim=2)).amax(2)
        own = cosines.gather(1, ids[:, None])
        sine = (1 - own.square()).clamp_min(SMALLEST).sqrt()
        cos_m, sin_m = math.cos(self.margin), math.sin(self.margin)
        turned = torch.where(own > -cos_m, own * cos_m - sine * sin_m, own - self.margin * sin_m)
        return F.cross_entropy(self.scale * cosines.scatter(1, ids[:, None], turned), ids)


def prototypical(
    unit: torch.Tensor,
    ids: torch.Tensor,
    cameras: torch.Tensor,
    positives: torch.Tensor,
    *,
    scale: float = 10.0,
    across: bool = False,
) -> torch.Tensor:
    """Episodes inside the batch: who is it, among P, by the nearest mean (Snell et al. 2017, equations 1 and 2).

    Of each identity's images in the batch the first half are its support, whose mean c stands for it, the rest are
    queries: cross-entropy of -scale |f - c|^2 over the identities that have a mean, averaged over queries. Unit
    vectors, so the squared distances are in [0, 4] and need a scale (10: ours).

    across: the support is what the camera of an identity's first image took, the queries are of other cameras (ours):
    the question of re-identification itself. An identity that one camera saw has no query then.
    """
    nth = torch.tril(positives.int(), -1).sum(1)  # how many of one's own came before
    if across:
        first = cameras[
            (positives | torch.eye(len(ids), dtype=torch.bool, device=ids.device)).int().argmax(1)
        ]
        support = cameras == first
    else:
        support = nth < (positives.sum(1) + 1) // 2
    queries = ~support & positives.any(1)
    if not queries.any():
        return unit.sum() * 0
    present, place = ids.unique(return_inverse=True)
    counts = unit.new_zeros(len(present)).index_add(0, place[support], unit.new_ones(int(support.sum())))
    means = unit.new_zeros(len(present), unit.shape[1]).index_add(0, place[support], unit[support])
    means = means / counts[:, None].clamp_min(1)
    distances = (unit[queries][:, None] - means).square().sum(2)
    logits = (-scale * distances).masked_fill(counts == 0, -torch.inf)
    return F.cross_entropy(logits, place[queries])


class Viewpoint(nn.Module):
    """Classes are identity x viewpoint on one sphere; part of the target goes to the other viewpoints of one's own.

    After VA-reID (Zhu et al. 2020), whose exact form we could not read: cross-entropy over 3C logits s cos with
    target 1 - e1 - e2 at (y, v), e1 / 2 at the two other viewpoints of y, e2 / (3C - 3) elsewhere, plus
    ``pull`` x mean over present identities of sum_v |w_yv - mean_v w_yv|^2. Needs a label column ``viewpoint``
    with the values 0, 1, 2 (Market-1501: the authors' front, side, back).
    """

    def __init__(
        self,
        classes: int,
        dimensions: int,
        *,
        same: float = 0.2,
        other: float = 0.05,
        pull: float = 0.01,
        scale: float = 30.0,
    ) -> None:
        super().__init__()
        self.same, self.other, self.pull, self.scale = same, other, pull, scale
        self.centres = nn.Parameter(torch.randn(classes, 3, dimensions))

    def forward(self, unit: torch.Tensor, ids: torch.Tensor, viewpoint: torch.Tensor) -> torch.Tensor:
        centres = F.normalize(self.centres, dim=2)
        logits = self.scale * unit @ centres.flatten(0, 1).T
        count = logits.shape[1]
        target = torch.full_like(logits, self.other / max(count - 3, 1))
        own = 3 * ids[:, None] + torch.arange(3, device=ids.device)
        target.scatter_(1, own, self.same / 2)
        target.scatter_(1, (3 * ids + viewpoint)[:, None], 1 - self.same - self.other)
        mine = centres[ids.unique()]
        apart = (mine - mine.mean(1, keepdim=True)).square().sum((1, 2)).mean()
        return -(target * logits.log_softmax(1)).sum(1).mean() + self.pull * apart
