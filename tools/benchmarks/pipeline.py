"""The whole pipeline on one clip: ms a stage, frames/s and CPU seconds, one frame after the other and looking ahead.

Wall time of a busy machine means little, and a speed-up of 2 needs 2 free cores: run it on a quiet one, and quote the
ratios of one run. CPU seconds stand either way. With --peers Ultralytics, BoxMOT and Roboflow's trackers do the same
in the same rounds, on the same clip with the same ONNX files, where their environment is (bench/setup.sh torchv).
"""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from itertools import islice
from pathlib import Path
from typing import Any

from retrace.configs import InputError
from retrace.configs.files import cores
from retrace.reid import Embedder
from retrace.tools.benchmarks.capacity import Costs, frame_ms
from retrace.tools.benchmarks.pipeline_peers import SCRIPTS, run_peer
from retrace.tools.benchmarks.processes import measure_processes
from retrace.tools.benchmarks.resident import peak_of_a_fresh_process
from retrace.tools.benchmarks.side_by_side import as_table
from retrace.tracker import Tracker
from retrace.tracker.ahead import Ahead
from retrace.tracker.camera.warps import EstimatedCamera
from retrace.tracker.data import Detections, MotTable, Step
from retrace.tracker.detection import open_detector
from retrace.tracker.mot_file import result_text
from retrace.tracker.pipeline import Embed, Stopwatch, run
from retrace.tracker.run.opened import BATCH
from retrace.tracker.sources import open_source, read_ahead
from retrace.tracker.sources.address import shown

STAGES = ("decode", "detect", "embed", "camera", "track")
HEADS = ("frames/s", "x first", "CPU ms a frame", "x first, CPU", "MB", *(f"{name} ms" for name in STAGES))


@dataclass(slots=True)
class PipelineSetup:
    """One way through the clip, and what it took, a number a round."""

    name: str
    peer: str = ""  # of `pipeline_peers.SCRIPTS`; empty: ours
    threads: int | None = None  # of one run of a network; None: all cores
    ahead: Ahead | None = None  # None: a peer's way
    wall: list[float] = field(default_factory=list)  # s
    cpu: list[float] = field(default_factory=list)  # s, of the process
    memory: float | None = None  # MB at most
    stages: dict[str, float] = field(default_factory=dict)  # s, of the last round
    sha256: str = ""  # of the result's text
    trouble: str = ""  # why a peer could not be run


def measure(
    video: str,
    detector: str = "auto",
    reid: str = "auto",
    frames: int = 100,
    rounds: int = 3,
    threads: int | None = None,
    peers: bool = False,
    workers: Sequence[int] = (),
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """ "pipeline": a row a side; "costs": what a frame and a person cost on one core, for `capacity.py`.

    Args:
        video: a clip.
        detector, reid: as for a :class:`retrace.tracker.run.Job`.
        frames: of the video.
        rounds: in turn; the median counts.
        threads: that look ahead; None: one a core.
        peers: Ultralytics, BoxMOT and Roboflow too.
        workers: four copies of the clip (or one a worker) by so many processes each, "processes", beside what
            `capacity.py` plans for a frame.
        say: told each table.

    Raises:
        InputError: what cannot be opened, or a side gives other bytes than the first.
    """
    many = threads or cores()
    Tracker.from_config("default", 30.0).update(Detections.empty())  # compiled, or read from the cache
    sides = [
        PipelineSetup("one after the other, all cores a run", "", None, Ahead()),
        PipelineSetup("one after the other, one core", "", 1, Ahead()),
        PipelineSetup("4 frames together, one core", "", 1, Ahead(0, BATCH)),
        PipelineSetup(f"{many} ahead, one core each", "", 1, Ahead(many, BATCH)),
    ]
    others = [PipelineSetup(name, name) for name in SCRIPTS] if peers else []
    for _ in range(rounds):
        for side in sides:
            _go(side, video, detector, reid, frames)
        for side in others:
            _go_peer(side, video, detector, reid, frames)
    for side in sides[1:]:
        if side.sha256 != sides[0].sha256:
            raise InputError(f"{side.name}: other bytes than {sides[0].name}; this is a fault of Retrace")
    sides[-1].memory = peak_of_a_fresh_process(_go, sides[-1], video, detector, reid, frames)
    rows = [_row(side, sides[0], frames) for side in sides + others]
    say(as_table(f"{Path(shown(video)).name}, {frames} frames, {cores()} cores, same bytes", rows))
    costs = unit_costs(video, detector, reid, frames)
    say(as_table("CPU cost on one core", [costs]))
    processes: list[dict[str, Any]] = []
    if workers:
        priced = Costs(**{one.name: costs[one.name] for one in fields(Costs)})
        planned = sum(frame_ms(priced, priced.size, priced.people).values())
        processes = measure_processes(video, detector, reid, frames, workers, planned_ms=planned)
        say(as_table("Copies, a core a worker", processes))
    return {"pipeline": rows, "costs": costs, "processes": processes}


def _go(side: PipelineSetup, video: str, detector: str, reid: str, frames: int) -> None:
    """One round of one side of ours; opening is not counted."""
    assert side.ahead is not None
    source = open_source(video)
    detect = open_detector(detector, threads=side.threads)
    embed = _embedder(reid, side.threads)
    stopwatch = Stopwatch()
    with read_ahead(source.frames()) as ahead:
        camera, tracker = EstimatedCamera("sparse-flow"), Tracker.from_config("default", source.fps)
        steps = run(islice(ahead, frames), detect, tracker, embed, camera, stopwatch, side.ahead)
        begin = time.perf_counter(), time.process_time()
        table = MotTable.of(steps)
        side.wall.append(time.perf_counter() - begin[0])
        side.cpu.append(time.process_time() - begin[1])
        stopwatch.seconds["decode"] = ahead.seconds
    side.stages = stopwatch.seconds
    side.sha256 = hashlib.sha256(result_text(table).encode()).hexdigest()


def _alone(video: str, detector: str, reid: str, frames: int) -> None:
    """What one worker does: a core, four frames together."""
    _go(PipelineSetup("alone", "", 1, Ahead(0, BATCH)), video, detector, reid, frames)


def _embedder(reid: str, threads: int | None) -> Embed | None:
    return None if reid == "none" else Embedder.from_weights(reid, threads=threads)


def _go_peer(side: PipelineSetup, video: str, detector: str, reid: str, frames: int) -> None:
    from retrace.reid.embedder import find_weights

    looks = reid if reid == "none" else str(find_weights(reid))
    told: dict[str, Any] = (
        {"error": side.trouble} if side.trouble else run_peer(side.peer, video, detector, looks, frames)
    )
    if "error" in told:
        side.trouble = told["error"]
        return
    side.wall.append(told["wall"])
    side.cpu.append(told["cpu"])
    side.memory = told["memory"]
    side.name = f"{side.peer} {told['version']}, {told['how']}"


def _row(side: PipelineSetup, first: PipelineSetup, frames: int) -> dict[str, Any]:
    if not side.wall:
        return {"side": f"{side.name}: {side.trouble}", **dict.fromkeys(HEADS, "")}
    wall, cpu = statistics.median(side.wall), statistics.median(side.cpu)
    stages = [side.stages.get(name, 0.0) / frames for name in STAGES]
    values = (
        round(frames / wall, 1),
        round(statistics.median(first.wall) / wall, 2),
        round(1e3 * cpu / frames, 1),
        round(statistics.median(first.cpu) / cpu, 2),
        "" if side.memory is None else round(side.memory),
        *(round(1e3 * s, 2) if side.stages else "" for s in stages),
    )
    return {"side": side.name, **dict(zip(HEADS, values, strict=True))}


def unit_costs(video: str, detector: str, reid: str, frames: int) -> dict[str, Any]:
    """What one frame and one person of this clip cost on one core, in CPU ms, and what a box takes on the disk."""
    source = open_source(video)
    begin = time.process_time()  # the decoder has threads of its own
    count = sum(1 for _ in islice(source.frames(), frames))
    decode = time.process_time() - begin
    stopwatch = Stopwatch(time.thread_time)
    tracker = Tracker.from_config("default", source.fps)
    detect, embed = open_detector(detector, threads=1), _embedder(reid, 1)
    camera = EstimatedCamera("sparse-flow")
    steps = run(islice(source.frames(), frames), detect, tracker, embed, camera, stopwatch, Ahead(0, BATCH))
    boxes, people = 0, 0
    kept: list[Step] = []
    for step in steps:
        boxes += int((step.detections.score >= tracker.appearance_from).sum())
        people += len(step.tracks)
        kept.append(Step(step.frame, step.detections, step.tracks))
    ms = {name: 1e3 * seconds / count for name, seconds in stopwatch.seconds.items()}
    text = len(result_text(MotTable.of(kept)))
    return {
        "clip": Path(shown(video)).name,
        "size": list(source.size or (0, 0)),
        "frames": count,
        "people": round(people / count, 2),
        "decode_ms": round(1e3 * decode / count, 3),
        "detect_ms": round(ms["detect"], 3),
        "embed_ms_a_person": round(ms.get("embed", 0.0) * count / max(boxes, 1), 3),
        "camera_ms": round(ms["camera"], 3),
        "track_ms": round(ms["track"], 3),
        "bytes_a_box": round(text / max(people, 1), 1),
        "resident_mb": round(peak_of_a_fresh_process(_alone, video, detector, reid, frames)),
    }
