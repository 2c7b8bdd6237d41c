"""A whole frame in one call, for presets without looks: from prediction to the reported tracks.

The twin of `Tracker.update`; the Python between a hundred small array operations would otherwise cost more than their
arithmetic. It serves the presets that `tracker.at_once.at_once` accepts: Hungarian stages over the overlap of
predicted boxes, Kalman motion, no memory of boxes or vectors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from retrace.tracker.compiled.association import associate
from retrace.tracker.compiled.given import Boxes, Now
from retrace.tracker.compiled.life import absorb, begin, births, kept, not_doubled, remembered
from retrace.tracker.compiled.motion import corners, predict_tracks
from retrace.tracker.compiled.report import report

Arrays = tuple[np.ndarray, ...]


@njit(cache=True, error_model="numpy")
def frame(
    rows: np.ndarray,
    filters: np.ndarray,
    detected: np.ndarray,
    score: np.ndarray,
    class_id: np.ndarray,
    index: np.ndarray,
    stages: np.ndarray,
    the_rules: np.ndarray,
    kalman: Arrays,
    start: Arrays,
    number: int,
    time: float,
    before: float,
    steps: float,
    last_id: int,
) -> tuple[Any, ...]:
    """One frame.

    Args:
        rows, filters: (T,) ROW and (5, T, 4) float64, changed in place.
        detected, score, class_id, index: (N, 4) float32 xyxy px, (N,) float32, (N,) int32, (N,) int64.
        stages, the_rules: (S,) `at_once.STAGE` and (1,) `at_once.RULES`.
        kalman, start: `MotionModel.compiled` and `MotionModel.compiled_start`.
        number, time, before: of the frame, its time and the last one's (s).
        steps: nominal frames since the last; 0: the filters have been predicted.
        last_id: the last identity given.

    Returns:
        rows, filters afterwards; the last identity given; the reported tracks: id, xyxy, score, class_id, det_index.
    """
    rules, now = the_rules[0], Now(number, time, before)
    boxes = Boxes(detected, detected.astype(np.float64), score, class_id, index)
    if steps > 0:
        predict_tracks(rows, filters, steps, kalman, rules)
    joined = associate(rows, corners(rules.kind, filters[0]), boxes, stages, rules, now)
    absorb(rows, filters, joined, boxes, kalman, rules, now)
    keep, gone = remembered(rows, rules, now)
    cols = births(joined, boxes, rules)
    if gone or len(cols):
        rows, filters = kept(rows, filters, keep, len(cols))
        begin(rows, filters, cols, boxes, kalman, start, rules, now)
    box = corners(rules.kind, filters[0])
    if rules.duplicate_iou < 1:
        keep, everybody = not_doubled(rows, box, rules, now)
        if not everybody:
            rows, filters = kept(rows, filters, keep, 0)
            box = box[keep]
    ids, xyxy, scores, classes, det_index, last_id = report(rows, box, boxes, rules, now, last_id)
    return rows, filters, last_id, ids, xyxy, scores, classes, det_index
