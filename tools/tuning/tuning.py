"""A tuning from beginning to end: settings in, presets and figures out."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from retrace.configs import InputError, load_preset
from retrace.configs.errors import install
from retrace.configs.files import cores, file_hash, make_folder
from retrace.eval.mot.preprocess import check_benchmark
from retrace.eval.mot.sequences import guess_benchmark
from retrace.tools.runs.spread import ClusterExecutor, workers
from retrace.tools.tuning.clips import find_clips
from retrace.tools.tuning.report import conclude
from retrace.tools.tuning.search import Plan, Search, Tuning
from retrace.tools.tuning.settings import Settings
from retrace.tools.tuning.space import load_space
from retrace.tools.tuning.study import StudyFile
from retrace.tracker.config import TrackerConfig

Bar = Callable[[str, None], AbstractContextManager[Callable[[int, int], None]]]  # title, total: done, total


def no_bar(title: str, total: None) -> AbstractContextManager[Callable[[int, int], None]]:
    return nullcontext(lambda done, total: None)


def tune(
    settings: Settings,
    out: str | Path,
    study: str | Path | None = None,
    jobs: int | None = None,
    arguments: Sequence[str] = (),
    say: Callable[[str], None] = lambda line: None,
    bar: Bar = no_bar,
    cluster: ClusterExecutor | None = None,
) -> list[str]:
    """Search, track what was held out, write OUT/tuned.yaml, OUT/folds/ and OUT/run.json; the lines of the report.

    Args:
        settings: what, on what, how long.
        out: folder of the results.
        study: SQLite file of the trials, which goes on where it was stopped; None: OUT/study.db.
        jobs: processes; None: all cores.
        arguments: of the command, for run.json.
        say: told what is about to happen.
        bar: (title, None) -> a context that gives a function (done, total).
        cluster: does the work instead of processes here; the result is the same.

    Raises:
        InputError: a preset, space, folder or file that is not as it should be, or Optuna is not installed.
    """
    if jobs is not None and jobs < 1:
        raise InputError(f"`jobs` {jobs}: expected a whole number from 1")
    if importlib.util.find_spec("optuna") is None:
        raise InputError(f"tuning needs optuna: {install('tune')}")
    plan, about = make_plan(settings)
    out = writable_folder(Path(out))
    file = StudyFile(Path(study) if study else out / "study.db", about)
    jobs = jobs or (cores() if cluster is None else cluster.cores)
    try:
        with workers(jobs) if cluster is None else nullcontext(cluster) as executor:
            tuning = Tuning(plan, file)
            preset = tuning.check_preset(executor)
            announce(settings.tracker, tuning, jobs, say)
            with bar("trials", None) as told:
                tuning.run(executor, jobs, told)
            return conclude(tuning, executor, preset, settings, arguments, about, out)
    finally:
        file.close()


def make_plan(settings: Settings) -> tuple[Plan, dict[str, Any]]:
    """What is to be done, and all that its scores depend on.

    Raises:
        InputError: a preset, space, folder or file that is not as it should be.
    """

    base = load_preset(settings.tracker, TrackerConfig, "tracker", settings.overrides)
    space = load_space(settings.space or Path(settings.tracker).stem, base)
    clips = tuple(
        find_clips(
            Path(settings.data), settings.detections, settings.camera, settings.split, settings.sequences
        )
    )
    if not clips:
        raise InputError(f"`data` {settings.data}: no sequence folder with gt/gt.txt in it")
    name = settings.benchmark if settings.benchmark != "auto" else guess_benchmark(one.name for one in clips)
    check_benchmark(name)
    files = {
        f"{one.name}: {what}": file_hash(path)
        for one in clips
        for what, path in (
            ("truth", one.sequence.gt_path),
            ("detections", one.detections),
            ("warps", one.warps),
        )
        if path is not None
    }
    about = {
        "preset": space.base,
        "space": {key: p.model_dump(mode="json") for key, p in space.parameters.items()},
        "sequences": {one.name: [one.sequence.length, one.sequence.gt_skip, one.fps] for one in clips},
        "files (truth, detections or warps)": files,
        "benchmark": name,
        "metric": settings.metric,
        "seed": settings.seed,
        "--cold": settings.cold,
    }
    searches = make_searches(clips, settings.folds)
    return Plan(
        space, clips, name, settings.metric, searches, settings.trials, settings.seed, settings.cold
    ), about


def make_searches(clips: Any, folds: str) -> tuple[Any, ...]:
    """One search for each fold, and one that sees all. Sequences of one video are on the same side.

    Raises:
        InputError: more folds than videos, or one video only.
    """

    videos = sorted({one.video for one in clips})
    count = len(videos) if folds == "leave-one-out" else int(folds)
    if not 2 <= count <= len(videos):
        raise InputError(
            f"`folds` {folds}: {len(videos)} video(s) at hand ({', '.join(videos)}); tuning needs two at least, "
            "and at most as many folds as videos"
        )
    found = []
    for k in range(count):
        held = [one.name for one in clips if one.video in videos[k::count]]
        train = tuple(one.name for one in clips if one.name not in held)
        label = "+".join(videos[k::count])
        name = f"without {label}" if len(label) <= 80 else f"without fold {k + 1} of {count}"
        found.append(Search(name, train, tuple(held)))
    return (*found, Search("all", tuple(one.name for one in clips)))


def writable_folder(folder: Path) -> Path:
    make_folder(folder / "folds", f"`out` {folder}")
    return folder


def announce(tracker: str, tuning: Tuning, jobs: int, say: Callable[[str], None]) -> None:
    plan = tuning.plan
    say(
        f"{len(plan.space.parameters)} values of {tracker}, {len(plan.clips)} sequences, "
        f"{len(plan.searches)} searches of {plan.trials} trials, the first {tuning.shared} shared; {jobs} processes"
    )
    if not plan.cold and plan.space.preset_params() is None:
        say("the preset's own values lie outside the space: they are no candidate")
    if tuning.done:
        say(f"{tuning.done} of {tuning.total} trials are there already")
