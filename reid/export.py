"""Trained weights -> files for ONNX Runtime, OpenVINO or TorchScript, each compared with the original first.

A file gets its name only after it answered like the original, through the same `Embedder` that will run it, in
every batch size that it claims to take.
"""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from configs import InputError
from reid.backends import KEY, Wish, one_line, open_network
from reid.embedder import Embedder, find_weights, image_files, read_image, resize

FORMATS = {"onnx": ".onnx", "openvino": ".xml", "torchscript": ".torchscript"}
WEIGHTS_AS = ("float", "half", "int8")
OPSET = 17  # the oldest that has all we need: more runtimes read it
BATCHES = (1, 3, 16)  # a file for any batch is run in each of these
RANDOM_CROPS, REAL_CROPS = 20, 128
LIMIT, INT8_LIMIT = 1e-3, 0.05  # of the cosine distance to the original
HALVED_FROM = 64  # numbers in a tensor; smaller ones stay float32, they weigh nothing


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, and how far its vectors are from the original's.

    Attributes:
        files: the file asked for, and what belongs beside it (OpenVINO's .bin).
        worst, mean: cosine distance in [0, 2] to the original's vectors.
        crops: how many crops that is measured on.
        batches: in which batch sizes.
    """

    files: tuple[Path, ...]
    worst: float
    mean: float
    crops: int
    batches: tuple[int, ...]


def export(
    weights: str | Path,
    out: str | Path,
    format: str = "onnx",  # noqa: A002  # the word of the command line
    *,
    batch: int | None = None,
    weights_as: str = "float",
    calibration: str | Path | None = None,
    model: str | None = None,
    limit: float | None = None,
) -> Exported:
    """Convert, compare, and only then name the file.

    Args:
        weights: what `reid.weights.load_network` reads, or an ONNX file, or the name of shipped weights.
        out: ends in .onnx, .xml or .torchscript, as ``format`` says.
        format: of ``FORMATS``.
        batch: the only number of crops that it takes; None: any.
        weights_as: "half" stores weights as float16 and computes in float32: half the file, the same speed;
            "int8" computes in 8 bits where the runtime can, and needs ``calibration``.
        calibration: a folder of person crops; half of up to 256 calibrate int8, the others are compared.
        model: the network's name, for a torchreid checkpoint whose file name does not contain it.
        limit: of the largest cosine distance; None: 1e-3, and 0.05 for int8.

    Raises:
        InputError: options that do not go together, weights or crops that cannot be read, a network that cannot
            be converted, or one that answers otherwise than the original; then nothing is written.
    """
    out = Path(out)
    _check_options(out, format, batch, weights_as, calibration)
    source = find_weights(weights)
    limit = limit if limit is not None else INT8_LIMIT if weights_as == "int8" else LIMIT
    original = Embedder(open_network(source, wish=Wish("cpu", model, 1)), source, 16)
    fitting, checking = _crops(original.size, calibration)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
            made = Path(folder) / out.name
            with _quiet():
                _convert(source, made, format, batch, weights_as, model, original, fitting)
            found = _compare(original, made, batch, checking, f"{out} was not written: it")
            if found.worst > limit:
                raise InputError(
                    f"{out} was not written: its vectors are up to {found.worst:.2g} (cosine distance) from those "
                    f"of {source}, more than {limit:g}"
                )
            files = sorted(made.parent.iterdir(), key=lambda file: file.name == made.name)  # what is asked for, last
            for file in files:
                os.replace(file, out.parent / file.name)
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {one_line(error)}") from None
    names = tuple(out.parent / file.name for file in reversed(files))
    return Exported(names, found.worst, found.mean, found.crops, found.batches)


def _check_options(
    out: Path, format: str, batch: int | None, weights_as: str, calibration: str | Path | None  # noqa: A002
) -> None:
    if format not in FORMATS:
        raise InputError(f"format must be one of {', '.join(FORMATS)}, got {format!r}")
    if out.suffix.lower() != FORMATS[format]:
        raise InputError(f"{out}: a file of format {format} ends in {FORMATS[format]}")
    if batch is not None and batch < 1:
        raise InputError(f"batch must be dynamic or at least 1, got {batch}")
    if weights_as not in WEIGHTS_AS:
        raise InputError(f"weights_as must be one of {', '.join(WEIGHTS_AS)}, got {weights_as!r}")
    if format == "torchscript" and (batch is not None or weights_as != "float"):
        raise InputError("TorchScript takes any batch and keeps float32: no batch, half or int8 with it")
    if weights_as == "int8" and calibration is None:
        raise InputError("int8 needs a folder of person crops to find its ranges: --calibration DIR")


def _crops(size: tuple[int, int], calibration: str | Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Crops to calibrate on (none without a folder), and others to compare on; (N, H, W, 3) uint8 BGR."""
    drawn = random_crops(RANDOM_CROPS, size, np.random.default_rng(0))
    if calibration is None:
        return drawn[:0], drawn
    files = image_files(Path(calibration))
    spread = np.unique(np.linspace(0, len(files) - 1, 2 * REAL_CROPS).astype(int))
    images = [image for k in spread if (image := read_image(files[k])) is not None]
    if len(images) < 2:
        raise InputError(f"{calibration}: expected at least 2 readable person crops, got {len(images)}")
    real = resize(images, size)
    return real[::2], np.concatenate([drawn, real[1::2]])


def random_crops(count: int, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Blobs of colour with grain, as photographs have: (count, H, W, 3) uint8."""
    blobs = resize(list(rng.integers(0, 256, (count, 8, 4, 3), dtype=np.uint8)), size)
    grain = rng.normal(0, 8, blobs.shape)
    return np.clip(blobs + grain, 0, 255).astype(np.uint8)


def _compare(
    original: Embedder, made: Path, batch: int | None, crops: np.ndarray, blame: str
) -> Exported:
    """The made file's vectors against the original's, in every batch size it must take."""
    try:
        network = open_network(made, wish=Wish("cpu", threads=1))
        if network.size != original.size or network.batch != batch:
            raise InputError(
                f"takes {network.batch or 'any number of'} crops of {network.size}, wanted were "
                f"{batch or 'any number'} of {original.size}; export from the training weights"
            )
        batches = BATCHES if batch is None else (batch,)
        want = original.crops(crops)
        distances = [1 - (want * Embedder(network, made, size).crops(crops)).sum(axis=1) for size in batches]
    except InputError as error:
        raise InputError(f"{blame} {str(error).removeprefix(f'{made}: ')}") from None
    # Rounding may take 1 - cos below zero. NaN and infinity never arrive: the Embedder refuses them.
    found = np.clip(np.concatenate(distances), 0, None)
    return Exported((made,), float(found.max()), float(found.mean()), len(crops), batches)


def _convert(
    source: Path,
    made: Path,
    format: str,  # noqa: A002
    batch: int | None,
    weights_as: str,
    model: str | None,
    original: Embedder,
    fitting: np.ndarray,
) -> None:
    """Write ``made`` from ``source``, by way of an ONNX file for all but TorchScript."""
    try:
        if format == "torchscript":
            network, recipe = _load(source, model)
            _write_torchscript(network, recipe.to_json(), original.size, made)
            return
        onnx_file = made.with_suffix(".onnx")
        if source.suffix.lower() != ".onnx":
            network, recipe = _load(source, model)
            _write_onnx(network, original.size, batch, onnx_file)
            _add_recipe(onnx_file, onnx_file, recipe.to_json())
        else:
            onnx_file.write_bytes(source.read_bytes())
        if weights_as == "int8":
            _quantise(onnx_file, original, fitting)
        if format == "openvino":
            _write_openvino(onnx_file, made, weights_as == "half")
            onnx_file.unlink()
        elif weights_as == "half":
            _halve(onnx_file)
    except ImportError as error:
        raise InputError(f"exporting needs {error.name}: pip install -e .[export,train]") from None
    except (InputError, OSError):
        raise
    except Exception as error:  # exporters raise kinds of their own
        raise InputError(f"{source}: cannot be converted to {format}: {one_line(error)}") from None
