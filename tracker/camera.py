"""Camera motion: 2x3 warps from the frame before, px."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from configs import InputError
from tracker.data import Frame

COLUMNS = 7  # frame, and the warp row-major


def camera_of(warps: Mapping[int, np.ndarray]) -> Callable[[Frame], np.ndarray | None]:
    """Frame -> (2, 3) warp from the frame that was asked for before it; frames left out are made up for."""
    last: int | None = None

    def warp(frame: Frame) -> np.ndarray | None:
        nonlocal last
        first, last = (frame.index if last is None else last + 1), frame.index
        whole = np.eye(3)
        for index in range(max(first, 1), frame.index + 1):
            whole = np.vstack((warps[index], (0, 0, 1))) @ whole if index in warps else whole
        return whole[:2]

    return warp


def read_warps(path: str | Path) -> dict[int, np.ndarray]:
    """A file of warps: a line each, 0-based frame and the 2x3 warp from the frame before, row-major, by blanks.

    Returns:
        frame index -> (2, 3) float64.

    Raises:
        InputError: no such file, or a malformed line, which is named.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{path}: cannot be read; expected a text file of camera warps") from None
    warps: dict[int, np.ndarray] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            values = np.array(line.split(), np.float64)
        except ValueError:
            values = np.zeros(0)
        sound = values.size == COLUMNS and np.isfinite(values).all() and values[0] >= 0 and values[0] % 1 == 0
        if not sound or np.linalg.det(values[1:].reshape(2, 3)[:, :2]) == 0:
            raise InputError(
                f"{path}, line {number}: expected a frame (from 0) and an invertible 2x3 warp, {COLUMNS} numbers; "
                f"got {line[:80]!r}"
            )
        if int(values[0]) in warps:
            raise InputError(f"{path}, line {number}: frame {int(values[0])} comes twice")
        warps[int(values[0])] = values[1:].reshape(2, 3)
    return warps
