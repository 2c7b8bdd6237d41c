"""How tracks take in detections, are forgotten and begin; as tracks/lifecycle.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from retrace.tracker.compiled import measured, reupdate, update
from retrace.tracker.compiled_frame.inputs import FrameDetections, FrameLooks, Inputs, inner
from retrace.tracker.compiled_frame.overlaps import better
from retrace.tracker.rows import ACTIVE, EPSILON, LOST, TENTATIVE, FrameTime
from retrace.tracker.tracks.lifecycle import confirmed, confirmed_at_birth, may_begin, remembered
from retrace.tracker.tracks.scores import SCORE_START, corrected


@inner
def correct(inputs: Inputs, joined: np.ndarray, rules: Any) -> None:
    """As `Tracker._correct`, in place."""
    filters, memory, found = inputs.filters, inputs.memory, inputs.found
    rows = np.nonzero(joined >= 0)[0]
    cols, doubt = joined[rows], np.ones(len(rows))
    if rules.noise_by_score:
        for k in range(len(rows)):
            doubt[k] = np.float32(1) - found.boxes[cols[k]].score
    if rules.reupdate:
        for k in range(len(rows)):
            _reupdate(inputs, rows[k], cols[k], rules)
    if not rules.straight:
        update(filters, rows, inputs.z[cols], doubt, rules.scale_of, rules.weight, rules.constant)
    boxes = rules.at_past_time // 4
    for k in range(len(rows) if rules.at_end else 0):
        mine, n = memory[rows[k]], cols[k]
        at = rules.at_scores
        if at < rules.at_end:
            x, v, xx, xv, vv = mine[at], mine[at + 1], mine[at + 2], mine[at + 3], mine[at + 4]
            x, v, xx, xv, vv = corrected(x, v, xx, xv, vv, np.float64(found.boxes[n].score))
            mine[at], mine[at + 1], mine[at + 2], mine[at + 3], mine[at + 4] = x, v, xx, xv, vv
        if boxes:
            for place in range(4 * boxes - 1, 3, -1):
                mine[place] = mine[place - 4]
            for place in range(rules.at_past_time + boxes - 1, rules.at_past_time, -1):
                mine[place] = mine[place - 1]
            for j in range(4):
                mine[j] = found.exact[n, j]
            mine[rules.at_past_time] = inputs.now.time
        if rules.straight:
            _follow(mine, filters, rows[k], inputs.interval, rules)
        if rules.at_kept < rules.at_scores:
            for part in range(5):
                for j in range(4):
                    mine[rules.at_kept + 4 * part + j] = filters[part, rows[k], j]


@inner
def _follow(mine: np.ndarray, filters: np.ndarray, t: int, interval: float, rules: Any) -> None:
    """As `filters.follow`, of one track with memory (M,), in place."""
    boxes, box, count = rules.at_past_time // 4, np.empty((2, 4)), 0
    speed = np.zeros(4)
    box[0] = mine[:4]
    z = measured(rules.kind, box[:1])
    for j in range(4):
        filters[0, t, j] = z[0, j]
    for k in range(boxes - 1):
        if np.isnan(mine[rules.at_past_time + k + 1]):
            break
        gap = (mine[rules.at_past_time + k] - mine[rules.at_past_time + k + 1]) / interval
        box[0], box[1] = mine[4 * k : 4 * k + 4], mine[4 * k + 4 : 4 * k + 8]
        z = measured(rules.kind, box)
        for j in range(4):
            speed[j] += (z[0, j] - z[1, j]) / gap
        count += 1
    for j in range(4):
        filters[1, t, j] = speed[j] / max(count, 1)


@inner
def _reupdate(inputs: Inputs, t: int, n: int, rules: Any) -> None:
    """As `Tracker._reupdate`, of one track, in place."""
    seen, now, mine = inputs.rows[t].seen, inputs.now, inputs.memory[t]
    steps = int(np.rint((now.time - seen) / inputs.interval))
    if seen >= now.before - EPSILON or steps <= 1:
        return
    one, last, here = np.empty((5, 1, 4)), np.empty((1, 4)), np.empty((1, 4))
    for j in range(4):
        last[0, j], here[0, j] = mine[j], inputs.found.exact[n, j]
        for part in range(5):
            one[part, 0, j] = mine[rules.at_kept + 4 * part + j]
    gap = np.full(1, steps)
    reupdate(one, last, here, gap, rules.kind, rules.scale_of, rules.weight, rules.constant)
    for j in range(4):
        for part in range(5):
            inputs.filters[part, t, j] = one[part, 0, j]


@inner
def take_in(rows: np.ndarray, joined: np.ndarray, boxes: np.ndarray, rules: Any, now: FrameTime) -> None:
    """As `lifecycle.take_in`, in place."""
    for t in range(len(rows)):
        n = joined[t]
        rows[t].column = n
        if n < 0:
            rows[t].streak = 0
            if rows[t].status == ACTIVE:
                rows[t].status = LOST
            continue
        rows[t].hits += 1
        rows[t].streak += 1
        if confirmed(rows[t].hits, rows[t].status, boxes[n].score, rules):
            rows[t].status = ACTIVE
        rows[t].seen = now.time
        rows[t].score_before, rows[t].score = rows[t].score, boxes[n].score
        rows[t].class_id = boxes[n].class_id
        for k in range(4):
            rows[t].box[k] = boxes[n].xyxy[k]


@inner
def forget(
    rows: np.ndarray, filters: np.ndarray, memory: np.ndarray, count: int, rules: Any, now: FrameTime
) -> int:
    """Who has been lost for too long goes, in place, as in `Tracker._settle`; how many of the first ``count`` rows are
    left."""
    gone = 0
    for t in range(count):
        gone += not remembered(rows[t].status, rows[t].seen, rules, now)
    if not gone:
        return count
    stays = np.empty(count, np.bool_)
    for t in range(count):
        stays[t] = remembered(rows[t].status, rows[t].seen, rules, now)
    return keep_rows(rows, filters, memory, count, stays)


@inner
def keep_rows(
    rows: np.ndarray, filters: np.ndarray, memory: np.ndarray, count: int, stays: np.ndarray
) -> int:
    """Of the first ``count`` rows those that stay (count,) bool move together, in place; how many they are. As
    `LiveTracks.take`."""
    place = 0
    for t in range(count):
        if stays[t]:
            if place < t:
                rows[place] = rows[t]
                for part in range(5):
                    for k in range(4):
                        filters[part, place, k] = filters[part, t, k]
                for k in range(memory.shape[1]):
                    memory[place, k] = memory[t, k]
            place += 1
    return place


@inner
def births(joined: np.ndarray, deleted: np.ndarray, boxes: np.ndarray, rules: Any) -> np.ndarray:
    """(K,) the free detections that begin a track, best first; as `lifecycle.births`."""
    taken = deleted.copy()
    for t in range(len(joined)):
        if joined[t] >= 0:
            taken[joined[t]] = True
    cols, count = np.empty(len(boxes), np.int64), 0
    for n in range(len(boxes)):
        if taken[n] or not may_begin(boxes[n].score, rules):
            continue
        place = count
        while place > 0 and better(n, cols[place - 1], boxes):
            cols[place] = cols[place - 1]
            place -= 1
        cols[place] = n
        count += 1
    return cols[:count]


@inner
def _begin_memory(
    mine: np.ndarray, filters: np.ndarray, t: int, box: np.ndarray, score: Any, rules: Any, now: FrameTime
) -> None:
    """What is remembered of a track after its first detection, (M,) in place."""
    for place in range(rules.at_past_time):
        mine[place] = box[place % 4]
    for place in range(rules.at_past_time, rules.at_kept):
        mine[place] = np.nan
    if rules.at_past_time:
        mine[rules.at_past_time] = now.time
    if rules.at_kept < rules.at_scores:
        for part in range(5):
            for j in range(4):
                mine[rules.at_kept + 4 * part + j] = filters[part, t, j]
    at = rules.at_scores
    if at < rules.at_end:
        mine[at], mine[at + 1], mine[at + 3] = score, 0.0, 0.0
        mine[at + 2], mine[at + 4] = SCORE_START


@inner
def begin(
    row_buffer: np.ndarray,
    filters: np.ndarray,
    memory: np.ndarray,
    count: int,
    cols: np.ndarray,
    found: FrameDetections,
    looks: FrameLooks,
    rules: Any,
    now: FrameTime,
) -> None:
    """Tracks of one detection each, ``cols`` (K,), in the rows behind the first ``count``; as `lifecycle.begin`."""
    boxes = found.boxes
    z = measured(rules.kind, found.exact[cols])
    taken, slot = np.zeros(len(looks.recent), np.bool_), 0
    for t in range(count if looks.recent.shape[1] else 0):
        taken[row_buffer[t].slot] = True
    for i in range(len(cols)):
        t, n = count + i, cols[i]
        new = row_buffer[t]
        new.id, new.hits, new.streak, new.views, new.column = 0, 1, 0, 0, n
        new.born, new.seen = now.time, now.time
        new.status = ACTIVE if confirmed_at_birth(boxes[n].score, rules, now) else TENTATIVE
        new.score, new.score_before, new.class_id = boxes[n].score, boxes[n].score, boxes[n].class_id
        for k in range(4):
            new.box[k] = boxes[n].xyxy[k]
            scale = z[i, rules.scale_of[k]] if rules.scale_of[k] >= 0 else 0.0
            filters[0, t, k], filters[1, t, k], filters[3, t, k] = z[i, k], 0.0, 0.0
            filters[2, t, k] = scale * scale * rules.start_weight[0] + rules.start_constant[0, k]
            filters[4, t, k] = scale * scale * rules.start_weight[1] + rules.start_constant[1, k]
        if rules.at_end:
            _begin_memory(memory[t], filters, t, found.exact[n], boxes[n].score, rules, now)
        if looks.recent.shape[1]:
            while taken[slot]:
                slot += 1
            taken[slot], new.slot, new.views = True, slot, boxes[n].known
            for k in range(looks.recent.shape[1]):
                value = looks.embedding[n, k] if boxes[n].known else np.float32(0)
                looks.recent[slot, k], looks.history[slot, k] = value, value
            for place in range(looks.bank.shape[1]):
                for k in range(looks.bank.shape[2]):
                    looks.bank[slot, place, k] = looks.recent[slot, k] if place == 0 else np.float32(0)
