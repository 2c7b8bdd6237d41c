"""Terms that learn from what another network says of the same images."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from retrace.reid.losses.batch import SMALLEST, Batch, euclidean
from retrace.reid.losses.pairs import multi_similarity


class TeacherFeatures(nn.Module):
    """mean [1 - cos(W f + b, t)]: the teacher's vector is a learned linear function of the student's.

    The map goes with the training (as Romero et al. 2015's regressor, FitNets), so the student keeps a space
    of its own, in which whatever the teacher knows can be read off.
    """

    def __init__(self, dimensions: int, teacher_dimensions: int) -> None:
        super().__init__()
        self.map = nn.Linear(dimensions, teacher_dimensions)

    def forward(self, features: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        return 1 - F.cosine_similarity(self.map(features), teacher, dim=1).mean()


def teacher_similarities(
    features: torch.Tensor, teacher: torch.Tensor, *, temperature: float = 0.1
) -> torch.Tensor:
    """Mean KL of the batch's rows of cosines, softmax(teacher / T) from softmax(student / T), times T^2.

    As S2SD's term (Roth et al. 2021, section 3), without each image's cosine with itself.
    """
    own, wanted = (
        _off_diagonal(F.normalize(v, dim=1) @ F.normalize(v, dim=1).T) for v in (features, teacher)
    )
    found = (own / temperature).log_softmax(1)
    return temperature**2 * F.kl_div(
        found, (wanted / temperature).log_softmax(1), log_target=True, reduction="batchmean"
    )


def teacher_distances(features: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Relational distillation by distances (Park et al. 2019, equations 4 to 6), of unit vectors.

    mean over pairs of the Huber loss between d / mean d of the student and of the teacher.
    """
    if len(features) < 2:
        return features.sum() * 0
    own, wanted = (_off_diagonal(euclidean(F.normalize(v, dim=1))) for v in (features, teacher))
    own, wanted = (d / d.mean().clamp_min(SMALLEST) for d in (own, wanted))
    return F.smooth_l1_loss(own, wanted)


def _off_diagonal(square: torch.Tensor) -> torch.Tensor:
    """(B, B) -> (B, B - 1)."""
    count = len(square)
    return square.flatten()[1:].view(count - 1, count + 1)[:, :-1].reshape(count, count - 1)


def relational_distillation(
    embeddings: torch.Tensor,
    teacher: torch.Tensor,
    *,
    distance: float = 1.0,
    angle: float = 2.0,
    rows: int = 32,
) -> torch.Tensor:
    """RKD as published (Park et al. 2019): pairs' distances and triples' angles.

    distance x mean over B^2 of the Huber loss of d / mean of the positive d, + angle x mean over triples of the Huber
    loss of the cosine at each image between the directions to two others. The student's vectors are not normalised. The
    triples are of the first ``rows`` images: all 64 would cost B^3 D (the authors take all).
    """
    own, wanted = (_scaled(euclidean(v)) for v in (embeddings, teacher))
    loss = distance * F.smooth_l1_loss(own, wanted)
    if angle:
        loss = loss + angle * F.smooth_l1_loss(angles(embeddings[:rows]), angles(teacher[:rows]))
    return loss


def _scaled(distances: torch.Tensor) -> torch.Tensor:
    """Distances over the mean of those above 0; an image is at 0 from itself."""
    distances = distances * ~torch.eye(len(distances), dtype=torch.bool, device=distances.device)
    apart = distances > 2 * SMALLEST**0.5
    return distances / ((distances * apart).sum() / apart.sum().clamp_min(1)).clamp_min(SMALLEST**0.5)


def angles(vectors: torch.Tensor) -> torch.Tensor:
    """(B, D) -> (B, B, B): [i, j, k] the cosine at i between the directions to j and to k; 0 where points coincide."""
    apart = vectors[None, :] - vectors[:, None]
    directions = F.normalize(apart, dim=2)
    return directions @ directions.transpose(1, 2)


class S2SD(nn.Module):
    """Larger heads of one's own as teachers (simultaneous similarity self-distillation, Roth et al. 2021).

    1/2 (multi-similarity of the embedding + mean over heads of theirs) + weight_heads x mean over heads of
    T^2 KL(softmax of a head's cosines / T, of the embedding's), heads detached there; from step ``delay`` on also
    weight_pooled x the same with the cosines of the pooled vector. All heads of the model are teachers unless
    ``teachers`` names some: two-layer ones (kind mlp) wider than the embedding, which vanish at export. T 1, weights 50
    and the delay are the authors'; their four heads of 512 to 2048 cost two fifths of an OSNet x0.25's step, 512
    and 1024 a fourteenth.
    """

    def __init__(
        self,
        *,
        teachers: tuple[str, ...] = (),
        temperature: float = 1.0,
        weight_heads: float = 50.0,
        weight_pooled: float = 50.0,
        delay: int = 1000,
    ) -> None:
        super().__init__()
        self.teachers, self.temperature, self.delay = teachers, temperature, delay
        self.weight_heads, self.weight_pooled = weight_heads, weight_pooled

    def forward(
        self,
        cosines: torch.Tensor,
        ids: torch.Tensor,
        positives: torch.Tensor,
        negatives: torch.Tensor,
        heads: dict[str, torch.Tensor],
        pooled: torch.Tensor,
        step: torch.Tensor,
    ) -> torch.Tensor:
        names = self.teachers or tuple(heads)
        if not names or not heads.keys() >= set(names):
            raise ValueError(f"needs model.heads as teachers, has {', '.join(heads) or 'none'}")
        seen = [Batch(embeddings=heads[name])["cosines"] for name in names]
        theirs = sum((multi_similarity(s, positives, negatives) for s in seen), cosines.new_zeros(()))
        loss = (multi_similarity(cosines, positives, negatives) + theirs / len(seen)) / 2
        told = sum((divergence(s, cosines, self.temperature) for s in seen), cosines.new_zeros(()))
        loss = loss + self.weight_heads * told / len(seen)
        if int(step) >= self.delay:
            loss = loss + self.weight_pooled * divergence(
                Batch(embeddings=pooled)["cosines"], cosines, self.temperature
            )
        return loss


def divergence(teacher: torch.Tensor, student: torch.Tensor, temperature: float) -> torch.Tensor:
    """T^2 x mean over rows of KL(softmax(teacher / T) || softmax(student / T)); the teacher learns nothing."""
    wanted, found = ((rows / temperature).log_softmax(1) for rows in (teacher.detach(), student))
    return temperature**2 * F.kl_div(found, wanted, log_target=True, reduction="batchmean")
