"""Boxes of an image -> appearance vectors. The one place where BGR becomes RGB.

ONNX files run through onnxruntime and never import torch; torchreid checkpoints run through `reid.models`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from configs import InputError
from configs.load import nearest

WEIGHTS = Path(__file__).parent / "weights"
TORCH_ENDING = re.compile(r"\.(pth|pt|pth\.tar(-\d+)?)$", re.IGNORECASE)  # torchreid writes model.pth.tar-60
SIZE = (256, 128)  # px, height and width: what person networks are trained on, where the file does not say
IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)  # RGB, of images in [0, 1]
IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)
FLOATS = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
}  # input types of an ONNX file we can feed


@dataclass(frozen=True, slots=True)
class Network:
    """A loaded network: what it wants and how to run it."""

    run: Callable[[np.ndarray], np.ndarray]  # (B, 3, H, W) float32, normalised RGB -> (B, D)
    size: tuple[int, int]  # px, (H, W)
    batch: int | None  # the only B it takes; None: any
    device: str


class Embedder:
    """Crops of an image as unit vectors; make one with :meth:`from_weights`.

    Attributes:
        dim: D, the length of a vector.
        description: one line: which weights, on what.
        unseen: how many boxes so far got an all-zero row.
    """

    def __init__(self, network: Network, weights: Path, batch_size: int) -> None:
        if batch_size < 1:
            raise InputError(f"batch_size must be at least 1, got {batch_size}")
        self._network = network
        self._weights = weights
        self._batch_size = network.batch or batch_size
        self.unseen = 0
        self.dim = 0  # not known before the first run
        # A network that does not run fails here, not in a video; on two crops, since a file may say that it
        # takes any number and have one baked in.
        self.dim = self._features(np.zeros((network.batch or 2, *network.size, 3), np.uint8)).shape[1]
        height, width = network.size
        self.description = f"{weights.name}, {height}x{width} -> {self.dim}, on {network.device}"

    @classmethod
    def from_weights(
        cls,
        path_or_name: str | Path,
        device: str = "auto",
        *,
        model: str | None = None,
        batch_size: int = 16,
        threads: int | None = None,
        size: tuple[int, int] = SIZE,
    ) -> Embedder:
        """Load weights.

        Args:
            path_or_name: an ONNX file, a torchreid checkpoint (.pth, .pt, .pth.tar), the name of weights that
                the project ships, or "auto": the shipped ones.
            device: "auto" (a GPU if the runtime can use one), "cpu", "cuda" or "cuda:N".
            model: the network's name, for a checkpoint whose file name does not contain it.
            batch_size: crops at a time, where the file does not fix it; more than 16 is slower on a CPU and
                holds more memory (OSNet x0.25: 457 crops/s and 127 MB at 16, 409 and 625 at 128).
            threads: CPU threads for one run; None: the runtime's default.
            size: (height, width) px of a crop, where the file does not fix it.

        Raises:
            InputError: no such weights, a file that is not an image -> vector network or does not fit the
                network, a device that is not there.
        """
        if re.fullmatch(r"auto|cpu|cuda(:\d+)?", device) is None:
            raise InputError(f"device must be auto, cpu, cuda or cuda:N, got {device!r}")
        path = find_weights(path_or_name)
        if path.suffix.lower() == ".onnx":
            network = _open_onnx(path, device, threads, size)
        elif TORCH_ENDING.search(path.name):
            try:
                from reid import models
            except ImportError as error:
                raise InputError(
                    f"{path}: torch weights need {error.name}: pip install -e .[train], or use ONNX weights"
                ) from None
            run, place = models.feature_function(path, model, device, threads)
            network = Network(run, size, None, place)
        else:
            raise InputError(f"{path}: expected weights that end in .onnx, .pth, .pt or .pth.tar")
        return cls(network, path, batch_size)

    def __call__(self, image: np.ndarray, xyxy: np.ndarray) -> np.ndarray:
        """Appearance of the boxes of one image.

        Args:
            image: (H, W, 3) uint8 BGR.
            xyxy: (N, 4) px; cut to the image, then widened to whole pixels.

        Returns:
            (N, D) float32 unit rows. A box of which less than one pixel in width or height lies inside the
            image has no appearance: its row is all zero (`Detections` takes that as "not known"), and
            ``unseen`` grows by one.

        Raises:
            InputError: another kind of image, boxes that are not finite or not (N, 4), or a network that
                answers with NaN or infinity.
        """
        image = np.asarray(image)
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise InputError(f"image must be (H, W, 3) uint8 BGR, got {image.shape} {image.dtype}")
        windows, seen = _windows(xyxy, image.shape[:2])
        features = np.zeros((len(windows), self.dim), np.float32)
        rows = np.flatnonzero(seen)
        self.unseen += len(windows) - len(rows)
        image = np.ascontiguousarray(image)
        for start in range(0, len(rows), self._batch_size):
            chunk = rows[start : start + self._batch_size]
            features[chunk] = self._features(_crops(image, windows[chunk], self._network.size))
        return features

    def _features(self, crops: np.ndarray) -> np.ndarray:
        """(B, H, W, 3) uint8 BGR -> (B, D) float32 unit rows."""
        real = len(crops)
        if (
            self._network.batch is not None and real < self._network.batch
        ):  # a fixed batch is filled with black
            crops = np.concatenate(
                [crops, np.zeros((self._network.batch - real, *crops.shape[1:]), np.uint8)]
            )
        try:
            raw = np.asarray(self._network.run(normalise(crops)))
        except Exception as error:  # onnxruntime and torch raise kinds of their own
            raise InputError(
                f"{self._weights}: does not run on {self._network.size} crops: {_line(error)}"
            ) from None
        if raw.ndim != 2 or len(raw) != len(crops) or (self.dim and raw.shape[1] != self.dim):
            raise InputError(
                f"{self._weights}: expected one vector a crop, got {raw.shape} for {len(crops)} crops"
            )
        raw = raw[:real].astype(np.float32)
        if not np.isfinite(raw).all():
            raise InputError(
                f"{self._weights}: the network answered with NaN or infinity; its weights are broken"
            )
        length = np.linalg.norm(raw, axis=1, keepdims=True)
        return np.divide(raw, length, out=np.zeros_like(raw), where=length > 0)


def shipped_weights() -> Path | None:
    """The weights that the project ships; None while it ships none."""
    return min(WEIGHTS.glob("*.onnx"), default=None)


def find_weights(path_or_name: str | Path) -> Path:
    """The file of a path, of a shipped name, or of "auto".

    Raises:
        InputError: there is none; the message names the nearest.
    """
    path, named = Path(path_or_name), WEIGHTS / f"{path_or_name}.onnx"
    if str(path_or_name) == "auto":
        shipped = shipped_weights()
        if shipped is None:
            raise InputError("no ReID weights are shipped yet: give a file, --reid FILE.onnx or FILE.pth")
        return shipped
    if path.is_file():
        return path
    if named.is_file():
        return named
    known = [file.stem for file in WEIGHTS.glob("*.onnx")] + ["auto"] * (shipped_weights() is not None)
    near = nearest(str(path_or_name), known) if known else "none are shipped yet"
    raise InputError(f"{path_or_name}: no such weights file, and no shipped weights of that name ({near})")


def normalise(crops: np.ndarray) -> np.ndarray:
    """(B, H, W, 3) uint8 BGR -> (B, 3, H, W) float32 RGB, in units of ImageNet's mean and deviation."""
    batch = np.empty((len(crops), 3, *crops.shape[1:3]), np.float32)
    np.multiply(crops[..., ::-1].transpose(0, 3, 1, 2), _column(1 / (255 * IMAGENET_STD)), out=batch)
    batch -= _column(IMAGENET_MEAN / IMAGENET_STD)
    return batch


def _column(channels: np.ndarray) -> np.ndarray:
    return channels[:, None, None]


def _windows(xyxy: np.ndarray, size: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Boxes as whole pixels of an image: (N, 4) int64, and (N,) bool: at least a pixel each way is left."""
    boxes = np.asarray(xyxy, np.float64)
    if boxes.size == 0:
        boxes = boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise InputError(f"xyxy must have shape (N, 4), got {boxes.shape}")
    bad = ~np.isfinite(boxes).all(axis=1)
    if bad.any():
        raise InputError(f"xyxy must be finite; row {np.argmax(bad)} is {boxes[np.argmax(bad)].tolist()}")
    height, width = size
    boxes = np.clip(boxes, 0, (width, height, width, height))
    seen = (boxes[:, 2] - boxes[:, 0] >= 1) & (boxes[:, 3] - boxes[:, 1] >= 1)
    return np.concatenate([np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])], axis=1).astype(np.int64), seen


def _crops(image: np.ndarray, windows: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(B, 4) int windows -> (B, H, W, 3) uint8, each resized bilinearly."""
    import cv2

    height, width = size
    crops = np.empty((len(windows), height, width, 3), np.uint8)
    for crop, (x1, y1, x2, y2) in zip(crops, windows.tolist(), strict=True):
        cv2.resize(image[y1:y2, x1:x2], (width, height), dst=crop, interpolation=cv2.INTER_LINEAR)
    return crops


def _open_onnx(path: Path, device: str, threads: int | None, size: tuple[int, int]) -> Network:
    """An ONNX file (B, 3, H, W) float -> (B, D); of several outputs the first counts."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0  # 0: one a core
    options.log_severity_level = 4  # what fails comes back as an exception
    options.use_deterministic_compute = True
    providers = _providers(onnxruntime.get_available_providers(), device)
    try:
        session = onnxruntime.InferenceSession(path, options, providers=providers)
    except Exception as error:  # onnxruntime raises kinds of its own, all plain Exceptions
        raise InputError(f"{path}: not readable as an ONNX network: {_line(error)}") from None
    on_gpu = session.get_providers()[0] == "CUDAExecutionProvider"
    if device.startswith("cuda") and not on_gpu:
        raise InputError(f"device {device!r}: onnxruntime could not start CUDA; use device 'cpu'")
    inputs, output = session.get_inputs(), session.get_outputs()[0]
    kind, shape = inputs[0].type, inputs[0].shape
    image_in = (
        len(inputs) == 1
        and kind in FLOATS
        and len(shape) == 4
        and (shape[1] == 3 or not isinstance(shape[1], int))
    )
    if not image_in or len(output.shape) not in (0, 2):  # 0: the file does not tell
        wants = ", ".join(f"{i.type} {i.shape}" for i in inputs)
        raise InputError(
            f"{path}: expected a network tensor(float) [B, 3, H, W] -> [B, D], got {wants} -> {output.shape}"
        )
    batch, _, height, width = (side if isinstance(side, int) else None for side in shape)

    def run(images: np.ndarray) -> np.ndarray:
        return session.run([output.name], {inputs[0].name: images.astype(FLOATS[kind], copy=False)})[0]

    return Network(run, (height or size[0], width or size[1]), batch, device if on_gpu else "cpu")


def _providers(available: list[str], device: str) -> list[Any]:
    """onnxruntime's execution providers for a device, best first."""
    wants_gpu = device.startswith("cuda")
    has_gpu = "CUDAExecutionProvider" in available
    if wants_gpu and not has_gpu:
        raise InputError(
            f"device {device!r}: this onnxruntime has no CUDA; install onnxruntime-gpu, or use device 'cpu'"
        )
    if not has_gpu or device == "cpu":
        return ["CPUExecutionProvider"]
    number = int(device.partition(":")[2] or 0)
    return [("CUDAExecutionProvider", {"device_id": number}), "CPUExecutionProvider"]


def _line(error: Exception) -> str:
    """An error of another library in one short line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
