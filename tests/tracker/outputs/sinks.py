"""Steps to write, and what was written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np

from retrace.tracker.data import Detections, Frame, Step, Tracks

Sink = Callable[..., Any]


def step(
    index: int, time: float | None = None, size: tuple[int, int] | None = (48, 64), boxes: int = 2
) -> Step:
    """A grey frame whose level tells its number, with tracks that move to the right."""
    image = None if size is None else np.full((*size, 3), 50 + 2 * index, np.uint8)
    x = 4.0 * np.arange(boxes, dtype=np.float32) + 0.5 * index
    xyxy = np.column_stack([x, x + 2, x + 8.25, x + 20]).astype(np.float32).reshape(-1, 4)
    det_index = np.arange(boxes)[::-1].copy()
    det_index[:1] = -1
    tracks = Tracks(
        np.arange(1, boxes + 1), xyxy, np.full(boxes, 0.75, np.float32), np.zeros(boxes, np.int32), det_index
    )
    return Step(
        Frame(index, index / 10 if time is None else time, image),
        Detections(xyxy, np.full(boxes, 0.75)),
        tracks,
    )


def decoded(path: Path) -> tuple[list[np.ndarray], list[float], av.VideoStream]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        return [f.to_ndarray(format="bgr24") for f in frames], [f.time for f in frames], stream


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())
