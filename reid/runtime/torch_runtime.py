"""Weights for torch, and TorchScript; imported only for files that need it."""

from __future__ import annotations

import warnings
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from retrace.configs import InputError
from retrace.configs.errors import one_line
from retrace.reid.recipe import KEY, Recipe
from retrace.reid.runtime.feed import Feed, settle
from retrace.reid.runtime.network import Network, Wish
from retrace.reid.runtime.signs import guess, signs_of_torchscript

KINDS = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


@dataclass(frozen=True, slots=True)
class TorchRun:
    """A network on a device; (B, H, W, 3) uint8 BGR -> (B, D). Normalises on the device, so that bytes travel."""

    network: Any  # a module, or TorchScript
    place: torch.device
    feed: Feed
    mean: torch.Tensor  # (3,)
    std: torch.Tensor  # (3,)
    kind: torch.dtype
    threads: int | None

    def __call__(self, crops: np.ndarray) -> np.ndarray:
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads or before)  # of the whole process: put back below
        try:
            # No cuDNN algorithm is picked by timing: the same input gives the same bytes.
            steady = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True)
            cast = torch.autocast(self.place.type, self.kind, enabled=self.kind != torch.float32)
            with torch.inference_mode(), steady, cast:
                return self.network(self._fed(crops)).float().cpu().numpy()
        finally:
            torch.set_num_threads(before)

    def _fed(self, crops: np.ndarray) -> torch.Tensor:
        """As `reid.runtime.feed.normalise`, on the device."""
        images = torch.from_numpy(np.ascontiguousarray(crops)).to(self.place)
        if self.feed.colour == "rgb":
            images = images.flip(3)
        mean, std = self.mean, self.std
        if self.feed.layout == "nchw":
            images, mean, std = images.permute(0, 3, 1, 2), mean[:, None, None], std[:, None, None]
        values = images.float() / 255
        return ((values if self.feed.range == 1 else values * self.feed.range) - mean) / std


def open_torch(path: Path, wish: Wish) -> Network:
    """Weights that `reid.weights` reads, or TorchScript.

    Raises:
        InputError: a file that is neither or is damaged, a wish that torch cannot fulfil.
    """
    place = _device(wish.device)
    signs = None
    if path.suffix.lower() == ".torchscript":
        network, text = _load_torchscript(path, place)
        recipe = Recipe.from_json(text, path)
        signs = None if text else guess(signs_of_torchscript(network, path.stem))
    else:
        from retrace.reid.weights.files import load_network

        network, recipe = load_network(path, wish.model, uncalibrated=wish.uncalibrated)
        network = network.to(place)
        if place.type == "cpu":
            network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # OSNet x0.25: 1.4 times the crops/s
    feed, said = settle(wish.input, recipe, signs)
    mean, std = (torch.tensor(values).to(place) for values in (feed.mean, feed.std))
    run = TorchRun(network, place, feed, mean, std, KINDS[wish.precision], wish.threads)
    on = f"torch on {place}" + ("" if wish.precision == "f32" else f" in {wish.precision}")
    return Network(run, wish.size or recipe.size, None, on, recipe.card, feed, said)


def _load_torchscript(path: Path, place: torch.device) -> tuple[Any, str]:
    """The module in eval mode, and its recipe as text (empty where it has none)."""
    _refuse_damaged(path)
    found: dict[str, Any] = {KEY: ""}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript is on its way out; the file is there all the same
            network = torch.jit.load(path, map_location=place, _extra_files=found)
    except Exception as error:  # torch raises RuntimeError, and others for files that are no zip
        raise InputError(f"{path}: not readable as TorchScript: {one_line(error)}") from None
    text = found[KEY]
    return network.eval(), text.decode("utf-8", "replace") if isinstance(text, bytes) else text


def _refuse_damaged(path: Path) -> None:
    """Compare a TorchScript file, a zip, with the sums of its members if it is one of ours."""
    from retrace.reid.weights.checkpoints import damaged_part

    try:
        with zipfile.ZipFile(path) as archive:
            ours = any(name.endswith(f"extra/{KEY}") for name in archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return  # no zip: torch says so
    try:
        damaged = damaged_part(path) if ours else None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError):
        damaged = "a part of it"
    if damaged is not None:
        raise InputError(f"{path}: is damaged: {damaged} does not match its checksum; export it again")


def _device(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    place = torch.device(device)
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"`device` {device!r}: torch sees {torch.cuda.device_count()} CUDA devices; use device 'cpu'"
        )
    return place
