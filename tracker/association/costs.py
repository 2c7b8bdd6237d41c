"""The distances that association stages add up: each a small function of candidate pairs.

A cost takes the inputs and P pairs of a track and a detection and returns (P,) float64, small = same. To add
one, follow CONTRIBUTING.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from retrace.tracker.association.arithmetic import angle, angle_of, exp, length, log
from retrace.tracker.association.assignment import CandidatePairs
from retrace.tracker.association.inputs import CostInputs
from retrace.tracker.association.log_odds import log_odds as odds_of
from retrace.tracker.config import Stage
from retrace.tracker.motion import filters
from retrace.tracker.tracks.state import LiveTracks, kinds

CORNERS = ((0, 1), (2, 1), (0, 3), (2, 3))  # columns of a box's corners
SPANS = (1, 2, 3)  # detections back, over which TrackTrack and Hybrid-SORT measure directions
ADAPTIVE_WEIGHT, ADAPTIVE_CAP = 0.75, 0.5  # Deep OC-SORT: a_w, and the most that a clear margin adds
BOOST_LIMIT = 13.2767  # BoostTrack: chi-square, 4 degrees of freedom, 99 %
TRUST = log(0.9)  # BoostTrack: of 0.9 a step
ALIKE, RELIEF = 0.75, 0.15  # BoostTrack: from this cosine on so much less IoU is enough

Cost = Callable[[CostInputs, CandidatePairs, Stage], np.ndarray]


# -- formulas of one pair's numbers, or of arrays of them: compiled stages take them as they stand


def heights_iou(top: Any, bottom: Any, other_top: Any, other_bottom: Any) -> Any:
    """IoU of two boxes' extents in y alone (Hybrid-SORT, eq. 6)."""
    shared = np.minimum(bottom, other_bottom) - np.maximum(top, other_top)
    both = np.maximum(bottom, other_bottom) - np.minimum(top, other_top)
    return np.maximum(shared, 0.0) / both


def on_a_line(score: Any, before: Any) -> Any:
    """The score expected after these two (float32), in [0, 1] (TrackTrack)."""
    return np.minimum(np.maximum(np.float32(2) * score - before, np.float32(0)), np.float32(1))


def smaller_cue(overlap: Any, iou: Any, look: Any, stage: Any) -> Any:
    """The smaller of the two costs, where looks count only up to a limit of each (BoT-SORT, eq. 12 and 13)."""
    allowed = (look <= stage.cue_appearance) & (1.0 - iou <= stage.cue_iou)
    # the look where it is allowed, else 1; a compiled np.where makes arrays of numbers
    return np.minimum(overlap, np.minimum(look, 1.0) * allowed + (1.0 - allowed))


def turn(came_x: Any, came_y: Any, goes_x: Any, goes_y: Any) -> Any:
    """The angle between where somebody came from and where he would go (OC-SORT's OCM); half a pi where one has no
    length."""
    still = ((came_x == 0) & (came_y == 0)) | ((goes_x == 0) & (goes_y == 0))
    return angle(came_x * goes_y - came_y * goes_x, came_x * goes_x + came_y * goes_y) + still * (np.pi / 2)


def turn_from_mean(came_x: Any, came_y: Any, goes_x: Any, goes_y: Any) -> Any:
    """The same where he came along a mean of unit steps: the shorter that is, the nearer to half a pi."""
    size = length(goes_x, goes_y)
    return angle_of((came_x * goes_x + came_y * goes_y) / (size + (size == 0)))


def trust_in_track(age: Any, since: Any, interval: float) -> Any:
    """BoostTrack's c_t: 0.9 for each step that a track is younger than 7, later for each that it was missed; both in
    seconds."""
    steps, missed = np.rint(age / interval), np.maximum(np.rint(since / interval) - 1, 0.0)
    young = steps < 7
    return exp(TRUST * (young * (7 - steps) + (1.0 - young) * missed))


def within(score: Any, low: Any, high: Any) -> Any:
    """The score, moved into its band."""
    return np.minimum(np.maximum(score, low), high)


# -- boxes


def iou(inputs: CostInputs, pairs: CandidatePairs, stage: Stage) -> np.ndarray:
    """1 - IoU (SORT)."""
    return 1.0 - pairs.iou


def iou_score(inputs: CostInputs, pairs: CandidatePairs, stage: Stage) -> np.ndarray:
    """1 - IoU x detection score (ByteTrack's score fusion)."""
    return 1.0 - pairs.iou * inputs.detections.score[pairs.col]


def hmiou(inputs: CostInputs, pairs: CandidatePairs, stage: Stage) -> np.ndarray:
    """1 - HIoU x IoU, HIoU the IoU of the heights alone (Hybrid-SORT, eq. 6 to 8)."""
    mine = inputs.live.past[:, 0] if stage.against == "observed" else inputs.box
    a, b = mine[pairs.row], inputs.detections.xyxy[pairs.col]
    return 1.0 - heights_iou(a[:, 1], a[:, 3], b[:, 1], b[:, 3]) * pairs.iou


def trusted_iou(inputs: CostInputs, pairs: CandidatePairs, stage: Stage) -> np.ndarray:
    """1 - c_d c_t IoU (BoostTrack, eq. 6): IoU weighted by the confidence in both sides."""
    return 1.0 - _trust(inputs, pairs) * pairs.iou


def shape(inputs: CostInputs, pairs: CandidatePairs, stage: Stage) -> np.ndarray:
    """1 - c_d c_t exp(-(|dw| / max w + |dh| / max h)) (BoostTrack, eq. 5)."""
    return _shape(inputs, pairs, [0, 1])


def shape_by_width(inputs: CostInputs, pairs: CandidatePairs, stage: Stage) -> np.ndarray:
    """1 - c_d c_t exp(-(|dw| + |dh|) / max w): stricter about heights. BoostTrack's published default (its issue 8)."""
    return _shape(inputs, pairs, [0, 0])


def _shape(inputs: CostInputs, pairs: CandidatePairs, by: list[int]) -> np.ndarray:
    """``by``: what differences of width and of height are measured in, 0: the larger width, 1: the larger height."""
    a, b = inputs.box[pairs.row], inputs.detections.xyxy[pairs.col]
    a, b = a[:, 2:] - a[:, :2], b[:, 2:] - b[:, :2]
    gap, most = np.abs(a - b), np.maximum(a, b)
    return 1.0 - _trust(inputs, pairs) * exp(-(gap[:, 0] / most[:, by[0]] + gap[:, 1] / most[:, by[1]]))


def _trust(inputs: CostInputs, pairs: CandidatePairs) -> np.ndarray:
    """(P,) c_d c_t: detection score times 0.9 per step that the track is young (below 7) or was not seen."""
    track = trust_in_track(inputs.time - inputs.live.born, inputs.time - inputs.live.seen, inputs.interval)
    return inputs.detections.score[pairs.col] * track[pairs.row]


# -- what the filter knows


def mahalanobis(inputs: CostInputs, pairs: CandidatePairs, stage: Stage) -> np.ndarray:
    """Squared Mahalanobis distance of all four coordinates (DeepSORT, eq. 1); 9.4877 holds 95 of 100."""
    z = inputs.model.from_xyxy(inputs.detections.xyxy[pairs.col])
    return filters.distance(inputs.model, inputs.live.filters, pairs.row, z, 4)


def centre_mahalanobis(inputs: CostInputs, pairs: CandidatePairs, stage: Stage) -> np.ndarray:
    """The same of the centre alone; its reach grows with the time since the track was seen. 9.21 holds 99 of 100."""
    z = inputs.model.from_xyxy(inputs.detections.xyxy[pairs.col])
    return filters.distance(inputs.model, inputs.live.filters, pairs.row, z, 2)


def mahalanobis_share(inputs: CostInputs, pairs: CandidatePairs, stage: Stage) -> np.ndarray:
    """1 - this detection's share of the track (BoostTrack, eq. 3 and 4): softmax of 13.2767 - d2, 0 beyond.

    Over all detections of the track's class that score enough for this stage; one that is beyond weighs 1.
    """
    detections, live, config = inputs.detections, inputs.live, inputs.config
    z = inputs.model.from_xyxy(detections.xyxy)
    eligible = detections.score >= (config.low if "low" in stage.bands else config.high)
    mine, theirs = kinds(live.class_id, config), kinds(detections.class_id, config)
    total = (mine[:, None] == theirs[eligible]).sum(1).astype(np.float64)
    row, col, squared = filters.nearby(live.filters, z, BOOST_LIMIT)
    rivals = eligible[col] & (mine[row] == theirs[col])
    np.add.at(total, row[rivals], exp(BOOST_LIMIT - squared[rivals]) - 1.0)
    own = filters.own_distance(live.filters, pairs.row, z[pairs.col])
    inside = (own <= BOOST_LIMIT) & eligible[pairs.col] & (mine[pairs.row] == theirs[pairs.col])
    weight = np.where(inside, exp(BOOST_LIMIT - np.minimum(own, BOOST_LIMIT)), 0.0)
    return 1.0 - weight / np.maximum(total[pairs.row], 1.0)


# -- how it moved, how sure it was


def direction(inputs: CostInputs, pairs: CandidatePairs, stage: Stage) -> np.ndarray:
    """(angle / pi - 1/2) x score, between where the track came from and where it would go (OC-SORT's OCM).

    Both lines begin at the detection of ``direction_span`` steps before they end, or the oldest since, or, after
    a longer gap, the last one; 0 where the track has but one.
    """
    live = inputs.live
    back = inputs.config.direction_span * inputs.interval * (1 + 1e-6)
    came = _centre(_since(live, live.past_time[:, :1] - back, 1))
    goes = _centre(_since(live, np.full((len(live), 1), inputs.time - back), 0))
    before = (_centre(live.past[:, 0]) - came)[pairs.row]
    after = _centre(inputs.detections.xyxy[pairs.col].astype(np.float64)) - goes[pairs.row]
    known = ~np.isnan(live.past_time[pairs.row, 1])
    turned = turn(before[:, 0], before[:, 1], after[:, 0], after[:, 1])
    return np.where(known, (turned / np.pi - 0.5) * inputs.detections.score[pairs.col], 0.0)


def corner_direction(inputs: CostInputs, pairs: CandidatePairs, stage: Stage) -> np.ndarray:
    """Mean angle / pi of the four corners x score: where each came from, where it would go (Hybrid-SORT, eq. 9).

    It came along the mean of its unit steps from 1, 2 and 3 detections back, each divided by how far back (as
    running TrackTracks weigh them); it would go from its detection of three steps ago, or the oldest since, or
    the last (OC-SORT). A young or turning track's mean is short and draws the angle to half a pi: unsure says little.
    """
    live = inputs.live
    goes_from = _since(
        live, np.full((len(live), 1), inputs.time - len(SPANS) * inputs.interval * (1 + 1e-6)), 0
    )
    box = inputs.detections.xyxy[pairs.col].astype(np.float64)
    known = ~np.isnan(live.past_time)
    total = np.zeros(len(pairs.row))
    for corner in CORNERS:
        came = np.zeros((len(live), 2))
        for k in SPANS:
            step = (live.past[:, 0] - live.past[:, k])[:, corner]
            size = length(step[:, 0], step[:, 1])
            came += (step / (size + (size == 0))[:, None]) * known[:, k, None] / (k * len(SPANS))
        came = came[pairs.row]
        goes = box[:, corner] - goes_from[:, corner][pairs.row]
        total += turn_from_mean(came[:, 0], came[:, 1], goes[:, 0], goes[:, 1])
    return total / (np.pi * len(CORNERS)) * inputs.detections.score[pairs.col]


def score_gap(inputs: CostInputs, pairs: CandidatePairs, stage: Stage) -> np.ndarray:
    """|expected score - score|, the expected one on a line through the last two (TrackTrack)."""
    live = inputs.live
    gap = on_a_line(live.score, live.score_before)[pairs.row] - inputs.detections.score[pairs.col]
    return np.abs(gap).astype(np.float64)


def score_forecast(inputs: CostInputs, pairs: CandidatePairs, stage: Stage) -> np.ndarray:
    """|expected score - score| (Hybrid-SORT's TCM, eq. 4 and 5, and as its authors run it).

    A high score is expected where a Kalman filter of the track's scores stands; a low one on a line through the
    last two, or, if the track was missed since, where the last was. No expectation leaves its band.
    """
    live, config = inputs.live, inputs.config
    line = np.where(live.streak > 0, np.float32(2) * live.score - live.score_before, live.score)
    least, most = np.float32(config.low), np.float32(config.high)
    high, low = within(live.scores[:, 0], np.float64(most), 1.0), within(line, least, most)
    score = inputs.detections.score[pairs.col]
    return np.abs(np.where(score >= most, high[pairs.row], low[pairs.row]) - score)


def _since(live: LiveTracks, time: np.ndarray, newest: int) -> np.ndarray:
    """(T, 4) each track's oldest detection not before ``time`` (T, 1), of those from the ``newest`` (0: last) back."""
    oldest = np.maximum((live.past_time >= time).sum(1) - 1, newest)
    return live.past[np.arange(len(live)), oldest]


def _centre(box: np.ndarray) -> np.ndarray:
    return (box[:, :2] + box[:, 2:]) * 0.5


# -- looks


def appearance(inputs: CostInputs, pairs: CandidatePairs, stage: Stage) -> np.ndarray:
    """1 - cosine (DeepSORT); of unknown looks what the stage says, inf where it says nothing."""
    unknown = np.inf if stage.neutral_appearance is None else stage.neutral_appearance
    if inputs.appearance is None:
        return np.full(len(pairs.row), unknown)
    distance = inputs.appearance[pairs.row, pairs.col]
    return np.where(np.isnan(distance), unknown, distance)


def half_appearance(inputs: CostInputs, pairs: CandidatePairs, stage: Stage) -> np.ndarray:
    """(1 - cosine) / 2, the scale of BoT-SORT's thresholds."""
    return appearance(inputs, pairs, stage) / 2


def adaptive_appearance(inputs: CostInputs, pairs: CandidatePairs, stage: Stage) -> np.ndarray:
    """-(0.75 + bonus) cosine; who stands out from the second-best counts more (Deep OC-SORT, eq. 5 to 7).

    The bonus is the mean of the margins best - second of its row and its column, each capped at 0.5.
    """
    if inputs.appearance is None:
        return np.zeros(len(pairs.row))
    cosine = np.where(np.isnan(inputs.appearance), -np.inf, 1.0 - inputs.appearance)  # unknown: no rival
    bonus = (_margin(cosine)[pairs.row] + _margin(cosine.T)[pairs.col]) / 2
    own = cosine[pairs.row, pairs.col]
    return -(ADAPTIVE_WEIGHT + bonus) * np.where(np.isfinite(own), own, 0.0)


def nearest_cue(inputs: CostInputs, pairs: CandidatePairs, stage: Stage) -> np.ndarray:
    """min(1 - IoU x score, looks) (BoT-SORT, eq. 12 and 13): looks count where both cues allow it."""
    look = half_appearance(inputs, pairs, stage)
    return smaller_cue(iou_score(inputs, pairs, stage), pairs.iou, look, stage)


def iou_unless_alike(inputs: CostInputs, pairs: CandidatePairs, stage: Stage) -> np.ndarray:
    """1 - IoU, and 0.15 less for pairs with a cosine of 0.75 or more (BoostTrack's two thresholds as a gate)."""
    if inputs.appearance is None:
        return 1.0 - pairs.iou
    alike = inputs.appearance[pairs.row, pairs.col] <= 1.0 - ALIKE  # False for NaN
    return 1.0 - pairs.iou - np.where(alike, RELIEF, 0.0)


# -- all of it in one sum


def log_odds(inputs: CostInputs, pairs: CandidatePairs, stage: Stage) -> np.ndarray:
    """Minus the log-odds of being the same person, nats; a limit of log r joins where a missed join costs as much as
    r wrong ones."""
    return -odds_of(inputs, pairs)


def _margin(cosine: np.ndarray) -> np.ndarray:
    """(T, N) -> (T,) best minus second best of each row, at most the cap; 0 without a second one (-inf)."""
    if cosine.shape[1] < 2:
        return np.zeros(len(cosine))
    second, best = np.partition(cosine, -2, axis=1)[:, -2:].T
    rival = np.isfinite(second)
    return np.where(rival, np.minimum(best - np.where(rival, second, 0.0), ADAPTIVE_CAP), 0.0)


# name -> (the term, the least it can be for boxes that do not overlap)
COSTS: dict[str, tuple[Cost, float]] = {
    "iou": (iou, 1.0),
    "iou_score": (iou_score, 1.0),
    "hmiou": (hmiou, 1.0),
    "score_gap": (score_gap, 0.0),
    "score_forecast": (score_forecast, 0.0),
    "direction": (direction, -0.5),
    "corner_direction": (corner_direction, 0.0),
    "mahalanobis": (mahalanobis, 0.0),
    "centre_mahalanobis": (centre_mahalanobis, 0.0),
    "appearance": (appearance, 0.0),
    "half_appearance": (half_appearance, 0.0),
    "adaptive_appearance": (adaptive_appearance, -np.inf),
    "nearest_cue": (nearest_cue, 0.0),
    "iou_unless_alike": (iou_unless_alike, 1.0 - RELIEF),
    "trusted_iou": (trusted_iou, 1.0),
    "mahalanobis_share": (mahalanobis_share, 0.0),
    "shape": (shape, 0.0),
    "shape_by_width": (shape_by_width, 0.0),
    "log_odds": (log_odds, -np.inf),
}
LOOKS = {"appearance": 1.0, "half_appearance": 0.5}  # times 1 - cosine
ALL_LOOKS = {*LOOKS, "adaptive_appearance", "nearest_cue", "iou_unless_alike", "log_odds"}
