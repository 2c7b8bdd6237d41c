"""Running weights with torch; what `reid.backends` imports only for files that need it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from configs import InputError
from reid.backends import Network, Wish, one_line
from reid.recipe import KEY, Recipe

KINDS = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


def open_torch(path: Path, wish: Wish) -> Network:
    """Weights that `reid.weights` reads, or TorchScript. Normalises on the device, so that bytes travel."""
    place = _device(wish.device)
    if path.suffix.lower() == ".torchscript":
        network, recipe = _load_torchscript(path, place)
    else:
        from reid.weights import load_network

        network, recipe = load_network(path, wish.model)
        network = network.to(place)
        if place.type == "cpu":
            network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # OSNet x0.25: 1.4 times the crops/s
    mean, std = (torch.tensor(values).to(place)[:, None, None] for values in (recipe.mean, recipe.std))
    kind = KINDS[wish.precision]

    def run(crops: np.ndarray) -> np.ndarray:
        before = torch.get_num_threads()
        torch.set_num_threads(wish.threads or before)  # of the whole process: put back below
        try:
            # No cuDNN algorithm is picked by timing: the same input gives the same bytes.
            steady = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True)
            cast = torch.autocast(place.type, kind, enabled=kind != torch.float32)
            with torch.inference_mode(), steady, cast:
                images = torch.from_numpy(np.ascontiguousarray(crops)).to(place).flip(3).permute(0, 3, 1, 2)
                return network((images.float() / 255 - mean) / std).float().cpu().numpy()
        finally:
            torch.set_num_threads(before)

    on = f"torch on {place}" + ("" if wish.precision == "f32" else f" in {wish.precision}")
    return Network(run, wish.size or recipe.size, None, on, recipe.card)


def _load_torchscript(path: Path, place: torch.device) -> tuple[Any, Recipe]:
    found = {KEY: ""}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript is on its way out; the file is there all the same
            network = torch.jit.load(path, map_location=place, _extra_files=found)
    except Exception as error:  # torch raises RuntimeError, and others for files that are no zip
        raise InputError(f"{path}: not readable as TorchScript: {one_line(error)}") from None
    text: Any = found[KEY]
    return network.eval(), Recipe.from_json(text.decode() if isinstance(text, bytes) else text, path)


def _device(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    place = torch.device(device)
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"device {device!r}: torch sees {torch.cuda.device_count()} CUDA devices; use device 'cpu'"
        )
    return place
