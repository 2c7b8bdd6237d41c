"""A whole frame in one compiled call: from prediction to the reported tracks.

The Python between a hundred small array operations would otherwise cost more than their arithmetic. The rules (who is
confirmed, forgotten, a duplicate, shown) and formulas of costs are those of tracks/ and association/, compiled as they
stand; here are the loops around them, in the order of `Tracker.update`. It serves the presets that
`tracker.rules.compiled_stages` accepts.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numba.extending import register_jitable

from retrace.tracker.association.assignment import CandidatePairs
from retrace.tracker.association.costs import heights_iou, on_a_line, smaller_cue
from retrace.tracker.compiled import (
    blend,
    by_column,
    corners,
    dots,
    measured,
    overlapping_pairs,
    predict,
    solve,
    sums,
    update,
)
from retrace.tracker.rows import ACTIVE, LOST, TENTATIVE, FrameTime, expected, seen_within
from retrace.tracker.rules import COSTS, MOST
from retrace.tracker.tracks.appearance import ALIKE
from retrace.tracker.tracks.lifecycle import confirmed, confirmed_at_birth, may_begin, remembered
from retrace.tracker.tracks.overlaps import alike, lives_longer, stands_behind
from retrace.tracker.tracks.shown import coasting, in_sight, may_be_hidden

(
    IOU,
    IOU_SCORE,
    HMIOU,
    SCORE_GAP,
    APPEARANCE,
    HALF_APPEARANCE,
    NEAREST_CUE,
    MAHALANOBIS,
    CENTRE_MAHALANOBIS,
) = range(len(COSTS))
for rule in (
    *(expected, seen_within, confirmed, confirmed_at_birth, may_begin, remembered, alike, lives_longer),
    *(stands_behind, coasting, in_sight, may_be_hidden, heights_iou, on_a_line, smaller_cue),
):
    register_jitable(error_model="numpy")(rule)


class Found(NamedTuple):
    """The detections of the frame, see `tracker.data.Detections`."""

    xyxy: np.ndarray  # (N, 4) float32 px
    score: np.ndarray  # (N,) float32
    class_id: np.ndarray  # (N,) int32
    place: np.ndarray  # (N,) int64 Detections.index
    exact: np.ndarray  # (N, 4) float64 px, the same boxes
    embedding: np.ndarray  # (N, D) float32; D = 0: nobody looks
    known: np.ndarray  # (N,) bool, whose appearance is known


class Memory(NamedTuple):
    """What tracks look like, see `tracker.tracks.state.Vectors`."""

    recent: np.ndarray
    history: np.ndarray
    stretch: float


@njit(cache=True, error_model="numpy")
def frame(
    row_buffer: np.ndarray,
    filters: np.ndarray,
    count: int,
    recent: np.ndarray,
    history: np.ndarray,
    spread: np.ndarray,
    rules_: np.ndarray,
    stages: np.ndarray,
    xyxy: np.ndarray,
    score: np.ndarray,
    class_id: np.ndarray,
    index: np.ndarray,
    embedding: np.ndarray,
    number: int,
    time: float,
    before: float,
    steps: float,
    last_id: int,
) -> tuple[Any, ...]:
    """One frame.

    Args:
        row_buffer, filters: (C,) ROW and (5, C, 4) float64, changed in place: the first ``count`` are in use, and there
            is room for N more.
        recent, history: (S, D) as in `state.Vectors`, changed in place, with room for N more.
        spread: (2,) float64, `appearance.spread` summed over frames, changed in place.
        rules_, stages: (1,) `rules.RULES` and (S,) `rules.STAGE`.
        xyxy, score, class_id, index, embedding: of the detections; embedding (0, 0): nobody looks.
        number, time, before: of the frame, see FrameTime.
        steps: nominal frames since the last; 0: the filters have been predicted.
        last_id: the last identity given.

    Returns:
        how many rows are in use afterwards; the last identity given; the reported tracks: id, xyxy, score, class_id,
        det_index.
    """
    rules, now = rules_[0], FrameTime(number, time, before)
    known = _known(embedding, len(score))
    found = Found(xyxy, score, class_id, index, xyxy.astype(np.float64), embedding, known)
    memory = Memory(recent, history, _stretch(found, spread, rules))
    rows = row_buffer[:count]
    if steps > 0:
        _predict(rows, filters, steps, rules)
    joined = _associate(rows, filters, found, memory, stages, rules, now)
    _remember(rows, joined, found, memory, rules)
    _take_in(rows, filters, joined, found, rules, now)
    count = _forget(row_buffer, filters, count, rules, now)
    cols = _births(joined, found, rules)
    if len(cols):
        _begin(row_buffer, filters, count, cols, found, memory, rules, now)
        count += len(cols)
    box = corners(rules.kind, filters[0, :count])
    if rules.duplicate_iou < 1:
        stays, everybody = _no_duplicates(row_buffer[:count], box, rules, now)
        if not everybody:
            count, box = _keep(row_buffer, filters, count, stays), box[stays]
    ids, boxes, scores, classes, places, last_id = _report(
        row_buffer[:count], box, found, rules, now, last_id
    )
    return count, last_id, ids, boxes, scores, classes, places


@njit(error_model="numpy")
def _predict(rows: np.ndarray, filters: np.ndarray, steps: float, rules: Any) -> None:
    """As `Tracker._predict`, with a still camera, in place."""
    for k in range(4):
        if rules.frozen[k]:
            for t in range(len(rows)):
                if rows[t].status == LOST:
                    filters[1, t, k] = 0.0
    predict(filters, len(rows), steps, rules.scale_of, rules.weight, rules.constant)


@njit(error_model="numpy")
def _known(embedding: np.ndarray, count: int) -> np.ndarray:
    """(N,) bool, who has a vector that is not all zero."""
    known = np.zeros(count, np.bool_)
    for n in range(len(embedding)):
        for k in range(embedding.shape[1]):
            if embedding[n, k] != 0:
                known[n] = True
                break
    return known


@njit(error_model="numpy")
def _stretch(found: Found, spread: np.ndarray, rules: Any) -> float:
    """What 1 - cosine is multiplied by, this frame's vectors counted in: `spread` and `stretch_by` of appearance.py."""
    if np.isnan(rules.appearance_scale) or len(found.embedding) == 0:
        return 1.0
    which = np.nonzero(found.known & (found.score >= rules.high))[0]
    count = len(which)
    if count > 1:
        pairs = count * (count - 1) / 2
        spread[0] += pairs - sums(found.embedding, which) / 2
        spread[1] += pairs
    if spread[0] > ALIKE * spread[1]:
        return rules.appearance_scale * spread[1] / spread[0]
    return 1.0


@njit(error_model="numpy")
def _anybody_looks(rows: np.ndarray, found: Found, rules: Any) -> bool:
    """Whether any track and detection can be compared by looks."""
    for n in range(len(found.known)):
        if found.known[n]:
            for t in range(len(rows)):
                if rows[t].views > 0 and alike(rows[t].class_id, found.class_id[n], rules):
                    return True
    return False


@njit(error_model="numpy")
def _associate(
    rows: np.ndarray,
    filters: np.ndarray,
    found: Found,
    memory: Memory,
    stages: np.ndarray,
    rules: Any,
    now: FrameTime,
) -> np.ndarray:
    """(T,) the detection of each track, -1: none; as `matching.associate`."""
    joined, taken = np.full(len(rows), -1), np.zeros(len(found.score), np.bool_)
    if len(rows) == 0 or len(taken) == 0:
        return joined
    box, z = corners(rules.kind, filters[0, : len(rows)]), measured(rules.kind, found.exact)
    believed, limit, free = np.zeros(len(rows), np.bool_), np.zeros(len(rows)), np.zeros(len(taken), np.bool_)
    for t in range(len(rows)):
        believed[t] = expected(rows[t].seen, rules.believed_age, now)
    row, col, iou = overlapping_pairs(box, found.exact)
    blind = not _anybody_looks(rows, found, rules)
    for s in range(len(stages)):
        stage = stages[s]
        if stage.blind != blind:
            continue
        for t in range(len(rows)):
            limit[t] = 0.0
            if joined[t] < 0 and (
                believed[t] if stage.by_place else expected(rows[t].seen, rules.max_age, now)
            ):
                limit[t] = stage.limit[rows[t].status]
        for n in range(len(taken)):
            high = found.score[n] >= rules.high
            free[n] = not taken[n] and high == stage.high and (high or found.score[n] >= rules.low)
        if stage.apart and not blind:
            pairs = _apart(rows, filters, z, row, col, iou, limit, free, believed, stage, found, rules)
        else:
            pairs = _open(rows, row, col, iou, limit, free, believed, found, rules)
        for k in range(MOST):
            if stage.gates[k] >= 0 and len(pairs.row):
                pairs = _through_gate(
                    stage.gates[k], stage.most[k], stage, pairs, rows, filters, box, z, found, rules
                )
        if len(pairs.row) == 0:
            continue
        gain = np.zeros(len(pairs.row))
        look = _looks(pairs, rows, found, memory, stage.neutral, rules) if stage.looks else gain
        for k in range(MOST):
            if stage.terms[k] >= 0:
                _add_cost(
                    gain,
                    stage.weights[k],
                    stage.terms[k],
                    pairs,
                    rows,
                    filters,
                    box,
                    z,
                    look,
                    stage,
                    found,
                    rules,
                )
        which, count = np.empty(len(gain), np.int64), 0
        for p in range(len(gain)):
            gain[count] = limit[pairs.row[p]] - gain[p]
            if gain[count] > 0:
                which[count] = p
                count += 1
        if count:
            column = solve(pairs.row[which[:count]], pairs.col[which[:count]], gain[:count])
            for t in range(len(column)):
                if column[t] >= 0:
                    joined[t], taken[column[t]] = column[t], True
    return joined


@njit(error_model="numpy")
def _open(
    rows: np.ndarray,
    row: np.ndarray,
    col: np.ndarray,
    iou: np.ndarray,
    limit: np.ndarray,
    free: np.ndarray,
    believed: np.ndarray,
    found: Found,
    rules: Any,
) -> CandidatePairs:
    """Of the pairs that overlap those of this stage."""
    which, count = np.empty(len(row), np.int64), 0
    for p in range(len(row)):
        t, n = row[p], col[p]
        if limit[t] > 0 and free[n] and believed[t] and alike(rows[t].class_id, found.class_id[n], rules):
            which[count] = p
            count += 1
    which = which[:count]
    return CandidatePairs(row[which], col[which], iou[which])


@njit(error_model="numpy")
def _apart(
    rows: np.ndarray,
    filters: np.ndarray,
    z: np.ndarray,
    row: np.ndarray,
    col: np.ndarray,
    iou: np.ndarray,
    limit: np.ndarray,
    free: np.ndarray,
    believed: np.ndarray,
    stage: Any,
    found: Found,
    rules: Any,
) -> CandidatePairs:
    """All pairs of this stage whose centres are within its reach, overlapping or not, by row, then column."""
    cols, anywhere = np.nonzero(free)[0], stage.reach == np.inf
    by_x = cols[np.argsort(z[cols, 0])]
    x = z[by_x, 0]
    size, count, first = 4 * len(rows) + 16, 0, 0
    rows_, cols_, ious = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size)
    overlap = np.zeros(len(free))
    for t in range(len(rows)):
        while first < len(row) and row[first] < t:
            first += 1
        if limit[t] <= 0:
            continue
        last, near = first, cols
        if not anywhere:
            scale = filters[0, t, rules.scale_of[0]] if rules.scale_of[0] >= 0 else 0.0
            variance = filters[2, t, 0] + (scale * scale * rules.weight[2] + rules.constant[2, 0])
            reach = np.sqrt(stage.reach * variance) * (1 + 1e-9)
            begin_ = np.searchsorted(x, filters[0, t, 0] - reach)
            end = np.searchsorted(x, filters[0, t, 0] + reach, side="right")
            near = by_x[begin_:end].copy()
            by_column(near, np.empty(len(near)))
        while last < len(row) and row[last] == t:
            overlap[col[last]] = iou[last] if believed[t] else 0.0
            last += 1
        for n in near:
            if not alike(rows[t].class_id, found.class_id[n], rules):
                continue
            unknown = rows[t].views == 0 or not found.known[n]
            if overlap[n] == 0 and unknown and stage.neutral == np.inf:
                continue
            if not anywhere and _distance(filters, t, z, n, 2, rules) > stage.reach:
                continue
            if count == len(rows_):
                rows_, cols_, ious = _doubled(rows_), _doubled(cols_), _doubled(ious)
            rows_[count], cols_[count], ious[count] = t, n, overlap[n]
            count += 1
        for p in range(first, last):
            overlap[col[p]] = 0.0
    return CandidatePairs(rows_[:count], cols_[:count], ious[:count])


@njit(error_model="numpy")
def _doubled(values: np.ndarray) -> np.ndarray:
    more = np.empty(2 * len(values), values.dtype)
    for k in range(len(values)):
        more[k] = values[k]
    return more


@njit(error_model="numpy")
def _distance(filters: np.ndarray, t: int, z: np.ndarray, n: Any, coordinates: int, rules: Any) -> float:
    """Twin of `filters.distance`, of one pair."""
    total = 0.0
    for k in range(coordinates):
        scale = filters[0, t, rules.scale_of[k]] if rules.scale_of[k] >= 0 else 0.0
        variance = filters[2, t, k] + (scale * scale * rules.weight[2] + rules.constant[2, k])
        off = z[n, k] - filters[0, t, k]
        total += off * off / variance
    return total


@njit(error_model="numpy")
def _through_gate(
    kind: int,
    most: float,
    stage: Any,
    pairs: CandidatePairs,
    rows: np.ndarray,
    filters: np.ndarray,
    box: np.ndarray,
    z: np.ndarray,
    found: Found,
    rules: Any,
) -> CandidatePairs:
    """The pairs that a gate, which does not look, lets through."""
    value = np.zeros(len(pairs.row))
    _add_cost(value, 1.0, kind, pairs, rows, filters, box, z, value, stage, found, rules)
    which = np.nonzero(value <= most)[0]
    return CandidatePairs(pairs.row[which], pairs.col[which], pairs.iou[which])


@njit(error_model="numpy")
def _looks(
    pairs: CandidatePairs, rows: np.ndarray, found: Found, memory: Memory, neutral: float, rules: Any
) -> np.ndarray:
    """(P,) 1 - cosine, stretched; ``neutral`` where it is unknown."""
    row, col, views, known = pairs.row, pairs.col, rows["views"], found.known
    slots, look = rows["slot"], np.full(len(row), neutral)
    for of_lost in range(2):
        which, count = np.empty(len(row), np.int64), 0
        for p in range(len(row)):
            lost = rules.lost_by_history and rows[row[p]].status == LOST
            if views[row[p]] > 0 and known[col[p]] and lost == (of_lost == 1):
                which[count] = p
                count += 1
        which = which[:count]
        if count:
            cosine = dots(
                memory.history if of_lost else memory.recent, slots[row[which]], found.embedding, col[which]
            )
            look[which] = (1.0 - cosine) * memory.stretch
    return look


@njit(error_model="numpy")
def _add_cost(
    total: np.ndarray,
    weight: float,
    kind: int,
    pairs: CandidatePairs,
    rows: np.ndarray,
    filters: np.ndarray,
    box: np.ndarray,
    z: np.ndarray,
    look: np.ndarray,
    stage: Any,
    found: Found,
    rules: Any,
) -> None:
    """Add so much of one cost to ``total`` (P,), in place: see association/costs.py."""
    row, col, iou, score, exact = pairs.row, pairs.col, pairs.iou, found.score, found.exact
    if kind == IOU:
        for p in range(len(row)):
            total[p] += weight * (1.0 - iou[p])
    elif kind == IOU_SCORE:
        for p in range(len(row)):
            total[p] += weight * (1.0 - iou[p] * score[col[p]])
    elif kind == HMIOU:
        for p in range(len(row)):
            t, n = row[p], col[p]
            heights = heights_iou(box[t, 1], box[t, 3], exact[n, 1], exact[n, 3])
            total[p] += weight * (1.0 - heights * iou[p])
    elif kind == SCORE_GAP:
        for p in range(len(row)):
            t = row[p]
            gap = on_a_line(rows[t].score, rows[t].score_before) - score[col[p]]
            total[p] += weight * np.float64(abs(gap))
    elif kind == APPEARANCE:
        for p in range(len(row)):
            total[p] += weight * look[p]
    elif kind == HALF_APPEARANCE:
        for p in range(len(row)):
            total[p] += weight * (look[p] / 2)
    elif kind == NEAREST_CUE:
        for p in range(len(row)):
            overlap = 1.0 - iou[p] * score[col[p]]
            total[p] += weight * smaller_cue(overlap, iou[p], look[p] / 2, stage)
    else:
        coordinates = 4 if kind == MAHALANOBIS else 2
        for p in range(len(row)):
            total[p] += weight * _distance(filters, row[p], z, col[p], coordinates, rules)


@njit(error_model="numpy")
def _remember(rows: np.ndarray, joined: np.ndarray, found: Found, memory: Memory, rules: Any) -> None:
    """Vectors of sure detections go into what is remembered of their tracks, in place."""
    if len(found.embedding) == 0:
        return
    which, count = np.empty(len(rows), np.int64), 0
    momentum = np.empty(len(rows), np.float32)
    for t in range(len(rows)):
        n = joined[t]
        if n < 0 or not found.known[n] or found.score[n] < rules.high:
            continue
        keep = np.float32(rules.recent_momentum)
        if not np.isnan(rules.momentum_from):  # Deep OC-SORT, eq. 4
            base = np.float32(rules.momentum_from)
            trust = (found.score[n] - base) / np.float32(1 - rules.momentum_from)
            keep += (np.float32(1) - keep) * (np.float32(1) - min(max(trust, np.float32(0)), np.float32(1)))
        which[count], momentum[count] = t, keep if rows[t].views > 0 else np.float32(0)
        rows[t].views += 1
        count += 1
    which = which[:count]
    blend(
        memory.recent,
        memory.history,
        rows["slot"][which],
        rows["views"][which],
        momentum[:count],
        found.embedding,
        joined[which],
    )


@njit(error_model="numpy")
def _take_in(
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
def _forget(rows: np.ndarray, filters: np.ndarray, count: int, rules: Any, now: FrameTime) -> int:
    """Who has been lost for too long goes, in place; how many of the first ``count`` rows are left."""
    stays, gone = np.ones(count, np.bool_), 0
    for t in range(count):
        if not remembered(rows[t].status, rows[t].seen, rules, now):
            stays[t] = False
            gone += 1
    return _keep(rows, filters, count, stays) if gone else count


@njit(error_model="numpy")
def _keep(rows: np.ndarray, filters: np.ndarray, count: int, stays: np.ndarray) -> int:
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
def _births(joined: np.ndarray, found: Found, rules: Any) -> np.ndarray:
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
def _begin(
    row_buffer: np.ndarray,
    filters: np.ndarray,
    count: int,
    cols: np.ndarray,
    found: Found,
    memory: Memory,
    rules: Any,
    now: FrameTime,
) -> None:
    """Tracks of one detection each, ``cols`` (K,), in the rows behind the first ``count``; as `lifecycle.begin`."""
    z = measured(rules.kind, found.exact[cols])
    taken, slot = np.zeros(len(memory.recent), np.bool_), 0
    for t in range(count if memory.recent.shape[1] else 0):
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
        if memory.recent.shape[1]:
            while taken[slot]:
                slot += 1
            taken[slot], new.slot, new.views = True, slot, found.known[n]
            for k in range(memory.recent.shape[1]):
                value = found.embedding[n, k] if found.known[n] else np.float32(0)
                memory.recent[slot, k], memory.history[slot, k] = value, value


@njit(error_model="numpy")
def _no_duplicates(rows: np.ndarray, box: np.ndarray, rules: Any, now: FrameTime) -> tuple[np.ndarray, bool]:
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
def _report(
    rows: np.ndarray, box: np.ndarray, found: Found, rules: Any, now: FrameTime, last_id: int
) -> tuple[Any, ...]:
    """Id, box, score, class and detection of the tracks to show, and the last id given; as `shown.report`."""
    shown = _shown(rows, box, rules, now)
    order, count = np.empty(len(rows), np.int64), 0
    for t in range(len(rows)):
        if shown[t]:
            if rows[t].id == 0:
                last_id += 1
                rows[t].id = last_id
            place = count  # rows are nearly in the order of ids: sorted by insertion
            while place > 0 and rows[order[place - 1]].id > rows[t].id:
                order[place] = order[place - 1]
                place -= 1
            order[place] = t
            count += 1
    ids, xyxy = np.empty(count, np.int64), np.empty((count, 4), np.float32)
    scores, class_id = np.empty(count, np.float32), np.empty(count, np.int32)
    det_index = np.full(count, -1)
    for k in range(count):
        t = order[k]
        ids[k], scores[k], class_id[k] = rows[t].id, rows[t].score, rows[t].class_id
        if rows[t].column >= 0:
            det_index[k] = found.place[rows[t].column]
        for j in range(4):
            observed = rules.detection_box and rows[t].column >= 0
            xyxy[k, j] = rows[t].box[j] if observed else box[t, j]
    return ids, xyxy, scores, class_id, det_index, last_id


@njit(error_model="numpy")
def _shown(rows: np.ndarray, box: np.ndarray, rules: Any, now: FrameTime) -> np.ndarray:
    """(T,) bool, who is reported; as `shown.shown_rows`."""
    shown = np.zeros(len(rows), np.bool_)
    for t in range(len(rows)):
        shown[t] = in_sight(rows[t].column, rows[t].status, rows[t].streak, rules, now)
    if rules.hidden_age >= 0:
        _show_hidden(shown, rows, box, rules, now)
    if rules.coast > 0:
        for t in range(len(rows)):
            shown[t] = shown[t] or coasting(rows[t].status, rows[t].id, rows[t].seen, rules, now)
    return shown


@njit(error_model="numpy")
def _show_hidden(shown: np.ndarray, rows: np.ndarray, box: np.ndarray, rules: Any, now: FrameTime) -> None:
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
