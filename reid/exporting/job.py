"""Trained weights -> files for ONNX Runtime, OpenVINO or torch, each compared with the original first.

A file gets its name only after it answered like the original, through the same `Embedder` that will run it, in
every batch size that it claims to take.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from retrace.configs import InputError
from retrace.configs.errors import install, one_line
from retrace.configs.files import read_image, reveal, writing
from retrace.reid.crops import image_files, resize
from retrace.reid.embedder import Embedder, find_weights
from retrace.reid.exporting import convert
from retrace.reid.runtime.feed import Feed
from retrace.reid.runtime.network import Wish
from retrace.reid.runtime.open import open_network
from retrace.reid.weights.shipped import as_trained

FORMATS = {"onnx": ".onnx", "openvino": ".xml", "torchscript": ".torchscript", "safetensors": ".safetensors"}
OF_TORCH = ("torchscript", "safetensors")  # need the training weights, take any batch, keep float32
STORES = ("float", "half", "int8")
BATCHES = (1, 3, 16)  # a file for any batch is run in each of these
RANDOM_CROPS, REAL_CROPS = 20, 128
LIMIT, INT8_LIMIT = 1e-3, 0.05  # of the cosine distance to the original's vectors


@dataclass(frozen=True, slots=True)
class ExportJob:
    """What to write.

    Attributes:
        format: of ``FORMATS``; "safetensors": the weights themselves without their classifier, which only
            training needs.
        batch: the only number of crops the file takes; None: any.
        store: "half" keeps weights as float16 and computes in float32: half the file, the same speed; "int8"
            computes in 8 bits and needs a folder of crops to find its ranges.
        model: the network's name, for a torchreid checkpoint whose file name does not contain it.
        uncalibrated: leave out what the card says of distances, and a card that is damaged; else that is an error.

    Example:
        >>> from retrace.reid import ExportJob, export
        >>> half = export("osnet.onnx", "osnet_half.onnx", ExportJob(store="half"))
        >>> half.batches, half.worst < 1e-3  # any batch size, nearly the same vectors
        ((1, 3, 16), True)
    """

    format: str = "onnx"
    batch: int | None = None
    store: str = "float"
    model: str | None = None
    uncalibrated: bool = False


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, and how far its vectors are from the original's.

    Attributes:
        files: the file asked for, then what belongs beside it (OpenVINO's .bin).
        description: the line of the `Embedder` that runs it.
        worst, mean: cosine distance to the original's vectors, from 0.
        crops: how many crops that is measured on.
        people: how many of these are of people, from a folder; the others are drawn, and vectors of people may
            differ more than theirs.
        batches: in which batch sizes.

    Example:
        >>> from retrace.reid import export
        >>> done = export("osnet.onnx", "copy.onnx", calibration="Market-1501/query")
        >>> [file.name for file in done.files], done.people, done.mean <= done.worst < 1e-3
        (['copy.onnx'], 48, True)
    """

    files: tuple[Path, ...]
    description: str
    worst: float
    mean: float
    crops: int
    people: int
    batches: tuple[int, ...]


def export(
    weights: str | Path,
    out: str | Path,
    job: ExportJob | None = None,
    *,
    calibration: str | Path | None = None,
    limit: float | None = None,
) -> Exported:
    """Convert, compare, and only then name the file.

    Args:
        weights: a .safetensors of ours, a torchreid checkpoint, an ONNX file, or the name of shipped weights (of
            which the .safetensors is taken for what needs the network as it was trained).
        out: ends as ``FORMATS`` says.
        job: what to write; None: ONNX for any batch, as float32.
        calibration: a folder of person crops. Up to 256, evenly spread over its names, are compared beside
            random ones; for int8 every other one calibrates, and only the rest is compared.
        limit: of the largest cosine distance; None: 1e-3, and 0.05 for int8.

    Returns:
        The files, and how far their vectors are from the original's.

    Raises:
        InputError: options that do not go together, weights or crops that cannot be read, a network that cannot
            be converted, or one that answers otherwise than the original; then nothing is written.

    Example:
        >>> from retrace.reid import Embedder, ExportJob, export
        >>> done = export("auto", "half.onnx", ExportJob(store="half"))
        >>> [file.name for file in done.files], done.batches, done.worst < 1e-3
        (['half.onnx'], (1, 3, 16), True)
        >>> Embedder.from_weights(done.files[0], device="cpu").dim
        512
    """
    out, job = Path(out), job or ExportJob()
    _check(out, job, calibration)
    source = find_weights(weights)
    if job.format in OF_TORCH or job.batch is not None:  # which a finished .onnx cannot become
        source = as_trained(source)
    if source.suffix.lower() in (".xml", ".torchscript"):
        raise InputError(f"{source}: is an export itself; export from .safetensors, a checkpoint or .onnx")
    if source.suffix.lower() == ".onnx" and job.format in OF_TORCH:
        raise InputError(f"{source}: is an export itself; {job.format} needs the weights as trained")
    if out.exists() and out.samefile(source):
        raise InputError(f"{out}: would overwrite the weights it is made from; choose another file")
    limit = limit if limit is not None else INT8_LIMIT if job.store == "int8" else LIMIT
    network = open_network(source, wish=Wish("cpu", job.model, 1, uncalibrated=job.uncalibrated))
    original = Embedder(network, source, 16)
    fitting, drawn, people = _crops(original.size, calibration, job.store)
    with writing(out, what="file"):
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
            made = Path(folder) / out.name
            _convert(source, made, job, original.size, fitting, network.feed)
            found = _compare(original, made, job.batch, np.concatenate([drawn, people]), out)
            found = replace(found, people=len(people))
            if found.worst > limit:
                raise InputError(
                    f"{out} was not written: its vectors are up to {found.worst:.2g} (cosine distance) away from "
                    f"those of {source}, more than {limit:g}"
                )
            names = sorted((file.name for file in made.parent.iterdir()), key=lambda name: name == made.name)
            for name in names:  # the file asked for comes last: where it is, all is
                reveal(made.parent / name, out.parent / name)
    return replace(found, files=tuple(out.parent / name for name in reversed(names)))


def _check(out: Path, job: ExportJob, calibration: str | Path | None) -> None:
    if job.format not in FORMATS:
        raise InputError(f"`format` must be one of {', '.join(FORMATS)}, got {job.format!r}")
    if job.store not in STORES:
        raise InputError(f"`store` must be one of {', '.join(STORES)}, got {job.store!r}")
    if out.suffix != FORMATS[job.format]:  # OpenVINO knows no .XML
        raise InputError(f"{out}: a file of format {job.format} ends in {FORMATS[job.format]}")
    if job.batch is not None and job.batch < 1:
        raise InputError(f"`batch` must be at least 1, got {job.batch}")
    stores = ("float", "half") if job.format == "safetensors" else ("float",)
    if job.format in OF_TORCH and (job.batch is not None or job.store not in stores):
        raise InputError(
            f"{job.format} takes any batch and is stored as {' or '.join(stores)}, got batch {job.batch}, {job.store}"
        )
    if job.store == "int8" and calibration is None:
        raise InputError("int8 needs a folder of person crops to find its ranges: give `calibration`")


def _crops(
    size: tuple[int, int], calibration: str | Path | None, store: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Crops to calibrate on (none without a folder), drawn ones and those of people to compare on; (N, H, W, 3) uint8
    BGR."""
    drawn = random_crops(RANDOM_CROPS, size, np.random.default_rng(0))
    if calibration is None:
        return drawn[:0], drawn, drawn[:0]
    files = image_files(Path(calibration))
    spread = np.unique(np.linspace(0, len(files) - 1, 2 * REAL_CROPS).astype(int))
    images = [image for k in spread if (image := read_image(files[k])) is not None]
    if len(images) < 2:
        raise InputError(f"{calibration}: expected at least 2 readable person crops, got {len(images)}")
    real = resize(images, size)
    if store == "int8":  # whose ranges fit people, not noise
        return real[::2], drawn[:0], real[1::2]
    return real[:0], drawn, real


def random_crops(count: int, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Blobs of colour with grain, as photographs have: (count, H, W, 3) uint8; size is (H, W) px."""
    blobs = resize(list(rng.integers(0, 256, (count, 8, 4, 3), dtype=np.uint8)), size)
    return np.clip(blobs + rng.normal(0, 8, blobs.shape), 0, 255).astype(np.uint8)


def _convert(
    source: Path, made: Path, job: ExportJob, size: tuple[int, int], fitting: np.ndarray, feed: Feed
) -> None:
    """Write ``made`` from ``source``, by way of an ONNX file for all but torch's formats."""
    onnx_file = made.with_suffix(".onnx")
    try:
        if source.suffix.lower() == ".onnx":
            onnx_file.write_bytes(source.read_bytes())
            if job.uncalibrated:
                convert.leave_calibration_out(onnx_file)
        else:
            from retrace.reid.weights.files import load_network, save_network, without_classifier

            network, recipe = load_network(source, job.model, uncalibrated=job.uncalibrated)
            recipe = recipe.uncalibrated() if job.uncalibrated else recipe
            if job.format == "safetensors":
                save_network(made, *without_classifier(network, recipe), half=job.store == "half")
            elif job.format == "torchscript":
                convert.write_torchscript(network, recipe.to_json(), size, made)
            else:
                convert.write_onnx(network, recipe.to_json(), size, job.batch, onnx_file)
        if job.store == "int8":
            convert.quantise(onnx_file, fitting, feed)
        elif job.store == "half" and job.format == "onnx":
            convert.halve(onnx_file)
        if job.format == "onnx":
            convert.seal(onnx_file)
        if job.format == "openvino":
            convert.write_openvino(onnx_file, made, job.store == "half")
            onnx_file.unlink()
    except ImportError as error:
        raise InputError(f"exporting needs {error.name}: {install('export,openvino,train')}") from None
    except (InputError, OSError):
        raise
    except Exception as error:  # exporters raise kinds of their own
        raise InputError(f"{source}: cannot be converted to {job.format}: {one_line(error)}") from None


def _compare(original: Embedder, made: Path, batch: int | None, crops: np.ndarray, out: Path) -> Exported:
    """The made file's vectors against the original's, in every batch size that it must take."""
    batches = BATCHES if batch is None else (batch,)
    want, found = original.crops(crops), []
    try:
        network = open_network(made, wish=Wish("cpu", threads=1))
        if (network.size, network.batch) != (original.size, batch):
            raise InputError(
                f"takes {network.batch or 'any number of'} crops of {network.size}, not "
                f"{batch or 'any number'} of {original.size}; export from the training weights"
            )
        for size in batches:
            embedder = Embedder(network, made, size)
            if embedder.dim != original.dim:
                raise InputError(f"gives vectors of {embedder.dim} numbers, not {original.dim}")
            found.append(1 - (embedder.crops(crops).astype(np.float64) * want).sum(axis=1))
    except InputError as error:
        raise InputError(f"{out} was not written: it {str(error).removeprefix(f'{made}: ')}") from None
    distance = np.maximum(np.concatenate(found), 0)  # rounding may take it below; NaN the Embedder refuses
    worst, mean = float(distance.max()), float(distance.mean())
    return Exported((made,), embedder.description, worst, mean, len(crops), 0, batches)
