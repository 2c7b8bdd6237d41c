"""Checkpoints of torch: read without running code that the file brings along, and unwrapped by a stated list."""

from __future__ import annotations

import argparse
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from retrace.configs import InputError
from retrace.configs.errors import one_line

# Where projects put the tensors: torchreid, MMLab (state_dict); fast-reid, DeiT, MAE, Swin, ConvNeXt (model); ...
WRAPPERS = ("state_dict", "model", "model_state_dict", "model_state", "net", "network", "weights", "teacher")


def read_state_dict(path: str | Path) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint by key, without "module.".

    Raises:
        InputError: as :func:`read_tensors`.
    """
    return {key.removeprefix("module."): value for key, value in read_tensors(path).items()}


def read_tensors(path: str | Path) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint under the keys of the file.

    Raises:
        InputError: no such file, not readable, or no tensors by key in it, at its top or in one of ``WRAPPERS``.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such weights file")
    if path.suffix.lower() in (".onnx", ".xml"):
        raise InputError(
            f"{path}: is for running, not for training; expected a .safetensors or a torch checkpoint"
        )
    try:
        with torch.serialization.safe_globals(_harmless()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch, pickle and zipfile raise a dozen kinds for a broken file
        raise InputError(f"{path}: not readable as a torch checkpoint: {one_line(error)}") from None
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: expected a state_dict (key -> tensor), got {type(content).__name__}")
    inside = [name for name in WRAPPERS if isinstance(content.get(name), Mapping)]
    tensors = content[inside[0]] if inside else content
    if not tensors or not _all_tensors(tensors):
        keys = ", ".join(str(key)[:40] for key in list(content)[:6])
        raise InputError(
            f"{path}: expected a state_dict (key -> tensor), or one under {', '.join(WRAPPERS[:3])} ...; the file "
            f"has {keys or 'nothing'}"
        )
    return dict(tensors)


def damaged_part(path: Path) -> str | None:
    """The first member of a file that torch wrote whose bytes do not match their sum; torch itself does not look.

    Raises:
        zipfile.BadZipFile and what zipfile raises besides: not a zip any more.
    """
    with zipfile.ZipFile(path) as archive:
        return archive.testzip()


def _harmless() -> list[Any]:
    """A NumPy number under both names it has had (torchreid stores its rank-1 so), and parsed arguments (MAE)."""
    scalar = np._core.multiarray.scalar  # type: ignore[attr-defined]
    kinds = [type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64, np.int32)]
    return [scalar, (scalar, "numpy.core.multiarray.scalar"), np.dtype, argparse.Namespace, *kinds]


def _all_tensors(content: Mapping[Any, Any]) -> bool:
    return all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in content.items())
