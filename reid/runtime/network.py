"""A loaded network, what was asked of it, and what every runtime checks the same way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from retrace.configs import InputError
from retrace.reid.recipe import Recipe
from retrace.reid.runtime.feed import Feed, Guess, normalise, settle

FED: dict[str, Any] = {  # input types that we can feed, as onnxruntime and OpenVINO write them
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
    "f32": np.float32,
    "f16": np.float16,
    "u8": np.uint8,
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
    input: Any = None  # see `reid.runtime.feed.settle`
    uncalibrated: bool = False


@dataclass(frozen=True, slots=True)
class Network:
    """A loaded network: what it wants and how to run it."""

    run: Run  # (B, H, W, 3) uint8 BGR -> (B, D)
    size: tuple[int, int]  # px, (H, W)
    batch: int | None  # the only B it takes; None: any
    place: str  # "onnxruntime on cpu"
    card: dict[str, Any] = field(default_factory=dict)  # the protocol card, where the file has one
    feed: Feed = field(default_factory=Feed)  # what `run` makes of the crops first
    fed: str = ""  # where the feed comes from, in words; empty: the file is ours and says it
    callers: float = 1  # threads that may run it at the same time


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """What a runtime has of a file."""

    run: Run  # the file's own input -> (B, D)
    shape: list[Any]  # of the input; a side that is no int is free
    kind: Any  # NumPy type of the input
    place: str
    recipe: Recipe
    guess: Guess | None  # None: the recipe says how to feed it
    callers: float = 1  # threads that may run it at the same time


def fitted(path: Path, found: OpenedFile, wish: Wish) -> Network:
    """The network as the embedder runs it: fixed sides of the file first, then what was asked for, then the recipe.

    Raises:
        InputError: a size that the file does not take, an input that cannot be.
    """
    feed, said = settle(wish.input, found.recipe, found.guess)
    batch, height, width = sides(found.shape, feed.layout)
    asked = wish.size or found.recipe.size
    size = (height or asked[0], width or asked[1])
    if wish.size is not None and size != tuple(wish.size):
        raise InputError(
            f"{path}: takes only {size[0]}x{size[1]} (height x width) crops, size {wish.size[0]}x{wish.size[1]} was "
            "asked for; leave size out, or export the weights again at that size"
        )

    def run(crops: np.ndarray) -> np.ndarray:
        return found.run(normalise(crops, feed).astype(found.kind, copy=False))

    return Network(run, size, batch, found.place, found.recipe.card, feed, said, found.callers)


def sides(shape: list[Any], layout: str) -> list[int | None]:
    """Batch, height and width of an input's shape; None: free."""
    kept = [side if isinstance(side, int) and side > 0 else None for side in shape]
    batch, *rest = kept
    return [batch, *(rest[:2] if layout == "nhwc" else rest[1:])]


def layout_of(shape: list[Any]) -> str | None:
    """The layout that only the colours' side tells; None: the shape does not say."""
    if len(shape) != 4:
        return None
    first, last = shape[1] == 3, shape[3] == 3
    return ("nchw" if first else "nhwc") if first != last else None


def check_signature(path: Path, inputs: list[tuple[str, list[Any]]], output: list[Any]) -> Any:
    """The NumPy type of the one input.

    Raises:
        InputError: what is not images -> vectors.
    """
    kind, shape = inputs[0]
    images_in = len(inputs) == 1 and kind in FED and len(shape) == 4
    # No sides: the file does not tell. (B, D, 1, 1) is what a pooling leaves.
    vectors_out = len(output) in (0, 2) or (len(output) == 4 and output[2:] == [1, 1])
    colours = any(side == 3 or not isinstance(side, int) for side in shape[1::2])
    if not (images_in and vectors_out and colours):
        wants = ", ".join(f"{kind} {shape}" for kind, shape in inputs)
        raise InputError(
            f"{path}: expected a network tensor(float) [B, 3, H, W] -> [B, D], got {wants} -> {output}"
        )
    return FED[kind]
