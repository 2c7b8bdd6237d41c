"""How good the network is at the moment: when that is asked, what comes out, and when it ends the training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from retrace.reid.data.sets import ReidImages, has_match
from retrace.reid.training.features import features
from retrace.reid.training.files import Log
from retrace.reid.training.state import Training

FIGURES = ("rank-1", "rank-5", "rank-10", "mAP", "mINP")
Evaluate = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Pixels:
    """A part of a data set, decoded."""

    images: ReidImages
    pixels: np.ndarray  # (N, H, W, 3) uint8 BGR, memory-mapped


def evaluate(training: Training, parts: dict[str, Pixels], score: Evaluate | None) -> dict[str, float]:
    """Figures of the network as it is; none where the data has no query and gallery, or no pair to find."""
    if score is None or not {"query", "gallery"} <= parts.keys():
        return {}
    query, gallery = parts["query"], parts["gallery"]
    if not has_match(query.images, gallery.images).any():
        return {}  # one camera only, for one; the notes on the data say so
    found = [
        features(training.best_network, part.pixels, training.recipe({}), training.device)
        for part in (query, gallery)
    ]
    row = score(
        found[0], query.images.ids, query.images.cameras, found[1], gallery.images.ids, gallery.images.cameras
    ).row()
    ranks = {f"rank-{k}": value for k, value in row["rank"].items()}
    return {name: (ranks | row)[name] for name in FIGURES}


def is_due(training: Training) -> bool:
    config, iteration = training.config, training.iteration
    every = round((config.evaluate_every or 0) * training.iterations_per_epoch)
    return iteration == training.iterations or bool(config.evaluate_every and iteration % max(1, every) == 0)


def patience_is_out(training: Training, log: Log | None) -> bool:
    """Whether mAP has not risen for ``patience`` evaluations; every process hears what the first one knows."""
    patience = training.config.patience
    if patience is None or not training.iteration or not is_due(training):
        return False
    scores = log.column("mAP") if log is not None else []
    out = len(scores) > patience and max(scores[-patience:]) <= max(scores[:-patience])
    if dist.is_initialized():
        told = torch.tensor(float(out), device=training.device)
        dist.broadcast(told, 0)
        out = bool(told)
    return out


def shown(figures: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {100 * value:.1f}" for name, value in figures.items())
