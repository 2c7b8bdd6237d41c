"""Detection scores raised by what the tracks expect; as association/boost.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from retrace.tracker.association.boost import CROWDED
from retrace.tracker.compiled import overlapping_pairs
from retrace.tracker.compiled_frame.association import nearby_boxes, who_is_believed
from retrace.tracker.compiled_frame.costs import nearby
from retrace.tracker.compiled_frame.inputs import Inputs, inner
from retrace.tracker.tracks.overlaps import alike


@inner
def boost(inputs: Inputs, rules: Any) -> None:
    """As `boost.boosted`, in place."""
    rows, boxes = inputs.rows, inputs.found.boxes
    score, best = boxes["score"].copy(), np.zeros(len(boxes))
    believed = who_is_believed(rows, rules, inputs.now)
    near = nearby_boxes(inputs, believed, False, 0.0, rules)
    for p in range(len(near.row)):
        best[near.col[p]] = max(best[near.col[p]], near.iou[p])
    for n in range(len(score)):
        if score[n] >= rules.low:
            score[n] = max(score[n], np.float32(rules.boost_likely) * np.float32(best[n]))
    if not np.isnan(rules.boost_distance) and believed.any():
        _raise_unlikely(score, believed, inputs, rules)
    for n in range(len(score)):
        boxes[n].score = min(score[n], np.float32(1))


@inner
def _raise_unlikely(score: np.ndarray, believed: np.ndarray, inputs: Inputs, rules: Any) -> None:
    """Boxes far from every track are somebody new, the best of those that crowd; in place."""
    rows, found = inputs.rows, inputs.found
    far = np.zeros(len(score), np.bool_)
    for n in range(len(score)):
        far[n] = found.boxes[n].score >= rules.low and score[n] < rules.high
    close = nearby(inputs.filters, len(rows), inputs.z, rules.boost_distance)
    for p in range(len(close.row)):
        t, n = close.row[p], close.col[p]
        if believed[t] and alike(rows[t].class_id, found.boxes[n].class_id, rules):
            far[n] = False
    which = np.nonzero(far)[0]
    row, col, iou = overlapping_pairs(found.exact[which], found.exact[which])
    for p in range(len(row)):
        a, b = which[row[p]], which[col[p]]
        if (
            score[a] < score[b]
            and iou[p] > CROWDED
            and alike(found.boxes[a].class_id, found.boxes[b].class_id, rules)
        ):
            far[a] = False
    for k in range(len(which)):
        if far[which[k]]:
            score[which[k]] = rules.high
