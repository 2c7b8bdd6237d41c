"""Which presets a compiled frame can run: by what they are made of, and every key that there is is taken or refused."""

from __future__ import annotations

from typing import Any

import pytest

from retrace.tracker import Tracker
from retrace.tracker.config import Stage, TrackerConfig
from retrace.tracker.rules import COSTS, compiled_stages, rules_of
from tests.tracker.presets import PRESETS
from tests.tracker.worlds import ODDS

STAGES = [{"tracks": ["active", "lost"], "detections": "high", "cost": "iou", "limit": 0.7}]
# Another value of every key. A key that is missing here fails the first test: say in tracker/rules.py what the compiled
# frame makes of it, and change it here.
OTHER: dict[str, Any] = {
    "class_agnostic": True,
    "low": 0.2,
    "high": 0.65,
    "new": 0.8,
    "nms": 0.8,
    "boost": {},
    "motion": "sort",
    "freeze_lost_size": False,
    "noise_by_score": True,
    "reupdate": True,
    "confirm_hits": 4,
    "confirm_score": 0.9,
    "start_frames": 5,
    "birth_iou": 0.5,
    "report_streak": 2,
    "max_age": 2.0,
    "motion_age": 0.3,
    "tentative_max_age": 0.1,
    "duplicate_iou": 0.7,
    "appearance_scale": 0.5,
    "recent_momentum": 0.5,
    "momentum_from": 0.3,
    "active_appearance": "history",
    "lost_appearance": "history",
    "box": "detection",
    "coast": 0.1,
    "hidden": {},
    "stages": STAGES,
    "blind_stages": STAGES,
}
NOTHING_ELSE = {  # what these say matters to presets that are refused by another key: with it they are
    "source": {},
    "motion_memory": {"motion": "linear"},
    "direction_span": {"stages.0.cost": {"iou": 1, "direction": 0.2}},
    "bank": {},  # the length of an array, which a compiled frame is given
    "log_odds": {"stages.0.cost": "log_odds", "log_odds": ODDS.model_dump()},
}
OTHER_STAGE: dict[str, Any] = {
    "tracks": ["active"],
    "detections": "low",
    "cost": "hmiou",
    "limit": 0.5,
    "gates": {"mahalanobis": 9.0},
    "match": "mutual",
    "cascade": True,
    "against": "observed",
    "buffer": 0.1,
    "neutral_appearance": 0.4,
    "cue_appearance": 0.3,
    "cue_iou": 0.4,
}
MUTUAL_ONLY = {"limit_step": {"stages.0.match": "mutual"}}


def made(**changes: Any) -> bytes | None:
    """All that a compiled frame would be given; None: the preset is refused."""
    tracker = Tracker.from_config("botsort", **changes)
    ready = compiled_stages(tracker.config, tracker._depth)
    if ready is None or not ready.looks:
        return None
    return rules_of(tracker.config).tobytes() + ready.stages.tobytes()


def test_every_key_is_named() -> None:
    assert {*OTHER, *NOTHING_ELSE} == set(TrackerConfig.model_fields)
    assert {*OTHER_STAGE, *MUTUAL_ONLY} == set(Stage.model_fields)


@pytest.mark.parametrize("key", OTHER)
def test_every_key_is_taken_or_refused(key: str) -> None:
    assert made() is not None
    assert made(**{key: OTHER[key]}) != made()


@pytest.mark.parametrize("key", OTHER_STAGE)
def test_every_key_of_a_stage_is_taken_or_refused(key: str) -> None:
    assert made(**{f"stages.0.{key}": OTHER_STAGE[key]}) != made()


@pytest.mark.parametrize("changes", [*NOTHING_ELSE.values(), *MUTUAL_ONLY.values()])
def test_what_a_key_belongs_to_is_refused(changes: dict[str, Any]) -> None:
    assert (made(**changes) is None) == bool(changes)


def test_which_presets_are_run() -> None:
    """The others keep boxes, filters or scores, move on a straight line, or turn on angles and exponentials."""
    ready = {name: Tracker.from_config(name)._compiled_stages for name in PRESETS}
    looks = {name for name, stages in ready.items() if stages is not None and stages.looks}
    assert looks == {"sort", "bytetrack", "default", "botsort", "strongsort", "deepsort"}
    assert {name for name, stages in ready.items() if stages is not None} - looks == {"odds"}, (
        "logarithms, too"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"motion": "linear"},
        {"active_appearance": "median"},
        {"stages.0.detections": {"high": 0, "low": 0.2}},
        {"stages.0.detections": {"high": 0.1}},
        {"stages.0.cost": "shape"},
        {"stages.0.cost": {"iou": 1, "score_forecast": 0.1}},
        {"stages.0.cue_iou": 1},
        {"stages.0.gates": {"appearance": 0.3}},
        {"stages.0.cost": dict.fromkeys(COSTS[:5], 1.0)},
    ],
)
def test_what_is_refused(changes: dict[str, Any]) -> None:
    assert made(**changes) is None
