"""A memory of vectors of batches gone by."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class Memory(nn.Module):
    """Contrastive against the batch and against vectors of earlier batches (XBM, Wang et al. 2020).

    Features drift slowly once the first few hundred steps are over, so vectors of old batches still serve as
    positives and negatives: a batch of 64 is compared with thousands. For an anchor: mean of 1 - s over its positives
    + mean of [s - margin]+ over the negatives that cost something, s the cosine; mean over anchors that have any;
    once against the batch, once (from step ``start`` on) against the memory, added. Entries of images that are in
    the batch are left out. The memory is in the checkpoint, so a run that goes on repeats to the last bit.

    size: vectors remembered; the authors take up to the whole training set. margin 0.5 as theirs.
    """

    vectors: torch.Tensor
    ids: torch.Tensor
    rows: torch.Tensor
    position: torch.Tensor

    def __init__(self, dimensions: int, *, size: int = 4096, start: int = 1000, margin: float = 0.5) -> None:
        super().__init__()
        self.start, self.margin = start, margin
        self.register_buffer("vectors", torch.zeros(size, dimensions))
        self.register_buffer("ids", torch.full((size,), -1))
        self.register_buffer("rows", torch.full((size,), -1))  # -1: nothing there yet
        self.register_buffer("position", torch.tensor(0))

    def forward(
        self,
        unit: torch.Tensor,
        cosines: torch.Tensor,
        ids: torch.Tensor,
        positives: torch.Tensor,
        negatives: torch.Tensor,
        rows: torch.Tensor,
        step: torch.Tensor,
    ) -> torch.Tensor:
        loss = contrastive_cosines(cosines, positives, negatives, self.margin)
        if int(step) >= self.start:
            there = (self.rows >= 0) & ~torch.isin(self.rows, rows)
            same = ids[:, None] == self.ids
            old = unit @ self.vectors.clone().T  # cloned: it changes below, before the gradient is taken
            loss = loss + contrastive_cosines(old, same & there, ~same & there, self.margin)
        self.remember(unit.detach(), ids, rows)
        return loss

    @torch.no_grad()
    def remember(self, unit: torch.Tensor, ids: torch.Tensor, rows: torch.Tensor) -> None:
        """The oldest entries make room."""
        unit, ids, rows = unit[-len(self.rows) :], ids[-len(self.rows) :], rows[-len(self.rows) :]
        places = (self.position + torch.arange(len(ids), device=ids.device)) % len(self.rows)
        self.vectors[places], self.ids[places], self.rows[places] = unit, ids, rows
        self.position.copy_((self.position + len(ids)) % len(self.rows))


def contrastive_cosines(
    cosines: torch.Tensor, positives: torch.Tensor, negatives: torch.Tensor, margin: float
) -> torch.Tensor:
    """Mean over rows with any pair: mean of 1 - s over positives + mean of [s - margin]+ over those above 0."""
    pull = ((1 - cosines) * positives).sum(1) / positives.sum(1).clamp_min(1)
    over = F.relu(cosines - margin) * negatives
    push = over.sum(1) / (over > 0).sum(1).clamp_min(1)
    usable = positives.any(1) | negatives.any(1)
    return (pull + push).sum() / usable.sum().clamp_min(1)
