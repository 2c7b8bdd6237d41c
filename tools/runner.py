"""The run itself: every source through the pipeline into its sinks, with checkpoints and a summary."""

from __future__ import annotations

import hashlib
import json
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.checkpoint import Checkpoint, replay
from tools.console import say, write_json
from tools.manifest import commit, versions
from tools.offline import improved, write
from tools.plan import Plan
from tools.progress import bar
from tracker import Tracker
from tracker.camera import Camera, shares, warp_lines
from tracker.data import Frame, Step
from tracker.pipeline import Clock, run
from tracker.sinks import ContactSheet, JsonLinesSink, MotSink, TextSink, VideoSink, ledger_sink
from tracker.video import Source, read_ahead

ENDINGS = {
    "mot": ".txt",
    "jsonl": ".jsonl",
    "video": ".mp4",
    "sheet": ".png",
    "camera": ".gmc.txt",
    "ledger": ".ledger.jsonl",
}


@dataclass(slots=True)
class Outcome:
    """What became of one source."""

    index: int  # of the source in the plan
    name: str
    frames: int = 0  # in the result
    new: int = 0  # of them, tracked by this process
    unreadable: list[int] = field(default_factory=list)  # numbers of frames that could not be read
    dropped: int = 0  # boxes of no size
    tracks: int = 0
    seconds: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)  # s
    files: list[Path] = field(default_factory=list)
    detections: str = ""  # sha256 over all frames' detections
    stopped: bool = False
    notes: list[str] = field(default_factory=list)
    record: dict[str, Any] = field(default_factory=dict)  # what run.json says of it


class Sinks:
    """The files that one source is written to. Leaving without :meth:`finish` abandons them as partial."""

    def __init__(self, plan: Plan, i: int, positions: dict[str, int]) -> None:
        source, camera = plan.sources[i], plan.cameras[i]
        self.paths = {kind: path_of(plan, i, kind) for kind in plan.save}
        self._text: dict[str, Any] = {"mot": MotSink(self.paths["mot"], positions.get("mot"))}
        self._drawn: dict[str, Any] = {}
        if "jsonl" in plan.save:
            self._text["jsonl"] = JsonLinesSink(self.paths["jsonl"], positions.get("jsonl"))
        if "camera" in plan.save and camera is not None:
            told = camera  # at every step it knows what it has just told
            self._text["camera"] = TextSink(
                lambda _: warp_lines(told.latest), self.paths["camera"], positions.get("camera")
            )
        if "ledger" in plan.save:
            self._text["ledger"] = ledger_sink(
                plan.trackers[i], source.name, self.paths["ledger"], positions.get("ledger")
            )
        if "video" in plan.save:
            self._drawn["video"] = VideoSink(self.paths["video"], source.fps, source.size)
        if "sheet" in plan.save:
            self._drawn["sheet"] = ContactSheet(self.paths["sheet"], source.size, source.length)
        self._open = True

    def __enter__(self) -> Sinks:
        return self

    def __exit__(self, *_: object) -> None:
        if self._open:
            for sink in self._all():
                sink.abandon()

    def _all(self) -> list[Any]:
        return [*self._text.values(), *self._drawn.values()]

    @property
    def draws(self) -> bool:
        return bool(self._drawn)

    def write(self, step: Step) -> None:
        for sink in self._all():
            sink.write(step)

    def redraw(self, step: Step) -> None:
        for sink in self._drawn.values():
            sink.write(step)

    def positions(self) -> dict[str, int]:
        return {kind: sink.position() for kind, sink in self._text.items()}

    def finish(self) -> list[Path]:
        done = [sink.finish() for sink in self._all()]
        self._open = False
        return done

    def seconds(self) -> dict[str, float]:
        """s that drawing and encoding took, in whatever thread."""
        return dict(self._drawn["video"].seconds) if "video" in self._drawn else {}


def path_of(plan: Plan, i: int, kind: str) -> Path:
    """Where source i's file of that kind goes; with --offline NAME.txt is made from NAME.online.txt at the end."""
    ending = ".online.txt" if kind == "mot" and plan.offline else ENDINGS[kind]
    return plan.out / f"{plan.sources[i].name}{ending}"


@dataclass(slots=True)
class Memory:
    """What a checkpoint keeps: the tracker's state and, beside it, the camera's and the ledger's."""

    tracker: Tracker
    camera: Camera | None

    def _beside(self) -> dict[str, Any]:
        parts = {"camera_": self.camera, "ledger_": self.tracker.ledger}
        return {prefix: part for prefix, part in parts.items() if part}

    def state_dict(self) -> dict[str, Any]:
        state = self.tracker.state_dict()
        for prefix, part in self._beside().items():
            state |= {prefix + name: value for name, value in part.state_dict().items()}
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for prefix, part in self._beside().items():
            own = {name.removeprefix(prefix): state.pop(name) for name in [*state] if name.startswith(prefix)}
            part.load_state_dict(own)
        self.tracker.load_state_dict(state)


def run_all(plan: Plan) -> list[Outcome]:
    """Track in every source; files one after the other, live ones at the same time."""
    if not plan.quiet:
        for line in dict.fromkeys(detector.description for detector in plan.detectors):
            say(f"detector: {line}")
        say(f"appearance: {plan.appearance}")
        for line in dict.fromkeys(plan.camera_note(i) for i in range(len(plan.sources))):
            say(f"camera motion: {line}")
    done = _finished_before(plan)
    live = [i for i, source in enumerate(plan.sources) if source.live]
    files = [i for i, source in enumerate(plan.sources) if not source.live and i not in done]
    lock = threading.Lock()

    def track(i: int) -> None:
        if not plan.stop.is_set():
            outcome = track_source(plan, i)
            with lock:  # run.json tells the truth whenever this process is killed
                done[i] = outcome
                write_manifest(plan, done)

    write_manifest(plan, done)
    with _stop_on_signals(plan):
        for i in files:
            track(i)
        with ThreadPoolExecutor(max(1, len(live))) as pool:
            for result in [pool.submit(track, i) for i in live]:
                try:
                    result.result()
                except BaseException:
                    plan.end_live()  # the pool waits for the others before this one's error is told
                    raise
    return [done[i] for i in sorted(done)]


def write_manifest(plan: Plan, done: dict[int, Outcome]) -> None:
    write_json(plan.out / "run.json", manifest(plan, [done[i] for i in sorted(done)]))


def _finished_before(plan: Plan) -> dict[int, Outcome]:
    """With --resume: the sources that the stopped run had done already, with the same settings."""
    try:
        records = json.loads((plan.out / "run.json").read_text())["sequences"] if plan.resume else {}
    except (OSError, ValueError, KeyError):
        return {}
    done = {}
    for i, source in enumerate(plan.sources):
        record = records.get(source.name, {})
        files = [plan.out / f"{source.name}.txt", *(path_of(plan, i, kind) for kind in plan.save)]
        same = record.get("complete") and record.get("settings_sha256") == _settings_hash(plan, i)
        if same and all(path.is_file() for path in files):
            done[i] = Outcome(i, source.name, record=record)
            if not plan.quiet:
                say(f"{source.name}: complete already")
    return done


def _settings_hash(plan: Plan, i: int) -> str:
    return hashlib.sha256(json.dumps(plan.fingerprint(i), sort_keys=True).encode()).hexdigest()


def track_source(plan: Plan, i: int) -> Outcome:
    """One source from its beginning, or from its checkpoint, to its end or until told to stop.

    To stop is how a live source ends: its files are finished then. A file's are left as partial ones.
    """
    source, tracker, clock = plan.sources[i], plan.trackers[i], Clock()
    checkpoint = Checkpoint(plan.out / f"{source.name}.checkpoint.npz", plan.fingerprint(i))
    memory: Any = Memory(
        tracker, plan.cameras[i]
    )  # Any: all that a checkpoint asks of a Tracker are these two
    resumed = plan.resume and checkpoint.restore(memory)
    if not resumed:
        checkpoint.forget()  # an older run's would fit neither our files nor our settings
    start, before, earlier = checkpoint.next_frame, checkpoint.frames, list(checkpoint.corrupt)
    outcome = Outcome(i, source.name)
    if plan.resume:
        outcome.notes.append(
            f"resumed at frame {start}" if resumed else "no checkpoint, so from the beginning"
        )
    with Sinks(plan, i, checkpoint.positions) as sinks:
        again = sinks.draws and start > 0
        with read_ahead(source.frames(0 if again else start)) as ahead:
            if source.live:
                plan.begin_live(ahead)
            frames: Iterator[Frame] = ahead
            if again:
                rows = sinks.paths["mot"].with_name(sinks.paths["mot"].name + ".partial")
                frames = replay(ahead, start, rows, sinks.redraw)
            begin = time.perf_counter()  # redrawing what a stopped run had done is not this one's speed
            steps = run(frames, plan.detectors[i], tracker, plan.embed, plan.cameras[i], clock)
            for step in _progress(steps, source, plan, start):
                with clock.stage("write"):
                    sinks.write(step)
                checkpoint.took(step)
                if source.live:
                    continue
                outcome.stopped = plan.stop.is_set()
                if outcome.stopped or checkpoint.due():
                    checkpoint.corrupt = _unreadable(source, start, earlier)
                    checkpoint.save(memory, sinks.positions())
                if outcome.stopped:
                    break
            clock.seconds["decode"] = ahead.seconds
        if not outcome.stopped:
            checkpoint.forget()  # first: whole files must not meet a checkpoint that knows less
            outcome.files = sinks.finish()
            if plan.offline:
                improve_result(plan, outcome)
        outcome.stages = {**clock.seconds, **sinks.seconds()}
    outcome.seconds = time.perf_counter() - begin
    outcome.frames, outcome.new = checkpoint.frames, checkpoint.frames - before
    outcome.unreadable, outcome.dropped = _unreadable(source, start, earlier), checkpoint.dropped
    outcome.tracks, outcome.detections = tracker.count, checkpoint.digest
    outcome.record = _record(plan, outcome)
    _tell(plan, source, outcome)
    return outcome


def improve_result(plan: Plan, outcome: Outcome) -> None:
    """NAME.txt from NAME.online.txt by the offline passes."""
    assert plan.offline
    path = plan.out / f"{outcome.name}.txt"
    fps = plan.sources[outcome.index].fps
    table, note = improved(path_of(plan, outcome.index, "mot"), fps, plan.offline)
    write(path, table)
    outcome.files.insert(0, path)
    outcome.notes.append(f"offline {', '.join(plan.offline.passes)}: {note}")


def _unreadable(source: Source, start: int, earlier: list[int]) -> list[int]:
    """Numbers of the frames that could not be read: those of the run before, and ours from ``start`` on."""
    return [*earlier, *(number for number in source.corrupt if number >= start)]


def _progress(steps: Iterable[Step], source: Source, plan: Plan, start: int) -> Iterator[Step]:
    """A bar on a terminal; nothing in a pipe, with --quiet, or where several run at once."""
    alone = len(plan.sources) == 1 or not source.live
    if plan.quiet or not alone:
        yield from steps
        return
    with bar(source.name, source.length, start=start) as advance:
        for step in steps:
            advance(step.frame.index + 1, source.length)
            yield step


def _tell(plan: Plan, source: Source, outcome: Outcome) -> None:
    """The summary line, what went wrong on the way, and the files."""
    for warning in source.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    last = plan.detectors[outcome.index].last_frame
    if source.length and last is not None and last >= source.length:
        text = f"the detections go up to frame {last + 1}, {source.name} has {source.length}: are they of this one?"
        print(f"warning: {text}", file=sys.stderr)
    if outcome.unreadable:
        outcome.notes.append(
            f"unreadable frames skipped: {len(outcome.unreadable)}, first {outcome.unreadable[0]}"
        )
    if outcome.dropped:
        outcome.notes.append(f"boxes of no size dropped: {outcome.dropped}")
    if source.reconnects or source.dropped:
        outcome.notes.append(f"{source.reconnects} reconnects, {source.dropped} stale frames dropped")
    if outcome.stopped:
        outcome.notes.append(
            f"stopped: {plan.out}/{source.name}.*.partial is what there is; --resume goes on"
        )
    if plan.quiet:
        return
    rate = outcome.new / outcome.seconds if outcome.seconds else 0.0
    stages = ("decode", "detect", "embed", "camera", "track", "draw", "encode")
    by_stage = ", ".join(
        f"{name} {outcome.new / outcome.stages[name]:.0f}" for name in stages if outcome.stages.get(name)
    )
    say(
        f"{outcome.name}: {outcome.frames} frames, {outcome.tracks} tracks, {rate:.1f} frames/s "
        f"(frames/s by stage: {by_stage})"
    )
    for note in outcome.notes:
        say(f"  {note}")
    for path in outcome.files:
        say(f"  {path}")


def _record(plan: Plan, outcome: Outcome) -> dict[str, Any]:
    """What run.json says of one sequence."""
    i, source = outcome.index, plan.sources[outcome.index]
    camera = plan.cameras[i]
    return {
        "frames": outcome.frames,
        "fps": source.fps,
        "tracks": outcome.tracks,
        "complete": not outcome.stopped,
        "detector": plan.detectors[i].description,
        "camera": plan.camera_note(i),
        "camera_frames": shares(camera) if camera else None,
        "detections_sha256": outcome.detections,
        "settings_sha256": _settings_hash(plan, i),
        "unreadable_frames": len(outcome.unreadable),
        "boxes_of_no_size": outcome.dropped,
        "warnings": source.warnings,
        "seconds": round(outcome.seconds, 3),
        "seconds_by_stage": {name: round(value, 4) for name, value in outcome.stages.items()},
    }


def manifest(plan: Plan, outcomes: list[Outcome]) -> dict[str, Any]:
    """What DIR/run.json says."""
    return {
        "arguments": plan.arguments,
        "commit": commit(),
        "versions": versions(),
        "seed": None,  # nothing in a run is random
        "online": plan.offline is None,
        "post_processing": plan.post_processing,
        "tracker": plan.trackers[0].config.model_dump(mode="json"),
        "appearance": plan.appearance,
        "sha256": plan.hashes,
        "sequences": {outcome.name: outcome.record for outcome in outcomes},
    }


@contextmanager
def _stop_on_signals(plan: Plan) -> Iterator[None]:
    """Ctrl-C and kill end the run between two frames; a second one ends it at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, _: object) -> None:
        plan.stop.set()
        plan.end_live()
        signal.signal(number, signal.SIG_DFL)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
