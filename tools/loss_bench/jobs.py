"""What is to be done, what is done: jobs in an order that leaves a stopped bench balanced, results a line each.

A results file holds one JSON object a line, appended when a job is whole, so it can be stopped at any moment, kept
in a repository, and gone on with on another machine. What is to be done follows from it: rounds of the search
first, setting by setting over all entrants; then finals, seed by seed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrace.configs import InputError
from retrace.configs.files import append_line, writing
from retrace.tools.loss_bench.entrants import Bench, Trained, settings_of

Result = dict[str, Any]
FINAL, TRACK, CHECK = "final", "track", "check"  # stages
REFERENCE, NOBODY, STORED = "reference", "nobody looks", "frozen network"  # what tracking is compared with


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """One training: of whom, with which setting, how long."""

    regime: str
    entrant: str
    stage: str  # "search 1", "search 2", "final"
    setting: int
    seed: int
    length: float  # steps (frozen) or epochs

    @property
    def key(self) -> str:
        """Its name in the results."""
        return f"{self.regime}/{self.entrant}/{self.stage}/setting {self.setting}/seed {self.seed}/{self.length:g}"


def read_bench_results(path: Path) -> list[Result]:
    """Every finished job; a last line that was cut off counts as not there.

    Raises:
        InputError: the file cannot be read, or another line is no result.
    """
    if not path.exists():
        return []
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not readable as results ({type(error).__name__})") from None
    found = []
    for number, line in enumerate(lines[:-1], 1):
        try:
            one = json.loads(line)
            words = [one[name] for name in ("key", "regime", "entrant", "stage")]
            if not all(isinstance(word, str) for word in words):
                raise ValueError
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{path}: line {number} is no result; remove it") from None
        found.append(one)
    return found


def add_result(path: Path, result: Result) -> None:
    """Append a line, whole or not at all as far as a reader is concerned."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "ab+") as file:
            append_line(file, json.dumps(result))


def open_jobs(
    bench: Bench, regime: str, names: Sequence[str], results: Iterable[Result], published: bool = False
) -> list[TrainingJob]:
    """What can be done now, in order; more may follow when it is done.

    Args:
        names: of the entrants.
        published: nothing is searched, everybody trains with the settings of the file.
    """
    done = {one["key"]: one for one in results}
    jobs: list[tuple[tuple[int, int, int], TrainingJob]] = []
    for place, name in enumerate(names):
        for job in _next(bench, regime, name, done, published):
            rung = 99 if job.stage == FINAL else int(job.stage.split()[1])
            within = job.seed if job.stage == FINAL else job.setting
            jobs.append(((rung, within, place), job))
    return [job for _, job in sorted(jobs, key=lambda one: one[0])]


def _next(
    bench: Bench, regime: str, name: str, done: Mapping[str, Result], published: bool
) -> list[TrainingJob]:
    """The open jobs of the first stage of an entrant that has any."""
    how = bench.regime(regime)
    settings = list(range(settings_of(bench, name)))
    length = how.length
    if not published:
        for number, rung in enumerate(how.search, 1):
            settings = settings[: rung.settings]
            jobs = [TrainingJob(regime, name, f"search {number}", k, 0, rung.length) for k in settings]
            if left := [job for job in jobs if job.key not in done]:
                return left
            best = {job.setting: best_look(done[job.key]) for job in jobs}
            settings.sort(key=lambda k: -best[k][1])
            length = how.length or best[settings[0]][0]
    elif not length:
        length = how.search[-1].length
    finals = [TrainingJob(regime, name, FINAL, settings[0], seed, length) for seed in range(1, how.seeds + 1)]
    return [job for job in finals if job.key not in done]


def best_look(result: Result) -> tuple[float, float]:
    """Where the validation people's mAP was largest, and how large; one that failed is worse than any."""
    if "failed" in result:
        return float(result["length"]), -1.0
    length, value = max(result["curve"].items(), key=lambda one: one[1])
    return float(length), value


def finals(
    bench: Bench, regime: str, results: Iterable[Result], published: bool = False
) -> dict[str, list[Result]]:
    """The finals of a regime by entrant, seeds ascending: of its chosen setting, or of the published one."""
    results = [one for one in results if one["regime"] == regime]
    done = {one["key"]: one for one in results}
    found: dict[str, list[Result]] = {}
    for name in bench.entrants:
        wanted = _next(
            bench, regime, name, {k: v for k, v in done.items() if f"/{FINAL}/" not in k}, published
        )
        keys = [job.key for job in wanted if job.stage == FINAL]
        if mine := [done[key] | _tracked(done, key) for key in keys if key in done]:
            found[name] = mine
    return found


def _tracked(done: Mapping[str, Result], key: str) -> Result:
    """What a tracker made of a final's network, where one used it."""
    line = done.get(f"{key}/{TRACK}")
    return {} if line is None else {"track": {name: line[name] for name in ("IDF1", "HOTA", "IDSW")}}


def searched(bench: Bench, regime: str) -> str:
    """The search in words."""
    how = bench.regime(regime)
    if not isinstance(how, Trained):
        return f"up to {how.search[-1].length:g} steps, the number chosen at looks every {how.look}"
    return ", then ".join(f"{rung.settings} settings x {rung.length:g} epochs" for rung in how.search)
