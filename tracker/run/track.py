"""One source through the pipeline into its files, from its beginning or from a checkpoint to its end."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from retrace.configs.errors import InputError, expect
from retrace.configs.files import locked, partial_of, reveal
from retrace.tracker.data import Frame, Step
from retrace.tracker.offline.files import improve_file, write_looks, write_table
from retrace.tracker.offline.reconnect import Looks, LooksSoFar
from retrace.tracker.outputs.live import LivePicture
from retrace.tracker.pipeline import Detect, Embed, Stopwatch, run
from retrace.tracker.run.alike import LooksAlike
from retrace.tracker.run.answers import final_table, write_answers
from retrace.tracker.run.checkpoint import Checkpoint, RunState, checkpoint_of
from retrace.tracker.run.job import Job
from retrace.tracker.run.opened import TRACKS, Appearance, OpenedJob, open_job
from retrace.tracker.run.redraw import redrawn
from retrace.tracker.run.remember import Remembering, add_people, end_ledger, rename_results
from retrace.tracker.run.report import SourceReport
from retrace.tracker.run.sinks import Sinks
from retrace.tracker.run.storage import Mirror, mirror_of
from retrace.tracker.site.ground import read_ground
from retrace.tracker.sources import ReadAhead, Source, read_ahead
from retrace.tracker.tracks.sparing import Sparing

if TYPE_CHECKING:
    from retrace.tracker.outputs.window import Window

OnStep = Callable[[Step], object]
POLL = 0.1  # s between looks at whether a live source is to stop


def track_source(
    job: Job,
    *,
    source: Source | None = None,
    detect: Detect | None = None,
    embed: Embed | Appearance | None = None,
    on_step: OnStep | None = None,
    stop: threading.Event | None = None,
) -> SourceReport:
    """Track one source into its files.

    Args:
        job: what is to be done.
        source: the job's, where it is open already.
        detect: finds the boxes, of a frame without a picture, too; None: the detector that the job names is opened.
            A checkpoint knows it by its name: with another function of the same name do not resume.
        embed: makes appearance vectors (an ``Embedder``, or any function of an image and boxes): this library opens no
            weights. None: nobody looks, and where the job's ``reid`` is "auto" a note of the report says so.
        on_step: is called after each frame, once it is written. What it raises (as what ``detect`` or ``embed``
            raise) comes out as it is; there is then the last checkpoint, 2 s old at most, to go on from.
        stop: set it, and the source ends between two frames. For a live one that is the end: its files are
            finished. A file's are left as partial ones, with a checkpoint for ``Job(resume=True)``. (A live one that
            is killed leaves a checkpoint 2 s old at most: ids, numbers and times go on from there.)

    Raises:
        InputError: something that the job names is missing, broken, does not fit or would not be done, or the place
            cannot be written.

    Example:
        >>> from retrace import Embedder, Job, track_source
        >>> job = Job("video.mp4", out="runs/example", detections="boxes.txt", save=("video",))
        >>> seen = []
        >>> report = track_source(job, embed=Embedder.from_weights("auto"), on_step=seen.append)
        >>> report.frames, report.tracks, sorted(path.name for path in report.files)
        (30, 2, ['video.mp4', 'video.txt'])
        >>> len(seen)
        30
    """
    _check_callers(on_step, stop)
    return track_opened(open_job(job, source=source, detect=detect, embed=embed), on_step, stop)


def _check_callers(on_step: OnStep | None, stop: threading.Event | None) -> None:
    if on_step is not None:
        expect("on_step", on_step, Callable, "a function")  # type: ignore[arg-type]
    if stop is not None:
        expect("stop", stop, threading.Event, "a threading.Event")


def track_opened(
    opened: OpenedJob, on_step: OnStep | None = None, stop: threading.Event | None = None
) -> SourceReport:
    """:func:`track_source` for a job that is open already.

    Args:
        opened: of :func:`open_job`.
        on_step: called with every `Step`, in order.
        stop: set it to end early; the run can be gone on from then.

    Raises:
        InputError: as :func:`track_source`, or somebody else tracks into the same place.

    Example:
        >>> from retrace.tracker.run import Job, open_job, track_opened
        >>> opened = open_job(Job("video.mp4", out="runs/opened", detections="boxes.txt", reid="none"))
        >>> report = track_opened(opened)
        >>> report.frames, report.stopped
        (30, False)
    """
    _check_callers(on_step, stop)
    with (
        locked(opened.out / f"{opened.name}.lock", f"tracks {opened.name}"),
        LivePicture(opened.out, opened.name) as live,
    ):

        def each(step: Step) -> None:
            live.take(step)
            if on_step is not None:
                on_step(step)

        mirror = mirror_of(opened.job.storage, opened.out, opened.name)
        if mirror and not (opened.job.resume and mirror.fetch()):
            mirror.forget()  # a run that dies before its first checkpoint must not be resumed from an older one's
        report = _track(opened, each, stop or threading.Event(), mirror)
        if mirror:
            if not report.stopped:
                mirror.finish(report.files)
            report.warnings += mirror.warnings
        return report


def _track(
    opened: OpenedJob, on_step: OnStep, stop: threading.Event, mirror: Mirror | None = None
) -> SourceReport:
    source, stopwatch = opened.source, Stopwatch()
    state, report = _run_state(opened), SourceReport(opened.name)
    checkpoint = _where_it_stands(opened, state, report)
    start = max(opened.job.first, checkpoint.next_frame)
    before, earlier, looked = checkpoint.frames, list(checkpoint.corrupt), False
    with Sinks(opened, checkpoint.positions, state.memory) as sinks, _window(opened) as window:
        again = sinks.draws and start > 0
        with _frames(opened, 0 if again or source.live else start, stop, stopwatch) as every:
            seen = _gone_on(every, checkpoint, source.fps) if source.live and start > 0 else every
            frames: Iterator[Frame] = itertools.takewhile(_within(opened.job.length), seen)
            if again:
                frames = redrawn(frames, start, partial_of(sinks.drawn), sinks.redraw)
            begin = time.perf_counter()  # redrawing what a stopped run had done is not this one's speed
            detect, embed, camera = opened.detector, opened.appearance.embed, opened.camera
            ahead, sparing = opened.ahead, state.sparing
            for step in run(frames, detect, opened.tracker, embed, camera, stopwatch, ahead, sparing):
                looked |= step.detections.embedding is not None
                _gather(opened, state, step)  # first: what the memory has decided is written with the frame
                with stopwatch.stage("write"):
                    sinks.write(step)
                checkpoint.took(step)
                on_step(step)
                if window:
                    window.show(step)
                    if window.closed:
                        stop.set()
                report.stopped = stop.is_set() and not source.live
                if report.stopped or checkpoint.due():
                    checkpoint.corrupt = _unreadable(source, start, earlier, checkpoint.next_frame)
                    checkpoint.save(state, sinks.positions())
                    if mirror:
                        mirror.keep(sinks.grown(), at_once=report.stopped)
                if report.stopped:
                    break
        if not report.stopped:
            checkpoint.forget()  # first: whole files must not meet a checkpoint that knows less
            report.files = sinks.finish()
            finish(opened, report, state.looks.looks() if state.looks else None)
            if state.memory:
                remember(opened, report, state.memory)
            _answer(opened, report, checkpoint, sinks)
        report.stages = {**stopwatch.seconds, **sinks.seconds()}
    report.seconds = time.perf_counter() - begin
    report.frames, report.new = checkpoint.frames, checkpoint.frames - before
    done = checkpoint.next_frame if report.stopped else opened.job.length
    report.unreadable, report.dropped = _unreadable(source, start, earlier, done), checkpoint.dropped
    report.tracks, report.detections = opened.tracker.count, checkpoint.digest
    if opened.appearance.blind and source.has_images and not looked:
        report.notes.append(opened.appearance.blind)
    _tell_of_looks(opened, report, state.alike, state.sparing)
    report.conclude(opened)
    return report


def _run_state(opened: OpenedJob) -> RunState:
    """Everything that remembers something of the frames before, at the first of them."""
    tracker, appearance = opened.tracker, opened.appearance
    if appearance.adaptive:
        appearance.adaptive.reset()  # the source before was another video
    return RunState(
        tracker,
        camera=opened.camera,
        looks=_looks_so_far(opened),
        alike=LooksAlike(tracker.config.high) if appearance.embed is not None else None,
        memory=_remembering(opened),
        network=appearance.adaptive,
        detector=opened.detector.memory,
        sparing=opened.sparing(),
    )


def _where_it_stands(opened: OpenedJob, state: RunState, report: SourceReport) -> Checkpoint:
    """The run's checkpoint: as a stopped run left it, if this one goes on from there, else at the beginning."""
    checkpoint = Checkpoint(checkpoint_of(opened.out, opened.name), opened.fingerprint(), opened.source.live)
    resumed = opened.job.resume and checkpoint.restore(state)
    if not resumed:
        checkpoint.forget()  # an older run's would fit neither our files nor our settings
    if opened.job.resume:
        start = checkpoint.next_frame
        note = f"resumed at frame {start}" if resumed else "no checkpoint, so from the beginning"
        report.notes.append(note)
    return checkpoint


def _gather(opened: OpenedJob, state: RunState, step: Step) -> None:
    """What is told or decided after many frames takes in this one."""
    if state.looks:
        state.looks.take(step.tracks, step.detections)
    if state.memory:
        state.memory.take(step)
    if state.alike:
        state.alike.take(step)
        if state.alike.useless and opened.may_stop_looking:
            opened.tracker.blindfold()


def _tell_of_looks(
    opened: OpenedJob, report: SourceReport, alike: LooksAlike | None, sparing: Sparing | None
) -> None:
    """How well people could be told apart, and how many crops that took."""
    told = "" if alike is None else str(alike)
    if alike and not told and sparing and sparing.unpaid:
        told = alike.unknown  # somebody was there to look at
    if alike and told:
        blind = opened.may_stop_looking and alike.useless
        report.notes.append(f"{told}{', so looking stopped: it would mislead' if blind else ''}")
        report.alike, report.apart = alike.share, alike.apart
    if sparing:
        report.notes.append(str(sparing))
        report.crops = {"embedded": sparing.embedded, "skipped": sparing.skipped}


def _looks_so_far(opened: OpenedJob) -> LooksSoFar | None:
    """What gathers people's looks, where something will ask for them."""
    asked = opened.offline is not None and "reconnect" in opened.offline.passes
    return LooksSoFar(opened.tracker.config.high) if asked or "looks" in opened.job.save else None


def finish(opened: OpenedJob, report: SourceReport, looks: Looks | None) -> None:
    """What is made of a whole result: looks as a file, and NAME.txt from NAME.online.txt by the offline passes."""
    if looks is not None and "looks" in opened.job.save:
        report.files.append(write_looks(opened.path("looks"), looks))
    if opened.offline is not None:
        source = opened.source
        table, note = improve_file(opened.path("mot"), source.fps, opened.offline, looks, source.size)
        ending = ".txt" if opened.job.memory is None else TRACKS
        report.files.insert(0, write_table(opened.out / f"{opened.name}{ending}", table))
        report.notes.append(f"offline {', '.join(opened.offline.passes)}: {note}")


def _answer(opened: OpenedJob, report: SourceReport, checkpoint: Checkpoint, sinks: Sinks) -> None:
    """Count in the result, and write what is asked of it."""
    report.fps = checkpoint.measured_rate(opened.source.fps)
    table, length = final_table(opened), checkpoint.next_frame
    crops = sinks.make_crops(table)
    told, files = write_answers(opened, table, report.fps, length, sinks.first_picture, crops)
    report.answers, report.summary = told.as_json(), str(told)
    report.files += files + ([opened.path("crops")] if crops is not None else [])


def _remembering(opened: OpenedJob) -> Remembering | None:
    """What hands this source's people to the memory that the job names."""
    job = opened.job
    if job.memory is None:
        return None
    weights = opened.looks
    if not weights:
        asked = "give `reid`, or `detections` FILE.npz with embedding and weights"
        raise InputError(
            f"`memory` needs vectors of known weights, and this tracker or job uses none: {asked}"
        )
    settings, live = opened.tracks_hash(), opened.source.live
    where = (job.memory_camera, job.memory_start)
    crops = job.blur is None  # nobody's picture is kept unblurred
    size, ground = opened.source.size, None if job.homography is None else read_ground(job.homography)
    return Remembering(
        job.memory,
        weights,
        opened.name,
        settings,
        *where,
        live,
        crops,
        engine=job.memory_engine,
        config=job.memory_config,
        ground=ground,
        height=None if size is None else size[0],
    )


def remember(opened: OpenedJob, report: SourceReport, remembering: Remembering) -> None:
    """NAME.txt with the ids of people; NAME.tracks.txt keeps the tracker's. Nothing has its name before it is whole."""
    people = remembering.finish()
    result = opened.out / f"{opened.name}.txt"
    kept = opened.out / f"{opened.name}{TRACKS}"
    if "mot" in opened.renamed:
        report.files.insert(0, reveal(partial_of(result), kept))
    _, doubles = rename_results(kept, result, people, opened.source.fps)
    report.files.insert(0, result)
    if "jsonl" in opened.renamed:
        report.files.append(add_people(opened.path("jsonl"), people, remembering.latest))
    if "ledger" in opened.renamed:
        report.files.append(end_ledger(opened.path("ledger"), remembering.latest))
    known = len({*people.person.tolist()})
    note = f"memory {opened.job.memory}: {len(people.track)} tracklets of {known} people"
    report.notes.append(note + (f", {doubles} second boxes of one person left out" if doubles else ""))
    report.notes += remembering.notes()
    if pictures := [kind for kind in ("video", "sheet") if kind in opened.job.save]:
        told = f"{' and '.join(pictures)} drawn while it ran: with the tracker's ids, those of {kept.name}"
        report.notes.append(told)


@contextmanager
def _window(opened: OpenedJob) -> Iterator[Window | None]:
    """Where the user looks on, if so asked."""
    if not opened.job.show:
        yield None
        return
    from retrace.tracker.outputs.window import Window  # OpenCV

    window = Window(opened.name, opened.style, opened.source.size)
    try:
        yield window
    finally:
        window.close()


def _gone_on(frames: Iterator[Frame], checkpoint: Checkpoint, fps: float) -> Iterator[Frame]:
    """A live source's frames with numbers and times that go on where a run was killed: by the wall clock."""
    first, (_, time) = checkpoint.next_frame, checkpoint.ended
    time += max(1 / fps, checkpoint.blind_for())
    return (Frame(frame.index + first, frame.time + time, frame.image) for frame in frames)


def _within(length: int | None) -> Callable[[Frame], bool]:
    return lambda frame: length is None or frame.index < length


def _unreadable(source: Source, start: int, earlier: list[int], end: int | None) -> list[int]:
    """Numbers of the frames before ``end`` that could not be read: those of the run before, and ours from ``start``
    on. (The thread that reads ahead has seen more.) A live source counts its own from 0."""
    ours = [number + start for number in source.corrupt] if source.live else source.corrupt
    return [*earlier, *(number for number in ours if start <= number and (end is None or number < end))]


@contextmanager
def _frames(
    opened: OpenedJob, start: int, stop: threading.Event, stopwatch: Stopwatch
) -> Iterator[Iterator[Frame]]:
    """The source's frames; pictures are decoded in a thread, and "decode" is the time that takes."""
    frames = opened.source.frames(start)
    if not opened.source.has_images:  # waking a thread for such a frame costs more than making it
        yield iter(frames)
        return
    with read_ahead(frames) as ahead:
        if opened.source.live:
            with _closed_on(stop, ahead):
                yield ahead
        else:
            yield ahead
        stopwatch.seconds["decode"] = ahead.seconds


@contextmanager
def _closed_on(stop: threading.Event, ahead: ReadAhead) -> Iterator[None]:
    """A live source that waits for the network would not notice a flag: it is closed when ``stop`` is set."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.is_set():
            if stop.wait(POLL):
                ahead.close()
                return

    watcher = threading.Thread(target=watch, name="stop", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
