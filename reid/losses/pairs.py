"""Terms on pairs of images."""

from __future__ import annotations

import torch
import torch.nn.functional as F


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
