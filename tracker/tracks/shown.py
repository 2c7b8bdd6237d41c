"""Which tracks are shown in a frame, under which identity.

The first functions are the rules themselves, of single numbers or of arrays: the compiled frame takes them as they
stand.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from retrace.tracker.data import Tracks
from retrace.tracker.rows import ACTIVE, LOST, FrameTime, seen_within
from retrace.tracker.tracks.overlaps import hidden


def in_sight(column: Any, status: Any, streak: Any, rules: Any, now: FrameTime) -> Any:
    """Whether a track is shown because it was seen, in so many frames in a row (SORT's min_hits, but in the first)."""
    in_a_row = rules["report_streak"] if now.number >= rules["start_frames"] else 0
    return (column >= 0) & (status == ACTIVE) & (streak >= in_a_row)


def may_be_hidden(status: Any, identity: Any, hits: Any, seen: Any, rules: Any, now: FrameTime) -> Any:
    """Whether a track is shown if it stands behind one in sight; ours, as `overlaps.stands_behind` has it."""
    gone = (status == LOST) & (identity > 0) & (hits >= rules["hidden_hits"])
    return gone & seen_within(seen, rules["hidden_age"], now)


def coasting(status: Any, identity: Any, seen: Any, rules: Any, now: FrameTime) -> Any:
    """Whether a track is shown for a moment after it was lost."""
    return (status == LOST) & (identity > 0) & seen_within(seen, rules["coast"], now)


def shown_rows(rows: np.ndarray, box: np.ndarray, rules: Any, now: FrameTime) -> np.ndarray:
    """(T,) bool: who was seen, and lost ones for a moment, or while somebody stands in front of them."""
    status, identity, seen = rows["status"], rows["id"], rows["seen"]
    shown = in_sight(rows["column"], status, rows["streak"], rules, now)
    if rules["hidden_age"] >= 0:
        lost = may_be_hidden(status, identity, rows["hits"], seen, rules, now) & ~shown
        shown[hidden(box, lost.nonzero()[0], shown.nonzero()[0], rules)] = True
    if rules["coast"] > 0:
        shown |= coasting(status, identity, seen, rules, now)
    return shown


def report(
    rows: np.ndarray, box: np.ndarray, detections: Any, rules: Any, now: FrameTime, last_id: int
) -> tuple[Tracks, int]:
    """The tracks to show, by id, and the last identity given; who is shown for the first time gets the next one.

    Args:
        rows, box: (T,) ROW, which take the identities, and (T, 4) xyxy px, the filters' boxes.
        last_id: the last identity given.
    """
    which = shown_rows(rows, box, rules, now).nonzero()[0]
    unnamed = which[rows["id"][which] == 0]
    rows["id"][unnamed] = last_id + 1 + np.arange(len(unnamed))
    which = which[rows["id"][which].argsort()]
    column = rows["column"][which]
    seen = column >= 0
    xyxy = box[which].astype(np.float32)
    if rules["detection_box"]:
        xyxy[seen] = rows["box"][which[seen]]
    score, index = rows["score"][which], np.full(len(which), -1)
    score[seen], index[seen] = detections.score[column[seen]], detections.index[column[seen]]
    return Tracks(rows["id"][which], xyxy, score, rows["class_id"][which], index), last_id + len(unnamed)
