"""A network beside another: one file, one crop, both vectors.

Two networks of other kinds make other mistakes, so their vectors side by side tell people apart better than either
(measured: LOG.md). The second is fed the same crop, made as small as it was trained on inside the network, by two
products with fixed matrices, which every runtime computes alike.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn


class Beside(nn.Module):
    """Crops (B, 3, H, W) of ``size`` -> the network's vectors (B, D) of them at ``own`` px, (h, w)."""

    def __init__(self, network: nn.Module, size: tuple[int, int], own: tuple[int, int]) -> None:
        super().__init__()
        self.network = network
        rows, columns = (torch.from_numpy(resampling(n, m)) for n, m in zip(size, own, strict=True))
        # They follow from the sizes: not in the file.
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("columns", columns.T.contiguous(), persistent=False)
        self.rows: torch.Tensor
        self.columns: torch.Tensor

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.network(self.rows @ images @ self.columns)


def resampling(given: int, wanted: int) -> np.ndarray:
    """(wanted, given) float32, rows of sum 1: bilinear; where pixels become fewer, the triangle is as wide as they are.

    That is Pillow's and torch's "bilinear" with antialiasing.
    """
    step = given / wanted
    centre = (np.arange(wanted)[:, None] + 0.5) * step - 0.5
    weight = np.clip(1 - np.abs(np.arange(given) - centre) / max(step, 1.0), 0, None)
    return (weight / weight.sum(1, keepdims=True)).astype(np.float32)
