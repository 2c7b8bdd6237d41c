"""How tracks live: they begin at a detection, take in more of them, are lost, and are forgotten."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrace.tracker.association.matching import deleted
from retrace.tracker.config import TrackerConfig
from retrace.tracker.data import Detections
from retrace.tracker.motion import filters as motion
from retrace.tracker.motion.models import MODELS
from retrace.tracker.tracks import appearance
from retrace.tracker.tracks.overlaps import duplicate_tracks, kinds, suppressed_births
from retrace.tracker.tracks.state import ACTIVE, EPSILON, LOST, TENTATIVE, LiveTracks, blank

# Variances of a score and of its speed per step: SORT's, as Hybrid-SORT's authors run their filter of nine states
SCORE_START, SCORE_PROCESS, SCORE_NOISE = (10.0, 1e4), (1.0, 1e-4), 10.0


@dataclass(slots=True)
class Clock:
    """Where a tracker stands in time."""

    fps: float  # nominal
    number: int = -1  # of the frame, from 0
    time: float = 0.0  # s, of the frame
    before: float = 0.0  # s, of the frame before it

    def fresh(self, live: LiveTracks, age: float) -> np.ndarray:
        """(T,) bool, who was seen within ``age`` s, or in the last frame, however long ago that was."""
        return live.seen >= min(self.time - age, self.before) - EPSILON

    def within(self, live: LiveTracks, age: float | np.ndarray) -> np.ndarray:
        """(T,) bool, who was seen within ``age`` s."""
        return self.time - live.seen <= age + EPSILON


def absorb(
    live: LiveTracks, detections: Detections, joined: np.ndarray, config: TrackerConfig, clock: Clock
) -> None:
    """Let every matched track take in its detection ``joined`` (T,); every other becomes a little more lost."""
    live.column[:] = joined
    missed = joined < 0
    live.streak[missed] = 0
    live.status[missed & (live.status == ACTIVE)] = LOST
    rows = (~missed).nonzero()[0]
    if not len(rows):
        return
    cols = joined[rows]
    box, score = detections.xyxy[cols], detections.score[cols]
    _correct(live, rows, box, score, config, clock)
    if live.scores.shape[1]:
        _hear(live.scores, rows, score)
    live.hits[rows] += 1
    live.streak[rows] += 1
    sure = (live.hits[rows] >= config.confirm_hits) | (live.status[rows] != TENTATIVE)
    sure |= score >= config.confirm_score
    live.status[rows[sure]] = ACTIVE
    live.seen[rows] = clock.time
    live.score_before[rows] = live.score[rows]
    live.score[rows] = score
    if config.class_agnostic:  # else it is the same
        live.class_id[rows] = detections.class_id[cols]
    live.box[rows] = box
    if detections.embedding is not None and live.recent.shape[1]:
        # High detections only: what scores low is mostly somebody else's shoulder
        clear = (score >= config.high) & detections.embedding[cols].any(1)
        appearance.remember(live, config, rows[clear], detections.embedding[cols[clear]], score[clear])


def forecast(scores: np.ndarray, steps: float) -> None:
    """Move filters of scores (T, 5) ahead by ``steps`` > 0, in place: a score and its speed (Hybrid-SORT's TCM)."""
    x, v, xx, xv, vv = scores.T
    x += steps * v
    xx += steps * (2.0 * xv + steps * vv + SCORE_PROCESS[0])
    xv += steps * vv
    vv += steps * SCORE_PROCESS[1]


def _hear(scores: np.ndarray, rows: np.ndarray, score: np.ndarray) -> None:
    """The filters ``rows`` (K,) of scores (T, 5) take in the scores measured (K,), in place."""
    x, v, xx, xv, vv = scores[rows].T
    gain, gain_speed = xx / (xx + SCORE_NOISE), xv / (xx + SCORE_NOISE)
    surprise = score - x
    mean = (x + gain * surprise, v + gain_speed * surprise)
    scores[rows] = np.stack((*mean, xx - gain * xx, xv - gain * xv, vv - gain_speed * xv), axis=1)


def _correct(
    live: LiveTracks,
    rows: np.ndarray,
    box: np.ndarray,
    score: np.ndarray,
    config: TrackerConfig,
    clock: Clock,
) -> None:
    """Motion takes in the detections box (K, 4), score (K,) of the tracks ``rows``."""
    model = MODELS[config.motion]
    z = model.from_xyxy(box)
    if config.reupdate:
        steps = np.rint((clock.time - live.seen[rows]) * clock.fps).astype(np.int64)
        missed = live.seen[rows] < clock.before - EPSILON  # between slow frames nobody was lost
        again = (missed & (steps > 1)).nonzero()[0]
        if len(again):
            found = rows[again]
            filters = np.ascontiguousarray(live.kept[found].transpose(1, 0, 2))
            motion.relive(model, filters, live.past[found, 0], box[again].astype(np.float64), steps[again])
            live.filters[:, found] = filters
    if live.past.shape[1]:
        live.past[rows] = np.concatenate((box[:, None], live.past[rows, :-1]), axis=1)
        now = np.full((len(rows), 1), clock.time)
        live.past_time[rows] = np.concatenate((now, live.past_time[rows, :-1]), axis=1)
    if config.motion == "linear":
        past = live.past[rows]
        past = model.from_xyxy(past.reshape(-1, 4)).reshape(past.shape)
        motion.follow(live.filters, rows, z, past, -np.diff(live.past_time[rows], axis=1) * clock.fps)
        return
    motion.update(model, live.filters, rows, z, 1.0 - score if config.noise_by_score else None)
    if live.kept.shape[1]:
        live.kept[rows] = live.filters[:, rows].transpose(1, 0, 2)


def remembered(live: LiveTracks, config: TrackerConfig, clock: Clock) -> np.ndarray:
    """(T,) bool, who has not been lost for too long."""
    return clock.within(live, np.where(live.status == TENTATIVE, config.tentative_max_age, config.max_age))


def births(live: LiveTracks, detections: Detections, config: TrackerConfig, clock: Clock) -> np.ndarray:
    """(K,) the unmatched detections that score high enough to begin a track."""
    fresh = detections.score >= config.new
    fresh[live.column[live.column >= 0]] = False
    cols = (fresh & ~deleted(detections, config)).nonzero()[0]
    if not len(cols):
        return cols
    # Ordered by what they are, not by where they stood: identities do not depend on the detector's order.
    cols = cols[np.lexsort((*detections.xyxy[cols].T, -detections.score[cols]))]
    if config.birth_iou < 1:
        known = live.take(clock.within(live, config.believed_age).nonzero()[0])
        doubled = suppressed_births(
            detections.xyxy[cols],
            kinds(detections.class_id[cols], config),
            MODELS[config.motion].to_xyxy(known.filters[motion.X]),
            kinds(known.class_id, config),
            config.birth_iou,
        )
        cols = cols[~doubled]
    return cols


def born(
    live: LiveTracks, detections: Detections, cols: np.ndarray, config: TrackerConfig, clock: Clock
) -> LiveTracks:
    """Tracks of one detection each, ``cols`` (K,), with as much room as ``live`` has."""
    model, new = MODELS[config.motion], blank(len(cols), live.room, live.recent.shape[1])
    box, score = detections.xyxy[cols], detections.score[cols]
    at_once = config.confirm_hits == 1 or clock.number < config.start_frames
    new.filters = motion.initiate(model, model.from_xyxy(box))
    new.status[:] = np.where(at_once | (score >= config.confirm_score), ACTIVE, TENTATIVE)
    new.hits[:], new.born[:], new.seen[:] = 1, clock.time, clock.time
    new.column[:], new.box[:], new.class_id[:] = cols, box, detections.class_id[cols]
    new.score[:] = new.score_before[:] = score
    new.past[:], new.past_time[:, :1] = box[:, None], clock.time
    new.kept[:] = new.filters.transpose(1, 0, 2)[:, : live.room.filters]
    if live.room.scores:
        new.scores[:, 0], new.scores[:, 2], new.scores[:, 4] = score, *SCORE_START
    if detections.embedding is not None and live.recent.shape[1]:
        vector = detections.embedding[cols]
        new.recent[:], new.history[:], new.bank[:, :1] = vector, vector, vector[:, None]
        new.views[:] = vector.any(1)
    return new


def not_doubled(live: LiveTracks, box: np.ndarray, config: TrackerConfig, clock: Clock) -> np.ndarray | None:
    """(T,) bool, who stays of those with the filters' boxes (T, 4) xyxy px; None: everybody."""
    if config.duplicate_iou >= 1:
        return None
    believed = clock.within(live, config.believed_age)
    return duplicate_tracks(live, kinds(live.class_id, config), box, believed, config.duplicate_iou)
