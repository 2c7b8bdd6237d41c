"""A second network that looks at the images as the student does, augmented, and never learns from the loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from retrace.configs import InputError
from retrace.reid.config import TeacherConfig
from retrace.reid.recipe import IMAGENET_MEAN, IMAGENET_STD, Recipe


class Teacher:
    """Augmented images -> unit vectors, from a file's weights or from the student's own average (mean teacher).

    Args:
        student: the network that trains; for ``ema`` only.
        size: px, (H, W) of the images that come.

    Raises:
        InputError: the weights cannot be read as a torch network.
    """

    def __init__(
        self, config: TeacherConfig, student: nn.Module, size: tuple[int, int], device: torch.device
    ) -> None:
        from retrace.reid.weights.files import load_network

        self.decay, self.device, self.recipe = config.ema, device, Recipe(size=size)
        self.network: nn.Module = student
        if config.weights is not None:
            if config.weights.endswith((".onnx", ".xml", ".torchscript")):
                raise InputError(
                    f"teacher.weights: {config.weights} is an export; give the weights as trained, or name the "
                    "file in teachers, which looks at the images as they are"
                )
            network, self.recipe = load_network(config.weights, uncalibrated=True)
            self.network = network.to(device).eval().requires_grad_(False)
        with torch.inference_mode():
            training = self.network.training
            self.dimensions = int(self.network.eval()(torch.zeros(1, 3, *self.recipe.size)).shape[1])
            self.network.train(training)
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
        own_mean, own_std = (torch.tensor(v).view(3, 1, 1) for v in (self.recipe.mean, self.recipe.std))
        self.scale, self.shift = (std / own_std).to(device), ((mean - own_mean) / own_std).to(device)

    def start_as(self, student: nn.Module) -> None:
        """An average begins where the student does."""
        if self.decay is not None:
            follow = get_ema_multi_avg_fn(self.decay)
            self.network = AveragedModel(student, multi_avg_fn=follow, use_buffers=True).eval()

    def follow(self, student: nn.Module) -> None:
        """After a step of the student."""
        if self.decay is not None:
            self.network.update_parameters(student)  # type: ignore[operator]

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) float32 normalised for the student -> (B, T) float32 unit rows, without gradient."""
        with torch.no_grad():
            seen = images * self.scale + self.shift
            if tuple(seen.shape[2:]) != tuple(self.recipe.size):
                seen = F.interpolate(seen, self.recipe.size, mode="bilinear", align_corners=False)
            return F.normalize(self.network(seen).float(), dim=1)

    def state_dict(self) -> dict[str, Any] | None:
        """None where a file keeps it."""
        return self.network.state_dict() if self.decay is not None else None

    def load_state_dict(self, state: Mapping[str, Any] | None) -> None:
        """What :meth:`state_dict` gave."""
        if self.decay is not None:
            if state is None:
                raise ValueError("no teacher in it")
            self.network.load_state_dict(state)
