"""OpenVINO's IR, and ONNX files, by OpenVINO on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from retrace.configs import InputError
from retrace.configs.errors import one_line
from retrace.configs.providers import openvino_core
from retrace.reid.recipe import KEY, Recipe
from retrace.reid.runtime.ir_file import verify_ir
from retrace.reid.runtime.network import Network, OpenedFile, Wish, check_signature, fitted
from retrace.reid.runtime.onnx_file import verify
from retrace.reid.runtime.signs import guess, signs_of_onnx, signs_of_openvino


def open_openvino(path: Path, wish: Wish) -> Network:
    """An OpenVINO IR (.xml beside its .bin) or an ONNX file; of several outputs the first counts.

    Raises:
        InputError: not such a file, or a device that is not to be had.
    """
    core = openvino_core()
    if wish.device.startswith("cuda"):
        raise InputError(f"`device` {wish.device!r}: OpenVINO has no CUDA; use device 'cpu'")
    # Left alone, OpenVINO computes in bfloat16 on CPUs that have it, and numbers differ between machines.
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": wish.precision, "PERFORMANCE_HINT": "LATENCY"}
    if wish.threads:
        settings["INFERENCE_NUM_THREADS"] = wish.threads
    onnx = path.suffix.lower() == ".onnx"
    text: str | None = ""
    if onnx:  # before a runtime sees it, and read by us: OpenVINO's own reader takes no damaged card
        text = verify(path, wish.uncalibrated)
    else:
        verify_ir(path)
    try:
        model = core.read_model(path)
        request = core.compile_model(model, "CPU", settings).create_infer_request()
    except Exception as error:  # OpenVINO raises RuntimeError for nearly all
        raise InputError(f"{path}: not readable by OpenVINO: {one_line(error)}") from None
    text = text if onnx else _recipe(model)
    inputs = [(i.element_type.get_type_name(), _shape(i.partial_shape)) for i in model.inputs]
    kind = check_signature(path, inputs, _shape(model.outputs[0].partial_shape))
    shape = inputs[0][1]

    def run(images: np.ndarray) -> np.ndarray:
        return request.infer([images], share_inputs=True)[0]

    place = "openvino on cpu" + ("" if wish.precision == "f32" else f" in {wish.precision}")
    signs = None
    if not text and onnx:
        signs = guess(signs_of_onnx(path, model.inputs[0].any_name, shape, kind))
    elif not text:
        signs = guess(signs_of_openvino(model, path.stem, shape, kind))
    recipe = Recipe.from_json(text, path)
    return fitted(path, OpenedFile(run, shape, kind, place, recipe, signs), wish)


def _shape(shape: Any) -> list[Any]:
    """An OpenVINO shape as onnxruntime writes one: int, or a name for any."""
    if shape.rank.is_dynamic:
        return []
    return [side.get_length() if side.is_static else "?" for side in shape]


def _recipe(model: Any) -> str | None:
    """Our IR has the recipe at the top, a read ONNX file under "framework"."""
    for where in ([KEY], ["framework", KEY]):
        if model.has_rt_info(where):
            return str(model.get_rt_info(where).astype(str))
    return None
