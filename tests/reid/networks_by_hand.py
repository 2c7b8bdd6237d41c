"""Networks small enough to work out by hand, as ONNX files and as our own weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

FLOAT = TensorProto.FLOAT


def save_onnx(
    path: Path, nodes: list, shape: list, out: list, recipe: str | None = None, constants: list | None = None
) -> Path:
    """A network of these nodes, "image" -> "out", float32."""
    entry, end = (helper.make_tensor_value_info(n, FLOAT, s) for n, s in (("image", shape), ("out", out)))
    graph = helper.make_graph(nodes, "g", [entry], [end], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    if recipe is not None:
        model.metadata_props.add(key="retrace", value=recipe)
    onnx.save(model, path)
    return path


def channel_means(path: Path, shape: list, recipe: str | None = None) -> Path:
    """(B, 3, H, W) -> (B, 3), the mean of each channel."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["out"]),
    ]
    return save_onnx(path, nodes, shape, [shape[0], 3], recipe)


def all_pixels(path: Path, size: tuple[int, int] = (8, 4)) -> Path:
    """(B, 3, H, W) -> (B, 3 H W), every number as it is: what a mirror image changes."""
    flat = helper.make_node("Flatten", ["image"], ["out"])
    return save_onnx(path, [flat], ["B", 3, *size], ["B", 3 * size[0] * size[1]])


def use_network(monkeypatch: Any, build: Callable[[], Any], recipe: Any) -> None:
    """Let every weights file load as this network and recipe."""
    from retrace.reid.weights import files as weights

    monkeypatch.setattr(weights, "load_network", lambda path, model=None, **_: (build(), recipe))


def little_network() -> Any:
    """A convolution with a batch norm that has seen data, a mean over the image, a linear map to 5 numbers."""
    import torch
    from torch import nn

    class Mean(nn.Module):
        def forward(self, maps: torch.Tensor) -> torch.Tensor:
            return maps.mean((2, 3))

    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            Mean(),
            nn.Linear(16, 5),
        )
        network.train()
        network(torch.randn(8, 3, 16, 8) * 2 + 1)
    return network.eval()
