"""A detector's network behind one function: ONNX Runtime and OpenVINO, each imported only when used."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retrace.configs import InputError
from retrace.configs.errors import install, one_line
from retrace.configs.providers import openvino_core, place_of, providers
from retrace.configs.reading import read_yaml

RUNTIMES = ("auto", "onnxruntime", "openvino", "tensorrt")
KINDS = {  # element types, as onnxruntime and OpenVINO write them
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "f32": np.float32,
    "f16": np.float16,
    "u8": np.uint8,
    "i64": np.int64,
    "i32": np.int32,
}


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output as the file declares it."""

    name: str
    shape: tuple[int | None, ...]  # None: any
    dtype: Any  # NumPy type; None: one that no detector has

    def __str__(self) -> str:
        return f"{self.name} ({', '.join('?' if side is None else str(side) for side in self.shape)})"


@dataclass(frozen=True, slots=True)
class DetectorNetwork:
    """A loaded network."""

    path: Path
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    metadata: Mapping[str, str]
    run: Callable[[Mapping[str, np.ndarray], Sequence[str]], list[np.ndarray]]  # by name; outputs wanted
    place: str  # "onnxruntime on cpu"
    callers: float  # threads that may run it at the same time
    on_gpu: bool = False


def open_network(
    path: Path, device: str = "auto", runtime: str = "auto", threads: int | None = None
) -> DetectorNetwork:
    """Load an ONNX file or an OpenVINO IR (.xml).

    Raises:
        InputError: not readable, a runtime that is not installed or does not read it, a device that is not there.
    """
    if runtime not in RUNTIMES:
        raise InputError(f"runtime must be one of {', '.join(RUNTIMES)}, got {runtime!r}")
    if runtime == "auto":
        runtime = "openvino" if path.suffix.lower() == ".xml" else "onnxruntime"
    try:
        if runtime == "openvino":
            return _open_openvino(path, device, threads)
        return _open_onnxruntime(path, device, threads, runtime == "tensorrt")
    except ImportError as error:
        cure = install("openvino") if runtime == "openvino" else "pip install onnxruntime"
        raise InputError(f"{path}: runtime {runtime!r} needs {error.name}: {cure}") from None


def _open_onnxruntime(path: Path, device: str, threads: int | None, tensorrt: bool) -> DetectorNetwork:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0  # 0: one a core
    # Threads that wait by spinning take the cores from decoding, embedding and whoever else works here.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # what fails comes back as an exception
    options.use_deterministic_compute = True
    chosen = providers(onnxruntime.get_available_providers(), device, tensorrt)
    try:
        session = onnxruntime.InferenceSession(os.fspath(path), options, providers=chosen)
    except Exception as error:  # onnxruntime raises kinds of its own, all plain Exceptions
        raise InputError(f"{path}: not readable as an ONNX network: {one_line(error)}") from None
    place = place_of(session.get_providers()[0], device)
    if place == "cpu" and (tensorrt or device.startswith("cuda")):
        raise InputError(f"`device` {device!r}: onnxruntime could not start CUDA; use device 'cpu'")

    def run(feed: Mapping[str, np.ndarray], wanted: Sequence[str]) -> list[np.ndarray]:
        return session.run(list(wanted), dict(feed))

    def port(node: Any) -> Port:
        shape = tuple(side if isinstance(side, int) else None for side in node.shape)
        return Port(node.name, shape, KINDS.get(node.type))

    return DetectorNetwork(
        path,
        tuple(map(port, session.get_inputs())),
        tuple(map(port, session.get_outputs())),
        session.get_modelmeta().custom_metadata_map,
        run,
        f"onnxruntime on {place}",
        callers=math.inf,
        on_gpu=place != "cpu",
    )


def _open_openvino(path: Path, device: str, threads: int | None) -> DetectorNetwork:
    core = openvino_core()
    if device.startswith("cuda"):
        raise InputError(f"`device` {device!r}: OpenVINO has no CUDA; use device 'cpu'")
    # Left alone, OpenVINO computes in bfloat16 on CPUs that have it, and numbers differ between machines.
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    try:
        model = core.read_model(path)
        request = core.compile_model(model, "CPU", settings).create_infer_request()
    except Exception as error:  # OpenVINO raises RuntimeError for nearly all
        raise InputError(f"{path}: not readable by OpenVINO: {one_line(error)}") from None

    def port(node: Any) -> Port:
        sides = node.partial_shape
        shape = () if sides.rank.is_dynamic else tuple(s.get_length() if s.is_static else None for s in sides)
        return Port(node.any_name if node.names else "", shape, KINDS.get(node.element_type.get_type_name()))

    outputs = tuple(map(port, model.outputs))
    numbers = {out.name: number for number, out in enumerate(outputs)}

    def run(feed: Mapping[str, np.ndarray], wanted: Sequence[str]) -> list[np.ndarray]:
        request.infer(dict(feed), share_inputs=True)
        return [np.array(request.get_output_tensor(numbers[name]).data) for name in wanted]

    inputs, told = tuple(map(port, model.inputs)), _openvino_metadata(path, model)
    return DetectorNetwork(path, inputs, outputs, told, run, "openvino on cpu", callers=1)


def _openvino_metadata(path: Path, model: Any) -> dict[str, str]:
    """What a converted ONNX file carried, and the metadata.yaml that Ultralytics lays beside its exports."""
    found: dict[str, str] = {}
    for section in ("framework", "model_info"):
        if model.has_rt_info([section]):
            found |= {
                key: str(value.astype(str))
                for key, value in model.get_rt_info([section]).astype(dict).items()
            }
    beside = path.with_name("metadata.yaml")
    if path.suffix.lower() == ".xml" and beside.is_file():
        found |= {str(key): str(value) for key, value in read_yaml(beside).items()}
    return found
