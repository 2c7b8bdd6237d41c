"""Decoded images -> unit vectors with a torch network; what training uses to look at itself."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from retrace.reid.recipe import Recipe
from retrace.reid.training.augment import normalise


def features(
    network: nn.Module,
    pixels: np.ndarray,
    recipe: Recipe,
    device: str | torch.device = "cpu",
    batch_size: int = 64,
    call: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> np.ndarray:
    """Vectors of images.

    Args:
        network: images -> (B, D); comes back in the mode it came in.
        pixels: (N, H, W, 3) uint8 BGR of the recipe's size.
        call: asked instead of the network itself, for another of its vectors.

    Returns:
        (N, D) float32 unit rows.
    """
    training = network.training
    mean, std = (torch.tensor(v, device=device) for v in (recipe.mean, recipe.std))
    found = []
    network.eval()
    try:
        with torch.inference_mode():
            for start in range(0, len(pixels), batch_size):
                batch = torch.from_numpy(np.array(pixels[start : start + batch_size])).to(device)
                found.append(
                    F.normalize((call or network)(normalise(batch, mean, std)).float(), dim=1).cpu().numpy()
                )
    finally:
        network.train(training)
    return np.concatenate(found) if found else np.empty((0, 0), np.float32)
