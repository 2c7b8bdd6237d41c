"""What a tracker preset may say: an algorithm is a list of association stages, a motion model, a lifecycle."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

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
Limit = Annotated[float, Field(gt=0, le=2)]
Status = Literal["tentative", "active", "lost"]


class Stage(BaseModel):
    """One association pass: which tracks, which detections, at what cost, up to which limit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tracks: Annotated[tuple[Status, ...], Field(min_length=1)]
    detections: Literal["high", "low"]  # score >= high, or low <= score < high
    cost: Literal["iou", "iou_score", "appearance", "blend"]
    limit: Limit | dict[Status, Limit]  # pairs need cost < limit; raising it matches more, and more wrongly
    gate: Annotated[float, Field(gt=0)] | None = (
        None  # squared Mahalanobis distance no pair may exceed; none: off
    )
    motion_weight: Unit = 0.5  # blend only: 0 trusts appearance alone, 1 motion alone
    neutral_appearance: Annotated[float, Field(ge=0, le=2)] = (
        0.3  # blend: what an unknown appearance counts as
    )

    def limit_of(self, status: str) -> float:
        """The limit for one status; 0 (nothing may match) for a status this stage leaves out."""
        if status not in self.tracks:
            return 0.0
        return self.limit.get(status, 0.0) if isinstance(self.limit, dict) else self.limit

    @model_validator(mode="after")
    def _limits_cover_tracks(self) -> Stage:
        if isinstance(self.limit, dict) and set(self.limit) != set(self.tracks):
            raise ValueError(f"limit names {sorted(self.limit)}, tracks names {sorted(self.tracks)}")
        return self


class TrackerConfig(BaseModel):
    """One tracker. Durations are seconds; scores lie in [0, 1]."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str = ""  # the paper and where each default comes from
    class_agnostic: bool = False  # boxes of different classes may match

    low: Unit = 0.1  # detections below are ignored
    high: Unit = 0.6  # detections from here take part in the first stages
    new: Unit = 0.7  # unmatched detections from here begin a track; lower: more and shorter tracks

    motion: Literal["sort", "xyah", "xywh"] = "xywh"
    freeze_lost_size: bool = False  # a lost track keeps its size instead of going on growing or shrinking

    confirm_hits: Annotated[int, Field(ge=1)] = 2  # detections that make a track more than tentative
    start_frames: Annotated[int, Field(ge=0)] = 1  # in the first frames every track is confirmed at once
    report_streak: Annotated[int, Field(ge=0)] = (
        0  # report only after so many matches in a row (SORT's min_hits)
    )
    max_age: Seconds = 1.0  # a lost track is forgotten after; longer finds more who return, and errs more
    motion_age: Seconds | None = None  # a lost track's predicted box is believed for so long; none: max_age
    tentative_max_age: Seconds = 0.0  # a tentative one after; 0: at the first miss
    duplicate_iou: Annotated[float, Field(gt=0, le=1)] = (
        1.0  # a lost and an active track overlapping more: one goes; 1: off
    )

    recent_momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0  # of `recent` appearance; 0: the last vector
    lost_appearance: Literal["recent", "history"] = "recent"  # what lost tracks are compared by

    box: Literal["state", "detection"] = "state"  # report the filter's box or the detector's
    coast: Seconds = 0.0  # report a lost track's predicted box for so long (det_index -1)

    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    blind_stages: tuple[
        Stage, ...
    ] = ()  # instead, where no track or no detection has an appearance; none: the same

    @model_validator(mode="after")
    def _scores_in_order(self) -> TrackerConfig:
        if not self.low <= self.high:
            raise ValueError(f"low ({self.low:g}) must not exceed high ({self.high:g})")
        return self
