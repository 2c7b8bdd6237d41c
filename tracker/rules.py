"""A preset's numbers as records that array code reads, compiled or not, and what a compiled frame has no room for.

`compiled_stages` goes through what a stage is made of: each part is either put into the record or refused. A key that
is yet to come is refused by `tests/tracker/test_rules.py`, which changes every key there is.
"""

from __future__ import annotations

from typing import Any, NamedTuple, get_args

import numpy as np

from retrace.tracker.association.costs import ALL_LOOKS
from retrace.tracker.association.log_odds import REACH
from retrace.tracker.association.stages import SLACK, prepare
from retrace.tracker.config import Band, CostName, LogOdds, Stage, TrackerConfig
from retrace.tracker.kernels import sources
from retrace.tracker.motion.models import MODELS, NONE
from retrace.tracker.rows import LOST
from retrace.tracker.tracks.appearance import SUMMED
from retrace.tracker.tracks.state import Depth

COSTS: tuple[CostName, ...] = get_args(CostName)  # in a record a cost is its place here
ALL_PAIRS = ("adaptive_appearance",)  # the costs of one pair that look at all others
KNOTS, AGES = 16, 6  # of a table of log-odds, at most
TERMS = len(LogOdds.TERMS)
REACHES = ("mahalanobis", "centre_mahalanobis")  # gates that bound how far away a box may be
BANDS: tuple[Band, ...] = ("high", "low", "deleted")
MOST = 5  # terms of a sum, and gates
SCORES = ("low", "high", "new", "confirm_score", "recent_momentum")  # float32, as NumPy compares them
COUNTS = ("confirm_hits", "start_frames", "report_streak", "direction_span")
REALS = ("nms", "birth_iou", "duplicate_iou", "max_age", "believed_age", "tentative_max_age", "coast")
OPTIONAL = ("appearance_scale", "momentum_from")  # NaN: none
FLAGS = ("class_agnostic", "noise_by_score", "reupdate", "told_apart")
PLACES = ("past_time", "kept", "scores", "end")  # where they begin in a row of the memory, tracks.state.Depth
KALMAN = [
    ("kind", np.int64),  # of coordinates, MotionModel.kind
    ("scale_of", np.int64, 4),  # the rest: MotionModel.compiled and compiled_start
    ("weight", np.float64, 3),
    ("constant", np.float64, (3, 4)),
    ("start_weight", np.float64, 2),
    ("start_constant", np.float64, (2, 4)),
    ("frozen", np.uint8, 4),  # the coordinates whose speed a lost track gives up
]
NO_DEPTH = Depth()
RULES = np.dtype(  # of TrackerConfig, by name
    [
        *((name, np.float32) for name in SCORES),
        *((name, np.int64) for name in (*COUNTS, "hidden_hits")),
        *((name, np.float64) for name in (*REALS, *OPTIONAL, "hidden_age", "hidden_cover", "hidden_slack")),
        *((name, np.bool_) for name in (*FLAGS, "detection_box", f"sources_{sources()}")),
        ("memory", np.int64, 3),  # by status, of tracks.appearance.SUMMED: what looks are compared with
        ("summed", np.bool_),  # all of these are; else looks are what the matrix says
        ("straight", np.bool_),  # motion on a line through the last boxes, no filter
        ("boost_likely", np.float64),  # NaN: scores stay as they are
        ("boost_distance", np.float64),  # NaN: nobody is unlikely
        ("odds_bias", np.float64),
        ("odds_gaps", np.float64, AGES - 2),  # inf: no more
        ("odds_knots", np.int64, TERMS),
        ("odds_by_age", np.uint8, TERMS),
        ("odds_at", np.float64, (TERMS, KNOTS)),
        ("odds_nats", np.float64, (TERMS, AGES, KNOTS)),
        *((f"at_{name}", np.int64) for name in PLACES),
        *KALMAN,
    ],
    align=True,
)
STAGE = np.dtype(
    [
        ("blind", np.bool_),  # where nobody's looks are known; else where somebody's are
        ("bands", np.float64, 3),  # what is added to costs of detections, by BANDS; NaN: left out
        ("by_place", np.bool_),  # only tracks whose predicted box is still believed
        ("limit", np.float64, 3),  # by status; 0: the stage leaves that status out
        ("terms", np.int64, MOST),  # of COSTS, -1: no more
        ("weights", np.float64, MOST),
        ("gates", np.int64, MOST),
        ("most", np.float64, MOST),
        ("looks", np.bool_),  # a term compares appearance
        ("gate_looks", np.bool_),  # a gate does
        ("cascade", np.bool_),  # one assignment for each age, the youngest first
        ("apart", np.bool_),  # boxes that do not overlap may match, by looks
        ("reach", np.float64),  # and their centres are at most so far, squared Mahalanobis; inf: anywhere
        ("neutral", np.float64),  # what an unknown appearance costs; inf: such a pair cannot be
        ("odds", np.bool_),  # whoever overlaps or is within reach is asked for log-odds
        ("cue_appearance", np.float64),
        ("cue_iou", np.float64),
        ("observed", np.bool_),  # boxes are the last seen; else the predicted ones
        ("buffer", np.float64),
        ("limit_step", np.float64),  # mutual nearest under a limit that falls by this; NaN: one assignment
        ("from_matrix", np.bool_),  # boxes apart may match where the matrix of looks says so:
        ("bound", np.float64, 3),  # by status, below this
    ],
    align=True,
)


def rules_of(config: TrackerConfig, depth: Depth = NO_DEPTH) -> np.ndarray:
    """(1,) RULES.

    Args:
        depth: what the preset must remember of each track.
    """
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
    rules["summed"] = {*memories} <= {*SUMMED}
    for name in PLACES:
        rules[f"at_{name}"] = depth.parts[name][0] if name in depth.parts else depth.width
    rules["straight"] = config.motion == "linear"
    rules["boost_likely"] = rules["boost_distance"] = np.nan
    if config.boost is not None:
        rules["boost_likely"] = config.boost.likely
        rules["boost_distance"] = config.boost.distance if config.boost.unlikely else np.nan
    if config.log_odds is not None and _fits(config.log_odds):
        _tell_odds(rules[0], config.log_odds)
    rules["hidden_age"] = -1.0
    if config.hidden is not None:
        for name, value in config.hidden:
            rules[f"hidden_{name}"] = value
    rules["kind"] = model.kind
    rules["scale_of"], rules["weight"], rules["constant"] = model.compiled
    rules["start_weight"], rules["start_constant"] = model.compiled_start
    rules["frozen"][0, list(model.sizes)] = config.freeze_lost_size
    return rules


def _fits(odds: LogOdds) -> bool:
    """Whether a record has room for all of them."""
    return len(odds.gaps) <= AGES - 2 and all(len(getattr(odds, name).at) <= KNOTS for name in odds.TERMS)


def _tell_odds(rules: Any, odds: LogOdds) -> None:
    rules["odds_bias"], rules["odds_gaps"] = odds.bias, np.inf
    rules["odds_gaps"][: len(odds.gaps)] = odds.gaps
    for k, name in enumerate(odds.TERMS):
        table = getattr(odds, name)
        count = len(table.at)
        rules["odds_knots"][k], rules["odds_by_age"][k] = count, len(table.nats) > 1
        rules["odds_at"][k, :count] = table.at
        rules["odds_nats"][k, : len(table.nats), :count] = table.nats


class CompiledStages(NamedTuple):
    """What a compiled frame can run of a preset."""

    stages: np.ndarray  # (S,) STAGE
    looks: bool  # those that look, too; else only those of ``blind_stages``
    # they are told how all tracks and detections look to each other: `tracks.appearance.distances`
    matrix: bool


def compiled_stages(config: TrackerConfig) -> CompiledStages | None:
    """None: this preset has more to it than a compiled frame, and runs step by step.

    What is refused: a motion model that somebody adds, longer sums and tables than a record has room for.
    """
    if MODELS[config.motion].kind == NONE or (config.log_odds is not None and not _fits(config.log_odds)):
        return None
    summed = {config.active_appearance, config.lost_appearance} <= {*SUMMED}
    matrix = not summed or any(map(_asks_all_pairs, config.stages))
    blind = [_stage(_without_looks(stage), True, False) for stage in config.blind_stages or config.stages]
    seeing = [_stage(stage, False, matrix) for stage in config.stages]
    if None in blind:
        return None
    looks = None not in seeing
    return CompiledStages(np.array(seeing + blind if looks else blind, STAGE), looks, looks and matrix)


def _asks_all_pairs(stage: Stage) -> bool:
    """Whether it must be known how everybody looks to everybody. Few are lost, and a gate lets few boxes through:
    those compare what they meet."""
    if {*ALL_PAIRS} & {*stage.terms, *stage.gates}:
        return True
    return prepare(stage).far < np.inf and _reach(stage) == np.inf and {*stage.tracks} != {"lost"}


def _reach(stage: Stage) -> float:
    if "log_odds" in stage.terms:
        return REACH
    return min((stage.gates[name] for name in REACHES if name in stage.gates), default=np.inf)


def _without_looks(stage: Stage) -> Stage:
    """The same where nobody's looks are known: the smaller of two cues is the one that is left."""
    if "nearest_cue" not in stage.terms or "iou_score" in stage.terms or stage.neutral_appearance is not None:
        return stage
    cost = {"iou_score" if name == "nearest_cue" else name: weight for name, weight in stage.terms.items()}
    return stage.model_copy(update={"cost": cost})


def _stage(stage: Stage, blind: bool, matrix: bool) -> tuple[Any, ...] | None:
    """The stage as a STAGE; None: it is none."""
    terms, gates, prepared = stage.terms, stage.gates, prepare(stage)
    if max(len(terms), len(gates)) > MOST:
        return None
    fill, apart = [-1] * MOST, prepared.far < np.inf
    bound = (prepared.limit - prepared.far) / prepared.look + SLACK if apart else np.zeros(3)
    return (
        blind,
        [stage.bands.get(band, np.nan) for band in BANDS],
        prepared.by_place,
        prepared.limit,
        [*map(COSTS.index, terms), *fill][:MOST],
        [*terms.values(), *([0.0] * MOST)][:MOST],
        [*map(COSTS.index, gates), *fill][:MOST],
        [*gates.values(), *([0.0] * MOST)][:MOST],
        prepared.looks,
        bool(ALL_LOOKS & {*gates}),
        stage.cascade,
        apart,
        _reach(stage),
        np.inf if stage.neutral_appearance is None else stage.neutral_appearance,
        "log_odds" in terms,
        stage.cue_appearance,
        stage.cue_iou,
        stage.against == "observed",
        stage.buffer,
        stage.limit_step if stage.match == "mutual" else np.nan,
        apart and matrix,
        bound,
    )
