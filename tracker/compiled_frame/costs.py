"""The costs of association/costs.py, each a loop over candidate pairs."""

from __future__ import annotations

from typing import Any

import numpy as np

from retrace.tracker.association.arithmetic import exp, length, log
from retrace.tracker.association.assignment import CandidatePairs
from retrace.tracker.association.costs import (
    ADAPTIVE_CAP,
    ADAPTIVE_WEIGHT,
    ALIKE,
    BOOST_LIMIT,
    CORNERS,
    RELIEF,
    SPANS,
    heights_iou,
    on_a_line,
    smaller_cue,
    trust_in_track,
    turn,
    turn_from_mean,
    within,
)
from retrace.tracker.association.log_odds import NEAREST
from retrace.tracker.compiled import overlapping_pairs
from retrace.tracker.compiled_frame.inputs import Inputs, inner
from retrace.tracker.motion.filters import POINT
from retrace.tracker.rows import EPSILON
from retrace.tracker.rules import COSTS
from retrace.tracker.tracks.overlaps import alike

IOU = COSTS.index("iou")
IOU_SCORE = COSTS.index("iou_score")
HMIOU = COSTS.index("hmiou")
SCORE_GAP = COSTS.index("score_gap")
APPEARANCE = COSTS.index("appearance")
HALF_APPEARANCE = COSTS.index("half_appearance")
NEAREST_CUE = COSTS.index("nearest_cue")
MAHALANOBIS = COSTS.index("mahalanobis")
CENTRE_MAHALANOBIS = COSTS.index("centre_mahalanobis")
SCORE_FORECAST = COSTS.index("score_forecast")
DIRECTION = COSTS.index("direction")
CORNER_DIRECTION = COSTS.index("corner_direction")
ADAPTIVE_APPEARANCE = COSTS.index("adaptive_appearance")
IOU_UNLESS_ALIKE = COSTS.index("iou_unless_alike")
TRUSTED_IOU = COSTS.index("trusted_iou")
MAHALANOBIS_SHARE = COSTS.index("mahalanobis_share")
SHAPE = COSTS.index("shape")
SHAPE_BY_WIDTH = COSTS.index("shape_by_width")
LOG_ODDS = COSTS.index("log_odds")


@inner
def sum_of_costs(
    kinds: np.ndarray,
    weights: np.ndarray,
    pairs: CandidatePairs,
    look: np.ndarray,
    inputs: Inputs,
    matrix: np.ndarray,
    stage: Any,
    rules: Any,
) -> np.ndarray:
    """(P,) the weighted sum of costs (K,) of these kinds, -1: none; look (P,): NaN where it is unknown. As
    `stages.costs`, without what a detection's band adds."""
    row, col, iou, rows, box = pairs.row, pairs.col, pairs.iou, inputs.rows, inputs.box
    boxes, exact, total = inputs.found.boxes, inputs.found.exact, np.zeros(len(pairs.row))
    for k in range(len(kinds)):
        kind, weight = kinds[k], weights[k]
        if kind < 0:
            continue
        if kind == IOU:
            for p in range(len(row)):
                total[p] += weight * (1.0 - iou[p])
        elif kind == IOU_SCORE:
            for p in range(len(row)):
                total[p] += weight * (1.0 - iou[p] * boxes[col[p]].score)
        elif kind == HMIOU:
            mine = inputs.memory if stage.observed else box
            for p in range(len(row)):
                t, n = row[p], col[p]
                heights = heights_iou(mine[t, 1], mine[t, 3], exact[n, 1], exact[n, 3])
                total[p] += weight * (1.0 - heights * iou[p])
        elif kind == SCORE_GAP:
            for p in range(len(row)):
                t = row[p]
                gap = on_a_line(rows[t].score, rows[t].score_before) - boxes[col[p]].score
                total[p] += weight * np.float64(abs(gap))
        elif kind in (APPEARANCE, HALF_APPEARANCE):
            parts = 1.0 if kind == APPEARANCE else 2.0
            for p in range(len(row)):
                total[p] += weight * (_known_or(look[p], stage.neutral) / parts)
        elif kind == NEAREST_CUE:
            for p in range(len(row)):
                overlap = 1.0 - iou[p] * boxes[col[p]].score
                total[p] += weight * smaller_cue(
                    overlap, iou[p], _known_or(look[p], stage.neutral) / 2, stage
                )
        elif kind == SCORE_FORECAST:
            for p in range(len(row)):
                total[p] += weight * _score_gap(row[p], boxes[col[p]].score, inputs, rules)
        elif kind == DIRECTION:
            _add_direction(total, weight, row, col, inputs, rules)
        elif kind == CORNER_DIRECTION:
            _add_corners(total, weight, row, col, inputs, rules)
        elif kind == ADAPTIVE_APPEARANCE:
            _add_adaptive(total, weight, row, col, matrix)
        elif kind == IOU_UNLESS_ALIKE:
            for p in range(len(row)):
                total[p] += weight * (1.0 - iou[p] - (RELIEF if look[p] <= 1.0 - ALIKE else 0.0))
        elif kind == TRUSTED_IOU:
            for p in range(len(row)):
                total[p] += weight * (1.0 - _trust(row[p], col[p], inputs) * iou[p])
        elif kind == MAHALANOBIS_SHARE:
            _add_share(total, weight, row, col, inputs, stage, rules)
        elif kind in (SHAPE, SHAPE_BY_WIDTH):
            for p in range(len(row)):
                trust = _trust(row[p], col[p], inputs)
                total[p] += weight * (1.0 - trust * exp(-_apart_in_shape(row[p], col[p], kind, inputs)))
        elif kind == LOG_ODDS:
            for p in range(len(row)):
                total[p] += weight * -_log_odds(row[p], col[p], iou[p], look[p], inputs, rules)
        elif kind in (MAHALANOBIS, CENTRE_MAHALANOBIS):
            coordinates = 4 if kind == MAHALANOBIS else 2
            for p in range(len(row)):
                total[p] += weight * distance(inputs.filters, row[p], inputs.z, col[p], coordinates, rules)
    return total


@inner
def _known_or(look: float, neutral: float) -> float:
    return neutral if np.isnan(look) else look


@inner
def distance(filters: np.ndarray, t: int, z: np.ndarray, n: Any, coordinates: int, rules: Any) -> float:
    """Twin of `filters.distance`, of one pair."""
    total = 0.0
    for k in range(coordinates):
        scale = filters[0, t, rules.scale_of[k]] if rules.scale_of[k] >= 0 else 0.0
        variance = filters[2, t, k] + (scale * scale * rules.weight[2] + rules.constant[2, k])
        off = z[n, k] - filters[0, t, k]
        total += off * off / variance
    return total


@inner
def own_distance(filters: np.ndarray, t: int, z: np.ndarray, n: int) -> float:
    """Twin of `filters.own_distance`, of one pair."""
    total = 0.0
    for k in range(4):
        off = z[n, k] - filters[0, t, k]
        total += off * off / filters[2, t, k]
    return total


@inner
def nearby(filters: np.ndarray, count: int, z: np.ndarray, limit: float) -> CandidatePairs:
    """As `filters.nearby`, of the first ``count``; the squared distance instead of the IoU."""
    reached, points = np.empty((count, 4)), np.empty((len(z), 4))
    for t in range(count):
        for k in range(2):
            reach = np.sqrt(limit * filters[2, t, k])
            reached[t, k], reached[t, 2 + k] = filters[0, t, k] - reach, filters[0, t, k] + reach
    for n in range(len(z)):
        for k in range(2):
            points[n, k], points[n, 2 + k] = z[n, k] - POINT, z[n, k] + POINT
    row, col, squared = overlapping_pairs(reached, points)
    inside = 0
    for p in range(len(row)):
        squared[inside], row[inside], col[inside] = own_distance(filters, row[p], z, col[p]), row[p], col[p]
        if squared[inside] <= limit:
            inside += 1
    return CandidatePairs(row[:inside], col[:inside], squared[:inside])


@inner
def _trust(t: int, n: int, inputs: Inputs) -> float:
    """`costs._trust`, of one pair."""
    mine, time = inputs.rows[t], inputs.now.time
    return inputs.found.boxes[n].score * trust_in_track(time - mine.born, time - mine.seen, inputs.interval)


@inner
def _apart_in_shape(t: int, n: int, kind: int, inputs: Inputs) -> float:
    """How much larger one box is than the other, as `costs._shape` has it."""
    mine, given = inputs.box[t], inputs.found.boxes[n].xyxy
    width, height = mine[2] - mine[0], mine[3] - mine[1]
    other_width, other_height = np.float64(given[2] - given[0]), np.float64(given[3] - given[1])
    widest, highest = max(width, other_width), max(height, other_height)
    down = abs(height - other_height) / (widest if kind == SHAPE_BY_WIDTH else highest)
    return abs(width - other_width) / widest + down


@inner
def _add_share(
    total: np.ndarray,
    weight: float,
    row: np.ndarray,
    col: np.ndarray,
    inputs: Inputs,
    stage: Any,
    rules: Any,
) -> None:
    """`costs.mahalanobis_share`."""
    rows, found, z = inputs.rows, inputs.found, inputs.z
    least = rules.high if np.isnan(stage.bands[1]) else rules.low
    rivals = np.zeros(len(rows))
    for t in range(len(rows)):
        for n in range(len(found.boxes)):
            if found.boxes[n].score >= least and alike(rows[t].class_id, found.boxes[n].class_id, rules):
                rivals[t] += 1.0
    near = nearby(inputs.filters, len(rows), z, BOOST_LIMIT)
    for p in range(len(near.row)):
        t, n = near.row[p], near.col[p]
        if found.boxes[n].score >= least and alike(rows[t].class_id, found.boxes[n].class_id, rules):
            rivals[t] += exp(BOOST_LIMIT - near.iou[p]) - 1.0
    for p in range(len(row)):
        t, n = row[p], col[p]
        own, share = own_distance(inputs.filters, t, z, n), 0.0
        inside = own <= BOOST_LIMIT and found.boxes[n].score >= least
        if inside and alike(rows[t].class_id, found.boxes[n].class_id, rules):
            share = exp(BOOST_LIMIT - own) / max(rivals[t], 1.0)
        total[p] += weight * (1.0 - share)


@inner
def _log_odds(t: int, n: int, iou: float, look: float, inputs: Inputs, rules: Any) -> float:
    """`log_odds.log_odds`, of one pair; values in the order of `LogOdds.TERMS`."""
    mine, box, exact = inputs.rows[t], inputs.box[t], inputs.found.exact[n]
    since, age = inputs.now.time - mine.seen, 0
    if not since < 1.5 * inputs.interval:
        age = 1 + np.searchsorted(rules.odds_gaps, since + EPSILON, side="right")
    score = np.float64(inputs.found.boxes[n].score)
    last = np.float64(mine.box[3]) - np.float64(mine.box[1])
    values = (
        heights_iou(box[1], box[3], exact[1], exact[3]) * iou,
        log(max(distance(inputs.filters, t, inputs.z, n, 2, rules), NEAREST)),
        abs(log((exact[3] - exact[1]) / last)),
        score,
        np.float64(mine.score) - score,
        look,
    )
    total = rules.odds_bias
    for k in range(len(values)):
        total += _nats(k, age if rules.odds_by_age[k] else 0, values[k], rules)
    return total


@inner
def _nats(term: int, age: int, value: float, rules: Any) -> float:
    """`log_odds.nats`, of one value."""
    if np.isnan(value):
        return 0.0
    count, at, told = rules.odds_knots[term], rules.odds_at[term], rules.odds_nats[term, age]
    inside, left = min(max(value, at[0]), at[count - 1]), 0
    while left < count - 2 and at[left + 1] <= inside:
        left += 1
    share = (inside - at[left]) / (at[left + 1] - at[left])
    return told[left] * (1 - share) + told[left + 1] * share


@inner
def _score_gap(t: int, score: Any, inputs: Inputs, rules: Any) -> float:
    """`costs.score_forecast`, of one pair."""
    mine = inputs.rows[t]
    if score >= rules.high:
        filtered = inputs.memory[t, rules.at_scores]
        return abs(within(filtered, np.float64(rules.high), 1.0) - np.float64(score))
    line = np.float32(2) * mine.score - mine.score_before if mine.streak > 0 else mine.score
    return abs(np.float64(within(line, rules.low, rules.high)) - np.float64(score))


@inner
def _since(memory: np.ndarray, time: float, newest: int, rules: Any) -> int:
    """`costs._since`, of one track's memory (M,): where in it the box begins."""
    oldest = newest
    for k in range(rules.at_past_time // 4):
        if memory[rules.at_past_time + k] >= time:
            oldest = max(oldest, k)
    return 4 * oldest


@inner
def _add_direction(
    total: np.ndarray, weight: float, row: np.ndarray, col: np.ndarray, inputs: Inputs, rules: Any
) -> None:
    """`costs.direction`."""
    exact, boxes, last = inputs.found.exact, inputs.found.boxes, -1
    back = rules.direction_span * inputs.interval * (1 + 1e-6)
    came_x = came_y = from_x = from_y = 0.0
    for p in range(len(row)):
        t, n = row[p], col[p]
        mine = inputs.memory[t]
        if np.isnan(mine[rules.at_past_time + 1]):
            continue
        if t != last:
            last = t
            a = _since(mine, mine[rules.at_past_time] - back, 1, rules)
            b = _since(mine, inputs.now.time - back, 0, rules)
            came_x = (mine[0] + mine[2]) * 0.5 - (mine[a] + mine[a + 2]) * 0.5
            came_y = (mine[1] + mine[3]) * 0.5 - (mine[a + 1] + mine[a + 3]) * 0.5
            from_x, from_y = (mine[b] + mine[b + 2]) * 0.5, (mine[b + 1] + mine[b + 3]) * 0.5
        goes_x = (exact[n, 0] + exact[n, 2]) * 0.5 - from_x
        goes_y = (exact[n, 1] + exact[n, 3]) * 0.5 - from_y
        total[p] += weight * ((turn(came_x, came_y, goes_x, goes_y) / np.pi - 0.5) * boxes[n].score)


@inner
def _add_corners(
    total: np.ndarray, weight: float, row: np.ndarray, col: np.ndarray, inputs: Inputs, rules: Any
) -> None:
    """`costs.corner_direction`."""
    exact, boxes, last, goes_from = inputs.found.exact, inputs.found.boxes, -1, 0
    back = len(SPANS) * inputs.interval * (1 + 1e-6)
    came = np.zeros((len(CORNERS), 2))
    for p in range(len(row)):
        t, n = row[p], col[p]
        mine = inputs.memory[t]
        if t != last:
            last, goes_from = t, _since(mine, inputs.now.time - back, 0, rules)
            for c in range(len(CORNERS)):
                i, j = CORNERS[c]
                came[c, 0] = came[c, 1] = 0.0
                for k in SPANS:
                    if np.isnan(mine[rules.at_past_time + k]):
                        continue
                    x, y = mine[i] - mine[4 * k + i], mine[j] - mine[4 * k + j]
                    size = length(x, y)
                    size += size == 0
                    came[c, 0] += x / size / (k * len(SPANS))
                    came[c, 1] += y / size / (k * len(SPANS))
        turned = 0.0
        for c in range(len(CORNERS)):
            i, j = CORNERS[c]
            x, y = exact[n, i] - mine[goes_from + i], exact[n, j] - mine[goes_from + j]
            turned += turn_from_mean(came[c, 0], came[c, 1], x, y)
        total[p] += weight * (turned / (np.pi * len(CORNERS)) * boxes[n].score)


@inner
def _add_adaptive(
    total: np.ndarray, weight: float, row: np.ndarray, col: np.ndarray, matrix: np.ndarray
) -> None:
    """`costs.adaptive_appearance`; no matrix: nobody's looks are known."""
    if len(matrix) == 0:
        return
    of_row, of_col = _margins(matrix, False), _margins(matrix, True)
    for p in range(len(row)):
        look = matrix[row[p], col[p]]
        own = 0.0 if np.isnan(look) else 1.0 - look
        total[p] += weight * (-(ADAPTIVE_WEIGHT + (of_row[row[p]] + of_col[col[p]]) / 2) * own)


@inner
def _margins(look: np.ndarray, of_columns: bool) -> np.ndarray:
    """(T, N) -> (T,) or (N,): `costs._margin` of 1 - look."""
    height, width = look.shape
    if of_columns:
        height, width = width, height
    margin = np.zeros(height)
    for t in range(height):
        best = second = -np.inf
        for n in range(width):
            cosine = 1.0 - (look[n, t] if of_columns else look[t, n])
            if cosine > best:
                best, second = cosine, best
            elif cosine > second:
                second = cosine
        if second > -np.inf:
            margin[t] = min(best - second, ADAPTIVE_CAP)
    return margin
