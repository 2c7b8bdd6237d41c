"""A trained network as the start of a wider one of the same kind, which begins with the same answers."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from retrace.configs import InputError

LEAST_SHARE = 0.1  # of a channel's copies, beside those that weigh up to 1: no copy begins without a say


def widened(
    given: Mapping[str, torch.Tensor], network: nn.Module, seed: int, path: str = "the file"
) -> dict[str, torch.Tensor]:
    """The tensors of ``given`` in the shapes that ``network`` has: channels are copied, so it computes the same.

    Net2WiderNet (Chen et al. 2016, equation 1), all layers at once. Channel c of a layer of O' channels is a copy of
    channel c modulo O. Whoever reads copies reads each by a share of the weight, and shares add up to the whole; they
    are drawn, since copies of equal weight would have equal gradients and stay copies for good.

    Args:
        given: tensors by the network's names; names that it does not have come back as they are.
        network: at least as wide in every dimension, with layers of the same names.
        seed: of the shares.

    Returns:
        Tensors by the names of ``given``.

    Raises:
        InputError: a tensor of more channels than the network's, or a convolution in groups of several channels.
    """
    grouped = [
        name
        for name, part in network.named_modules()
        if isinstance(part, nn.Conv2d) and 1 < part.groups < part.in_channels
    ]
    if grouped:
        raise InputError(f"init_wider: {grouped[0]} works in groups of channels, and copies would mix them")
    generator = torch.Generator().manual_seed(seed)
    wanted = network.state_dict()
    return {
        key: _wider(value, wanted[key].shape, generator, f"{path}: {key}") if key in wanted else value
        for key, value in given.items()
    }


def _wider(value: torch.Tensor, shape: torch.Size, generator: torch.Generator, name: str) -> torch.Tensor:
    if (
        value.ndim != len(shape)
        or value.shape[2:] != shape[2:]
        or any(a > b for a, b in zip(value.shape, shape, strict=False))
    ):
        raise InputError(
            f"init_wider: {name} is {tuple(value.shape)} and the network has {tuple(shape)}: "
            "expected a network of the same kind with at most as many channels"
        )
    if value.ndim == 0 or value.shape == shape:
        return value
    value = value[torch.arange(shape[0]) % len(value)]
    if value.ndim == 1 or value.shape == shape:
        return value
    sources = torch.arange(shape[1]) % value.shape[1]
    return value[:, sources] * _shares(len(value), sources, generator).reshape(
        *shape[:2], *[1] * (value.ndim - 2)
    )


def _shares(rows: int, sources: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """(R, I') float32: how much of its weight each copy has in each row; the copies of a channel have 1 together."""
    drawn = LEAST_SHARE + (1 - LEAST_SHARE) * torch.rand(rows, len(sources), generator=generator)
    whole = torch.zeros(rows, int(sources.max()) + 1).index_add_(1, sources, drawn)
    return drawn / whole[:, sources]
