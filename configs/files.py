"""Files that have their name only once they are whole: written as ``NAME.partial`` beside it, then renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from retrace.configs.errors import InputError


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
