"""What a tracker preset may say: an algorithm is a list of association stages, a motion model, a lifecycle."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from retrace.configs.loader import Strict

FRAMES = re.compile(r"^\s*(\d+(?:\.\d+)?)\s+frames?\s+at\s+(\d+(?:\.\d+)?)\s+fps\s*$")


def _seconds(value: Any) -> Any:
    """A duration: seconds, or the way papers state theirs, "30 frames at 30 fps"."""
    if isinstance(value, str) and (found := FRAMES.match(value)):
        frames, fps = map(float, found.groups())
        if fps == 0:
            raise ValueError("a duration needs a frame rate above 0")
        return frames / fps
    if isinstance(value, str | bool):
        raise ValueError('expected seconds, or "N frames at F fps"')
    return value


Seconds = Annotated[float, BeforeValidator(_seconds), Field(ge=0, allow_inf_nan=False)]
Unit = Annotated[float, Field(ge=0, le=1)]
Limit = Annotated[float, Field(gt=0, le=10)]
Most = Annotated[float, Field(allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]  # below 0 nothing bounds what boxes apart cost
Status = Literal["tentative", "active", "lost"]


# tracker/association/costs.py says what each is
CostName = Literal[
    "iou",
    "iou_score",
    "hmiou",
    "score_gap",
    "score_forecast",
    "direction",
    "corner_direction",
    "mahalanobis",
    "centre_mahalanobis",
    "appearance",
    "half_appearance",
    "adaptive_appearance",
    "nearest_cue",
    "iou_unless_alike",
    "trusted_iou",
    "mahalanobis_share",
    "shape",
    "shape_by_width",
    "log_odds",
]
Band = Literal["high", "low", "deleted"]


class Stage(Strict):
    """One association pass: which tracks, which detections, at what cost, up to which limit."""

    tracks: Annotated[tuple[Status, ...], Field(min_length=1)]
    # high: score >= high; low: low <= score < high; deleted: by NMS; {band: what is added to its cost}
    detections: Band | Annotated[dict[Band, Weight], Field(min_length=1)]
    # one term, or {term: weight}: their sum
    cost: CostName | Annotated[dict[CostName, Weight], Field(min_length=1)]
    limit: Limit | dict[Status, Limit]  # pairs need cost < limit; raising it matches more, and more wrongly
    # {term: the most it may be}; closed: this pair cannot be, whatever the sum
    gates: dict[CostName, Most] = Field(default_factory=dict)
    match: Literal["hungarian", "mutual"] = "hungarian"  # mutual: nearest to each other, again and again
    limit_step: Annotated[float, Field(gt=0)] = 0.05  # mutual: the limit falls by so much each time
    cascade: bool = False  # tracks seen last choose first (DeepSORT)
    against: Literal["predicted", "observed"] = "predicted"  # the tracks' boxes: the filter's, the last seen
    buffer: Annotated[float, Field(ge=0)] = 0.0  # boxes grow by so much of their size on each side (C-BIoU)
    # what an unknown appearance counts as; none: such a pair cannot be
    neutral_appearance: Annotated[float, Field(ge=0, le=2)] | None = None
    cue_appearance: Annotated[float, Field(gt=0, le=1)] = 0.25  # nearest_cue: looks count up to here
    cue_iou: Annotated[float, Field(gt=0, le=1)] = 0.5  # and up to this 1 - IoU; 1: wherever the boxes are

    @property
    def terms(self) -> dict[CostName, float]:
        """The cost as {term: weight}; a term of weight 0 is left out."""
        cost = self.cost if isinstance(self.cost, dict) else {self.cost: 1.0}
        return {name: weight for name, weight in cost.items() if weight > 0}

    @property
    def bands(self) -> dict[Band, float]:
        """The detections as {band: penalty}."""
        return self.detections if isinstance(self.detections, dict) else {self.detections: 0.0}

    def limit_of(self, status: str) -> float:
        """The limit for one status; 0 (nothing may match) for a status this stage leaves out."""
        if status not in self.tracks:
            return 0.0
        return self.limit.get(status, 0.0) if isinstance(self.limit, dict) else self.limit

    @model_validator(mode="after")
    def _costs_something(self) -> Stage:
        if not self.terms:
            raise ValueError("cost needs a term with a weight above 0")
        return self

    @model_validator(mode="after")
    def _limits_cover_tracks(self) -> Stage:
        if isinstance(self.limit, dict) and set(self.limit) != set(self.tracks):
            raise ValueError(f"limit names {sorted(self.limit)}, tracks names {sorted(self.tracks)}")
        return self


Memory = Literal["recent", "history", "minimum", "median"]


class Table(Strict):
    """Nats over a quantity: linear between knots, constant beyond them."""

    at: Annotated[tuple[Most, ...], Field(min_length=2)]  # the knots, rising
    # a row for all tracks, or one for each age of LogOdds
    nats: Annotated[tuple[tuple[Most, ...], ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _rows_fit_knots(self) -> Table:
        if any(a >= b for a, b in pairwise(self.at)):
            raise ValueError("knots must rise")
        if any(len(row) != len(self.at) for row in self.nats):
            raise ValueError(f"every row of nats needs as many numbers as there are knots, {len(self.at)}")
        return self


class LogOdds(Strict):
    """The tables of the cost `log_odds` (tracker/association/log_odds.py), as `tools/calibrate.py` writes them.

    Tracks are of one age or another: seen in the last frame, else longer ago than none of the gaps, the first, ...
    """

    TERMS: ClassVar = ("overlap", "place", "size", "score", "fall", "look")

    gaps: tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...] = (0.5, 2.0)  # s since seen, rising
    bias: Most  # of every pair
    overlap: Table
    place: Table
    size: Table
    score: Table
    fall: Table
    look: Table

    @model_validator(mode="after")
    def _rows_fit_ages(self) -> LogOdds:
        if any(a >= b for a, b in pairwise(self.gaps)):
            raise ValueError("gaps must rise")
        for name in self.TERMS:
            rows, ages = len(getattr(self, name).nats), len(self.gaps) + 2
            if rows not in (1, ages):
                raise ValueError(f"{name}: expected 1 row of nats, or {ages} for the ages, got {rows}")
        return self


class Boost(Strict):
    """BoostTrack's detection-confidence boosting (Stanojevic 2024, sec. 3.4 and 3.5)."""

    likely: Unit = 0.65  # a box's score is at least this times its largest IoU with a track
    unlikely: bool = True  # a box far from every track is somebody new: its score is at least `high`
    distance: Annotated[float, Field(gt=0)] = 13.2767  # squared Mahalanobis: far is above


class Hidden(Strict):
    """Report lost tracks while they are hidden: covered by a shown box that is nearer to the camera."""

    age: Seconds = 0.7  # for so long at most
    cover: Unit = 0.8  # this share of the predicted box must be covered
    hits: Annotated[int, Field(ge=1)] = 5  # of tracks with so many detections
    # nearer: the bottom edge lower, give or take this part of a height
    slack: Annotated[float, Field(ge=0)] = 0.1


class TrackerConfig(Strict):
    """One tracker. Durations are seconds; scores lie in [0, 1]."""

    source: str = ""  # the paper and where each default comes from
    class_agnostic: bool = False  # boxes of different classes may match

    low: Unit = 0.1  # detections below are ignored
    high: Unit = 0.6  # detections from here take part in the first stages
    new: Unit = 0.7  # unmatched detections from here begin a track; lower: more and shorter tracks
    # boxes overlapping a better one by more: band "deleted"; 1: off
    nms: Annotated[float, Field(gt=0, le=1)] = 1.0
    boost: Boost | None = None  # raise scores by what the tracks expect (BoostTrack)

    motion: Literal["sort", "xyah", "xyhr", "xywh", "linear"] = "xywh"
    # linear: the mean velocity over so many steps between boxes
    motion_memory: Annotated[int, Field(ge=1)] = 5
    freeze_lost_size: bool = False  # a lost track keeps its size instead of going on growing or shrinking
    noise_by_score: bool = False  # a sure detection corrects more: R times (1 - score) (StrongSORT's NSA)
    reupdate: bool = False  # a track found again is led through the gap on a straight line (OC-SORT's ORU)
    direction_span: Annotated[int, Field(ge=1)] = 3  # steps over which a track's direction is measured

    confirm_hits: Annotated[int, Field(ge=1)] = 2  # detections that make a track more than tentative
    confirm_score: Annotated[float, Field(ge=0)] = 2.0  # a detection from here does at once; 2: off
    start_frames: Annotated[int, Field(ge=0)] = 1  # in the first frames every track is confirmed at once
    # no track begins on a live one, or on a better birth, overlapping more (TrackTrack); 1: off
    birth_iou: Annotated[float, Field(gt=0, le=1)] = 1.0
    # report only after so many matches in a row (SORT's min_hits)
    report_streak: Annotated[int, Field(ge=0)] = 0
    max_age: Seconds = 1.0  # a lost track is forgotten after; longer finds more who return, and errs more
    motion_age: Seconds | None = None  # a lost track's predicted box is believed for so long; none: max_age
    tentative_max_age: Seconds = 0.0  # a tentative one after; 0: at the first miss
    # a lost and an active track overlapping more: one goes; 1: off
    duplicate_iou: Annotated[float, Field(gt=0, le=1)] = 1.0
    # unless both have looks: who stands in one place is then told apart by them
    told_apart: bool = False

    # stretch 1 - cosine so that boxes of one frame, on average so far, are so far apart; none: as it is
    appearance_scale: Annotated[float, Field(gt=0, le=2)] | None = None
    recent_momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0  # of `recent` appearance; 0: the last vector
    # a detection of this score changes nothing, one of 1 the most (Deep OC-SORT); none: all alike
    momentum_from: Annotated[float, Field(ge=0, lt=1)] | None = None
    bank: Annotated[int, Field(ge=1)] = 1  # minimum, median: over the last so many vectors
    active_appearance: Memory = "recent"  # what active and tentative tracks are compared by
    lost_appearance: Memory = "recent"  # what lost ones are: history is the mean distance to all vectors

    log_odds: LogOdds | None = None  # the tables of the cost `log_odds`

    box: Literal["state", "detection"] = "state"  # report the filter's box or the detector's
    coast: Seconds = 0.0  # report a lost track's predicted box for so long (det_index -1)
    hidden: Hidden | None = None  # report it while somebody shown stands in front of it

    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    # instead, where no track or no detection has an appearance; none: the same
    blind_stages: tuple[Stage, ...] = ()

    @property
    def believed_age(self) -> float:
        """s, for how long the predicted box of a lost track is believed."""
        return self.max_age if self.motion_age is None else self.motion_age

    @model_validator(mode="after")
    def _scores_in_order(self) -> TrackerConfig:
        if not self.low <= self.high:
            raise ValueError(f"low ({self.low:g}) must not exceed high ({self.high:g})")
        return self

    @model_validator(mode="after")
    def _filters_for_their_distances(self) -> TrackerConfig:
        asked = {
            term for stage in (*self.stages, *self.blind_stages) for term in (*stage.terms, *stage.gates)
        }
        boosts = self.boost is not None and self.boost.unlikely
        unsure = any("mahalanobis" in term or term == "log_odds" for term in asked)
        if "log_odds" in asked and self.log_odds is None:
            raise ValueError(
                "the cost log_odds needs its tables: log_odds, as `retrace calibrate` writes them"
            )
        if self.motion == "linear" and (boosts or unsure):
            raise ValueError(
                "motion: linear knows no uncertainty, so no mahalanobis distance and no boost.unlikely"
            )
        return self
