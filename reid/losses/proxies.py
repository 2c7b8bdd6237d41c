"""Terms that learn vectors which stand for identities."""

from __future__ import annotations

import torch
from torch import nn


class Centre(nn.Module):
    """1/2 mean |f - c_id|^2 with a learned centre an identity (Wen et al. 2016, equation 2, averaged)."""

    def __init__(self, classes: int, dimensions: int) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.randn(classes, dimensions))

    def forward(self, embeddings: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        return (embeddings - self.centres[ids]).square().sum(1).mean() / 2
