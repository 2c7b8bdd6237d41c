"""Who can be compared by looks, what that costs, and what is remembered; as tracks/appearance.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from retrace.tracker.association.assignment import CandidatePairs
from retrace.tracker.compiled import blend, dots, nearest, sums
from retrace.tracker.compiled_frame.inputs import FrameLooks, Inputs, inner
from retrace.tracker.tracks.appearance import ALIKE, SUMMED
from retrace.tracker.tracks.overlaps import alike

RECENT, HISTORY, MINIMUM = range(len(SUMMED))


@inner
def has_vector(embedding: np.ndarray, n: int) -> bool:
    """Whether the vector of box ``n`` is not all zero."""
    for k in range(embedding.shape[1]):  # noqa: SIM110  (no generators in compiled code)
        if embedding[n, k] != 0:
            return True
    return False


@inner
def stretch_by(boxes: np.ndarray, embedding: np.ndarray, spread: np.ndarray, rules: Any) -> float:
    """What 1 - cosine is multiplied by, this frame's vectors counted in: `spread` and `stretch_by` of appearance.py."""
    if np.isnan(rules.appearance_scale) or len(embedding) == 0:
        return 1.0
    which = np.nonzero(boxes["known"] & (boxes["score"] >= rules.high))[0]
    count = len(which)
    if count > 1:
        pairs = count * (count - 1) / 2
        spread[0] += pairs - sums(embedding, which) / 2
        spread[1] += pairs
    if spread[0] > ALIKE * spread[1]:
        return rules.appearance_scale * spread[1] / spread[0]
    return 1.0


@inner
def anybody_looks(rows: np.ndarray, boxes: np.ndarray, rules: Any) -> bool:
    """Whether any track and detection can be compared by looks; where not, `appearance.distances` is None."""
    for n in range(len(boxes)):
        if boxes[n].known:
            for t in range(len(rows)):
                if rows[t].views > 0 and alike(rows[t].class_id, boxes[n].class_id, rules):
                    return True
    return False


@inner
def looks_of(pairs: CandidatePairs, inputs: Inputs, looks: FrameLooks, rules: Any) -> np.ndarray:
    """(P,) 1 - cosine, stretched; NaN where it is unknown. Where there is a matrix, it is told, too; as
    `appearance.pair_distances`."""
    rows, matrix, embedding = inputs.rows, looks.matrix, looks.embedding
    row, col, views, known = pairs.row, pairs.col, rows["views"], inputs.found.boxes["known"]
    slots, look = rows["slot"], np.full(len(row), np.nan)
    if len(matrix) and not rules.summed:
        for p in range(len(row)):
            look[p] = matrix[row[p], col[p]]
        return look
    for memory in range(len(SUMMED)):
        which, count = np.empty(len(row), np.int64), 0
        for p in range(len(row)):
            compared = rules.memory[rows[row[p]].status] == memory
            if compared and views[row[p]] > 0 and known[col[p]]:
                which[count] = p
                count += 1
        if count == 0:
            continue
        which = which[:count]
        i, j = slots[row[which]], col[which]
        if memory == MINIMUM:
            cosine = nearest(looks.bank, i, views[row[which]], embedding, j)
        else:
            cosine = dots(looks.recent if memory == RECENT else looks.history, i, embedding, j)
        look[which] = (1.0 - cosine) * looks.stretch
    if len(matrix):
        for p in range(len(row)):
            matrix[row[p], col[p]] = look[p]
    return look


@inner
def remember(rows: np.ndarray, joined: np.ndarray, boxes: np.ndarray, looks: FrameLooks, rules: Any) -> None:
    """Vectors of sure detections go into what is remembered of their tracks, in place; as `Tracker._remember`."""
    if len(looks.embedding) == 0:
        return
    which, count = np.empty(len(rows), np.int64), 0
    momentum = np.empty(len(rows), np.float32)
    for t in range(len(rows)):
        n = joined[t]
        if n < 0 or not boxes[n].known or boxes[n].score < rules.high:
            continue
        keep = np.float32(rules.recent_momentum)
        if not np.isnan(rules.momentum_from):  # Deep OC-SORT, eq. 4
            base = np.float32(rules.momentum_from)
            trust = (boxes[n].score - base) / np.float32(1 - rules.momentum_from)
            keep += (np.float32(1) - keep) * (np.float32(1) - min(max(trust, np.float32(0)), np.float32(1)))
        which[count], momentum[count] = t, keep if rows[t].views > 0 else np.float32(0)
        rows[t].views += 1
        count += 1
    which = which[:count]
    blend(
        looks.recent,
        looks.history,
        rows["slot"][which],
        rows["views"][which],
        momentum[:count],
        looks.embedding,
        joined[which],
    )
    bank = looks.bank
    for k in range(count if bank.shape[1] else 0):
        slot, n = rows[which[k]].slot, joined[which[k]]
        for place in range(min(bank.shape[1], rows[which[k]].views) - 1, 0, -1):
            for d in range(bank.shape[2]):
                bank[slot, place, d] = bank[slot, place - 1, d]
        for d in range(bank.shape[2]):
            bank[slot, 0, d] = looks.embedding[n, d]
