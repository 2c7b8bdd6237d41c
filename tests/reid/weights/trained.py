"""Small networks that look trained (no buffer at its start), their recipe and file, and what they answer."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import torch

from retrace.reid.config import ModelConfig
from retrace.reid.networks import build as networks
from retrace.reid.recipe import Recipe
from retrace.reid.weights import files as weights

CLASSES, SIZE = 3, (64, 32)
POOLED = ModelConfig(name="osnet_x0_25", embedding=16)
OWN = ModelConfig(name="osnet_x0_25", neck="own")


def fresh(config: ModelConfig = POOLED, classes: int = CLASSES, seed: int = 0) -> Any:
    return deepcopy(_drawn(config.model_dump_json(), classes, seed))


@cache
def _drawn(config: str, classes: int, seed: int) -> torch.nn.Module:
    """Drawing a network's weights takes longer than all that a test does with it."""
    torch.default_generator.manual_seed(seed)
    network = networks.build(ModelConfig.model_validate_json(config), classes, SIZE)
    for key, value in network.named_buffers():  # as if it had been trained
        if value.is_floating_point():
            value.uniform_(0.5, 1.5) if key.endswith("var") else value.normal_()
    return network.eval()


def recipe(config: ModelConfig = POOLED, classes: int = CLASSES) -> Recipe:
    card = {"data": "mini", "evaluation": {"mAP": 0.5}, "note": "Schrödinger"}
    return Recipe(
        config.name, SIZE, (0.5, 0.5, 0.5), (0.2, 0.25, 0.3), classes, config.model_dump(mode="json"), card
    )


def save(path: Path, config: ModelConfig = POOLED, classes: int = CLASSES, seed: int = 0) -> Path:
    weights.save_network(path, fresh(config, classes, seed), recipe(config, classes))
    return path


def answer(network: Any) -> torch.Tensor:
    with torch.inference_mode():
        return network(torch.linspace(-1, 1, 2 * 3 * 64 * 32).reshape(2, 3, 64, 32))
