"""How tracks take in detections, are forgotten and begin; as tracks/lifecycle.py."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from retrace.tracker.compiled import measured, update
from retrace.tracker.compiled_frame.inputs import Found, Vectors
from retrace.tracker.rows import ACTIVE, LOST, TENTATIVE, FrameTime
from retrace.tracker.tracks.lifecycle import confirmed, confirmed_at_birth, may_begin, remembered


@njit(error_model="numpy")
def take_in(
    rows: np.ndarray, filters: np.ndarray, joined: np.ndarray, found: Found, rules: Any, now: FrameTime
) -> None:
    """As `lifecycle.take_in`, and filters take in the boxes, in place."""
    which, count = np.empty(len(rows), np.int64), 0
    for t in range(len(rows)):
        n = joined[t]
        rows[t].column = n
        if n < 0:
            rows[t].streak = 0
            if rows[t].status == ACTIVE:
                rows[t].status = LOST
            continue
        which[count] = t
        count += 1
        rows[t].hits += 1
        rows[t].streak += 1
        if confirmed(rows[t].hits, rows[t].status, found.score[n], rules):
            rows[t].status = ACTIVE
        rows[t].seen = now.time
        rows[t].score_before, rows[t].score = rows[t].score, found.score[n]
        rows[t].class_id = found.class_id[n]
        for k in range(4):
            rows[t].box[k] = found.xyxy[n, k]
    which = which[:count]
    cols, doubt = joined[which], np.ones(count)
    if rules.noise_by_score:
        for k in range(count):
            doubt[k] = np.float32(1) - found.score[cols[k]]
    z = measured(rules.kind, found.exact[cols])
    update(filters, which, z, doubt, rules.scale_of, rules.weight, rules.constant)


@njit(error_model="numpy")
def forget(rows: np.ndarray, filters: np.ndarray, count: int, rules: Any, now: FrameTime) -> int:
    """Who has been lost for too long goes, in place; how many of the first ``count`` rows are left."""
    stays, gone = np.ones(count, np.bool_), 0
    for t in range(count):
        if not remembered(rows[t].status, rows[t].seen, rules, now):
            stays[t] = False
            gone += 1
    return keep_rows(rows, filters, count, stays) if gone else count


@njit(error_model="numpy")
def keep_rows(rows: np.ndarray, filters: np.ndarray, count: int, stays: np.ndarray) -> int:
    """Of the first ``count`` rows those that stay (count,) bool move together, in place; how many they are."""
    place = 0
    for t in range(count):
        if stays[t]:
            if place < t:
                rows[place] = rows[t]
                for part in range(5):
                    for k in range(4):
                        filters[part, place, k] = filters[part, t, k]
            place += 1
    return place


@njit(error_model="numpy")
def births(joined: np.ndarray, found: Found, rules: Any) -> np.ndarray:
    """(K,) the free detections that begin a track, best first; as `lifecycle.births`."""
    taken = np.zeros(len(found.score), np.bool_)
    for t in range(len(joined)):
        if joined[t] >= 0:
            taken[joined[t]] = True
    cols, count = np.empty(len(found.score), np.int64), 0
    for n in range(len(found.score)):
        if taken[n] or not may_begin(found.score[n], rules):
            continue
        place = count
        while place > 0 and _before(n, cols[place - 1], found):
            cols[place] = cols[place - 1]
            place -= 1
        cols[place] = n
        count += 1
    return cols[:count]


@njit(error_model="numpy")
def _before(a: int, b: int, found: Found) -> bool:
    """Whether detection ``a`` comes before ``b`` in `overlaps.best_first`."""
    if found.score[a] != found.score[b]:
        return bool(found.score[a] > found.score[b])
    for k in (3, 2, 1, 0):
        if found.xyxy[a, k] != found.xyxy[b, k]:
            return bool(found.xyxy[a, k] < found.xyxy[b, k])
    return False


@njit(error_model="numpy")
def begin(
    row_buffer: np.ndarray,
    filters: np.ndarray,
    count: int,
    cols: np.ndarray,
    found: Found,
    vectors: Vectors,
    rules: Any,
    now: FrameTime,
) -> None:
    """Tracks of one detection each, ``cols`` (K,), in the rows behind the first ``count``; as `lifecycle.begin`."""
    z = measured(rules.kind, found.exact[cols])
    taken, slot = np.zeros(len(vectors.recent), np.bool_), 0
    for t in range(count if vectors.recent.shape[1] else 0):
        taken[row_buffer[t].slot] = True
    for i in range(len(cols)):
        t, n = count + i, cols[i]
        new = row_buffer[t]
        new.id, new.hits, new.streak, new.views, new.column = 0, 1, 0, 0, n
        new.born, new.seen = now.time, now.time
        new.status = ACTIVE if confirmed_at_birth(found.score[n], rules, now) else TENTATIVE
        new.score, new.score_before, new.class_id = found.score[n], found.score[n], found.class_id[n]
        for k in range(4):
            new.box[k] = found.xyxy[n, k]
            scale = z[i, rules.scale_of[k]] if rules.scale_of[k] >= 0 else 0.0
            filters[0, t, k], filters[1, t, k], filters[3, t, k] = z[i, k], 0.0, 0.0
            filters[2, t, k] = scale * scale * rules.start_weight[0] + rules.start_constant[0, k]
            filters[4, t, k] = scale * scale * rules.start_weight[1] + rules.start_constant[1, k]
        if vectors.recent.shape[1]:
            while taken[slot]:
                slot += 1
            taken[slot], new.slot, new.views = True, slot, found.known[n]
            for k in range(vectors.recent.shape[1]):
                value = found.embedding[n, k] if found.known[n] else np.float32(0)
                vectors.recent[slot, k], vectors.history[slot, k] = value, value
