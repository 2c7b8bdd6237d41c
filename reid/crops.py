"""Images and boxes as an embedder takes them: files found, arrays checked, boxes in whole pixels, crops resized."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from retrace.configs import InputError
from retrace.configs.errors import one_line, system_reason
from retrace.configs.files import IMAGE_ENDINGS


def windows_of(xyxy: np.ndarray, size: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Boxes as whole pixels of an image: (N, 4) int64, and (N,) bool: at least a pixel each way is left.

    Raises:
        InputError: boxes that are not finite or not (N, 4).
    """
    boxes = as_numbers(xyxy, "xyxy")
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


def checked_image(image: Any, name: str) -> np.ndarray:
    """``image`` as an array (H, W, 3) uint8 BGR; ``name`` is what messages call it.

    Raises:
        InputError: it is none.
    """
    if hasattr(image, "getbands"):  # of PIL, whose colours come in the other order
        raise InputError(
            f"{name} is a PIL image, which is RGB; give np.asarray(image.convert('RGB'))[:, :, ::-1]"
        )
    try:
        image = np.asarray(plain(image))
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be (H, W, 3) uint8 BGR, got {one_line(error)}") from None
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(f"{name} must be (H, W, 3) uint8 BGR, got {image.shape} {image.dtype}")
    if image.size == 0 and name != "image":  # a whole image may be empty: it has no boxes
        raise InputError(f"{name} has no pixels, its shape is {image.shape}")
    return image


def resize(images: Sequence[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """B images -> (B, H, W, 3) uint8, each resized bilinearly."""
    import cv2

    height, width = size
    crops = np.empty((len(images), height, width, 3), np.uint8)
    for crop, image in zip(crops, images, strict=True):
        cv2.resize(image, (width, height), dst=crop, interpolation=cv2.INTER_LINEAR)
    return crops


def image_files(folder: Path) -> list[Path]:
    """The image files of a folder, sorted; its sub-folders are not looked into.

    Raises:
        InputError: no such folder, or none in it.
    """
    try:
        files = sorted(
            file for file in folder.iterdir() if file.suffix.lower() in IMAGE_ENDINGS and file.is_file()
        )
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: no such folder of images ({system_reason(error)})") from None
    if not files:
        raise InputError(f"{folder}: no image files in it (looked for {', '.join(IMAGE_ENDINGS)})")
    return files


def as_numbers(values: Any, name: str) -> np.ndarray:
    """Boxes as float64 of any shape: arrays, lists, tensors (with gradient, on a GPU), things that have ``xyxy``.

    Raises:
        InputError: what is no table of numbers.
    """
    values = plain(getattr(values, "xyxy", values))
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be an array (N, 4) of numbers, got {one_line(error)}") from None


def plain(values: Any) -> Any:
    """A torch tensor as an array; anything else as it is."""
    if not (hasattr(values, "detach") and hasattr(values, "cpu")):
        return values
    values = values.detach().cpu()
    return (values.float() if str(values.dtype) == "torch.bfloat16" else values).numpy()
