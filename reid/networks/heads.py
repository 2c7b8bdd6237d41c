"""Other vectors of a network beside its embedding, for terms to be put on: heads by name in a preset's model."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from retrace.configs import InputError
from retrace.reid.config import HeadConfig

ON_MAPS = ("stripes", "moments", "attention")


def source_of(config: HeadConfig) -> str:
    """What a head is fed: maps, pooled or embedding."""
    return "maps" if config.kind in ON_MAPS else config.on


def make_head(
    name: str, config: HeadConfig, channels: int, dimensions: int, map_size: tuple[int, int]
) -> nn.Module:
    """A head with random weights.

    Args:
        channels: c of the feature map.
        dimensions: D of the embedding.
        map_size: (h, w) of the feature map.

    Raises:
        InputError: it does not fit this network.
    """
    if config.kind in ("linear", "mlp", "slice") and config.on == "maps":
        raise InputError(f"model.heads.{name}: a {config.kind} head is on pooled or embedding, not maps")
    size = dimensions if config.on == "embedding" else channels
    if config.kind == "slice":
        if config.start + config.dim > size:
            raise InputError(
                f"model.heads.{name}: dimensions {config.start} to {config.start + config.dim} of only {size}"
            )
        return Slice(config.start, config.dim)
    if config.kind == "stripes":
        if config.parts > map_size[0]:
            raise InputError(
                f"model.heads.{name}: {config.parts} stripes of a feature map {map_size[0]} rows high; lower parts"
            )
        return Stripes(channels, config.dim, config.parts)
    if config.kind == "moments":
        return Moments(channels, config.dim, config.order, config.width)
    if config.kind == "attention":
        return Attention(channels, config.dim)
    if config.kind == "mlp":
        return nn.Sequential(nn.Linear(size, config.dim), nn.ReLU(), nn.Linear(config.dim, config.dim))
    return nn.Linear(size, config.dim, bias=False)


def head_dimensions(config: HeadConfig) -> int:
    """Length of a head's vector."""
    return config.dim * (config.parts if config.kind == "stripes" else 1)


def side_by_side(vectors: list[torch.Tensor]) -> torch.Tensor:
    """Unit vectors, each times the root of its share of the dimensions: their cosines add up by the shares."""
    total = sum(v.shape[1] for v in vectors)
    return torch.cat([F.normalize(v, dim=1) * (v.shape[1] / total) ** 0.5 for v in vectors], 1)


class Slice(nn.Module):
    """A few neighbouring dimensions of a vector (BIER, Divide and Conquer)."""

    def __init__(self, start: int, dim: int) -> None:
        super().__init__()
        self.start, self.dim = start, dim

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        return vectors[:, self.start : self.start + self.dim]


class Stripes(nn.Module):
    """Horizontal stripes of the map, each averaged, one 1x1 convolution for all (PCB, Sun et al. 2018).

    (B, c, h, w) -> (B, parts * dim), the upper stripe first.
    """

    def __init__(self, channels: int, dim: int, parts: int) -> None:
        super().__init__()
        self.parts = parts
        self.reduce = nn.Sequential(nn.Conv2d(channels, dim, 1, bias=False), nn.BatchNorm2d(dim), nn.ReLU())

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        height = maps.shape[2]  # slices, not adaptive pooling: ONNX knows no uneven one
        edges = [round(k * height / self.parts) for k in range(self.parts + 1)]
        stripes = [maps[:, :, a:b].mean((2, 3), keepdim=True) for a, b in zip(edges, edges[1:], strict=False)]
        return self.reduce(torch.cat(stripes, 2)).squeeze(3).transpose(1, 2).flatten(1)


class Moments(nn.Module):
    """A moment of the map's values of high order (HORDE, Jacob et al. 2019).

    (W_1 phi) * ... * (W_k phi) position by position, averaged over positions, mapped to ``dim`` without bias.
    The map is normalised first (ours), since products of small activations vanish; the W are learned.
    """

    def __init__(self, channels: int, dim: int, order: int, width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.factors = nn.ModuleList(nn.Conv2d(channels, width, 1, bias=False) for _ in range(order))
        self.map = nn.Linear(width, dim, bias=False)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        maps = self.norm(maps)
        product = self.factors[0](maps)
        for factor in self.factors[1:]:
            product = product * factor(maps)
        return self.map(product.mean((2, 3)))


class Attention(nn.Module):
    """The map under a learned mask, averaged and mapped: one learner of an attention ensemble.

    After ABE (Kim et al. 2018), whose masks lie deeper and send each learner through the rest of the network
    again; here they lie on the last map, so a learner costs two small layers.
    """

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.mask = nn.Conv2d(channels, channels, 1)
        self.map = nn.Linear(channels, dim, bias=False)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return self.map((maps * self.mask(maps).sigmoid()).mean((2, 3)))
