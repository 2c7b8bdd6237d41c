"""Depthwise convolutions that train in bfloat16 on a CPU without waiting for their backward pass.

oneDNN has no fast backward pass in bfloat16 for a depthwise convolution that halves the map or whose kernel has 5 x 5
or more numbers, and falls back to a plain loop: 60 % of a step of MobileNetV2 and 95 % of EfficientNet-Lite0 was that.
In float32 the same gradients take a tenth of the time and are rounded once, at their end.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F


class _Convolve(torch.autograd.Function):
    """``F.conv2d`` whose gradients are computed in float32."""

    @staticmethod
    def forward(ctx: Any, images: torch.Tensor, layer: nn.Conv2d, weight: torch.Tensor) -> torch.Tensor:
        kind = torch.get_autocast_dtype("cpu")
        seen = images.to(kind)
        ctx.save_for_backward(seen, weight)
        ctx.layer, ctx.kind = layer, images.dtype
        return F.conv2d(
            seen, weight.to(kind), None, layer.stride, layer.padding, layer.dilation, layer.groups
        )

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        seen, weight = ctx.saved_tensors
        layer = ctx.layer
        of_images, of_weight, _ = torch.ops.aten.convolution_backward(
            gradients[0].float(),
            seen.float(),
            weight.to(seen.dtype).float(),  # as rounded as the forward pass had it
            None,
            layer.stride,
            layer.padding,
            layer.dilation,
            False,
            [0, 0],
            layer.groups,
            [ctx.needs_input_grad[0], ctx.needs_input_grad[2], False],
        )
        return None if of_images is None else of_images.to(ctx.kind), None, of_weight


class _Depthwise(nn.Conv2d):
    """An ``nn.Conv2d`` with the gradients of :class:`_Convolve` wherever a CPU trains in less than float32."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if not (torch.is_grad_enabled() and torch.is_autocast_enabled("cpu") and images.device.type == "cpu"):
            return super().forward(images)
        answer = _Convolve.apply(images, self, self.weight)
        return answer if self.bias is None else answer + self.bias.to(answer.dtype)[:, None, None]


def quicken_depthwise(network: nn.Module) -> int:
    """Give a network's slow depthwise convolutions their quick backward pass, in place.

    Same numbers forward, same names and shapes of weights; gradients differ by the rounding of bfloat16. Outside of
    ``torch.autocast`` on a CPU nothing changes.

    Returns:
        How many convolutions it was.
    """
    slow = [
        layer
        for layer in network.modules()
        if type(layer) is nn.Conv2d
        and layer.groups == layer.in_channels > 1
        and (max(layer.stride) > 1 or max(layer.kernel_size) > 3)
        and layer.padding_mode == "zeros"
        and not isinstance(layer.padding, str)
    ]
    for layer in slow:
        layer.__class__ = _Depthwise
    return len(slow)
