"""Crops per CPU-second of every runtime, beside the same network in plain torch, in one run on one thread.

Our side is whole (`Embedder.crops`: bytes in, unit vectors out); torch eager's is the network alone on numbers
that are ready. Runtimes take turns within a round; medians over rounds. Quote the ratios.
"""

from __future__ import annotations

import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrace.configs import InputError

if TYPE_CHECKING:
    import numpy as np

EAGER = "torch eager"
Way = Callable[[], Any]  # embeds the batch -> (B, D)


def measure(
    weights: Path,
    batch: int = 16,
    rounds: int = 9,
    model: str | None = None,
    calibration: str | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """:func:`measure_embedding`, and what was measured; ``say`` is told the table."""
    rows = measure_embedding(weights, batch, rounds, model=model, calibration=calibration)
    say(f"{'':24} crops/CPU-s  times eager  cosine distance")
    for row in rows:
        say(f"{row['way']:24} {row['crops_per_s']:11.0f}  {row['ratio']:11.2f}  {row['distance']:15.1e}")
    return {"weights": str(weights), "batch": batch, "embed": rows}


def measure_embedding(
    weights: Path,
    batch: int = 16,
    rounds: int = 9,
    *,
    model: str | None = None,
    calibration: str | None = None,
) -> list[dict[str, Any]]:
    """One row a way of embedding: "way", "crops_per_s" (CPU), "ratio" to torch eager, "distance" to its vectors.

    Raises:
        InputError: weights that torch does not read, or that cannot be exported.
    """
    if min(batch, rounds) < 1:
        raise InputError("`batch` and `rounds` must be at least 1")
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        ways = open_ways(weights, Path(folder), batch, model, calibration)
        answers = {name: np.asarray(run(), np.float64) for name, run in ways.items()}  # warms up as well
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, run in ways.items():
                start = time.process_time()
                run()
                seconds[name].append(time.process_time() - start)
    units = {name: found / np.linalg.norm(found, axis=1, keepdims=True) for name, found in answers.items()}
    typical = {name: statistics.median(taken) for name, taken in seconds.items()}
    return [
        {
            "way": name,
            "crops_per_s": batch / typical[name],
            "ratio": typical[EAGER] / typical[name],
            "distance": max(float((1 - (units[name] * units[EAGER]).sum(axis=1)).max()), 0.0),
        }
        for name in ways
    ]


def open_ways(
    weights: Path, folder: Path, batch: int, model: str | None, calibration: str | None
) -> dict[str, Way]:
    """What is measured, by name; exported files go into ``folder``."""
    from retrace.reid import Embedder
    from retrace.reid.exporting.job import ExportJob, export

    embedder = Embedder.from_weights(
        weights, "cpu", runtime="torch", model=model, threads=1, batch_size=batch
    )
    crops = some_crops(batch, embedder.size, calibration)
    ways = {EAGER: eager(weights, model, crops), "torch": lambda: embedder.crops(crops)}
    files = {"f32": export(weights, folder / "float.onnx", ExportJob(model=model)).files[0]}
    if calibration is not None:
        job = ExportJob(store="int8", model=model)
        files["int8"] = export(weights, folder / "int8.onnx", job, calibration=calibration).files[0]
    plans = [("onnxruntime", "f32", kind) for kind in files]
    if importlib.util.find_spec("openvino"):
        plans += [("openvino", "f32", kind) for kind in files] + [("openvino", "bf16", "f32")]
    for runtime, precision, kind in plans:
        opened = Embedder.from_weights(
            files[kind], "cpu", runtime=runtime, precision=precision, threads=1, batch_size=batch
        )
        ways[f"{runtime} {kind if precision == 'f32' else precision}"] = lambda e=opened: e.crops(crops)  # type: ignore[misc]
    return ways


def some_crops(count: int, size: tuple[int, int], folder: str | None) -> np.ndarray:
    """People where there is a folder of them: int8's ranges fit nothing else."""
    import numpy as np

    from retrace.configs.files import read_image
    from retrace.reid.crops import image_files, resize
    from retrace.reid.exporting.job import random_crops

    if folder is None:
        return random_crops(count, size, np.random.default_rng(0))
    files = image_files(Path(folder))[:count]
    images = [image for file in files if (image := read_image(file)) is not None]
    return resize([images[k % len(images)] for k in range(count)], size)


def eager(weights: Path, model: str | None, crops: np.ndarray) -> Way:
    """The network as torch runs it without our help, on one thread."""
    import torch

    from retrace.reid.runtime.feed import Feed, normalise
    from retrace.reid.weights.files import load_network

    torch.set_num_threads(1)
    network, recipe = load_network(weights, model)
    images = torch.from_numpy(normalise(crops, Feed(recipe.mean, recipe.std)))

    def run() -> Any:
        with torch.inference_mode():
            return network(images).numpy()

    return run
