"""ONNX files by ONNX Runtime: the only runtime of the base installation."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from retrace.configs import InputError
from retrace.configs.errors import one_line
from retrace.configs.providers import place_of, providers
from retrace.reid.recipe import Recipe
from retrace.reid.runtime.network import Network, OpenedFile, Wish, check_signature, fitted
from retrace.reid.runtime.onnx_file import verify
from retrace.reid.runtime.signs import guess, signs_of_onnx


def open_onnx(path: Path, wish: Wish, tensorrt: bool = False) -> Network:
    """An ONNX file (B, 3, H, W) or (B, H, W, 3) -> (B, D); of several outputs the first counts.

    Raises:
        InputError: not such a file, or a precision or device that is not to be had.
    """
    import onnxruntime

    if wish.precision != "f32":
        raise InputError(
            f"{path}: onnxruntime computes as the file says, not in {wish.precision!r}; use runtime 'openvino'"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = wish.threads or 0  # 0: one a core
    options.log_severity_level = 4  # what fails comes back as an exception
    options.use_deterministic_compute = True
    # Threads that wait for the next frame must not spin: the detector's runtime works on the same cores then.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # first: what a runtime does with a damaged file is not ours to know
    text = verify(path, wish.uncalibrated)
    chosen = providers(onnxruntime.get_available_providers(), wish.device, tensorrt)
    try:
        session = onnxruntime.InferenceSession(path, options, providers=chosen)
    except Exception as error:  # onnxruntime raises kinds of its own, all plain Exceptions
        raise InputError(f"{path}: not readable as an ONNX network: {one_line(error)}") from None
    place = place_of(session.get_providers()[0], wish.device)
    if place == "cpu" and (tensorrt or wish.device.startswith("cuda")):
        raise InputError(f"`device` {wish.device!r}: onnxruntime could not start CUDA; use device 'cpu'")
    inputs, output = session.get_inputs(), session.get_outputs()[0]
    kind = check_signature(path, [(i.type, i.shape) for i in inputs], output.shape)

    def run(images: np.ndarray) -> np.ndarray:
        return session.run([output.name], {inputs[0].name: images})[0]

    recipe = Recipe.from_json(text, path)
    shape = list(inputs[0].shape)
    signs = None if text else guess(signs_of_onnx(path, inputs[0].name, shape, kind))
    return fitted(
        path, OpenedFile(run, shape, kind, f"onnxruntime on {place}", recipe, signs, callers=math.inf), wish
    )
