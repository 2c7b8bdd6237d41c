"""A preset's numbers as records that array code reads, compiled or not, and which presets a compiled frame can run.

`compiled_stages` goes through what a stage is made of: each part is either put into the record or refused. A key that
is yet to come is refused by `tests/tracker/test_rules.py`, which changes every key there is.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from retrace.tracker.association.costs import LOOKS
from retrace.tracker.association.stages import prepare
from retrace.tracker.config import Stage, TrackerConfig
from retrace.tracker.kernels import sources
from retrace.tracker.motion.models import MODELS, NONE
from retrace.tracker.rows import LOST
from retrace.tracker.tracks.appearance import SUMMED
from retrace.tracker.tracks.state import Depth

# The costs that compiled stages know, by their place here: tracker/compiled_frame/costs.py
COSTS = (
    "iou",
    "iou_score",
    "hmiou",
    "score_gap",
    "appearance",
    "half_appearance",
    "nearest_cue",
    "mahalanobis",
    "centre_mahalanobis",
)
MOST = 4  # terms of a sum, and gates
SCORES = ("low", "high", "new", "confirm_score", "recent_momentum")  # float32, as NumPy compares them
COUNTS = ("confirm_hits", "start_frames", "report_streak")
REALS = ("nms", "birth_iou", "duplicate_iou", "max_age", "believed_age", "tentative_max_age", "coast")
OPTIONAL = ("appearance_scale", "momentum_from")  # NaN: none
FLAGS = ("class_agnostic", "noise_by_score")
KALMAN = [
    ("kind", np.int64),  # of coordinates, MotionModel.kind
    ("scale_of", np.int64, 4),  # the rest: MotionModel.compiled and compiled_start
    ("weight", np.float64, 3),
    ("constant", np.float64, (3, 4)),
    ("start_weight", np.float64, 2),
    ("start_constant", np.float64, (2, 4)),
    ("frozen", np.uint8, 4),  # the coordinates whose speed a lost track gives up
]
RULES = np.dtype(  # of TrackerConfig, by name
    [
        *((name, np.float32) for name in SCORES),
        *((name, np.int64) for name in (*COUNTS, "hidden_hits")),
        *((name, np.float64) for name in (*REALS, *OPTIONAL, "hidden_age", "hidden_cover", "hidden_slack")),
        *((name, np.bool_) for name in (*FLAGS, "detection_box", f"sources_{sources()}")),
        ("memory", np.int64, 3),  # by status, of tracks.appearance.SUMMED: what looks are compared with
        *KALMAN,
    ],
    align=True,
)
STAGE = np.dtype(
    [
        ("blind", np.bool_),  # where nobody's looks are known; else where somebody's are
        ("high", np.bool_),  # takes the high band; else the low one
        ("by_place", np.bool_),  # only tracks whose predicted box is still believed
        ("limit", np.float64, 3),  # by status; 0: the stage leaves that status out
        ("terms", np.int64, MOST),  # of COSTS, -1: no more
        ("weights", np.float64, MOST),
        ("gates", np.int64, MOST),
        ("most", np.float64, MOST),
        ("looks", np.bool_),  # a term compares appearance
        ("cascade", np.bool_),  # one assignment for each age, the youngest first
        ("apart", np.bool_),  # boxes that do not overlap may match, by looks
        ("reach", np.float64),  # and their centres are at most so far, squared Mahalanobis; inf: anywhere
        ("neutral", np.float64),  # what an unknown appearance costs; inf: such a pair cannot be
        ("cue_appearance", np.float64),
        ("cue_iou", np.float64),
    ],
    align=True,
)


def rules_of(config: TrackerConfig) -> np.ndarray:
    """(1,) RULES."""
    rules, model = np.zeros(1, RULES), MODELS[config.motion]
    for name in (*SCORES, *COUNTS, *REALS, *FLAGS):
        rules[name] = getattr(config, name)
    for name in OPTIONAL:
        value = getattr(config, name)
        rules[name] = np.nan if value is None else value
    rules["detection_box"] = config.box == "detection"
    memories = [config.active_appearance] * 3
    memories[LOST] = config.lost_appearance
    rules["memory"] = [SUMMED.index(name) if name in SUMMED else -1 for name in memories]
    rules["hidden_age"] = -1.0
    if config.hidden is not None:
        for name, value in config.hidden:
            rules[f"hidden_{name}"] = value
    rules["kind"] = model.kind
    rules["scale_of"], rules["weight"], rules["constant"] = model.compiled
    rules["start_weight"], rules["start_constant"] = model.compiled_start
    rules["frozen"][0, list(model.sizes)] = config.freeze_lost_size
    return rules


class CompiledStages(NamedTuple):
    """What a compiled frame can run of a preset."""

    stages: np.ndarray  # (S,) STAGE
    looks: bool  # those that look, too; else only those of ``blind_stages``


def compiled_stages(config: TrackerConfig, depth: Depth) -> CompiledStages | None:
    """None: this preset has more to it than a compiled frame, and runs step by step.

    What is refused, and why: directions, shapes, shares and log-odds take arctan2, arccos, exp and log, of which NumPy
    and compiled code round one value in ten or twenty differently, so that the bytes would not be the same (OC-SORT,
    Deep OC-SORT, Hybrid-SORT, TrackTrack, BoostTrack, `odds`); boxes of the past lie by row, which a compiled frame
    moves (GHOST's straight motion).

    Args:
        depth: what the preset must remember of each track.
    """
    if depth.boxes or depth.filters or depth.scores or config.boost is not None:
        return None
    if (
        config.nms < 1
        or config.birth_iou < 1
        or config.motion == "linear"
        or MODELS[config.motion].kind == NONE
    ):
        return None
    blind = [_stage(stage, True) for stage in config.blind_stages or config.stages]
    if None in blind:
        return None
    seeing = [_stage(stage, False) for stage in config.stages]
    looks = {config.active_appearance, config.lost_appearance} <= {*SUMMED} and None not in seeing
    return CompiledStages(np.array(seeing + blind if looks else blind, STAGE), looks)


def _stage(stage: Stage, blind: bool) -> tuple[Any, ...] | None:
    """The stage as a STAGE; None: it is none."""
    terms, gates, prepared = stage.terms, stage.gates, prepare(stage)
    unknown = {*terms, *gates} - {*COSTS} or max(len(terms), len(gates)) > MOST
    if unknown or stage.bands not in ({"high": 0.0}, {"low": 0.0}):
        return None
    if stage.match != "hungarian" or stage.against != "predicted" or stage.buffer:
        return None
    if gates.keys() & {*LOOKS, "nearest_cue"} or ("nearest_cue" in terms and stage.cue_iou >= 1):
        return None
    fill = [-1] * MOST
    return (
        blind,
        "high" in stage.bands,
        prepared.by_place,
        prepared.limit,
        [*map(COSTS.index, terms), *fill][:MOST],
        [*terms.values(), *([0.0] * MOST)][:MOST],
        [*map(COSTS.index, gates), *fill][:MOST],
        [*gates.values(), *([0.0] * MOST)][:MOST],
        prepared.looks,
        stage.cascade,
        np.isfinite(prepared.far),
        min((gates[name] for name in ("mahalanobis", "centre_mahalanobis") if name in gates), default=np.inf),
        np.inf if stage.neutral_appearance is None else stage.neutral_appearance,
        stage.cue_appearance,
        stage.cue_iou,
    )
