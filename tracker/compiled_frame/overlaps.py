"""Tracks that cover each other: duplicates, and who is hidden behind whom; as tracks/overlaps.py."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from retrace.tracker.compiled import overlapping_pairs
from retrace.tracker.rows import ACTIVE, LOST, FrameTime, seen_within
from retrace.tracker.tracks.overlaps import alike, lives_longer, stands_behind
from retrace.tracker.tracks.shown import may_be_hidden


@njit(error_model="numpy")
def without_duplicates(
    rows: np.ndarray, box: np.ndarray, rules: Any, now: FrameTime
) -> tuple[np.ndarray, bool]:
    """(T,) bool, who stays, and whether all do; as `overlaps.duplicates`."""
    stays, everybody = np.ones(len(rows), np.bool_), True
    lost, active = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
    gone = here = 0
    for t in range(len(rows)):
        if rows[t].status == ACTIVE:
            active[here] = t
            here += 1
        elif rows[t].status == LOST and seen_within(rows[t].seen, rules.believed_age, now):
            lost[gone] = t
            gone += 1
    if not gone or not here:
        return stays, True
    row, col, iou = overlapping_pairs(box[active[:here]], box[lost[:gone]])
    for p in range(len(row)):
        a, b = rows[active[row[p]]], rows[lost[col[p]]]
        if iou[p] > rules.duplicate_iou and alike(a.class_id, b.class_id, rules):
            loser = lost[col[p]] if lives_longer(a.seen, a.born, b.seen, b.born) else active[row[p]]
            stays[loser], everybody = False, False
    return stays, everybody


@njit(error_model="numpy")
def show_hidden(shown: np.ndarray, rows: np.ndarray, box: np.ndarray, rules: Any, now: FrameTime) -> None:
    """Show who is lost behind somebody in sight, in place; as `overlaps.hidden`."""
    lost, front = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
    gone = here = 0
    for t in range(len(rows)):
        if shown[t]:
            front[here] = t
            here += 1
        elif may_be_hidden(rows[t].status, rows[t].id, rows[t].hits, rows[t].seen, rules, now):
            lost[gone] = t
            gone += 1
    if not gone or not here:
        return
    row, col, _ = overlapping_pairs(box[lost[:gone]], box[front[:here]])
    for p in range(len(row)):
        if stands_behind(box[lost[row[p]]], box[front[col[p]]], rules):
            shown[lost[row[p]]] = True
