"""One frame from prediction to the reported tracks: the steps in the order of `Tracker.update`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from retrace.tracker.compiled import corners, measured, predict
from retrace.tracker.compiled_frame.appearance import has_vector, remember, stretch_by
from retrace.tracker.compiled_frame.association import associate
from retrace.tracker.compiled_frame.boost import boost
from retrace.tracker.compiled_frame.inputs import BOX, FrameDetections, FrameLooks, Inputs, inner
from retrace.tracker.compiled_frame.lifecycle import begin, births, correct, forget, keep_rows, take_in
from retrace.tracker.compiled_frame.overlaps import deleted_boxes, free_places, without_duplicates
from retrace.tracker.compiled_frame.shown import report
from retrace.tracker.rows import LOST, FrameTime
from retrace.tracker.tracks.scores import forecast


@njit(cache=True, error_model="numpy")
def run_frame(
    row_buffer: np.ndarray,
    filters: np.ndarray,
    memory: np.ndarray,
    count: int,
    recent: np.ndarray,
    history: np.ndarray,
    bank: np.ndarray,
    spread: np.ndarray,
    rules_: np.ndarray,
    stages: np.ndarray,
    xyxy: np.ndarray,
    score: np.ndarray,
    class_id: np.ndarray,
    index: np.ndarray,
    embedding: np.ndarray,
    matrix: np.ndarray,
    number: int,
    time: float,
    before: float,
    interval: float,
    steps: float,
    last_id: int,
) -> tuple[Any, ...]:
    """One frame, to the same bytes as `Tracker.update` step by step.

    Args:
        row_buffer, filters, memory: (C,) ROW, (5, C, 4) and (C, M) float64, see `state.Depth`, changed in place: the
            first ``count`` are in use, and there is room for N more.
        recent, history, bank: (S, D), (S, D), (S, B, D) as in `state.Vectors`, changed in place, with room for N more.
        spread: (2,) float64, `appearance.spread` summed over frames, changed in place.
        rules_, stages: (1,) `rules.RULES` and (S,) `rules.STAGE`.
        xyxy, score, class_id, index, embedding: of the detections; embedding (0, 0): nobody looks.
        matrix: (T, N) `appearance.distances`, not stretched, changed in place; (0, 0): they are asked pair by pair.
        number, time, before: of the frame, see FrameTime.
        interval: s, of a nominal frame.
        steps: nominal frames since the last; 0: the filters have been predicted.
        last_id: the last identity given.

    Returns:
        how many rows are in use afterwards; the last identity given; the reported tracks: (K,) SHOWN.
    """
    rules, now = rules_[0], FrameTime(number, time, before)
    found = FrameDetections(_boxes(xyxy, score, class_id, embedding), xyxy.astype(np.float64))
    stretch = stretch_by(found.boxes, embedding, spread, rules)
    for t in range(len(matrix)):
        for n in range(len(score)):
            matrix[t, n] *= stretch
    looks = FrameLooks(embedding, recent, history, bank, matrix, stretch)
    rows = row_buffer[:count]
    if steps > 0:
        _predict(rows, filters, memory, steps, rules)
    box, z = corners(rules.kind, filters[0, :count]), measured(rules.kind, found.exact)
    inputs = Inputs(rows, filters, memory[:count], box, z, found, now, interval)
    if not np.isnan(rules.boost_likely):
        boost(inputs, rules)
    deleted = deleted_boxes(found, rules) if rules.nms < 1 else np.zeros(len(score), np.bool_)
    joined = associate(inputs, looks, stages, deleted, rules)
    remember(rows, joined, found.boxes, looks, rules)
    correct(inputs, joined, rules)
    take_in(rows, joined, found.boxes, rules, now)
    count = forget(row_buffer, filters, memory, count, rules, now)
    cols = births(joined, deleted, found.boxes, rules)
    if rules.birth_iou < 1 and len(cols):
        cols = free_places(
            row_buffer[:count], corners(rules.kind, filters[0, :count]), cols, found, rules, now
        )
    if len(cols):
        begin(row_buffer, filters, memory, count, cols, found, looks, rules, now)
        count += len(cols)
    box = corners(rules.kind, filters[0, :count])
    if rules.duplicate_iou < 1:
        stays, everybody = without_duplicates(row_buffer[:count], box, rules, now)
        if not everybody:
            count, box = keep_rows(row_buffer, filters, memory, count, stays), box[stays]
    tracks, last_id = report(row_buffer[:count], box, score, index, rules, now, last_id)
    return count, last_id, tracks


@inner
def _boxes(xyxy: np.ndarray, score: np.ndarray, class_id: np.ndarray, embedding: np.ndarray) -> np.ndarray:
    """(N,) BOX."""
    boxes = np.empty(len(score), BOX)
    for n in range(len(score)):
        box = boxes[n]
        box.score, box.class_id = score[n], class_id[n]
        box.known = len(embedding) > 0 and has_vector(embedding, n)
        for k in range(4):
            box.xyxy[k] = xyxy[n, k]
    return boxes


@inner
def _predict(rows: np.ndarray, filters: np.ndarray, memory: np.ndarray, steps: float, rules: Any) -> None:
    """As `Tracker._predict`, with a still camera, in place."""
    for k in range(4):
        if rules.frozen[k]:
            for t in range(len(rows)):
                if rows[t].status == LOST:
                    filters[1, t, k] = 0.0
    predict(filters, len(rows), steps, rules.scale_of, rules.weight, rules.constant)
    at = rules.at_scores
    if at < rules.at_end:
        for t in range(len(rows)):
            x, v, xx, xv, vv = (
                memory[t, at],
                memory[t, at + 1],
                memory[t, at + 2],
                memory[t, at + 3],
                memory[t, at + 4],
            )
            x, v, xx, xv, vv = forecast(x, v, xx, xv, vv, steps)
            memory[t, at], memory[t, at + 1], memory[t, at + 2] = x, v, xx
            memory[t, at + 3], memory[t, at + 4] = xv, vv
