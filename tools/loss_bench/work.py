"""Working the queue: take the next job that nobody works on, do it, write its line."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from retrace.configs import InputError
from retrace.configs.files import locked
from retrace.configs.versions import commit, versions
from retrace.tools.benchmarks.side_by_side import shared_folder
from retrace.tools.loss_bench import frozen, trained
from retrace.tools.loss_bench.entrants import Bench
from retrace.tools.loss_bench.jobs import (
    FINAL,
    Result,
    TrainingJob,
    add_result,
    open_jobs,
    read_bench_results,
)

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Places:
    """Where everything lies.

    Attributes:
        results: the file of lines.
        work: folder for what need not be kept: vectors, checkpoints, claims.
        data: people to train on, and others of the same place to score.
        other: people of another place.
        weights: folder of the networks to begin from.
    """

    results: Path
    work: Path
    data: Path
    other: Path
    weights: Path


def places_of(
    results: Path, work: Path, data: Path | None, other: Path | None, weights: Path | None
) -> Places:
    """The places; what is None lies in the shared folder."""
    there = shared_folder() / "data"
    return Places(
        results,
        work,
        data or there / "market1501-split",
        other or there / "cuhk03-detected-val",
        weights or there / "weights",
    )


def work(
    bench: Bench,
    regime: str,
    names: Sequence[str],
    places: Places,
    *,
    published: bool = False,
    hours: float | None = None,
    most: int | None = None,
    tell: Tell,
) -> int:
    """Do what is left, one job after the other, in this process with one thread; start it once a core.

    A job that cannot be done (its loss is not a number any more) gets a line that says so.

    Args:
        names: of the entrants.
        published: nothing is searched.
        hours: no job is begun after so long.
        most: jobs at most.

    Returns:
        How many jobs were done.
    """
    torch.set_num_threads(1)
    end = time.monotonic() + 3600 * hours if hours is not None else float("inf")
    people: Any = None
    about: Result = {"commit": commit(), "torch": versions().get("torch"), "machine": platform.machine()}
    count = 0
    while time.monotonic() < end and (most is None or count < most):
        with claimed(bench, regime, names, places, published) as (job, left):
            if job is None:
                break
            tell(f"{job.key} ({left} open)")
            if people is None:
                people = read_people(bench, regime, places, tell)
            begin = time.process_time()
            try:
                found = do(bench, job, people, places)
            except InputError as error:
                found = {"failed": str(error)[:300]}
            about["cpu_seconds"] = round(time.process_time() - begin, 1)
            about["load"] = round(os.getloadavg()[0], 1)
            write(places, {"key": job.key, **asdict(job), **found, **about})
            tell(f"  {shown(found)}")
            count += 1
    return count


def read_people(bench: Bench, regime: str, places: Places, tell: Tell) -> Any:
    if regime == "frozen":
        weights = places.weights / bench.frozen.weights
        return frozen.embed_people(weights, places.data, places.other, places.work, tell)
    return trained.read_people(places.data, places.other)


def do(bench: Bench, job: TrainingJob, people: Any, places: Places) -> Result:
    """A job from beginning to end."""
    if job.regime == "frozen":
        call = frozen.final if job.stage == FINAL else frozen.search
        return call(people, bench, job.entrant, job.setting, job.seed, round(job.length))
    return trained.train(people, bench, job, places.weights, places.work)


@contextmanager
def claimed(
    bench: Bench, regime: str, names: Sequence[str], places: Places, published: bool
) -> Iterator[tuple[TrainingJob | None, int]]:
    """The first open job that no other process works on, and how many are open."""
    with ExitStack() as stack:
        for tried in open_jobs(bench, regime, names, read_bench_results(places.results), published):
            try:
                stack.enter_context(locked(places.work / "claims" / f"{slug(tried)}.lock", "works on it"))
            except InputError:
                continue
            # Another process may have finished it between our reading and our claiming.
            still = open_jobs(bench, regime, names, read_bench_results(places.results), published)
            if tried in still:
                yield tried, len(still)
                return
            stack.close()
        yield None, 0


def write(places: Places, result: Result) -> None:
    """Append a line; waits for another process that does."""
    while True:
        try:
            with locked(places.work / "append.lock", "writes a result"):
                return add_result(places.results, result)
        except InputError as error:
            if "writes a result" not in str(error):
                raise
            time.sleep(0.05)


def slug(job: TrainingJob) -> str:
    """A job's key as a file name."""
    return job.key.replace("/", "-").replace(" ", "")


def shown(found: Result) -> str:
    if "failed" in found:
        return f"failed: {found['failed']}"
    if "curve" in found:
        return "validation mAP " + ", ".join(f"{k}: {100 * v:.1f}" for k, v in found["curve"].items())
    return f"mAP {100 * found['mAP']:.1f}, rank-1 {100 * found['rank-1']:.1f}"
