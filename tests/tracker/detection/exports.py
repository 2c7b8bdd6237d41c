"""Tiny networks that look like a family's export: whatever they are shown, they put out what they were told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Shape = tuple[int | str | None, ...]
TYPES = {np.float32: TensorProto.FLOAT, np.float16: TensorProto.FLOAT16, np.uint8: TensorProto.UINT8}
EXTRA = {
    "orig_target_sizes": TensorProto.INT64,
    "scale_factor": TensorProto.FLOAT,
    "im_shape": TensorProto.FLOAT,
}


def export(
    path: Path,
    outputs: Mapping[str, np.ndarray],
    shape: Shape = (1, 3, 64, 64),
    dtype: Any = np.float32,
    metadata: Mapping[str, str] | None = None,
    extra: tuple[str, ...] = (),
    whole: bool = False,
) -> Path:
    """Write a network.

    Args:
        path: the .onnx.
        outputs: what it puts out by name, each with a batch axis of 1 that is repeated for larger batches.
        shape: of its input "image"; words are sides it leaves open.
        dtype: of its input.
        metadata: written into the file.
        extra: further inputs, (B, 2).
        whole: the outputs have no batch axis.
    """
    image = helper.make_tensor_value_info("image", TYPES[dtype], shape)
    inputs = [image, *(helper.make_tensor_value_info(name, EXTRA[name], ["b", 2]) for name in extra)]
    nodes = [
        helper.make_node("Cast", ["image"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["cast"], ["flat"], axis=1 if len(shape) == 4 else 0),
        helper.make_node("ReduceMin", ["flat"], ["least"], axes=[1], keepdims=1),
        helper.make_node("Sub", ["least", "least"], ["nothing"]),  # (B, 1) zeros
    ]
    constants, infos = [], []
    for name, array in outputs.items():
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        constants += [
            numpy_helper.from_array(array, f"{name}.value"),
            numpy_helper.from_array(
                np.array([1] * array.ndim if whole else [-1] + [1] * (array.ndim - 1), np.int64),
                f"{name}.shape",
            ),
        ]
        nodes += [
            helper.make_node("Reshape", ["nothing", f"{name}.shape"], [f"{name}.zero"]),
            helper.make_node("Cast", [f"{name}.zero"], [f"{name}.typed"], to=kind),
            helper.make_node("Add", [f"{name}.value", f"{name}.typed"], [name]),
        ]
        sides = list(array.shape) if whole else [shape[0] if len(shape) == 4 else 1, *array.shape[1:]]
        infos.append(helper.make_tensor_value_info(name, kind, sides))
    return save(path, nodes, inputs, infos, constants, metadata)


def echo(path: Path) -> Path:
    """A "rows" network of 8x8 px whose one box says what it saw: left and top are the mean of channel 0 and 1,
    right and bottom are left and top plus the mean of channel 2."""
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[2, 3], keepdims=0),  # (1, 3)
        helper.make_node("Split", ["mean", "parts"], ["a", "b", "c"], axis=1),
        helper.make_node("Add", ["a", "c"], ["ac"]),
        helper.make_node("Add", ["b", "c"], ["bc"]),
        helper.make_node("Concat", ["a", "b", "ac", "bc", "score", "class"], ["row"], axis=1),
        helper.make_node("Unsqueeze", ["row", "one"], ["output0"]),
    ]
    constants = [
        numpy_helper.from_array(np.array([1, 1, 1], np.int64), "parts"),
        numpy_helper.from_array(np.array([[0.75]], np.float32), "score"),
        numpy_helper.from_array(np.array([[0]], np.float32), "class"),
        numpy_helper.from_array(np.array([1], np.int64), "one"),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, 8, 8))
    info = helper.make_tensor_value_info("output0", TensorProto.FLOAT, (1, 1, 6))
    return save(path, nodes, [image], [info], constants)


def dazzled(path: Path) -> Path:
    """A "lists" network of 64x64 px that takes pixels of 0..1, finds two boxes there, and in a picture far brighter
    none, which its own last step cannot bear; so do torchvision's two-stage detectors."""
    nodes = [
        helper.make_node("ReduceMax", ["image"], ["brightest"], keepdims=0),
        helper.make_node("Less", ["brightest", "two"], ["sound"]),
        helper.make_node("Expand", ["sound", "pair"], ["both"]),
        helper.make_node("Compress", ["kept", "both"], ["some"], axis=0),
        helper.make_node("Reshape", ["some", "flat"], ["boxes"]),  # (N, -1): for N = 0 an error
        helper.make_node("Compress", ["ones", "both"], ["labels"], axis=0),
        helper.make_node("Compress", ["sure", "both"], ["scores"], axis=0),
    ]
    constants = [
        numpy_helper.from_array(np.array(2, np.float32), "two"),
        numpy_helper.from_array(np.array([2], np.int64), "pair"),
        numpy_helper.from_array(np.array([[8, 8, 24, 40], [32, 8, 48, 40]], np.float32), "kept"),
        numpy_helper.from_array(np.array([0, -1], np.int64), "flat"),
        numpy_helper.from_array(np.array([1, 1], np.int64), "ones"),
        numpy_helper.from_array(np.array([0.75, 0.5], np.float32), "sure"),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, (3, 64, 64))
    infos = [
        helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ("n", 4)),
        helper.make_tensor_value_info("labels", TensorProto.INT64, ("n",)),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, ("n",)),
    ]
    return save(path, nodes, [image], infos, constants)


def save(
    path: Path,
    nodes: list[Any],
    inputs: list[Any],
    outputs: list[Any],
    constants: list[Any],
    metadata: Mapping[str, str] | None = None,
) -> Path:
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    helper.set_model_props(model, dict(metadata or {}))
    onnx.save(model, str(path))
    return path
