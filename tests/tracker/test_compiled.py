"""The compiled loops, against their NumPy twins: the same bytes."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import retrace.tracker as tracker
from retrace.tracker import Detections, Tracker, kernels, rules
from retrace.tracker import tracker as engine
from retrace.tracker.association import assignment
from retrace.tracker.motion import filters
from retrace.tracker.motion.models import MODELS, NONE
from retrace.tracker.rules import COSTS
from retrace.tracker.tracks import appearance
from tests.tracker.crowds import crowd, nightmare
from tests.tracker.presets import PRESETS
from tests.tracker.worlds import ODDS

pytest.importorskip("numba")

from retrace.tracker import compiled, compiled_frame

KALMAN = sorted(set(MODELS) - {"linear"})


def numpy_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (appearance, assignment, filters):
        monkeypatch.setattr(module, "compiled", lambda: None)
    monkeypatch.setattr(engine, "compiled_frame", lambda: None)


def twice(monkeypatch: pytest.MonkeyPatch, work: Callable[[], Any]) -> tuple[Any, Any]:
    """What ``work`` gives compiled, and in NumPy."""
    assert kernels.compiled() is compiled, "numba is installed, and not used"
    fast = work()
    numpy_only(monkeypatch)
    return fast, work()


def boxes(rng: np.random.Generator, count: int, side: float) -> np.ndarray:
    corner = rng.uniform(0, side, (count, 2))
    return np.concatenate((corner, corner + rng.uniform(5, 60, (count, 2))), axis=1)


@pytest.mark.parametrize("sizes", [(0, 3), (3, 0), (1, 1), (7, 5), (40, 60), (150, 140)])
def test_pairs_have_the_same_bytes(monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    scenes = [
        (boxes(rng, sizes[0], side), boxes(rng, sizes[1], side)) for side in (100, 600) for _ in range(3)
    ]
    scenes.append((np.tile([0.0, 0, 9, 9], (sizes[0], 1)), np.tile([0.0, 0, 9, 9], (sizes[1], 1))))
    fast, slow = twice(monkeypatch, lambda: [assignment.overlapping_pairs(a, b) for a, b in scenes])
    for one, other in zip(fast, slow, strict=True):
        for name in ("row", "col", "iou"):
            assert getattr(one, name).tobytes() == getattr(other, name).tobytes()


@pytest.mark.parametrize("share", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (3, 8), (30, 30), (120, 110)])
def test_the_best_matching_is_the_same(
    monkeypatch: pytest.MonkeyPatch, share: float, shape: tuple[int, int]
) -> None:
    rng = np.random.default_rng(1)
    problems = []
    for _ in range(6):
        row, col = (rng.random(shape) < share).nonzero()
        problems.append((row, col, rng.random(len(row)) + 1e-9))
    fast, slow = twice(monkeypatch, lambda: [assignment.solve(*problem) for problem in problems])
    for one, other in zip(fast, slow, strict=True):
        assert [x.tolist() for x in one] == [x.tolist() for x in other]


def test_ties_gain_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    problems = []
    for _ in range(200):
        shape = rng.integers(1, 9, 2)
        row, col = (rng.random(shape) < 0.6).nonzero()
        problems.append((row, col, rng.integers(1, 4, len(row)).astype(float)))
    fast, slow = twice(monkeypatch, lambda: [assignment.solve(*problem) for problem in problems])
    for (row, col, gain), one, other in zip(problems, fast, slow, strict=True):
        of = {(r, c): g for r, c, g in zip(row, col, gain, strict=True)}
        assert len(set(one[0])) == len(one[0])
        assert len(set(one[1])) == len(one[1])
        total = [sum(of[pair] for pair in zip(*found, strict=True)) for found in (one, other)]
        assert total[0] == total[1]


@pytest.mark.parametrize("kind", KALMAN)
@pytest.mark.parametrize("steps", [1.0, 2.5])
def test_filters_have_the_same_bytes(monkeypatch: pytest.MonkeyPatch, kind: str, steps: float) -> None:
    model, rng = MODELS[kind], np.random.default_rng(3)
    start = boxes(rng, 20, 500)

    def work() -> bytes:
        state = filters.initiate(model, model.from_xyxy(start))
        state[filters.V] = np.random.default_rng(4).normal(0, 20, (20, 4))  # some sizes vanish
        for k in range(6):
            filters.predict(model, state, steps)
            some = np.arange(k % 2, 20, 2)
            filters.update(model, state, some, model.from_xyxy(start[some] + k))
        return state.tobytes()

    fast, slow = twice(monkeypatch, work)
    assert fast == slow


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_gives_the_same_bytes(monkeypatch: pytest.MonkeyPatch, preset: str) -> None:
    scenes = [crowd(0, frames=25), crowd(1, 12, 20, dimension=6, classes=2, camera=True, clock=True)]
    given = [list(scene) for scene in scenes]

    def work() -> list[bytes]:
        seen = []
        for scene in given:
            engine = Tracker.from_config(preset)
            for detections, time, warp in scene:
                tracks = engine.update(detections, timestamp=time, warp=warp)
                seen.append(tracks.id.tobytes() + tracks.xyxy.tobytes() + tracks.det_index.tobytes())
        return seen

    fast, slow = twice(monkeypatch, work)
    assert fast == slow
    assert any(fast)


ODD: list[dict[str, Any]] = [
    {"coast": 0.2, "box": "detection", "class_agnostic": True},
    {"confirm_score": 0.8, "report_streak": 2, "tentative_max_age": 0.3, "start_frames": 5},
    {"motion": "sort", "freeze_lost_size": True, "noise_by_score": True, "motion_age": 0.1, "max_age": 0.2},
    {"motion": "xyhr", "freeze_lost_size": True},
    {"hidden": {"age": 0.5, "cover": 0.5, "hits": 2, "slack": 0.3}, "duplicate_iou": 0.5, "confirm_hits": 3},
    {"recent_momentum": 0.5, "momentum_from": 0.3, "appearance_scale": 0.7, "lost_appearance": "history"},
    {"active_appearance": "minimum", "lost_appearance": "history", "bank": 3, "stages.0.cascade": True},
    {"nms": 0.6, "birth_iou": 0.3, "reupdate": True, "boost": {"likely": 0.8}},
    {"motion": "linear", "motion_memory": 3, "stages.0.match": "mutual", "stages.0.buffer": 0.2},
]


UNSURE = ("default", "strongsort", "deepsort")  # they ask the motion how sure it is, and linear does not know
CASES = [
    (preset, settings)
    for preset in ("sort", "bytetrack", "default", "botsort", "strongsort", "deepsort")
    for settings in ODD
    if not (preset in UNSURE and settings.get("motion") == "linear")
]


@pytest.mark.parametrize(("preset", "settings"), CASES)
@pytest.mark.parametrize("looks", [False, True], ids=["blind", "looks"])
def test_a_compiled_frame_leaves_the_same_state(
    monkeypatch: pytest.MonkeyPatch, preset: str, looks: bool, settings: dict[str, Any]
) -> None:
    """Every option that the compiled frame knows; crowds, bad frames, a camera, classes, an odd clock."""
    scenes = [
        crowd(3, frames=25, dimension=6),
        crowd(4, 12, 25, dimension=35, classes=2, camera=True, clock=True),
        nightmare(0, 12),
    ]
    given = [list(scene) for scene in scenes]

    def work() -> list[bytes]:
        seen = []
        for scene in given:
            engine = Tracker.from_config(preset, **settings)
            assert engine._compiled_stages is not None
            for detections, time, warp in scene:
                if not looks:
                    detections = detections.with_embedding(None)
                tracks = engine.update(detections, timestamp=time, warp=warp)
                seen += [column.tobytes() for column in tracks.columns().values()]
            seen += [value.tobytes() for value in engine.state_dict().values()]
        return seen

    fast, slow = twice(monkeypatch, work)
    assert fast == slow


@pytest.mark.parametrize("looks", [False, True], ids=["blind", "looks"])
@pytest.mark.parametrize("preset", ["sort", "bytetrack", "default", "tracktrack", "boosttrack"])
def test_fates_and_reasons_are_the_same(monkeypatch: pytest.MonkeyPatch, preset: str, looks: bool) -> None:
    given = list(crowd(4, 12, 25, dimension=6 * looks, classes=2, camera=True, clock=True))
    config = Tracker.from_config(preset, low=0.4, nms=0.5, birth_iou=0.3).config

    def work() -> list[bytes]:
        tracker, seen = Tracker(config, ledger=True), []
        for detections, time, warp in given:
            tracker.update(detections, timestamp=time, warp=warp)
            told = tracker.ledger
            seen += [column.tobytes() for column in (told.fate, told.reason, told.by, told.label, told.cost)]
        return seen

    fast, slow = twice(monkeypatch, work)
    assert fast == slow


@pytest.mark.parametrize("cost", COSTS)
def test_every_cost_has_its_loop(monkeypatch: pytest.MonkeyPatch, cost: str) -> None:
    """Also those that no preset names: a compiled stage adds nothing for a cost that it does not know."""
    one = {"tracks": ["tentative", "active", "lost"], "detections": "high", "neutral_appearance": 0.3}
    stages = [
        {**one, "cost": {"iou": 1.0, cost: 0.3}, "limit": 1.0},
        {**one, "cost": "iou", "limit": 1.0, "gates": {cost: 0.3}},
    ]
    given = list(crowd(5, 12, 25, dimension=6, classes=2))

    def work() -> list[bytes]:
        engine = Tracker.from_config("sort", stages=stages, log_odds=ODDS.model_dump())
        assert engine._compiled_stages is not None
        seen = [
            engine.update(detections, timestamp=time, warp=warp).id.tobytes()
            for detections, time, warp in given
        ]
        return [*seen, *(value.tobytes() for value in engine.state_dict().values())]

    fast, slow = twice(monkeypatch, work)
    assert fast == slow


def test_it_can_be_turned_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kernels.compiled.cache_clear()
    monkeypatch.setenv("RETRACE_COMPILED", "0")
    assert kernels.compiled() is None
    kernels.compiled.cache_clear()
    monkeypatch.delenv("RETRACE_COMPILED")
    assert kernels.compiled() is compiled


def test_without_a_folder_to_cache_in_it_goes_uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("cannot cache function 'predict': no locator available")

    kernels.compiled.cache_clear()
    monkeypatch.delitem(sys.modules, "retrace.tracker.compiled")
    monkeypatch.delattr(tracker, "compiled")
    finder = type(
        "Finder", (), {"find_spec": staticmethod(lambda name, *_: refuse() if "compiled" in name else None)}
    )
    monkeypatch.setattr(sys, "meta_path", [finder, *sys.meta_path])
    with pytest.warns(UserWarning, match="set NUMBA_CACHE_DIR"):
        assert kernels.compiled() is None
    kernels.compiled.cache_clear()


def test_a_change_anywhere_compiles_again() -> None:
    """Numba's cache knows a function by its own file. Leaf loops import nothing of ours; the compiled frame takes
    ``rules_``, whose type names all the files that it compiles functions of."""
    assert f"sources_{kernels.sources()}" in (rules.RULES.names or ())
    assert not any(ours_in(path) for path in Path(compiled.__file__).parent.glob("[!_]*.py"))
    files = sorted(Path(compiled_frame.__file__).parent.glob("*.py"))
    taken = {f"{name.replace('.', '/')}.py" for path in files for name in ours_in(path)}
    own = {f"compiled_frame/{path.name}" for path in files}
    assert taken - {"compiled.py", "compiled_frame.py"} - own <= {*kernels.AS_THEY_STAND}
    nodes = [node for path in files for node in ast.parse(path.read_text()).body]
    cached = [node for node in nodes if "cache=True" in decorators(node)]
    assert [node.name for node in cached if isinstance(node, ast.FunctionDef)] == ["run_frame"]
    assert "rules_" in inspect.signature(compiled_frame.run_frame.py_func).parameters


def ours_in(path: Path) -> set[str]:
    """Modules below `retrace.tracker` that a file imports from."""
    names = {
        node.module or ""
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
    }
    return {name.removeprefix("retrace.tracker.") for name in names if name.startswith("retrace.tracker.")}


def decorators(node: ast.stmt) -> str:
    return " ".join(map(ast.unparse, getattr(node, "decorator_list", [])))


def test_read_only_boxes_are_not_compiled_for_anew() -> None:
    """Arrays that cannot be written are another type to numba: seconds of compiling, in the middle of a video."""
    box, score = np.array([[0, 0, 9, 9]], np.float32), np.array([0.9], np.float32)
    box.flags.writeable = score.flags.writeable = False
    engine = Tracker.from_config("bytetrack")
    engine.update(Detections(box.copy(), score.copy()))
    before = len(compiled_frame.run_frame.signatures)
    engine.update(Detections(box, score))
    assert len(compiled_frame.run_frame.signatures) == before


@pytest.mark.parametrize("shape", [(3, 90), (90, 3), (60, 60)])
def test_wide_rows_and_ties(monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int]) -> None:
    """Everybody overlaps everybody: more than a few columns a row, in an order that is not theirs."""
    rng = np.random.default_rng(5)
    a, b = (np.array([0, 0, 90, 90]) + rng.uniform(-9, 9, (count, 4)) for count in shape)
    fast, slow = twice(monkeypatch, lambda: assignment.overlapping_pairs(a, b))
    for name in ("row", "col", "iou"):
        assert getattr(fast, name).tobytes() == getattr(slow, name).tobytes()


def test_a_motion_model_of_other_coordinates_runs_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that somebody adds: the compiled conversions do not know it, so nothing may guess."""
    known = MODELS["xywh"]
    added = replace(known, from_xyxy=lambda box: known.from_xyxy(box), to_xyxy=lambda z: known.to_xyxy(z))
    monkeypatch.setitem(MODELS, "xywh", added)
    assert added.kind == NONE
    assert Tracker.from_config("bytetrack", motion="xywh")._compiled_stages is None
    engine = Tracker.from_config("ocsort", motion="xywh")
    for k in (0, 1, 2, 6, 7):  # with a gap to go through again
        tracks = engine.update(Detections([[9.0 * k, 0, 9 * k + 40, 90]], [0.9]), timestamp=k / 30)
    assert tracks.id.tolist() == [1]
