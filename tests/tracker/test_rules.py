"""What a compiled frame is told of a preset: every key that there is is told or refused."""

from __future__ import annotations

from typing import Any

import pytest

from retrace.tracker import Tracker
from retrace.tracker.config import LogOdds, Stage, Table, TrackerConfig
from retrace.tracker.rules import AGES, COSTS, KNOTS, MOST, compiled_stages, rules_of
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
    "direction_span": 5,
    "birth_iou": 0.5,
    "report_streak": 2,
    "max_age": 2.0,
    "motion_age": 0.3,
    "tentative_max_age": 0.1,
    "duplicate_iou": 0.7,
    "told_apart": True,
    "appearance_scale": 0.5,
    "recent_momentum": 0.5,
    "momentum_from": 0.3,
    "active_appearance": "history",
    "lost_appearance": "history",
    "box": "detection",
    "log_odds": ODDS.model_dump(),
    "coast": 0.1,
    "hidden": {},
    "stages": STAGES,
    "blind_stages": STAGES,
}
BESIDE: dict[str, Any] = {  # those that matter beside another one: what is changed first
    "motion_memory": ({"motion": "linear"}, 9),
}
NO_MATTER = {"source", "bank"}  # words; the length of an array, which a compiled frame is given
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
MUTUAL_ONLY = {"stages.0.match": "mutual"}


def made(**changes: Any) -> bytes | None:
    """All that a compiled frame would be given; None: the preset is refused."""
    tracker = Tracker.from_config("botsort", **changes)
    ready = compiled_stages(tracker.config)
    if ready is None or not ready.looks:
        return None
    return rules_of(tracker.config, tracker._depth).tobytes() + ready.stages.tobytes()


def test_every_key_is_named() -> None:
    assert {*OTHER, *BESIDE, *NO_MATTER} == set(TrackerConfig.model_fields)
    assert {*OTHER_STAGE, "limit_step"} == set(Stage.model_fields)


@pytest.mark.parametrize("key", OTHER)
def test_every_key_is_taken_or_refused(key: str) -> None:
    assert made() is not None
    assert made(**{key: OTHER[key]}) != made()


@pytest.mark.parametrize("key", OTHER_STAGE)
def test_every_key_of_a_stage_is_taken_or_refused(key: str) -> None:
    assert made(**{f"stages.0.{key}": OTHER_STAGE[key]}) != made()


@pytest.mark.parametrize("key", BESIDE)
def test_a_key_that_matters_beside_another(key: str) -> None:
    first, value = BESIDE[key]
    assert made(**first) != made(**first, **{key: value})


def test_a_falling_limit_matters_to_mutual_matching() -> None:
    assert made(**MUTUAL_ONLY) != made(**MUTUAL_ONLY, **{"stages.0.limit_step": 0.1})


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_run_looks_included(preset: str) -> None:
    ready = Tracker.from_config(preset)._compiled_stages
    assert ready is not None
    assert ready.looks


def test_who_is_told_how_everybody_looks_to_everybody() -> None:
    """Margins to the second best need it, and boxes apart that no gate bounds; a matrix product costs what it costs."""
    ready = {name: Tracker.from_config(name)._compiled_stages for name in PRESETS}
    assert {name for name, found in ready.items() if found and found.matrix} == {
        "deepocsort",
        "ghost",
        "hybridsort",
    }


ODDS_OF_ALL = {"bias": 0.0, **{name: {"at": [0, 1], "nats": [[0, 1]]} for name in LogOdds.TERMS}}
MANY = {"at": [*range(KNOTS + 1)], "nats": [[0.0] * (KNOTS + 1)]}


@pytest.mark.parametrize(
    "changes",
    [
        {"stages.0.cost": dict.fromkeys(COSTS[: MOST + 1], 1.0)},
        {"stages.0.gates": dict.fromkeys(COSTS[: MOST + 1], 1.0)},
        {"log_odds": ODDS.model_copy(update={"size": Table(**MANY)}).model_dump()},
        {"log_odds": {**ODDS_OF_ALL, "gaps": [*range(1, AGES)]}},
    ],
    ids=["terms", "gates", "knots", "ages"],
)
def test_what_a_record_has_no_room_for_is_refused(changes: dict[str, Any]) -> None:
    assert made(**changes) is None
