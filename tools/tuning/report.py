"""What a tuning found: tables for the reader, presets to use and to check, run.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from retrace.configs.files import atomic_write, write_json, writing
from retrace.configs.versions import commit, versions
from retrace.eval.mot.score import Metrics, combine
from retrace.eval.report import as_text
from retrace.tools.tuning.search import Search, Tuning
from retrace.tools.tuning.settings import Settings
from retrace.tools.tuning.space import Params
from retrace.tools.tuning.study import figure
from retrace.tracker.sources.address import without_secrets

COLUMNS = ("HOTA", "DetA", "AssA", "IDF1", "MOTA")
ROWS = ("preset", "held out", "in sample (optimistic)")
Scores = dict[str, dict[str, Metrics]]  # row of the table -> sequence -> metrics


def conclude(
    tuning: Tuning,
    executor: Executor,
    preset: dict[str, Metrics],
    settings: Settings,
    arguments: Sequence[str],
    about: Mapping[str, Any],
    out: Path,
) -> list[str]:
    """Track what was held out, write every file; the lines to print."""
    plan = tuning.plan
    *folds, whole = plan.searches
    best = {search.name: tuning.best(search).params for search in plan.searches}
    held = tuning.score(executor, [(best[fold.name], fold.held) for fold in folds])
    names = tuple(one.name for one in plan.clips)
    found = {name: m for part in held for name, m in part.items()}
    scores = dict(
        zip(ROWS, (preset, {n: found[n] for n in names}, dict(tuning.best(whole).metrics)), strict=True)
    )
    for search in plan.searches:
        path = out / ("tuned.yaml" if search is whole else f"folds/{search.name.replace(' ', '-')}.yaml")
        write_preset(path, tuning, best[search.name], source(tuning, search, scores, settings))
    write_json(out / "run.json", record(tuning, best, scores, arguments, about))
    return [
        *tables(tuning, best, scores),
        f"{out / 'tuned.yaml'}: the values of the search that saw all sequences",
    ]


def total(scores: Scores, row: str, metric: str) -> float:
    """A metric of all sequences combined, in percent."""
    return 100 * figure(list(scores[row].values()), metric)


def tables(tuning: Tuning, best: Mapping[str, Params], scores: Scores) -> list[str]:
    """By sequence, combined, and what was chosen."""
    plan, metric = tuning.plan, tuning.plan.metric
    by_sequence = [["sequence", *ROWS]]
    for one in plan.clips:
        cells = [f"{100 * figure([scores[row][one.name]], metric):.2f}" for row in ROWS]
        by_sequence.append([one.name, *cells])
    combined = [["combined", *COLUMNS, "IDSW"]]
    for row in ROWS:
        switches = combine(list(scores[row].values())).row()["IDSW"]
        combined.append([row, *(f"{total(scores, row, c):.2f}" for c in COLUMNS), str(switches)])
    own = plan.space.config({}).model_dump(mode="json")
    chosen = [["value", "preset", *(search.name for search in plan.searches)]]
    for key in plan.space.parameters:
        cells = [_short(_value(own, key)), *(_short(best[search.name][key]) for search in plan.searches)]
        chosen.append([key, *cells])
    gain = total(scores, ROWS[1], metric) - total(scores, ROWS[0], metric)
    verdict = "" if gain > 0 else ": tuning did not help here, keep the preset"
    return [
        f"{metric} by sequence",
        as_text(by_sequence),
        as_text(combined),
        as_text(chosen),
        f"held out, {metric} {gain:+.2f} against the preset{verdict}",
    ]


def _value(node: Any, key: str) -> Any:
    for part in key.split("."):
        node = node[int(part)] if isinstance(node, list) else node[part]
    return node


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def source(tuning: Tuning, search: Search, scores: Scores, settings: Settings) -> str:
    """What a preset file says of its origin."""
    plan = tuning.plan
    figures = ", ".join(f"{row} {total(scores, row, plan.metric):.2f}" for row in ROWS)
    about_fold = f" This one is a fold's, tuned without {', '.join(search.held)}." if search.held else ""
    before = plan.space.base.get("source") or "not told"
    return (
        f"Tuned by tools/tune.py from {settings.tracker}: {', '.join(plan.space.parameters)}. {plan.metric} of "
        f"{', '.join(search.train)} ({settings.split}, {plan.benchmark}); detections {settings.detections}, camera "
        f"{settings.camera}; {plan.trials} trials, seed {plan.seed}.{about_fold} {plan.metric} of all sequences by "
        f"{len(plan.searches) - 1} folds: {figures}. All other values: {before}"
    )


def write_preset(path: Path, tuning: Tuning, params: Params, source: str) -> None:
    """A complete preset, so that a changed default does not change what the file means."""
    values = tuning.plan.space.config(params).model_dump(mode="json") | {"source": source}
    with writing(path), atomic_write(path) as file:
        yaml.safe_dump(values, file, sort_keys=False, width=110, allow_unicode=True)


def record(
    tuning: Tuning,
    best: Mapping[str, Params],
    scores: Scores,
    arguments: Sequence[str],
    about: Mapping[str, Any],
) -> dict[str, Any]:
    """What run.json says."""
    plan = tuning.plan
    seconds = {stage: round(value, 3) for stage, value in tuning.seconds.items()}
    return {
        "arguments": without_secrets(arguments),
        "commit": commit(),
        "versions": versions() | {"optuna": metadata.version("optuna")},
        **about,
        "trials": plan.trials,
        "shared_trials": tuning.shared,
        "searches": {
            search.name: {
                "tuned_on": search.train,
                "held_out": search.held,
                "chosen": best[search.name],
                plan.metric: tuning.best(search).value(search.train, plan.metric),
            }
            for search in plan.searches
        },
        "scores": {
            row.split(" (")[0]: {
                "sequences": {name: m.row() for name, m in parts.items()},
                "combined": combine(list(parts.values())).row(),
            }
            for row, parts in scores.items()
        },
        "this_run": {"sequences_scored": tuning.scored, "cpu_seconds": seconds},
    }
