"""How tracks live: they begin at a detection, take in more of them, are lost, and are forgotten.

The rule book, written once. The first functions are the rules themselves, of single numbers or of arrays: the compiled
frame takes them as they stand. The steps below apply them to all tracks at once. ``rules`` is the record of
`tracker.rules`, ``rows`` are `tracker.rows.ROW`, ``detections`` has the arrays of `tracker.data.Detections`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from retrace.tracker.rows import ACTIVE, LOST, TENTATIVE, FrameTime, seen_within
from retrace.tracker.tracks.overlaps import best_first, births_on_births, births_on_tracks

# Why a detection began no track
BEGAN, TAKEN, NOT_NEW, DELETED, ON_TRACK, ON_BIRTH = range(6)


def confirmed(hits: Any, status: Any, score: Any, rules: Any) -> Any:
    """Whether a track is no longer tentative (DeepSORT), once it has taken in a detection of this score."""
    return (hits >= rules["confirm_hits"]) | (status != TENTATIVE) | (score >= rules["confirm_score"])


def confirmed_at_birth(score: Any, rules: Any, now: FrameTime) -> Any:
    """Whether a track that begins at a detection of this score is confirmed at once (ByteTrack: in the first frame)."""
    at_once = (rules["confirm_hits"] == 1) | (now.number < rules["start_frames"])
    return at_once | (score >= rules["confirm_score"])


def remembered(status: Any, seen: Any, rules: Any, now: FrameTime) -> Any:
    """Whether a track of this status, last seen then, has not been lost for too long (SORT's max_age, in seconds)."""
    short, long = seen_within(seen, rules["tentative_max_age"], now), seen_within(seen, rules["max_age"], now)
    return ((status == TENTATIVE) & short) | ((status != TENTATIVE) & long)


def may_begin(score: Any, rules: Any) -> Any:
    """Whether a free detection of this score begins a track, as in ByteTrack, where that is above ``high``."""
    return score >= rules["new"]


# -- all tracks at once


def take_in(rows: np.ndarray, joined: np.ndarray, detections: Any, rules: Any, now: FrameTime) -> None:
    """Every matched track takes in its detection ``joined`` (T,), every other is a little more lost; in place."""
    rows["column"] = joined
    missed = joined < 0
    rows["streak"][missed] = 0
    rows["status"][missed & (rows["status"] == ACTIVE)] = LOST
    found = (~missed).nonzero()[0]
    if not len(found):
        return
    cols, some = joined[found], rows[found]
    score = detections.score[cols]
    some["hits"] += 1
    some["streak"] += 1
    some["status"][confirmed(some["hits"], some["status"], score, rules)] = ACTIVE
    some["seen"] = now.time
    some["score_before"], some["score"] = some["score"], score
    some["class_id"], some["box"] = detections.class_id[cols], detections.xyxy[cols]
    rows[found] = some


def births(
    rows: np.ndarray, detections: Any, deleted_by: np.ndarray, rules: Any
) -> tuple[np.ndarray, np.ndarray]:
    """The free detections that score high enough to begin a track.

    Args:
        rows: (T,) ROW, the tracks that live.
        deleted_by: (N,) from `overlaps.deleted_boxes`, below 0: it is kept.

    Returns:
        (K,) those that begin one, best first; for each of the N why it does not (BEGAN, ...).
    """
    reason = np.full(len(detections.score), NOT_NEW)
    reason[may_begin(detections.score, rules)] = BEGAN
    reason[deleted_by >= 0] = DELETED
    column = rows["column"]
    reason[column[column >= 0]] = TAKEN
    cols = np.nonzero(reason == BEGAN)[0]
    if len(cols) > 1:
        cols = cols[best_first(detections.xyxy[cols], detections.score[cols])]
    return cols, reason


def taken_places(
    rows: np.ndarray, box: np.ndarray, cols: np.ndarray, detections: Any, rules: Any, now: FrameTime
) -> tuple[np.ndarray, np.ndarray]:
    """Track-aware initialisation (TrackTrack, sec. 3.3): no track begins where one is, or where a better one begins.

    Args:
        rows, box: (T,) ROW and (T, 4) px, the tracks that live and where their filters stand.
        cols: (K,) from :func:`births`.

    Returns:
        (K,) the row that has the place of each, -1: none; and where none has, the birth that has it.
    """
    xyxy, kind = detections.xyxy[cols], detections.class_id[cols]
    known = seen_within(rows["seen"], rules["believed_age"], now).nonzero()[0]
    track = births_on_tracks(xyxy, kind, box[known], rows["class_id"][known], rules)
    birth = births_on_births(xyxy, kind, track >= 0, rules)
    on_track, on_birth = np.full(len(cols), -1), np.full(len(cols), -1)
    on_track[track >= 0] = known[track[track >= 0]]
    other = (track < 0) & (birth >= 0)
    on_birth[other] = cols[birth[other]]
    return on_track, on_birth


def begin(rows: np.ndarray, cols: np.ndarray, detections: Any, rules: Any, now: FrameTime) -> None:
    """Blank rows (K,) become tracks of one detection each, ``cols`` (K,), in place."""
    score = detections.score[cols]
    rows["hits"], rows["born"], rows["seen"], rows["column"] = 1, now.time, now.time, cols
    rows["box"], rows["class_id"] = detections.xyxy[cols], detections.class_id[cols]
    rows["score"] = rows["score_before"] = score
    rows["status"] = np.where(confirmed_at_birth(score, rules, now), ACTIVE, TENTATIVE)
