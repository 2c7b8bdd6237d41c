"""The ground of the engine: what a row of a live track holds, its statuses, and where a frame stands in time."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

TENTATIVE, ACTIVE, LOST = 0, 1, 2
STATUS = {"tentative": TENTATIVE, "active": ACTIVE, "lost": LOST}
EPSILON = 1e-6  # s; times are sums of floats

# What every preset knows of a track. One record a row: whole rows come, go and move, compiled loops take them as one.
ROW = np.dtype(
    [
        ("id", np.int64),  # 0: never reported so far
        ("hits", np.int64),  # detections matched in all, the first included
        ("streak", np.int64),  # frames matched in a row since the first detection or the last miss
        ("born", np.float64),  # s, time of the first detection
        ("seen", np.float64),  # s, time of the last match
        ("column", np.int64),  # detection matched in this frame, -1: none
        ("views", np.int64),  # appearance vectors matched so far
        ("slot", np.int64),  # where its vectors lie (tracks.state.Vectors): rows move, vectors do not
        ("box", np.float32, 4),  # xyxy px, the last matched detection, in the pixels of its frame
        ("score", np.float32),  # of the last matched detection
        ("score_before", np.float32),  # of the one before it
        ("class_id", np.int32),
        ("status", np.uint8),  # TENTATIVE, ACTIVE (matched in the last frame) or LOST
    ],
    align=True,
)

SHOWN = np.dtype(  # of `tracker.data.Tracks`, by name
    [
        ("id", np.int64),
        ("xyxy", np.float32, 4),
        ("score", np.float32),
        ("class_id", np.int32),
        ("det_index", np.int64),
    ],
    align=True,
)


class FrameTime(NamedTuple):
    """Where a frame stands in time."""

    number: int  # from 0
    time: float  # s
    before: float  # s, of the frame before it


def seen_within(seen: Any, age: float, now: FrameTime) -> Any:
    """Whether times ``seen``, one number or an array, are within ``age`` s."""
    return now.time - seen <= age + EPSILON


def expected(seen: Any, age: float, now: FrameTime) -> Any:
    """Whether who was last ``seen`` then, within ``age`` s or in the last frame, however long ago, may be seen now."""
    return seen >= min(now.time - age, now.before) - EPSILON
