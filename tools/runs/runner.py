"""Every source of a run: opened together, tracked one after the other, in processes or on a cluster (live ones at the
same time), told of."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from retrace.configs import InputError
from retrace.configs.files import cores, locked, write_json
from retrace.tools.runs.models import Models
from retrace.tools.runs.split import SourceParts, split
from retrace.tools.runs.workers import Outcome, Progress, track_in_workers, workers_of
from retrace.tools.terminal.console import say
from retrace.tools.terminal.progress import bar, bars
from retrace.tracker.data import Step
from retrace.tracker.run import (
    Job,
    OpenedJob,
    SourceReport,
    open_job,
    open_job_source,
    track_opened,
)
from retrace.tracker.run.checkpoint import checkpoint_of
from retrace.tracker.run.manifest import (
    earlier_records,
    finished_records,
    manifest,
    records_of,
    remove_stale,
)
from retrace.tracker.run.opened import find_detections
from retrace.tracker.run.storage import Storage, mirror_of
from retrace.tracker.sources import Source

STAGES = ("decode", "detect", "embed", "camera", "track", "write", "draw", "encode")


@dataclass(slots=True)
class Run:
    """Several sources into one folder."""

    opened: list[OpenedJob]
    arguments: list[str]  # as the user gave them, for run.json
    quiet: bool = False
    workers: int = 1  # processes that track files at the same time
    cluster: str | None = None  # or a Ray cluster, see `tools/runs/cluster.py`
    split: int = 1  # parts of each file that are tracked apart, see `tools/runs/split.py`
    storage: Storage | None = None  # where the jobs keep their results, too
    failed: dict[str, str] = field(default_factory=dict)  # source: why it could not be tracked
    reports: dict[str, SourceReport] = field(default_factory=dict)  # by name
    earlier: dict[str, dict[str, Any]] = field(default_factory=dict)  # records of runs before, by name
    stop: threading.Event = field(default_factory=threading.Event)
    lock: Any = field(default_factory=threading.Lock)

    @property
    def whole(self) -> bool:
        """Nothing was stopped on the way."""
        ended = len(self.reports) + sum(one.job.shown in self.failed for one in self.opened)
        return ended == len(self.opened) and not any(r.stopped for r in self.reports.values())

    def refuse_failures(self) -> None:
        """The end of a run in which something could not be tracked.

        Raises:
            InputError: names those sources, with the reason of the first.
        """
        if self.failed:
            first, why = next(iter(self.failed.items()))
            many = len(self.opened) + sum(
                shown not in {one.job.shown for one in self.opened} for shown in self.failed
            )
            others = ", ".join([*self.failed][1:])
            others = f"; and {others}" if others else ""
            raise InputError(f"{len(self.failed)} of {many} sources not tracked: {first} ({why}){others}")


def open_run(
    jobs: Sequence[Job],
    arguments: Sequence[str] = (),
    quiet: bool = False,
    workers: int | None = 1,
    cluster: str | None = None,
    parts: int = 1,
) -> Run:
    """Open and check all sources; those that cannot be are in ``failed``, unless there is no other.

    Args:
        jobs: of one output folder; equal but for their source.
        arguments: what the user typed, for run.json.
        quiet: print errors only.
        workers: processes that track files at the same time; None: one a core. Results do not depend on it.
        cluster: a Ray cluster instead: "auto", "local" or an address.
        parts: each file is tracked in so many apart, which are joined; the result depends on it.

    Raises:
        InputError: what is wrong for all of them, or for each; nothing has been written then.
    """
    if workers is not None and workers < 1:
        raise InputError(f"`workers` must be at least 1, got {workers}")
    if parts < 1:
        raise InputError(f"`split` must be at least 1 part, got {parts}")
    if jobs[0].show and (workers != 1 or cluster is not None):
        raise InputError("`show` looks on at one source after the other: leave `workers` and `cluster` out")
    if cluster is not None and workers != 1:
        raise InputError("`cluster` has workers of its own: leave `workers` out")
    if jobs[0].memory is not None and (workers != 1 or cluster is not None):
        raise InputError(
            "`memory` knows people in the order of the sources: leave `workers` and `cluster` out"
        )
    if cluster is not None:
        from retrace.tools.runs.cluster import check_address

        check_address(cluster)
    storage = None if jobs[0].storage is None else lasting(jobs[0].storage)
    if storage is not None:
        storage.check()
    jobs[0].tracker_config()  # a typing mistake shows before anything is opened
    failed: dict[str, str] = {}
    found: list[tuple[Job, Source]] = []
    for job in jobs:
        with _noted(failed, job, len(jobs)):
            found.append((job, open_job_source(job)))
    if jobs[0].reid_norm == "video" and sum(source.live for _, source in found) > 1:
        raise InputError("`reid_norm` video: live sources would share its statistics; run each alone")
    models, opened = Models(), []
    # networks first: what is wrong with one is wrong for all, and is told before the output folder is made
    networks = [models.of(job, source) for job, source in found]
    if found and jobs[0].device.startswith("cuda") and not any(d or a.embed for d, a in networks):
        raise InputError(
            f"`device` {jobs[0].device}: no network is used here that could run on it; leave it out"
        )
    names = names_apart([source.name for _, source in found])
    for name, (job, source), (detect, embed) in zip(names, found, networks, strict=True):
        with _noted(failed, job, len(jobs)):
            if len(jobs) > 1:
                _own_detections(job, source)
            opened.append(open_job(replace(job, name=name), source=source, detect=detect, embed=embed))
    if not opened:
        raise InputError(next(iter(failed.values())))
    files = sum(not one.source.live for one in opened)
    if cluster is not None and files == 0:
        raise InputError("`cluster` is for files: live sources are tracked here; leave it out")
    if parts > 1 and files == 0:
        raise InputError("`split` is for files; leave it out")
    count = workers_of(workers, files * parts)
    return Run(opened, list(arguments), quiet, count, cluster, parts, storage, failed)


def lasting(url: str) -> Storage:
    """A storage that is there when this process is not.

    Raises:
        InputError: it is this process's memory, or cannot be opened.
    """
    if url.lower().startswith("memory:"):
        raise InputError(
            f"`storage` {url[:80]}: nothing outlives this process there; name a folder or a bucket"
        )
    return Storage(url)


@contextmanager
def _noted(failed: dict[str, str], job: Job, jobs: int) -> Iterator[None]:
    """What is wrong with one source of several is noted, and the others go on."""
    try:
        yield
    except InputError as error:
        if jobs == 1:
            raise
        failed[job.shown] = str(error)


def _own_detections(job: Job, source: Source) -> None:
    """Refuse a file of boxes that several sources would share."""
    given = job.detections
    if given is not None and find_detections(given, source) == Path(given):
        raise InputError(
            f"`detections` {given}: not there for {source.name}; "
            "with several sources it is looked for in each one's folder"
        )


def names_apart(names: Sequence[str]) -> list[str]:
    """Sources of the same name would overwrite each other: the second becomes NAME-2. Case does not tell apart."""
    apart: list[str] = []
    for name in names:
        number, free = 1, name
        while free.lower() in {taken.lower() for taken in apart}:
            number += 1
            free = f"{name}-{number}"
        apart.append(free)
    return apart


def track_all(run: Run) -> None:
    """Track in every source; files one after the other, live ones at the same time. ``run.json`` in the output
    folder tells the truth whenever this process is killed. What is wrong with one source of several ends that one
    alone: it is told of at once, and noted in ``run.failed``.

    Raises:
        InputError: another run writes into the folder, or it holds results of another kind.
    """
    out = run.opened[0].out
    with locked(out / "run.lock", f"tracks into {out}"), stop_on_signals(run.stop):
        fresh = not (out / "run.json").exists()
        try:
            _begin(run)
            _track_each(run)
        except InputError:
            if fresh and {path.name for path in out.iterdir()} == {"run.json", "run.lock"}:
                (out / "run.json").unlink()  # it tells of nothing: what was asked for could not begin
            raise


def _track_each(run: Run) -> None:
    """Files one after the other or in processes, then all live sources at the same time."""
    waiting = [one for one in run.opened if one.name not in run.reports]
    files = [one for one in waiting if not one.source.live]
    if files and (run.cluster is not None or run.split > 1 or min(run.workers, len(files)) > 1):
        _track_elsewhere(run, files)
    else:
        for one in files:
            _track(run, one)
    live = [one for one in waiting if one.source.live]
    with ThreadPoolExecutor(max(1, len(live))) as pool:
        for result in [pool.submit(_track, run, one) for one in live]:
            try:
                result.result()
            except BaseException:
                run.stop.set()  # the pool waits for the others before this one's error is told
                raise


def _begin(run: Run) -> None:
    """Say what is about to be done, and what is done already or cannot be."""
    if run.storage is not None and run.opened[0].job.resume:
        fetch_results(run.storage, run.opened[0].out)
    first, names = run.opened[0], {one.name for one in run.opened}
    run.earlier = earlier_records(first.out, names, first.shared)
    if not run.quiet:
        for line in dict.fromkeys(one.detector.description for one in run.opened):
            say(f"detector: {line}")
        say(f"appearance: {run.opened[0].appearance.description}")
        for line in dict.fromkeys(one.camera_note for one in run.opened):
            say(f"camera motion: {line}")
    for why in run.failed.values():
        _go_on_without(why)
    finished, others = finished_records(run.opened)
    for name, record in finished.items():
        run.reports[name] = SourceReport(name, record=record)
        if not run.quiet:
            say(f"{name}: complete already")
    for name in [] if run.quiet else others:
        say(f"{name}: complete with other settings; anew with these")
    write_manifest(run)


def fetch_results(storage: Storage, out: Path) -> None:
    """Bring a folder in which no run has been up to what the storage holds; results of a run here stay as they are.

    Raises:
        InputError: it cannot be read.
    """
    if (out / "run.json").exists() or not storage.get("run.json", out / "run.json"):
        return
    for record in records_of(out).values():
        for name in record.get("files", ()):
            storage.get(name, out / name)


def _track(run: Run, one: OpenedJob) -> None:
    if run.stop.is_set():
        return
    why = None
    try:
        report = _with_a_bar(run, one)
    except InputError as error:
        if len(run.opened) + len(run.failed) == 1:
            raise
        why = str(error)
    _record(run, one, report if why is None else why)


def _record(run: Run, one: OpenedJob, ended: SourceReport | str) -> None:
    """What became of a source, or why it could not be tracked."""
    with run.lock:  # threads of live sources come here
        if isinstance(ended, SourceReport):
            remove_stale(run.earlier.get(one.name), one, ended)
            run.reports[one.name] = ended
        else:
            run.failed[one.job.shown] = ended
            _go_on_without(ended)
        write_manifest(run)


def _track_elsewhere(run: Run, files: Sequence[OpenedJob]) -> None:
    """Files in processes of this machine or on a cluster; a display for all."""
    by_name = {one.name: one for one in files}
    for one in files:
        if not one.job.resume:  # a process that takes over from one that died must not find an older run's
            checkpoint_of(one.out, one.name).unlink(missing_ok=True)
            mirror = mirror_of(one.job.storage, one.out, one.name)
            if mirror is not None:
                mirror.forget()
    splits, jobs = _split(run, files), [one.job for one in files if run.split == 1]
    jobs += [job for part in splits.values() for job in part.jobs]
    owner = {job.name: part for part in splits.values() for job in part.jobs}
    length = {
        job.name: job.length or by_name[owner[job.name].one.name if splits else job.name or ""].source.length
        for job in jobs
    }
    with bars("sources", len(jobs), run.quiet) as shown:

        def progress(name: str, done: int | None) -> None:
            shown(name, done, length[name])

        for outcome in _outcomes(run, jobs, progress):
            ended: Outcome | None = outcome
            if splits:
                ended = _joined(owner[outcome.name], outcome)
            if ended is None or by_name[ended.name].job.shown in run.failed:
                continue
            one = by_name[ended.name]
            if ended.report is None:
                _record(run, one, f"{one.job.shown}: {ended.why.removeprefix(f'{one.job.shown}: ')}")
                continue
            if run.cluster is not None and run.storage is not None:
                for path in ended.report.files:  # made in a folder of another machine
                    run.storage.get(path.relative_to(one.out).as_posix(), path)
            _conclude(run, one, ended.report)
            _record(run, one, ended.report)


def _split(run: Run, files: Sequence[OpenedJob]) -> dict[str, SourceParts]:
    """The parts of each file that can be split, by its name; none where nobody asked."""
    found: dict[str, SourceParts] = {}
    for one in files if run.split > 1 else ():
        try:
            found[one.name] = split(one, run.split)
        except InputError as error:
            if len(run.opened) + len(run.failed) == 1:
                raise
            _record(run, one, str(error))
    return found


def _joined(part: SourceParts, outcome: Outcome) -> Outcome | None:
    """What became of a source with this part, if anything did yet."""
    try:
        return part.take(outcome)
    except InputError as error:
        return Outcome(part.one.name, None, str(error))


def _outcomes(run: Run, jobs: Sequence[Job], progress: Progress) -> Iterator[Outcome]:
    if not jobs:
        return
    if run.cluster is not None:
        from retrace.tools.runs.cluster import track_on_cluster

        yield from track_on_cluster(jobs, run.cluster, run.stop, progress)
        return
    count = workers_of(run.workers, len(jobs))
    share = max(1, cores() // count)
    jobs = [replace(job, threads=job.threads or share) for job in jobs]
    if not run.quiet:
        say(f"{count} processes, {jobs[0].threads} cores each")
    yield from track_in_workers(jobs, count, run.stop, progress, _warn)


def _warn(line: str) -> None:
    print(f"warning: {line}", file=sys.stderr)


def _go_on_without(why: str) -> None:
    print(f"warning: {why}; going on without it", file=sys.stderr)


def write_manifest(run: Run) -> None:
    """``run.json`` of what is done so far, beside the records of earlier runs whose results still lie there."""
    own = [one.name for one in run.opened if one.name in run.reports]
    records = run.earlier | {name: run.reports[name].record for name in own}
    hashes = {path: value for one in run.opened for path, value in one.hashes.items()}
    told = manifest(run.opened[0].shared, run.arguments, hashes, records, run.failed)
    write_json(run.opened[0].out / "run.json", told)
    if run.storage is not None:
        run.storage.put(run.opened[0].out / "run.json")


def _with_a_bar(run: Run, one: OpenedJob) -> SourceReport:
    """Track; with a bar on a terminal, nothing in a pipe, where it is to be quiet, or where several run at once."""
    with ExitStack() as stack:
        shown: list[Callable[[int, int | None], None]] = []

        def advance(step: Step) -> None:
            done, length = step.frame.index + 1, one.source.length
            if not shown:  # a run that goes on has redrawn what was done before: that is not this one's speed
                shown.append(stack.enter_context(bar(one.name, length, start=done - 1)))
            shown[0](done, length)

        alone = len(run.opened) == 1 or not one.source.live
        report = track_opened(one, None if run.quiet or not alone else advance, run.stop)
    _conclude(run, one, report)
    return report


def _conclude(run: Run, one: OpenedJob, report: SourceReport) -> None:
    if report.stopped:
        report.notes.append(f"stopped: {one.out}/{one.name}.*.partial is what there is; resume it to go on")
    tell(report, run.quiet)


def tell(report: SourceReport, quiet: bool = False) -> None:
    """The summary line, what went wrong on the way, and the files."""
    for warning in report.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if quiet:
        return
    rate = report.new / report.seconds if report.seconds else 0.0
    by_stage = ", ".join(
        f"{name} {report.new / report.stages[name]:.0f}" for name in STAGES if report.stages.get(name)
    )
    say(
        f"{report.name}: {report.frames} frames, {report.tracks} tracks, {rate:.1f} frames/s "
        f"(frames/s by stage: {by_stage})"
    )
    if report.summary:
        say(f"  {report.summary}")
    for line in (*report.notes, *report.files):
        say(f"  {line}")


@contextmanager
def stop_on_signals(stop: threading.Event) -> Iterator[None]:
    """Ctrl-C and kill end the run between two frames; a second one ends it at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, _: object) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
