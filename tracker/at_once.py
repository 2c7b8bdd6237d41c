"""Presets without looks, a whole frame in one compiled call: which they are, and what the call is given."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from retrace.tracker.association.matching import room_for
from retrace.tracker.config import Stage, TrackerConfig
from retrace.tracker.kernels import sources
from retrace.tracker.motion.models import MODELS, NONE
from retrace.tracker.tracks.state import STATUS

# As tracker/compiled/association.py numbers them; nearest_cue is IoU x score where nobody has looks.
COSTS = {"iou": 0, "iou_score": 1, "hmiou": 2, "nearest_cue": 1}
STAGE = np.dtype(
    [
        ("high", np.bool_),  # takes the high band; else the low one
        ("cost", np.int64),  # of COSTS
        ("gap", np.float64),  # times |expected score - score|
        ("limit", np.float64, 3),  # by status; 0: the stage leaves that status out
    ],
    align=True,
)
SCORES = ("low", "high", "new", "confirm_score")  # float32, as NumPy compares them
COUNTS = ("confirm_hits", "start_frames", "report_streak")
REALS = ("max_age", "motion_age", "tentative_max_age", "duplicate_iou", "coast")
FLAGS = ("class_agnostic", "noise_by_score")
MEMORIES = {"appearance_scale", "recent_momentum", "momentum_from", "bank"}
MEMORIES |= {"active_appearance", "lost_appearance"}
ELSEWHERE = {"motion_memory", "direction_span"}  # of what makes a preset another one anyway
HANDLED = {"source", "motion", "box", "hidden", "freeze_lost_size", "stages", "blind_stages"}
KNOWN = {*SCORES, *COUNTS, *REALS, *FLAGS, *MEMORIES, *ELSEWHERE, *HANDLED}
KNOWN_STAGE = {"tracks", "detections", "cost", "limit", "neutral_appearance", "cue_appearance", "cue_iou"}
RULES = np.dtype(  # of TrackerConfig, by name
    [
        *((name, np.float32) for name in SCORES),
        *((name, np.int64) for name in (*COUNTS, "kind", "hidden_hits")),
        *((name, np.float64) for name in (*REALS, "hidden_age", "hidden_cover", "hidden_slack")),
        *((name, np.bool_) for name in (*FLAGS, "detection_box", f"sources_{sources()}")),
        ("frozen", np.uint8, 4),  # the coordinates whose speed a lost track gives up
    ],
    align=True,
)


class AtOnce(NamedTuple):
    """One preset, as `tracker.compiled.frame` takes it."""

    stages: np.ndarray  # (S,) STAGE
    rules: np.ndarray  # (1,) RULES
    kalman: tuple[np.ndarray, ...]  # MotionModel.compiled
    start: tuple[np.ndarray, ...]  # MotionModel.compiled_start


def at_once(config: TrackerConfig) -> AtOnce | None:
    """None: this preset has more to it than the compiled frame knows."""
    model = MODELS[config.motion]
    stages = [_plain(stage) for stage in config.blind_stages or config.stages]
    remembers = room_for(config)
    more = remembers.boxes or remembers.filters or remembers.scores or _more(config, KNOWN)
    if config.motion == "linear" or model.kind == NONE or None in stages or more:
        return None
    rules = np.zeros(1, RULES)
    for name in (*SCORES, *COUNTS, *REALS, *FLAGS):
        rules[name] = getattr(config, "believed_age" if name == "motion_age" else name)
    rules["kind"], rules["detection_box"] = model.kind, config.box == "detection"
    rules["frozen"][0, list(model.sizes)] = config.freeze_lost_size
    rules["hidden_age"] = -1.0
    if config.hidden is not None:
        for name, value in config.hidden:
            rules[f"hidden_{name}"] = value
    return AtOnce(np.array(stages, STAGE), rules, model.compiled, model.compiled_start)


def _plain(stage: Stage) -> tuple[Any, ...] | None:
    """The stage as a STAGE; None: it is none."""
    (first, weight), *rest = stage.terms.items()
    plain = not _more(stage, KNOWN_STAGE) and stage.bands in ({"high": 0.0}, {"low": 0.0})
    plain &= first in COSTS and weight == 1.0 and [name for name, _ in rest] in ([], ["score_gap"])
    if not plain or (first == "nearest_cue" and stage.neutral_appearance is not None):
        return None
    gap = rest[0][1] if rest else 0.0
    return "high" in stage.bands, COSTS[first], gap, [stage.limit_of(name) for name in STATUS]


def _more(given: TrackerConfig | Stage, known: set[str]) -> bool:
    """Whether it asks for something else, keys that are yet to come included."""
    default = {name: field.default for name, field in type(given).model_fields.items()}
    return any(getattr(given, name) != value for name, value in default.items() if name not in known)
