"""How the weights move: the optimiser of a preset, and its learning rate over time."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from retrace.reid.config import OptimizerConfig, ScheduleConfig
from retrace.reid.losses.objective import Objective


def make_optimizer(
    config: OptimizerConfig, network: nn.Module, objective: Objective
) -> torch.optim.Optimizer:
    """Group 0 is the network, then one group a term that learns; each keeps its full rate as ``base_lr``."""
    learned = [p for p in network.parameters() if p.requires_grad]
    groups = [{"params": learned}, *objective.parameter_groups()]
    shared: dict[str, Any] = {"lr": config.lr, "weight_decay": config.weight_decay}
    if config.name == "sgd":
        optimizer: torch.optim.Optimizer = torch.optim.SGD(groups, momentum=config.momentum, **shared)
    elif config.name == "adamw":
        optimizer = torch.optim.AdamW(groups, **shared)
    elif config.name == "radam":
        optimizer = torch.optim.RAdam(groups, **shared)
    else:
        optimizer = torch.optim.Adam(groups, amsgrad=config.name == "amsgrad", **shared)
    for group in optimizer.param_groups:
        group["base_lr"] = group["lr"]
    return optimizer


def rate_factor(schedule: ScheduleConfig, epoch: float, epochs: float) -> float:
    """What the learning rate is multiplied by at ``epoch`` (from 0) of ``epochs``.

    Linear warm-up times, by kind: 1; ``factor`` to the number of ``steps`` passed; or half a cosine from 1 at
    ``start`` to ``final_factor`` at the end (Loshchilov and Hutter 2017, equation 5).
    """
    warm = 1.0
    if epoch < schedule.warmup:
        warm = schedule.warmup_factor + (1 - schedule.warmup_factor) * epoch / schedule.warmup
    if schedule.kind == "step":
        return warm * schedule.factor ** sum(epoch >= step for step in schedule.steps)
    if schedule.kind == "cosine" and epoch > schedule.start:
        done = min(1.0, (epoch - schedule.start) / max(epochs - schedule.start, 1e-9))
        fall = (1 + math.cos(math.pi * done)) / 2
        return warm * (schedule.final_factor + (1 - schedule.final_factor) * fall)
    return warm
