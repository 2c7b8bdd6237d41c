"""Odd values for the declared surface, the same for the same seed; ``python -m tests.odd_values 0:2000`` tries many.

Each call is right as it stands; then one or two of its arguments become a value that none of them can be. What comes
back must be a result, or an InputError of one line.
"""

from __future__ import annotations

import random
import sys
import traceback
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

import retrace
from retrace import Detections, InputError, Job, MotTable, Tracker
from retrace.configs.loader import load_preset
from retrace.tracker.config import TrackerConfig
from retrace.tracker.data import Frame
from tests.damage import assert_one_line, bounded

SECONDS, MEGABYTES = 20.0, 500
Call = tuple[Callable[..., object], dict[str, Any]]


def values() -> list[Any]:
    """What no number, name, array or object can be; made anew, since a call may change it."""
    nan, inf = float("nan"), float("inf")
    return [
        *(None, True, False, 0, 1, -1, 3, 2**31, 2**63, 10**400, 0.5, -0.0, nan, inf, -inf, 1e308, 1j),
        *("", " ", "x", "1", "nan", "²", "\udcff", "a\0b", "y" * 3000, "a\nb\u2028c", "/", "/dev/null", b"x", b"\xff"),
        *([], [nan], [[]], [[nan] * 4], [1, 2, 3, 4], [[1, 2, 3, 4]], [[1, 2], [3]], ["a"], [None], (), {}, {"a": 1}),
        *({1: 2}, set(), range(3), object(), lambda *a: None, iter(()), Exception("x"), Path("."), Path("/dev/null/x")),
        *(Fraction(1, 3), Decimal("NaN"), Decimal(7), np.float16(3), np.int8(-3), np.datetime64("2020-01-01")),
        *(np.zeros(()), np.zeros(0), np.zeros((0, 4)), np.zeros((3, 0)), np.zeros((2, 2, 2)), np.full((2, 4), nan)),
        *(np.full((2, 4), 1e38), np.full((2, 4), -inf), np.array([[0, 0, 1e300, 1e300]] * 2)),
        np.ones((2, 4), bool),
        *(np.array(["a", "b"]), np.array([{}, None]), np.zeros(2, "M8[s]"), np.zeros(2, complex), np.arange(2)[::-1]),
        *(np.arange(8.0).reshape(2, 4).astype(">f4"), np.full(2, 2**62), np.array([2**63], "u8"), np.zeros(2, "V3")),
        *(np.ma.masked_array([1.0, 2.0], [True, False]), memoryview(b"ab"), type, NotImplemented, ...),
    ]  # fmt: skip


def boxes(count: int = 2) -> dict[str, Any]:
    return {
        "xyxy": [[10 * k, 20, 10 * k + 30, 90] for k in range(count)],
        "score": [0.9] * count,
        "class_id": [0] * count,
        "embedding": np.eye(count, 4, dtype=np.float32),
        "extras": {"name": [str(k) for k in range(count)]},
    }


def table() -> dict[str, Any]:
    xyxy = np.array([[10.0, 20, 40, 90], [60, 20, 90, 90]])
    return {
        "frame": np.array([0, 1]),
        "id": np.array([1, 1]),
        "xyxy": xyxy,
        "score": np.ones(2),
        "class_id": np.ones(2, int),
        "visibility": np.ones(2),
    }


def make_calls(folder: Path) -> dict[str, Call]:
    """name -> a function and the arguments with which it works."""
    truth, looks = MotTable(**table()), np.eye(4, 8)
    picture = np.zeros((64, 48, 3), np.uint8)
    steps = list(
        retrace.run([Frame(0, 0.0, picture)], lambda f: Detections(**boxes()), Tracker.from_config("sort"))
    )
    ranked = {"query_features": looks, "query_ids": [1, 2, 3, 4], "query_cameras": [1] * 4}
    ranked |= {"gallery_features": looks, "gallery_ids": [1, 2, 3, 4], "gallery_cameras": [2] * 4}
    job = {"overrides": {"max_age": 1.0}, "save": ("mot", "crops"), "crops": 2, "blur": "faces", "conf": 0.2}
    job |= {
        "name": "v",
        "classes": "all",
        "reid_norm": "frame",
        "fps": 9,
        "length": 3,
        "threads": 1,
        "label": None,
    }

    def make_job(**given: Any) -> object:
        made = Job(**{"source": "v.mp4", "out": str(folder / "out")} | given)
        made.tracker_config(), made.offline_config()
        return made

    def update(**given: Any) -> object:
        tracker = Tracker.from_config("default", 10)
        tracker.update(Detections(**boxes()), 0.0)
        return tracker.update(**given)

    def settled(**given: Any) -> object:
        tracker = Tracker.from_config("default", 10)
        tracker.update(Detections(**boxes()), 0.0)
        return tracker.settled(**given)

    def restored(**changed: Any) -> object:
        tracker = Tracker.from_config("default", 10)
        tracker.load_state_dict({**state, **changed})
        return tracker.update(Detections(**boxes()))

    def drawn(step: Any, **given: Any) -> object:
        with retrace.VideoSink(**given) as video:
            video.write(step)
        return video

    before = Tracker.from_config("default", 10)
    before.update(Detections(**boxes()))
    state = before.state_dict()
    state_of: Callable[[Any], object] = Tracker.from_config("sort").load_state_dict
    frame, found = {"detections": Detections(**boxes())}, {"xyxy": boxes()["xyxy"], "confidence": [0.5, 0.5]}
    when = {"timestamp": 0.1, "warp": [[1, 0, 3], [0, 1, 0]]}
    return {
        "Detections": (Detections, boxes()),
        "with_embedding": (Detections(**boxes()).with_embedding, {"embedding": np.eye(2)}),
        "from_torchvision": (
            Detections.from_torchvision,
            {"output": {"boxes": found["xyxy"], "scores": [0.5, 0.5], "labels": [1, 1]}},
        ),
        "from_ultralytics": (Detections.from_ultralytics, {"result": None}),
        "from_supervision": (Detections.from_supervision, {"detections": None}),
        "from_config": (
            lambda **given: Tracker.from_config(**given),
            {
                "name_or_path": "sort",
                "fps": 10,
                "max_age": 1.0,
                "stages": load_preset("sort", TrackerConfig, "tracker").stages,
            },
        ),
        "Tracker": (Tracker, {"config": load_preset("sort", TrackerConfig, "tracker"), "fps": 10}),
        "update": (update, frame | when),
        "settled": (settled, frame | when),
        "load_state_dict": (state_of, {"state": state}),
        "state": (restored, dict(state)),
        "MotTable": (lambda **given: retrace.evaluate(MotTable(**given), truth), table()),
        "result": (lambda **given: retrace.evaluate(truth, MotTable(**given)), table()),
        "written": (lambda **given: retrace.write_results(folder / "w.txt", MotTable(**given)), table()),
        "evaluate": (retrace.evaluate, {"gt": truth, "result": truth, "length": 2, "benchmark": "MOT17"}),
        "ranking": (
            retrace.evaluate_ranking,
            ranked | {"metric": "cosine", "ties": "stable", "max_rank": 5, "block": 2},
        ),
        "read_ground_truth": (retrace.read_ground_truth, {"path": folder / "gt.txt"}),
        "write_results": (retrace.write_results, {"path": folder / "r.txt", "table": truth}),
        "Job": (make_job, job),
        "Job memory": (
            make_job,
            {
                "memory": "m.db",
                "memory_camera": "a",
                "memory_start": 1.0,
                "embed": "ambiguous",
                "embed_budget": 3.0,
            },
        ),
        "Job offline": (
            make_job,
            {
                "offline": "default",
                "offline_overrides": {"interpolate.gap": 1.0},
                "save": ["mot", "video"],
                "codec": "vp9",
                "label": ["id"],
                "device": "cpu",
                "runtime": "auto",
                "camera": "none",
            },
        ),
        "track_source": (retrace.track_source, {"job": Job("nowhere.mp4", str(folder))}),
        "open_source": (
            retrace.open_source,
            {
                "spec": folder / "pictures",
                "fps": 9,
                "square_pixels": True,
                "reconnect_for": 0.1,
                "timeout": 0.1,
            },
        ),
        "open_detector": (
            retrace.open_detector,
            {
                "spec": "hog",
                "device": "cpu",
                "classes": "person",
                "min_score": 0.2,
                "conf": 0.3,
                "runtime": "auto",
                "threads": 1,
            },
        ),
        "run": (
            lambda **given: list(retrace.run(**given)),
            {
                "frames": [Frame(0, 0.0, picture)],
                "detect": lambda f: Detections(**boxes()),
                "tracker": Tracker.from_config("default"),
                "embed": None,
                "camera": lambda f, d: np.eye(2, 3),
            },
        ),
        "detect": (
            lambda found: list(
                retrace.run([Frame(0, 0.0, picture)], lambda f: found, Tracker.from_config("sort"))
            ),
            {"found": Detections(**boxes())},
        ),
        "embed": (
            lambda looks: list(
                retrace.run(
                    [Frame(0, 0.0, picture)],
                    lambda f: Detections(**boxes() | {"embedding": None}),
                    Tracker.from_config("default"),
                    lambda image, box: looks,
                )
            ),
            {"looks": np.eye(2, 4)},
        ),
        "camera": (
            lambda warp: list(
                retrace.run(
                    [Frame(0, 0.0, picture)],
                    lambda f: Detections(**boxes()),
                    Tracker.from_config("default"),
                    camera=lambda f, d: warp,
                )
            ),
            {"warp": np.eye(2, 3)},
        ),
        "VideoSink": (
            drawn,
            {
                "step": steps[0],
                "path": folder / "v.mp4",
                "fps": 9,
                "size": (64, 48),
                "pixel_aspect": 1.0,
                "codec": "h264",
                "waiting": 2,
            },
        ),
        "MotTable.of": (MotTable.of, {"steps": steps}),
    }


def odd_call(seed: int, calls: Mapping[str, Call]) -> tuple[str, Callable[..., object], dict[str, Any]]:
    """The call of a seed: every name in turn, one or two of its arguments odd."""
    rng = random.Random(seed)
    name = sorted(calls)[seed % len(calls)]
    function, right = calls[name]
    given = dict(right)
    for key in rng.sample(sorted(given), min(len(given), rng.choice((1, 1, 1, 2)))):
        given[key] = rng.choice(values())
    return name, function, given


def fault(function: Callable[..., object], given: Mapping[str, Any]) -> str | None:
    """What is wrong with how a call answers; None: nothing."""
    try:
        with bounded(SECONDS, MEGABYTES), np.errstate(all="ignore"):
            function(**given)
    except InputError as error:
        try:
            assert_one_line(error)
        except AssertionError as wrong:
            return f"{wrong}: {str(error)[:800]!r}"
    except BaseException:
        return traceback.format_exc(limit=-3)
    return None


def main() -> None:
    import os
    import tempfile

    first, last = map(int, sys.argv[1].split(":"))
    os.environ["RETRACE_OFFLINE"] = "1"
    with tempfile.TemporaryDirectory() as there:
        os.chdir(there)
        calls = make_calls(make_files(Path(there)))
        for seed in range(first, last):
            name, function, given = odd_call(seed, calls)
            said = fault(function, given)
            if said is not None:
                odd = {key: value for key, value in given.items() if value is not calls[name][1][key]}
                print(f"--- seed {seed}: {name} {str(odd)[:200]}\n{said}", flush=True)
    print("done", last - first, flush=True)


def make_files(folder: Path) -> Path:
    """What the calls read."""
    import cv2

    (folder / "pictures").mkdir()
    cv2.imwrite(str(folder / "pictures" / "1.png"), np.zeros((64, 48, 3), np.uint8))
    (folder / "gt.txt").write_text("1,1,10,20,30,70,1,1,1\n2,1,10,20,30,70,1,1,1\n")
    return folder


if __name__ == "__main__":
    main()
