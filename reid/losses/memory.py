"""Memories of vectors of batches gone by."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from retrace.configs import InputError
from retrace.reid.losses.triplets import distance_weights


class BatchMemory(nn.Module):
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


class SelfSimilarity(nn.Module):
    """An image is most like itself seen otherwise, among all that were seen lately (DiVA's DaNCE, Milbich et al. 2020).

    The query is the vector that ``on`` names, the key what a mean teacher says of a second random view; cross-entropy
    of [q k, (q n) w] / temperature with the key at place 0, n the keys of earlier batches but those of the same images,
    w one over the density of their distance to the query (as in margin; none beyond 1.4), 1 on average. Needs no
    identities. Needs views: 2 and teacher: {ema: 0.9}, whose vectors are as long as the query's.
    """

    keys: torch.Tensor
    rows: torch.Tensor
    position: torch.Tensor

    def __init__(
        self,
        dimensions: int,
        teacher_dimensions: int,
        *,
        size: int = 2048,
        temperature: float = 0.01,
        cap: int = 128,
    ) -> None:
        super().__init__()
        if teacher_dimensions and dimensions != teacher_dimensions:
            raise InputError(
                f"losses.self_similarity: the teacher's vectors have {teacher_dimensions} numbers, those it is put on "
                f"{dimensions}: put it on a vector as long"
            )
        self.temperature, self.cap = temperature, min(dimensions, cap)
        self.register_buffer("keys", torch.zeros(size, dimensions))
        self.register_buffer("rows", torch.full((size,), -1))  # -1: nothing there yet
        self.register_buffer("position", torch.tensor(0))

    def forward(self, unit: torch.Tensor, teacher_second: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        there = (self.rows >= 0) & ~torch.isin(self.rows, rows)
        own = (unit * teacher_second).sum(1, keepdim=True)
        others = unit @ self.keys.clone().T  # cloned: it changes below, before the gradient is taken
        weights = self.weights(others.detach(), there)
        logits = torch.cat([own, others * weights], 1) / self.temperature
        logits = logits.masked_fill(F.pad(weights == 0, (1, 0)), -torch.inf)
        loss = F.cross_entropy(logits, torch.zeros_like(rows))
        self.remember(teacher_second, rows)
        return loss

    def weights(self, cosines: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        """(B, M) of the keys: mean 1 over those of a row that count."""
        if not there.any():
            return torch.zeros_like(cosines)
        distances = (2 - 2 * cosines).clamp_min(0).sqrt()
        found = distance_weights(distances, there.expand_as(cosines), self.cap)
        return found / found.sum(1, keepdim=True) * (found > 0).sum(1, keepdim=True)

    @torch.no_grad()
    def remember(self, keys: torch.Tensor, rows: torch.Tensor) -> None:
        """The oldest make room."""
        keys, rows = keys[-len(self.rows) :], rows[-len(self.rows) :]
        places = (self.position + torch.arange(len(rows), device=rows.device)) % len(self.rows)
        self.keys[places], self.rows[places] = keys, rows
        self.position.copy_((self.position + len(rows)) % len(self.rows))


def contrastive_cosines(
    cosines: torch.Tensor, positives: torch.Tensor, negatives: torch.Tensor, margin: float
) -> torch.Tensor:
    """Mean over rows with any pair: mean of 1 - s over positives + mean of [s - margin]+ over those above 0."""
    pull = ((1 - cosines) * positives).sum(1) / positives.sum(1).clamp_min(1)
    over = F.relu(cosines - margin) * negatives
    push = over.sum(1) / (over > 0).sum(1).clamp_min(1)
    usable = positives.any(1) | negatives.any(1)
    return (pull + push).sum() / usable.sum().clamp_min(1)
