"""What other networks say of every training image, once: a step that learns from them costs nothing more.

A teacher looks at each image as it is, without augmentation and at its own size; the student is asked for the
same vector however the image was changed. Teachers are files; nothing of their weights is copied.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from retrace.configs import InputError
from retrace.configs.files import atomic_write, writing
from retrace.reid.data.image_cache import Progress, images_key, load_cached, open_images
from retrace.reid.data.sets import ReidImages
from retrace.reid.embedder import Embedder, find_weights

CHUNK = 256  # images decoded at a time
VERSION = 2  # of what the vectors mean


def teacher_vectors(
    teachers: Sequence[str],
    images: ReidImages,
    folder: Path | None = None,
    progress: Progress | None = None,
    **options: object,
) -> np.ndarray:
    """The teachers' vectors side by side, each with the same say.

    A teacher's vector is the mean of those of the image and of its mirror image, less the mean over all images
    (what people have in common tells nobody apart), as a unit row.

    Args:
        teachers: T files or names of weights, as `Embedder.from_weights` takes them.
        images: N training images.
        folder: of the cache; None: keep nothing.
        progress: called as (images done, N) where a teacher has to look.
        options: for `Embedder.from_weights`.

    Returns:
        (N, D_1 + ... + D_T) float32 unit rows.

    Raises:
        InputError: no teacher, or a file that is not one.
    """
    if not teachers:
        raise InputError("teachers: expected at least one file of weights")
    parts = []
    for teacher in teachers:
        raw = _seen(find_weights(teacher), images, folder, progress, options)
        centred = raw - raw.mean(0)
        parts.append(centred / np.linalg.norm(centred, axis=1, keepdims=True).clip(1e-12))
    return (np.concatenate(parts, 1) / np.sqrt(len(parts))).astype(np.float32)


def teacher_dimensions(teachers: Sequence[str]) -> int:
    """How many numbers `teacher_vectors` has a row; 0: no teachers. No image is looked at.

    Raises:
        InputError: a file that is no teacher.
    """
    return sum(Embedder.from_weights(str(find_weights(teacher)), flip=True).dim for teacher in teachers)


def _seen(
    teacher: Path, images: ReidImages, folder: Path | None, progress: Progress | None, options: dict
) -> np.ndarray:
    """(N, D) float32 unit rows, not centred; from the cache, or computed and kept there."""
    path = None
    if folder is not None:
        digest = hashlib.sha256(f"{VERSION} {images_key(images)} ".encode() + teacher.read_bytes())
        path = folder / f"teacher-{digest.hexdigest()[:32]}.npy"
        found = load_cached(path)
        if found is not None and len(found) == len(images):
            return found
    embedder = Embedder.from_weights(str(teacher), flip=True, **options)
    parts = []
    for start in range(0, len(images), CHUNK):
        rows = np.arange(start, min(start + CHUNK, len(images)))
        parts.append(embedder.crops(open_images(images.take(rows), embedder.size)))
        if progress is not None:
            progress(start + len(rows), len(images))
    vectors = np.concatenate(parts)
    if path is not None:
        _keep(path, vectors)
    return vectors


def _keep(path: Path, vectors: np.ndarray) -> None:
    """Two runs at once may do so."""
    with writing(path, what="cache folder"), atomic_write(path, "wb", shared=True) as file:
        np.save(file, vectors)
