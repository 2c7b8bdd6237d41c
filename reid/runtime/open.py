"""Runtimes of a network: torch, ONNX Runtime and OpenVINO behind one function, each imported only when used.

The one place where BGR becomes RGB. Size, mean and deviation come from the file where the file says so: our own
formats carry them under the key "retrace", see `reid.recipe`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from retrace.configs import InputError
from retrace.reid.recipe import IMAGENET_MEAN, IMAGENET_STD, KEY, Recipe

BACKENDS = ("auto", "torch", "onnxruntime", "openvino")
PRECISIONS = ("f32", "bf16", "f16")
ENDINGS = {  # a file's ending -> the backends that read it, the default first
    # On one core f32 ONNX Runtime is the faster of the two for OSNet x0.25 (450 to 335 crops/s) and OSNet x1.0
    # (46 to 40), equal for ResNet-50; it is a base dependency, OpenVINO is not.
    r"\.onnx": ("onnxruntime", "openvino"),
    r"\.xml": ("openvino",),
    # torchreid writes model.pth.tar-60.
    r"\.safetensors|\.torchscript|\.pth|\.pt|\.pth\.tar(-\d+)?": ("torch",),
}
FLOATS = {  # input types that we can feed, as onnxruntime and OpenVINO write them
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "f32": np.float32,
    "f16": np.float16,
}
Run = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True)
class Wish:
    """What the caller asked for; see `Embedder.from_weights`."""

    device: str = "auto"
    model: str | None = None
    threads: int | None = None
    size: tuple[int, int] | None = None
    precision: str = "f32"


@dataclass(frozen=True, slots=True)
class Network:
    """A loaded network: what it wants and how to run it."""

    run: Run  # (B, H, W, 3) uint8 BGR -> (B, D)
    size: tuple[int, int]  # px, (H, W)
    batch: int | None  # the only B it takes; None: any
    place: str  # "onnxruntime on cpu"
    card: dict[str, Any] = field(default_factory=dict)  # the protocol card, where the file has one


def open_network(path: Path, backend: str = "auto", wish: Wish | None = None) -> Network:
    """Load a file that exists.

    Args:
        path: its ending says what it is, see ``ENDINGS``.
        backend: of ``BACKENDS``; "auto": the default of the ending.
        wish: device, size and so on; None: the defaults.

    Raises:
        InputError: a file, backend, device, size or precision that do not go together, or a file that is no
            image -> vector network.
    """
    wish = wish or Wish()
    if re.fullmatch(r"auto|cpu|cuda(:\d+)?", wish.device) is None:
        raise InputError(f"device must be auto, cpu, cuda or cuda:N, got {wish.device!r}")
    if wish.precision not in PRECISIONS:
        raise InputError(f"precision must be one of {', '.join(PRECISIONS)}, got {wish.precision!r}")
    if wish.size is not None and (len(wish.size) != 2 or min(wish.size) < 1):
        raise InputError(f"size must be (height, width) in pixels, got {wish.size}")
    if wish.threads is not None and wish.threads < 1:
        raise InputError(f"threads must be at least 1, got {wish.threads}")
    name = pick_backend(path, backend)
    opener = {"torch": _open_torch, "onnxruntime": _open_onnxruntime, "openvino": _open_openvino}[name]
    try:
        return opener(path, wish)
    except ImportError as error:
        extra = {"torch": "train", "openvino": "openvino"}.get(name)
        cure = f"pip install -e .[{extra}]" if extra else "pip install onnxruntime"
        kind = "torch weights need" if name == "torch" else f"backend {name!r} needs"
        raise InputError(f"{path}: {kind} {error.name}: {cure}, or use ONNX weights") from None


def pick_backend(path: Path, backend: str = "auto") -> str:
    """Which runtime reads this file: "torch", "onnxruntime" or "openvino".

    Raises:
        InputError: unknown backend or ending, or a backend that does not read such files.
    """
    if backend not in BACKENDS:
        raise InputError(f"backend must be one of {', '.join(BACKENDS)}, got {backend!r}")
    for ending, readers in ENDINGS.items():
        if re.search(f"({ending})$", path.name, re.IGNORECASE):
            if backend not in ("auto", *readers):
                raise InputError(
                    f"{path}: backend {backend!r} does not read it; use {' or '.join(readers)}, or convert the "
                    "training weights with tools/export_reid.py"
                )
            return readers[0] if backend == "auto" else backend
    raise InputError(
        f"{path}: expected weights that end in .onnx, .safetensors, .xml, .torchscript, .pth, .pt or .pth.tar"
    )


def normalise(
    crops: np.ndarray, mean: tuple[float, ...] = IMAGENET_MEAN, std: tuple[float, ...] = IMAGENET_STD
) -> np.ndarray:
    """(B, H, W, 3) uint8 BGR -> (B, 3, H, W) float32 RGB, (value / 255 - mean) / std; mean and std are RGB."""
    batch = np.empty((len(crops), 3, *crops.shape[1:3]), np.float32)
    scale = 1 / (255 * np.asarray(std, np.float32))
    np.multiply(crops[..., ::-1].transpose(0, 3, 1, 2), scale[:, None, None], out=batch)
    batch -= (np.asarray(mean, np.float32) / np.asarray(std, np.float32))[:, None, None]
    return batch


def one_line(error: Exception) -> str:
    """An error of another library in one short line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _open_onnxruntime(path: Path, wish: Wish) -> Network:
    """An ONNX file (B, 3, H, W) float -> (B, D); of several outputs the first counts."""
    import onnxruntime

    if wish.precision != "f32":
        raise InputError(
            f"{path}: onnxruntime computes as the file says, not in {wish.precision!r}; use backend 'openvino'"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = wish.threads or 0  # 0: one a core
    options.log_severity_level = 4  # what fails comes back as an exception
    options.use_deterministic_compute = True
    providers = _providers(onnxruntime.get_available_providers(), wish.device)
    try:
        session = onnxruntime.InferenceSession(path, options, providers=providers)
    except Exception as error:  # onnxruntime raises kinds of its own, all plain Exceptions
        raise InputError(f"{path}: not readable as an ONNX network: {one_line(error)}") from None
    on_gpu = session.get_providers()[0] == "CUDAExecutionProvider"
    if wish.device.startswith("cuda") and not on_gpu:
        raise InputError(f"device {wish.device!r}: onnxruntime could not start CUDA; use device 'cpu'")
    inputs, output = session.get_inputs(), session.get_outputs()[0]
    recipe = Recipe.from_json(session.get_modelmeta().custom_metadata_map.get(KEY), path)
    kind = _check_signature(path, [(i.type, i.shape) for i in inputs], output.shape)

    def run(images: np.ndarray) -> np.ndarray:
        return session.run([output.name], {inputs[0].name: images.astype(kind, copy=False)})[0]

    place = f"onnxruntime on {wish.device if on_gpu else 'cpu'}"
    return _network(path, run, inputs[0].shape, recipe, wish, place)


def _open_openvino(path: Path, wish: Wish) -> Network:
    """An OpenVINO IR (.xml beside its .bin) or an ONNX file, on the CPU."""
    import openvino

    if wish.device.startswith("cuda"):
        raise InputError(f"device {wish.device!r}: OpenVINO has no CUDA; use device 'cpu'")
    # Left alone, OpenVINO computes in bfloat16 on CPUs that have it, and numbers differ between machines.
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": wish.precision, "PERFORMANCE_HINT": "LATENCY"}
    if wish.threads:
        settings["INFERENCE_NUM_THREADS"] = wish.threads
    try:
        core = openvino.Core()
        model = core.read_model(path)
        request = core.compile_model(model, "CPU", settings).create_infer_request()
    except Exception as error:  # OpenVINO raises RuntimeError for nearly all
        raise InputError(f"{path}: not readable by OpenVINO: {one_line(error)}") from None
    recipe = Recipe.from_json(_openvino_recipe(model), path)
    inputs = [(i.element_type.get_type_name(), _sides(i.partial_shape)) for i in model.inputs]
    kind = _check_signature(path, inputs, _sides(model.outputs[0].partial_shape))

    def run(images: np.ndarray) -> np.ndarray:
        return request.infer([images.astype(kind, copy=False)], share_inputs=True)[0]

    place = "openvino on cpu" + ("" if wish.precision == "f32" else f" in {wish.precision}")
    return _network(path, run, inputs[0][1], recipe, wish, place)


def _open_torch(path: Path, wish: Wish) -> Network:
    from retrace.reid.runtime import torch_runtime

    return torch_runtime.open_torch(path, wish)


def _network(path: Path, run: Run, shape: list[Any], recipe: Recipe, wish: Wish, place: str) -> Network:
    """Fixed sides of the file first, then what the caller asked for, then the recipe."""
    batch, _, height, width = (side if isinstance(side, int) else None for side in shape)
    asked = wish.size or recipe.size
    size = (height or asked[0], width or asked[1])
    if wish.size is not None and size != tuple(wish.size):
        raise InputError(
            f"{path}: takes only {size[0]}x{size[1]} (height x width) crops, size {wish.size[0]}x{wish.size[1]} was "
            "asked for; leave size out, or export the weights again at that size"
        )
    return Network(
        lambda crops: run(normalise(crops, recipe.mean, recipe.std)), size, batch, place, recipe.card
    )


def _check_signature(path: Path, inputs: list[tuple[str, list[Any]]], output: list[Any]) -> Any:
    """The NumPy type of the one input; refuses what is not images -> vectors."""
    kind, shape = inputs[0]
    images_in = len(inputs) == 1 and kind in FLOATS and len(shape) == 4
    vectors_out = len(output) in (0, 2)  # none: the file does not tell
    if not (images_in and vectors_out and (shape[1] == 3 or not isinstance(shape[1], int))):
        wants = ", ".join(f"{kind} {shape}" for kind, shape in inputs)
        raise InputError(
            f"{path}: expected a network tensor(float) [B, 3, H, W] -> [B, D], got {wants} -> {output}"
        )
    return FLOATS[kind]


def _sides(shape: Any) -> list[Any]:
    """An OpenVINO shape as onnxruntime writes one: int, or a name for any."""
    if shape.rank.is_dynamic:
        return []
    return [side.get_length() if side.is_static else "?" for side in shape]


def _openvino_recipe(model: Any) -> str | None:
    """Our IR has the recipe at the top, a read ONNX file under "framework"."""
    for where in ([KEY], ["framework", KEY]):
        if model.has_rt_info(where):
            return str(model.get_rt_info(where).astype(str))
    return None


def _providers(available: list[str], device: str) -> list[Any]:
    """onnxruntime's execution providers for a device, best first."""
    wants_gpu = device.startswith("cuda")
    has_gpu = "CUDAExecutionProvider" in available
    if wants_gpu and not has_gpu:
        raise InputError(
            f"device {device!r}: this onnxruntime has no CUDA; install onnxruntime-gpu, or use device 'cpu'"
        )
    if not has_gpu or device == "cpu":
        return ["CPUExecutionProvider"]
    number = int(device.partition(":")[2] or 0)
    return [("CUDAExecutionProvider", {"device_id": number}), "CPUExecutionProvider"]
