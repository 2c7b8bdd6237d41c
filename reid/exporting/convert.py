"""Writers of the formats that `reid.export` offers. torch, onnx and openvino are imported when they are used."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from retrace.configs import InputError
from retrace.configs.errors import install
from retrace.configs.files import reveal, writing
from retrace.configs.providers import openvino_core
from retrace.reid.recipe import KEY, NETWORK_SUM, SUM, Recipe, network_checksum
from retrace.reid.runtime.feed import Feed, normalise
from retrace.reid.runtime.ir_file import UNSEALED, seal_ir
from retrace.reid.runtime.onnx_file import digest, verify

OPSET = 17  # old enough for most runtimes, new enough for attention and layer norm
HALVED_FROM = 64  # numbers in a tensor; smaller ones weigh nothing and stay float32
HALF_LARGEST = 65504.0
CALIBRATION_BATCH = 8


def write_onnx(network: Any, recipe: str, size: tuple[int, int], batch: int | None, path: Path) -> None:
    """A torch module as ONNX "image" (B, 3, H, W) float32 -> "features" (B, D), batch norms folded.

    Written by the older of torch's two exporters: the newer gives the same speed, but needs onnxscript, ten
    times as long, and leaves paths of this machine in a file of nearly twice the size.

    Args:
        network: a torch.nn.Module in eval mode.
        recipe: JSON, goes into the metadata.
        size: px, (H, W).
        batch: the only B; None: any.
    """
    import onnx
    import torch

    names = {"input_names": ["image"], "output_names": ["features"]}
    free = {} if batch else {"dynamic_axes": {"image": {0: "B"}, "features": {0: "B"}}}
    images = torch.zeros(batch or 2, 3, *size)  # 2: an axis of 1 may be taken for a fixed one
    with quiet(), torch.no_grad():
        torch.onnx.export(network, (images,), path, dynamo=False, opset_version=OPSET, **names, **free)  # type: ignore[arg-type]
    model = onnx.load(path)
    model.metadata_props.add(key=KEY, value=recipe)
    onnx.save(model, path)


def write_torchscript(network: Any, recipe: str, size: tuple[int, int], path: Path) -> None:
    """A torch module as a traced TorchScript that carries the recipe."""
    import torch

    with quiet(), torch.no_grad():
        traced = torch.jit.trace(network, (torch.zeros(2, 3, *size),), check_trace=False)
        torch.jit.save(traced, str(path), _extra_files={KEY: recipe})


def write_openvino(onnx_file: Path, path: Path, half: bool) -> None:
    """An ONNX file as OpenVINO's IR, ``path`` (.xml) and its .bin; the recipe goes along."""
    import openvino

    model = openvino_core().read_model(onnx_file)
    if model.has_rt_info(["framework", KEY]):
        model.set_rt_info(str(model.get_rt_info(["framework", KEY]).astype(str)), KEY)
    model.set_rt_info(UNSEALED, SUM)
    openvino.save_model(model, path, compress_to_fp16=half)
    seal_ir(path)


def halve(path: Path) -> None:
    """Store an ONNX file's weights as float16; runtimes cast them once, when they load, and compute in float32."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(path)
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < HALVED_FROM:
            continue
        values = numpy_helper.to_array(tensor)
        if np.abs(values).max() > HALF_LARGEST:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, path)


def quantise(path: Path, crops: np.ndarray, feed: Feed) -> None:
    """Make an ONNX file compute in 8 bits: activations unsigned, weights signed and scaled by channel.

    Args:
        crops: (N, H, W, 3) uint8 BGR; the ranges of activations are the extremes seen on them.
        feed: how the file takes them.

    Raises:
        InputError: fewer crops than a batch.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    model = onnx.load(path)
    entry = model.graph.input[0]
    batch = entry.type.tensor_type.shape.dim[0].dim_value or CALIBRATION_BATCH
    text = next((p.value for p in model.metadata_props if p.key == KEY), None)
    if len(crops) < batch:
        raise InputError(f"int8 with batches of {batch} needs {2 * batch} crops to calibrate and compare on")

    class Batches(CalibrationDataReader):  # what quantize_static asks for
        def __init__(self) -> None:
            self.starts = iter(range(0, len(crops) - batch + 1, batch))

        def get_next(self) -> dict[str, np.ndarray] | None:
            start = next(self.starts, None)
            if start is None:
                return None
            return {entry.name: normalise(crops[start : start + batch], feed)}

    kinds = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8, "per_channel": True}
    with quiet():
        quant_pre_process(path, path, skip_symbolic_shape=True)
        quantize_static(path, path, Batches(), quant_format=QuantFormat.QDQ, **kinds)
    model = onnx.load(path)
    if text is not None and all(p.key != KEY for p in model.metadata_props):
        model.metadata_props.add(key=KEY, value=text)
    onnx.save(model, path)


def seal(path: Path) -> None:
    """Put the checksums of an ONNX file into it; the last thing that is done to one."""
    import onnx

    model = onnx.load(path)
    kept = [(p.key, p.value) for p in model.metadata_props if p.key not in (SUM, NETWORK_SUM)]
    del model.metadata_props[:]
    for key, value in kept:
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, path)
    text, of = dict(kept).get(KEY, ""), partial(digest, path)
    model.metadata_props.add(key=SUM, value=of(text))
    if text:
        model.metadata_props.add(key=NETWORK_SUM, value=network_checksum(text, of))
    onnx.save(model, path)


def add_to_onnx_card(path: Path, out: Path, key: str, value: object, uncalibrated: bool = False) -> None:
    """Write an ONNX file of ours again with something more in its card; its network stays as it is.

    Args:
        uncalibrated: leave a card that is damaged out; else it is an error.

    Raises:
        InputError: ``onnx`` is not installed, the file is damaged, or it cannot be written.
    """
    try:
        import onnx
    except ImportError:
        raise InputError(f"{out}: writing ONNX needs onnx: {install('export')}") from None
    recipe = Recipe.from_json(verify(path, uncalibrated), path)
    model = onnx.load(path)
    _tell(model, replace(recipe, card={**recipe.card, key: value}))
    with writing(out, what="file"):
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
            made = Path(folder) / out.name
            onnx.save(model, made)
            seal(made)
            reveal(made, out)


def leave_calibration_out(path: Path) -> None:
    """Write an ONNX file again in its place without what its card says of distances, or without a damaged card."""
    import onnx

    text = verify(path, uncalibrated=True)
    if text:
        model = onnx.load(path)
        _tell(model, Recipe.from_json(text, path).uncalibrated())
        onnx.save(model, path)


def _tell(model: Any, recipe: Recipe) -> None:
    """Put another recipe into an ONNX model of ours."""
    next(pair for pair in model.metadata_props if pair.key == KEY).value = recipe.to_json()


@contextmanager
def quiet() -> Iterator[None]:
    """Exporters warn about themselves and log advice meant for others."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.setLevel(level)
