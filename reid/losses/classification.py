"""Terms on the scores of classes."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def cross_entropy(
    logits: torch.Tensor,
    ids: torch.Tensor,
    *,
    label_smoothing: float = 0.0,
    temperature: float = 1.0,
) -> torch.Tensor:
    """Softmax cross-entropy; smoothed labels are (1 - e) one-hot + e / C (Szegedy et al. 2016, section 7)."""
    return F.cross_entropy(logits / temperature, ids, label_smoothing=label_smoothing)
