"""Signs in somebody else's file of how it wants to be fed: its first operations, who wrote it, what it is called.

A network that has its own mean and deviation in front must not get them a second time. What comes first is gathered
into one affine map per colour, value -> scale value + lift, wherever the file is ONNX, OpenVINO's IR or
TorchScript; what it was written for is read off that map.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from retrace.reid.recipe import IMAGENET_MEAN
from retrace.reid.runtime.feed import NOTHING, ONE, Feed, Guess
from retrace.reid.runtime.network import layout_of
from retrace.reid.runtime.onnx_file import DEEP, Node, OnnxFile, read_onnx

INTEL = re.compile(r"person-reidentification-retail-\d{4}")  # of OpenVINO's model zoo; all take BGR 0..255
PASSING = {
    *("identity", "cast", "convert", "quantizelinear", "dequantizelinear", "resize", "interpolate", "pad"),
    *("to", "contiguous", "type_as"),
}


@dataclass(slots=True)
class Signs:
    """What a file says about its input.

    Attributes:
        scale, lift: (3,) float64: what the first operations make of a colour's value, in the input's order.
        turned: the order of colours is turned round inside.
        layout: of the input.
        byte: the input is uint8.
        words: names and metadata, in one lower-case text.
    """

    scale: np.ndarray = field(default_factory=lambda: np.ones(3))
    lift: np.ndarray = field(default_factory=lambda: np.zeros(3))
    turned: bool = False
    layout: str = "nchw"
    byte: bool = False
    words: str = ""
    strange: bool = False  # the numbers in front do not fit three colours


def guess(signs: Signs) -> Guess:
    """How to feed a file with these signs; ImageNet's mean and deviation, as torchreid trains, where it has none."""
    inside = not (np.allclose(signs.scale, 1, atol=1e-3) and np.allclose(signs.lift, 0, atol=1e-3))
    if signs.strange:
        return Guess(Feed(layout=signs.layout), "assumed: its first operations are not understood")
    if inside:
        return _inside(signs)
    order = "bgr" if signs.turned else "rgb"
    if INTEL.search(signs.words):
        return Guess(Feed(NOTHING, ONE, 255.0, "bgr", signs.layout), "as OpenVINO's model zoo says")
    if "ultralytics" in signs.words:
        return Guess(Feed(NOTHING, ONE, 1.0, order, signs.layout), "its metadata name Ultralytics")
    if signs.byte:
        return Guess(Feed(NOTHING, ONE, 255.0, order, signs.layout), "it takes bytes")
    told = "as Youtu's are fed" if "youtu" in signs.words else "assumed: the file does not say"
    turned = ", it turns the colours itself" if signs.turned else ""
    feed = Feed(colour=order, layout=signs.layout)
    if signs.turned:
        feed = Feed(feed.mean[::-1], feed.std[::-1], 1.0, order, signs.layout)
    return Guess(feed, told + turned)


def _inside(signs: Signs) -> Guess:
    """The feed of a network that normalises by itself: raw values, of the range that its numbers are of."""
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = -signs.lift / signs.scale  # the value that becomes 0
    size = float(np.abs(mean).mean())
    if not np.isfinite(size) or size > 255:
        return Guess(Feed(layout=signs.layout), "assumed: its first operations are not understood")
    # Without a mean the scale alone tells: 1 / 255 is for bytes, 1 / 0.23 for the unit range.
    top = 255.0 if size > 2 or (size < 1e-3 and float(signs.scale.mean()) < 0.1) else 1.0
    does = f"it subtracts {'/'.join(f'{m:.4g}' for m in mean)}" if size >= 1e-3 else "it divides"
    share, usual = mean / top, np.array(IMAGENET_MEAN)
    colour = "bgr" if signs.turned else "rgb"
    if np.ptp(share) > 0.02:  # three means tell the order: ImageNet's red is the largest
        forwards, backwards = (float(np.abs(share - u).max()) for u in (usual, usual[::-1]))
        colour = "bgr" if backwards < forwards else "rgb"
    return Guess(Feed(NOTHING, ONE, top, colour, signs.layout), f"{does} itself")


def signs_of_onnx(path: Path, entry: str, shape: list[Any], kind: Any) -> Signs:
    """Of an ONNX file whose input is called ``entry``."""
    file = read_onnx(path)
    words = [path.stem, file.producer, file.name, *file.texts.values()]
    return _signs(_steps(file, entry), words, shape, kind)


def signs_of_openvino(model: Any, stem: str, shape: list[Any], kind: Any) -> Signs:
    """Of a network that OpenVINO has read."""
    steps, outlet = [], model.inputs[0].get_node().output(0)
    for _ in range(DEEP):
        users = list(outlet.get_target_inputs())
        if len(users) != 1:
            break
        node = users[0].get_node()
        others = [_openvino_constant(value.get_node()) for value in node.input_values()]
        first = node.input_value(0).get_node() is outlet.get_node()
        steps.append((node.get_type_name().lower(), first, [value for value in others if value is not None]))
        outlet = node.output(0)
    return _signs(steps, [stem, model.get_friendly_name()], shape, kind)


def _openvino_constant(node: Any) -> np.ndarray | None:
    if node.get_type_name() == "Convert":  # weights kept as float16
        node = node.input_value(0).get_node()
    if node.get_type_name() != "Constant" or np.prod(node.get_output_shape(0)) > 64:
        return None
    return np.asarray(node.get_data()).ravel()


def signs_of_torchscript(network: Any, stem: str) -> Signs:
    """Of a TorchScript module in eval mode."""
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript is on its way out; the file is there all the same
            frozen = torch.jit.freeze(network.eval())
        graph = frozen.inlined_graph  # which lives as long as its module
        value = list(graph.inputs())[-1]
        steps = []
        for _ in range(DEEP):
            users = [use.user for use in value.uses()]
            if len(users) != 1 or not users[0].kind().startswith("aten::"):
                break
            node = users[0]
            first = list(node.inputs())[0].debugName() == value.debugName()  # noqa: RUF015  # no iterator
            steps.append((node.kind().removeprefix("aten::").rstrip("_"), first, _torch_constants(node)))
            value = node.output()
    except (RuntimeError, AttributeError, IndexError):  # what cannot be frozen is run all the same
        steps = []
    return _signs(steps, [stem], [], None)


def _torch_constants(node: Any) -> list[np.ndarray]:
    found = []
    for value in list(node.inputs())[1:]:
        try:
            constant = value.toIValue()
            numbers = np.asarray(
                constant.tolist() if hasattr(constant, "tolist") else constant, float
            ).ravel()
        except (TypeError, ValueError, RuntimeError):
            continue
        if 0 < numbers.size <= 64 and np.isfinite(numbers).all():
            found.append(numbers)
    return found


# its name, whether the image is its first operand, its constants
Operation = tuple[str, bool, list[np.ndarray]]


def _steps(file: OnnxFile, entry: str) -> list[Operation]:
    """The operations of an ONNX graph from the input on, as long as one leads to one."""
    users: dict[str, list[Node]] = {}
    for node in file.nodes:
        for name in node.inputs:
            users.setdefault(name, []).append(node)
    made = {
        node.outputs[0]: node.numbers["value"]
        for node in file.nodes
        if node.kind == "Constant" and node.outputs and "value" in node.numbers
    }
    constants, steps = file.constants | made, []
    for _ in range(DEEP):
        follow = users.get(entry, [])
        if len(follow) != 1 or not follow[0].outputs:
            break
        node = follow[0]
        numbers = [constants[name] for name in node.inputs if name in constants]
        numbers += [node.numbers[key] for key in ("perm", "axis") if key in node.numbers]
        steps.append((node.kind.lower(), node.inputs[0] == entry, numbers))
        entry = node.outputs[0]
    return steps


def _signs(steps: Iterable[Operation], words: list[str], shape: list[Any], kind: Any) -> Signs:
    """The first operations as one affine map per colour."""
    found = Signs(words=" ".join(words).lower(), byte=kind is np.uint8, layout=layout_of(shape) or "nchw")
    scale, lift = np.ones(3), np.zeros(3)
    for operation, first, constants in steps:
        if operation in PASSING:
            continue
        if operation in ("transpose", "permute"):
            if constants and constants[-1].tolist() == [0, 3, 1, 2]:
                found.layout = "nhwc"
        elif _turns(operation, constants):
            found.turned = not found.turned
            scale, lift = scale[::-1], lift[::-1]
        elif operation in ("sub", "subtract", "add", "mul", "multiply", "div", "divide") and constants:
            numbers = constants[0].astype(np.float64)
            if (
                numbers.size not in (1, 3)
                or not np.isfinite(numbers).all()
                or (not first and operation in ("div", "divide"))
            ):
                found.strange = True
                break
            scale, lift = _applied(operation, first, numbers, scale, lift)
        else:
            break
    if found.turned:  # back into the order of the input
        scale, lift = scale[::-1], lift[::-1]
    found.scale, found.lift = scale * np.ones(3), lift * np.ones(3)
    found.strange |= not (np.isfinite(found.scale).all() and (found.scale > 0).all())
    return found


def _applied(
    operation: str, first: bool, numbers: np.ndarray, scale: np.ndarray, lift: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    if operation == "add":
        return scale, lift + numbers
    if operation in ("sub", "subtract"):
        return (scale, lift - numbers) if first else (-scale, numbers - lift)
    with np.errstate(divide="ignore"):
        factor = numbers if operation in ("mul", "multiply") else 1 / numbers
    return scale * factor, lift * factor


def _turns(operation: str, constants: list[np.ndarray]) -> bool:
    """Whether an operation turns the order of colours round: Gather of 2, 1, 0, a step of -1, a flip."""
    if operation == "gather":
        return any(numbers.tolist() == [2, 1, 0] for numbers in constants)
    if operation in ("slice", "stridedslice"):
        return any((numbers == -1).any() for numbers in constants[-1:])
    return operation in ("flip", "reverse")
