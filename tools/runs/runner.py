"""The run itself: every source through the pipeline into its sinks, with checkpoints and a summary."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from retrace.configs.files import partial_of
from retrace.tools.offline import LOOKS, improved, write, write_looks
from retrace.tools.runs.checkpoint import Checkpoint, Memory, replay
from retrace.tools.runs.outcome import Outcome, manifest, record_of, settings_hash, tell
from retrace.tools.runs.plan import Plan
from retrace.tools.terminal.console import say, write_json
from retrace.tools.terminal.progress import bar
from retrace.tracker.camera.warps import warp_lines
from retrace.tracker.data import Frame, Step
from retrace.tracker.offline.reconnect import Looks, LooksSoFar
from retrace.tracker.outputs.pictures import ContactSheet, VideoSink
from retrace.tracker.outputs.text import JsonLinesSink, MotSink, TextSink, ledger_sink
from retrace.tracker.pipeline import Clock, run
from retrace.tracker.sources import Source, read_ahead

ENDINGS = {
    "mot": ".txt",
    "jsonl": ".jsonl",
    "video": ".mp4",
    "sheet": ".png",
    "camera": ".gmc.txt",
    "ledger": ".ledger.jsonl",
    "looks": LOOKS,
}


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
        same = record.get("complete") and record.get("settings_sha256") == settings_hash(plan, i)
        if same and all(path.is_file() for path in files):
            done[i] = Outcome(i, source.name, record=record)
            if not plan.quiet:
                say(f"{source.name}: complete already")
    return done


def track_source(plan: Plan, i: int) -> Outcome:
    """One source from its beginning, or from its checkpoint, to its end or until told to stop.

    To stop is how a live source ends: its files are finished then. A file's are left as partial ones.
    """
    source, tracker, clock = plan.sources[i], plan.trackers[i], Clock()
    checkpoint = Checkpoint(plan.out / f"{source.name}.checkpoint.npz", plan.fingerprint(i))
    needed = "looks" in plan.save or (plan.offline and "reconnect" in plan.offline.passes)
    looks = LooksSoFar(tracker.config.high) if needed else None
    memory = Memory(tracker, plan.cameras[i], looks, plan.adaptive)
    if plan.adaptive:
        plan.adaptive.reset()  # the source before was another video
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
                rows = partial_of(sinks.paths["mot"])
                frames = replay(ahead, start, rows, sinks.redraw)
            begin = time.perf_counter()  # redrawing what a stopped run had done is not this one's speed
            steps = run(frames, plan.detectors[i], tracker, plan.embed, plan.cameras[i], clock)
            for step in _progress(steps, source, plan, start):
                with clock.stage("write"):
                    sinks.write(step)
                if looks:
                    looks.take(step.tracks, step.detections)
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
            if looks and "looks" in plan.save:
                outcome.files.append(write_looks(path_of(plan, i, "looks"), looks.looks()))
            if plan.offline:
                improve_result(plan, outcome, looks.looks() if looks else None)
        outcome.stages = {**clock.seconds, **sinks.seconds()}
    outcome.seconds = time.perf_counter() - begin
    outcome.frames, outcome.new = checkpoint.frames, checkpoint.frames - before
    outcome.unreadable, outcome.dropped = _unreadable(source, start, earlier), checkpoint.dropped
    outcome.tracks, outcome.detections = tracker.count, checkpoint.digest
    outcome.record = record_of(plan, outcome)
    tell(plan, source, outcome)
    return outcome


def improve_result(plan: Plan, outcome: Outcome, looks: Looks | None) -> None:
    """NAME.txt from NAME.online.txt by the offline passes."""
    assert plan.offline
    path, source = plan.out / f"{outcome.name}.txt", plan.sources[outcome.index]
    table, note = improved(path_of(plan, outcome.index, "mot"), source.fps, plan.offline, looks, source.size)
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
