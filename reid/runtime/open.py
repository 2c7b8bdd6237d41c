"""Runtimes of a network behind one function: torch, ONNX Runtime and OpenVINO, each imported only when used."""

from __future__ import annotations

import re
from pathlib import Path

from retrace.configs import InputError
from retrace.configs.errors import install
from retrace.reid.recipe import LARGEST
from retrace.reid.runtime.network import Network, Wish

RUNTIMES = ("auto", "torch", "onnxruntime", "openvino", "tensorrt")
PRECISIONS = ("f32", "bf16", "f16")
ENDINGS = {  # a file's ending -> the runtimes that read it, the default first
    # On one core f32 ONNX Runtime is the faster of the two for OSNet x0.25 (450 to 335 crops/s) and OSNet x1.0
    # (46 to 40), equal for ResNet-50; it is a base dependency, OpenVINO is not.
    r"\.onnx": ("onnxruntime", "openvino", "tensorrt"),
    r"\.xml": ("openvino",),
    # torchreid writes model.pth.tar-60.
    r"\.safetensors|\.torchscript|\.pth|\.pt|\.pth\.tar(-\d+)?": ("torch",),
}


def open_network(path: Path, runtime: str = "auto", wish: Wish | None = None) -> Network:
    """Load a file that exists.

    Args:
        path: its ending says what it is, see ``ENDINGS``.
        runtime: of ``RUNTIMES``; "auto": the default of the ending.
        wish: device, size and so on; None: the defaults.

    Raises:
        InputError: a file, runtime, device, size or precision that do not go together, or a file that is no
            image -> vector network.
    """
    wish = wish or Wish()
    _check(wish)
    name = pick_runtime(path, runtime)
    try:
        if name == "torch":
            from retrace.reid.runtime.torch_runtime import open_torch

            return open_torch(path, wish)
        if name == "openvino":
            from retrace.reid.runtime.openvino_runtime import open_openvino

            return open_openvino(path, wish)
        from retrace.reid.runtime.onnx_runtime import open_onnx

        return open_onnx(path, wish, tensorrt=name == "tensorrt")
    except ImportError as error:
        extra = {"torch": "train", "openvino": "openvino"}.get(name)
        cure = install(extra) if extra else "pip install onnxruntime"
        kind = "torch weights need" if name == "torch" else f"runtime {name!r} needs"
        raise InputError(f"{path}: {kind} {error.name}: {cure}, or use ONNX weights") from None


def pick_runtime(path: Path, runtime: str = "auto") -> str:
    """Which runtime reads this file: "torch", "onnxruntime" (by TensorRT: "tensorrt") or "openvino".

    Raises:
        InputError: unknown runtime or ending, or a runtime that does not read such files.
    """
    if runtime not in RUNTIMES:
        raise InputError(f"`runtime` must be one of {', '.join(RUNTIMES)}, got {runtime!r}")
    for ending, readers in ENDINGS.items():
        if re.search(f"({ending})$", path.name, re.IGNORECASE):
            if runtime not in ("auto", *readers):
                raise InputError(
                    f"{path}: runtime {runtime!r} does not read it; use {' or '.join(readers)}, or convert the "
                    "training weights with `retrace export-reid`"
                )
            return readers[0] if runtime == "auto" else runtime
    raise InputError(
        f"{path}: expected weights that end in .onnx, .safetensors, .xml, .torchscript, .pth, .pt or .pth.tar"
    )


def _check(wish: Wish) -> None:
    if re.fullmatch(r"auto|cpu|cuda(:\d+)?", wish.device) is None:
        raise InputError(f"`device` must be auto, cpu, cuda or cuda:N, got {wish.device!r}")
    if wish.precision not in PRECISIONS:
        raise InputError(f"`precision` must be one of {', '.join(PRECISIONS)}, got {wish.precision!r}")
    if wish.size is not None and not _is_size(wish.size):
        raise InputError(
            f"size must be (height, width) in pixels, each 1 to {LARGEST}, got {str(wish.size)[:60]}"
        )
    if wish.threads is not None and (not isinstance(wish.threads, int) or wish.threads < 1):
        raise InputError(f"`threads` must be at least 1, got {wish.threads!r}")


def _is_size(size: object) -> bool:
    if not isinstance(size, list | tuple) or len(size) != 2:
        return False
    return all(isinstance(side, int) and 1 <= side <= LARGEST for side in size)
