"""Terms that learn from what another network says of the same images."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from retrace.reid.losses.batch import SMALLEST, euclidean


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
    own, wanted = (_off_diagonal(euclidean(F.normalize(v, dim=1))) for v in (features, teacher))
    own, wanted = (d / d.mean().clamp_min(SMALLEST) for d in (own, wanted))
    return F.smooth_l1_loss(own, wanted)


def _off_diagonal(square: torch.Tensor) -> torch.Tensor:
    """(B, B) -> (B, B - 1)."""
    count = len(square)
    return square.flatten()[1:].view(count - 1, count + 1)[:, :-1].reshape(count, count - 1)
