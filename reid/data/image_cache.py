"""Decode every image once: a memory-mapped array of uint8 pixels, so that epochs read memory, not JPEGs."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np

from retrace.configs import InputError, files
from retrace.configs.files import atomic_write, read_image, reading, writing
from retrace.reid.data.sets import ReidImages

CHUNK = 256  # images between two writes and two reports
STALE = 86400.0  # s after which the file of a killed run is swept away
LIMIT = 16 * 2**30  # bytes that the cache keeps; 13 times Market-1501's training images at 256 x 128
VERSION = 1  # of what the pixels mean: decoder, resize
OURS = re.compile(r"(teacher-)?[0-9a-f]{32}\.npy(\.[0-9a-f]{16}\.partial)?")  # the only names swept
Progress = Callable[[int, int], None]


def image_cache_folder() -> Path:
    """Where decoded images are kept unless told otherwise: ``images`` in the cache folder of all.

    Files in it that no run has used for longest go when more than :data:`LIMIT` bytes would lie there.
    """
    return files.cache_folder() / "images"


def load_cached(path: Path, mapped: bool = False) -> np.ndarray | None:
    """An array of the cache, which is marked as used; None: there is none, or it is cut off.

    Args:
        path: of a .npy file.
        mapped: leave it on disk, read-only, and read what is asked for.
    """
    try:
        array = np.load(path, mmap_mode="r" if mapped else None)
    except (OSError, ValueError, EOFError):
        return None
    with suppress(OSError):  # somebody else's file
        os.utime(path)
    return array


def open_images(
    images: ReidImages,
    size: tuple[int, int],
    folder: Path | None = None,
    *,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> np.ndarray:
    """The pixels of N images, resized bilinearly as the Embedder resizes its crops.

    Args:
        images: N images.
        size: px, (H, W).
        folder: of the cache; None: decode into memory, keep nothing.
        jobs: threads; None: one a core.
        progress: called as (images done, N) while decoding.

    Returns:
        (N, H, W, 3) uint8 BGR; read-only and memory-mapped where a folder is given.

    Raises:
        InputError: an image that cannot be decoded (see :func:`open_sound_images`), a file that is not there,
            a folder that cannot be written.
    """
    return open_sound_images(images, size, folder, strict=True, jobs=jobs, progress=progress)[1]


def open_sound_images(
    images: ReidImages,
    size: tuple[int, int],
    folder: Path | None = None,
    *,
    strict: bool = False,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> tuple[ReidImages, np.ndarray, list[str]]:
    """As :func:`open_images`, without the images that are broken.

    The decode itself finds them, so there is no scan to pay for where all are sound; else the sound ones are
    decoded a second time, once, and the cache remembers which they were.

    Returns:
        The images that are left, their pixels, and the paths of the broken ones.

    Raises:
        InputError: as :func:`open_images`; for broken images only if ``strict``, or if all are.
    """
    if min(size) < 1:
        raise InputError(f"size must be (height, width) from 1 px, got {size}")
    if jobs is not None and jobs < 1:
        raise InputError(f"jobs must be a number of threads from 1, got {jobs}")
    jobs = jobs or files.cores()
    path = None if folder is None else folder / f"{_key(images, size)}.npy"
    broken = _known_broken(path)
    pixels = None
    if not broken:
        pixels = _load(path, (len(images), *size, 3))
        if pixels is None:
            pixels, broken = _build(images, size, path, jobs, progress)
    if not broken:
        assert pixels is not None
        return images, pixels, []
    names = [str(images.paths[k]) for k in broken]
    if strict or len(names) == len(images):
        raise InputError(
            f"{names[0]}: cannot be decoded as an image ({len(names)} of {len(images)} are broken); "
            "replace or remove them"
        )
    sound = images.take(np.setdiff1d(np.arange(len(images)), broken))
    return sound, open_images(sound, size, folder, jobs=jobs, progress=progress), names


def _key(images: ReidImages, size: tuple[int, int]) -> str:
    """A name for these pixels: changes with any file's place, size or time of change."""
    return images_key(images, f"{VERSION} {size[0]}x{size[1]}")


def images_key(images: ReidImages, what: str = "") -> str:
    """A name for something made of these files, in this order: changes with any one's place, size or time.

    Raises:
        InputError: a file that has gone or cannot be looked at.
    """
    digest = hashlib.sha256(what.encode())
    for path in images.paths:
        with reading(path):
            facts = path.stat()
        digest.update(
            f"\n{path.absolute()} {facts.st_size} {facts.st_mtime_ns}".encode(errors="surrogateescape")
        )
    return digest.hexdigest()[:32]


def _load(path: Path | None, shape: tuple[int, ...]) -> np.ndarray | None:
    """The finished cache file; None if there is none or it is not whole."""
    pixels = None if path is None else load_cached(path, mapped=True)
    return pixels if pixels is not None and pixels.shape == shape and pixels.dtype == np.uint8 else None


def _known_broken(path: Path | None) -> list[int]:
    """Rows that an earlier run could not decode."""
    if path is None:
        return []
    try:
        return [int(line) for line in path.with_suffix(".broken").read_text().split()]
    except (OSError, ValueError):
        return []


def _build(
    images: ReidImages, size: tuple[int, int], path: Path | None, jobs: int, progress: Progress | None
) -> tuple[np.ndarray | None, list[int]]:
    """Decode everything, into memory or into a file that is renamed when it is whole."""
    shape = (len(images), *size, 3)
    broken: list[int] = []
    blocks = _decoded(images.paths, size, jobs, progress, broken)
    if path is None or not len(images):
        pixels = np.empty(shape, np.uint8)
        done = 0
        for block in blocks:
            pixels[done : done + len(block)] = block
            done += len(block)
        return pixels, broken
    with writing(path, what="cache folder"):
        _sweep(path.parent, LIMIT - int(np.prod(shape)))
        try:
            with atomic_write(path, "wb", shared=True) as file:
                header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
                for block in blocks:
                    file.write(block.data)
                if broken:
                    raise _BrokenImages
        except _BrokenImages:
            with atomic_write(path.with_suffix(".broken"), shared=True) as file:
                file.write("\n".join(map(str, broken)))
            return None, broken
    return _load(path, shape), broken


class _BrokenImages(Exception):
    """These pixels get no name."""


def _sweep(folder: Path, room: int) -> None:
    """Remove what killed runs left behind, and of whole files those longest unused, until ``room`` bytes hold them."""
    for file in _ours(folder, "*.partial"):
        with suppress(OSError):
            if time.time() - file.stat().st_mtime > STALE:
                file.unlink()
    whole = []
    for file in _ours(folder, "*.npy"):
        with suppress(OSError):  # another run swept it
            whole.append((file.stat().st_mtime_ns, file.stat().st_size, file))
    kept = 0
    for _, size, file in sorted(whole, reverse=True):
        kept += size
        if kept > room:
            with suppress(OSError):  # Windows keeps a file that is open
                file.unlink()


def _ours(folder: Path, pattern: str) -> list[Path]:
    return [file for file in folder.glob(pattern) if OURS.fullmatch(file.name)]


def _decoded(
    paths: tuple[Path, ...], size: tuple[int, int], jobs: int, progress: Progress | None, broken: list[int]
) -> Iterator[np.ndarray]:
    """The pixels in blocks of at most CHUNK images; rows of broken ones are black, and listed in ``broken``."""
    with ThreadPoolExecutor(jobs) as pool:
        for start in range(0, len(paths), CHUNK):
            chunk = paths[start : start + CHUNK]
            block = np.empty((len(chunk), *size, 3), np.uint8)
            sound = list(pool.map(decode, chunk, block))
            broken += [start + k for k, good in enumerate(sound) if not good]
            if progress is not None:
                progress(start + len(chunk), len(paths))
            yield block


def decode(path: Path, out: np.ndarray) -> bool:
    """Read one image file and resize it into ``out``, (H, W, 3) uint8 BGR; False (and black) if it is broken.

    OpenCV refuses a JPEG or PNG that breaks off.
    """
    import cv2

    out[:] = 0
    image = read_image(path)
    if image is None:
        return False
    out[:] = cv2.resize(image, (out.shape[1], out.shape[0]), interpolation=cv2.INTER_LINEAR)
    return True
