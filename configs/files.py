"""Files: they have their name only once they are whole (written as ``NAME.partial`` beside it, then renamed);
where caches lie; and pixels of an image file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from retrace.configs.errors import InputError
from retrace.configs.image_size import declared_pixels

if TYPE_CHECKING:
    import numpy as np

# What OpenCV decodes, by the names such files have.
LARGEST_IMAGE = 2**30  # bytes of a file
MOST_PIXELS = 2**28  # of a picture: 16384 x 16384
IMAGE_ENDINGS = (
    ".avif", ".bmp", ".dib", ".gif", ".hdr", ".jfif", ".jif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pam", ".pbm", ".pgm",
    ".png", ".pnm", ".ppm", ".ras", ".sr", ".tif", ".tiff", ".webp",
)  # fmt: skip


@contextmanager
def atomic_write(path: str | Path, mode: str = "w") -> Iterator[IO]:
    """A file that appears under its name only when it is complete; until then it is ``NAME.partial``."""
    path = Path(path)
    partial = partial_of(path)
    partial.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(partial, mode) as file:
            yield file
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def partial_of(path: Path) -> Path:
    """Where a file grows until it is whole."""
    return path.with_name(path.name + ".partial")


def claim(path: Path) -> None:
    """Make the folder and an empty partial file: better to fail now than after an hour.

    Raises:
        InputError: that does not work, or the target is a folder.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder, expected a place for a file; choose another output folder")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial_of(path).write_bytes(b"")


def reveal(grown: Path, path: Path) -> Path:
    """Give a whole file its name."""
    with writing(path):
        os.replace(grown, path)
    return path


@contextmanager
def writing(path: Path, refusal: type[Exception] = OSError) -> Iterator[None]:
    """What the operating system refuses becomes one line.

    Raises:
        InputError: instead of OSError, and of ``refusal`` (what an encoder raises).
    """
    try:
        yield
    except (OSError, refusal) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise InputError(f"{path}: cannot be written ({why}); choose another output folder") from None


def cache_folder() -> Path:
    """Where caches go unless told otherwise: $RETRACE_CACHE, or ~/.cache/retrace."""
    return Path(os.environ.get("RETRACE_CACHE") or Path.home() / ".cache" / "retrace")


def read_image(path: str | Path, deep: bool = False) -> np.ndarray | None:
    """(H, W, 3) uint8 BGR, upright by its EXIF tag; None when it cannot be read.

    A JPEG that breaks off comes as far as it goes, with grey below. Not read, and so without hanging or filling the
    memory, is what is no plain file (a folder, a pipe that nobody writes to) or says it has more than
    ``MOST_PIXELS``. With ``deep`` what has more than eight bits keeps them: (H, W[, 3]) of its own type.
    """
    import cv2
    import numpy as np

    try:  # not imread: it fails on some systems where a path is not plain ASCII, and warns on standard error
        if not os.path.isfile(path) or os.path.getsize(path) > LARGEST_IMAGE:
            return None
        data = np.fromfile(path, np.uint8)
        if declared_pixels(data.data) > MOST_PIXELS:
            return None
        depth = cv2.IMREAD_ANYDEPTH if deep else 0
        image = cv2.imdecode(data, cv2.IMREAD_COLOR | depth)
        if image is None and deep:  # floating point is refused in colour
            image = cv2.imdecode(data, cv2.IMREAD_ANYCOLOR | depth)
        return image
    except (
        OSError,
        ValueError,
        MemoryError,
        cv2.error,
    ):  # an empty file raises; so does a path with a zero byte
        return None
