"""A trained network as the start of a wider one of the same kind, which begins with the same answers."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from retrace.configs import InputError

LEAST_SHARE = 0.1  # of a channel's copies, beside those that weigh up to 1: no copy begins without a say
IMAGES = 4  # drawn, on which both networks are asked
OFF = 1e-3  # of the largest number of a vector, by which the wide network may answer otherwise


def widened(
    given: Mapping[str, torch.Tensor], network: nn.Module, seed: int, heads: tuple[str, ...] = ()
) -> dict[str, torch.Tensor]:
    """The tensors of ``given`` in the shapes that ``network`` has: channels are copied.

    Net2WiderNet (Chen et al. 2016, equation 1), all layers at once. Channel c of a layer of O' channels is a copy of
    channel c modulo O. Whoever reads copies reads each by a share of the weight, and shares add up to the whole; they
    are drawn, since copies of equal weight would have equal gradients and stay copies for good. Where layers follow
    each other, or are added up, the network then computes the same; where they are put side by side, or normalised over
    channels, it does not (:func:`check_answers`).

    Args:
        given: tensors by the network's names; names that it does not have come back as they are.
        network: at least as wide in every dimension, with layers of the same names.
        seed: of the shares.
        heads: what names of classifiers begin with: their rows are people, who are not copied.

    Returns:
        Tensors by the names of ``given``.

    Raises:
        InputError: a tensor of more channels than the network's.
    """
    generator = torch.Generator().manual_seed(seed)
    wanted = network.state_dict()
    return {
        key: _wider(value, wanted[key].shape, generator, key, key.startswith(heads))
        if key in wanted
        else value
        for key, value in given.items()
    }


def check_answers(narrow: nn.Module, wide: nn.Module, size: tuple[int, int], seed: int) -> None:
    """Ask both networks for the vectors of a few drawn images.

    Args:
        narrow, wide: images (B, 3, H, W) -> (B, D) in eval mode.
        size: px, (H, W).

    Raises:
        InputError: they do not answer alike, each number of the narrow one's vectors as often as every other.
    """
    images = torch.randn(IMAGES, 3, *size, generator=torch.Generator().manual_seed(seed))
    training = wide.training
    with torch.inference_mode():
        one, other = narrow.eval()(images), wide.eval()(images)
    wide.train(training)
    if other.shape[1] % one.shape[1]:
        raise InputError(
            f"init_wider: vectors of {one.shape[1]} numbers become {other.shape[1]}: expected a multiple, "
            "or some would count twice"
        )
    off = float((other - one.repeat(1, other.shape[1] // one.shape[1])).abs().max() / one.abs().max())
    if not off < OFF:
        raise InputError(
            f"init_wider: with copied channels the network answers otherwise (by {off:.1%}): it puts channels side by "
            "side or normalises over them; expected one like OSNet, ResNet or MobileNetV2"
        )


def _wider(
    value: torch.Tensor, shape: torch.Size, generator: torch.Generator, key: str, head: bool
) -> torch.Tensor:
    if head and value.shape[:1] != shape[:1]:
        return value  # other people: whoever compares shapes says so
    if (
        value.ndim != len(shape)
        or value.shape[2:] != shape[2:]
        or any(a > b for a, b in zip(value.shape, shape, strict=True))
    ):
        raise InputError(
            f"init_wider: {key} is {tuple(value.shape)} and the network has {tuple(shape)}: "
            "expected a network of the same kind with at most as many channels"
        )
    if value.ndim == 0 or value.shape == shape:
        return value
    value = value[torch.arange(shape[0]) % len(value)]
    if value.ndim == 1 or value.shape == shape:
        return value
    sources = torch.arange(shape[1]) % value.shape[1]
    shares = _shares(len(value), sources, generator)
    return value[:, sources] * shares.reshape(*shape[:2], *[1] * (value.ndim - 2))


def _shares(rows: int, sources: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """(R, I') float32: how much of its weight each copy has in each row; the copies of a channel have 1 together."""
    drawn = LEAST_SHARE + (1 - LEAST_SHARE) * torch.rand(rows, len(sources), generator=generator)
    whole = torch.zeros(rows, int(sources.max()) + 1).index_add_(1, sources, drawn)
    return drawn / whole[:, sources]
