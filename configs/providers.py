"""What detectors and embedders share of their runtimes: ONNX Runtime's execution providers, OpenVINO's core."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from retrace.configs.errors import InputError
from retrace.configs.files import cache_folder

CPU, CUDA, TENSORRT = (f"{name}ExecutionProvider" for name in ("CPU", "CUDA", "Tensorrt"))


def openvino_core() -> Any:
    """OpenVINO's Core, one for the process: each has a stack of its own for signals, and where two are freed in the
    order in which they were made, the process is left with the freed stack of the first and dies at its next signal
    (2026.4; Ctrl-C after a detector and an embedder)."""
    import openvino

    return _core(openvino)


@cache
def _core(library: Any) -> Any:
    return library.Core()


def providers(available: Sequence[str], device: str, tensorrt: bool = False) -> list[Any]:
    """Best first; what one cannot run the next does.

    Args:
        available: ``onnxruntime.get_available_providers()``.
        device: "auto" (a GPU where this onnxruntime has one), "cpu", "cuda" or "cuda:N".
        tensorrt: by TensorRT, in float32. Its engines take minutes to build and are kept in the cache folder.

    Raises:
        InputError: this onnxruntime has none for the device.
    """
    wanted = TENSORRT if tensorrt else CUDA
    if tensorrt and device == "cpu":
        raise InputError("runtime 'tensorrt' needs a GPU: use device 'cuda', or runtime 'onnxruntime'")
    if (tensorrt or device.startswith("cuda")) and wanted not in available:
        if tensorrt:
            raise InputError(
                "runtime 'tensorrt': this onnxruntime has no TensorRT; install onnxruntime-gpu, or use "
                "runtime 'onnxruntime'"
            )
        raise InputError(
            f"`device` {device!r}: this onnxruntime has no CUDA; install onnxruntime-gpu, or use device 'cpu'"
        )
    if device == "cpu" or CUDA not in available:
        return [CPU]
    place = {"device_id": int(device.partition(":")[2] or 0)}
    if not tensorrt:
        return [(CUDA, place), CPU]
    cache = cache_folder() / "tensorrt"
    cache.mkdir(parents=True, exist_ok=True)
    kept = {"trt_engine_cache_enable": True, "trt_engine_cache_path": str(cache), "trt_fp16_enable": False}
    return [(TENSORRT, place | kept), (CUDA, place), CPU]


def place_of(chosen: str, device: str) -> str:
    """ "cpu", "cuda:1" or "tensorrt on cuda:1": where a session runs whose first provider is ``chosen``."""
    gpu = device if device.startswith("cuda") else "cuda"
    return {CPU: "cpu", CUDA: gpu, TENSORRT: f"tensorrt on {gpu}"}.get(chosen, chosen)
