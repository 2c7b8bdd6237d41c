"""One frame from prediction to the reported tracks: the steps in the order of `Tracker.update`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from retrace.tracker.compiled import corners, predict
from retrace.tracker.compiled_frame.appearance import have_vectors, remember, stretch_by
from retrace.tracker.compiled_frame.association import associate
from retrace.tracker.compiled_frame.inputs import Found, Vectors
from retrace.tracker.compiled_frame.lifecycle import begin, births, forget, keep_rows, take_in
from retrace.tracker.compiled_frame.overlaps import without_duplicates
from retrace.tracker.compiled_frame.shown import report
from retrace.tracker.rows import LOST, FrameTime


@njit(cache=True, error_model="numpy")
def run_frame(
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
    known = have_vectors(embedding, len(score))
    found = Found(xyxy, score, class_id, index, xyxy.astype(np.float64), embedding, known)
    vectors = Vectors(recent, history, stretch_by(found, spread, rules))
    rows = row_buffer[:count]
    if steps > 0:
        _predict(rows, filters, steps, rules)
    joined = associate(rows, filters, found, vectors, stages, rules, now)
    remember(rows, joined, found, vectors, rules)
    take_in(rows, filters, joined, found, rules, now)
    count = forget(row_buffer, filters, count, rules, now)
    cols = births(joined, found, rules)
    if len(cols):
        begin(row_buffer, filters, count, cols, found, vectors, rules, now)
        count += len(cols)
    box = corners(rules.kind, filters[0, :count])
    if rules.duplicate_iou < 1:
        stays, everybody = without_duplicates(row_buffer[:count], box, rules, now)
        if not everybody:
            count, box = keep_rows(row_buffer, filters, count, stays), box[stays]
    ids, boxes, scores, classes, places, last_id = report(row_buffer[:count], box, found, rules, now, last_id)
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
