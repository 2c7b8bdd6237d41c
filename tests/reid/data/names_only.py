"""Data sets of empty files, and what was read of their names."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from retrace.reid.data.sets import ReidImages, ReidSet


def touch(folder: Path, *names: str) -> Path:
    """Empty files: readers look at names only."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return folder


def rows(images: ReidImages | None) -> list[tuple[str, int, int]]:
    assert images is not None
    assert images.ids.dtype == images.cameras.dtype == np.int64
    names = [path.name for path in images.paths]
    return list(zip(names, images.ids.tolist(), images.cameras.tolist(), strict=True))


def sizes(found: ReidSet) -> list[int | None]:
    return [None if part is None else len(part) for part in (found.train, found.query, found.gallery)]
