"""A calibration from beginning to end: sequences in, a preset with fitted tables and honest figures out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from retrace.configs import InputError, load_preset
from retrace.configs.files import atomic_write, writing
from retrace.eval.mot.preprocess import check_benchmark, prepare
from retrace.eval.mot.score import Metrics, combine, score_prepared
from retrace.eval.mot.sequences import guess_benchmark
from retrace.eval.report import as_text
from retrace.tools.tuning.clips import ClipFiles, find_clips, load_clip, track
from retrace.tools.tuning.log_odds import OddsPairs, fit_log_odds, held_out, odds_pairs
from retrace.tracker.config import LogOdds, TrackerConfig


def calibrate(
    data: str | Path,
    detections: Sequence[str],
    out: Path,
    *,
    tracker: str = "odds",
    camera: str = "auto",
    benchmark: str = "auto",
    sequences: Sequence[str] = (),
    told: Callable[[int, int], object] = lambda done, total: None,
) -> list[str]:
    """Fit, judge each video by the tables of the others, write the preset; the lines of the report.

    Args:
        data, detections, camera, sequences: as `clips.find_clips` has them, once for each of ``detections``.
        out: .yaml, the preset ``tracker`` with the tables of all sequences.
        benchmark: whose rules; "auto": told from the names.
        told: sequences done, of how many.

    Raises:
        InputError: files that are missing, faulty or named twice, boxes without vectors, one video only, too few pairs.
    """
    if out.suffix != ".yaml":
        raise InputError(f"`out` {out}: expected a name that ends in .yaml")
    twice = next((each for each in detections if list(detections).count(each) > 1), None)
    if twice is not None:
        raise InputError(f"`detections` {twice}: named twice; give the file of each detector once")
    config = load_preset(tracker, TrackerConfig, "tracker")
    files: dict[str, ClipFiles] = {}
    for each in detections:
        for one in find_clips(Path(data), each, camera, "all", sequences):
            files[f"{one.name} {each}"] = one
    if not files:
        raise InputError(f"`data` {data}: no sequence folder with gt/gt.txt in it")
    rules = benchmark if benchmark != "auto" else guess_benchmark(one.name for one in files.values())
    check_benchmark(rules)
    pairs: dict[str, OddsPairs] = {}
    for done, (name, one) in enumerate(files.items(), 1):
        pairs[name] = odds_pairs(load_clip(one, rules), rules, config)
        told(done, 2 * len(files))
    tables, errors = held_out(pairs, lambda name: files[name].video)
    scores: dict[str, tuple[Metrics, Metrics]] = {}
    for done, (name, one) in enumerate(files.items(), 1):
        other = config.model_copy(update={"log_odds": tables[one.video]})
        scores[name] = _score(one, rules, config), _score(one, rules, other)
        told(len(files) + done, 2 * len(files))
    _write(out, config, fit_log_odds([*pairs.values()]), [*files])
    return _report(scores, errors, out)


def _score(files: ClipFiles, benchmark: str, config: TrackerConfig) -> Metrics:
    clip = load_clip(files, benchmark)
    return score_prepared(prepare(clip.truth, track(clip, config), files.sequence.length, benchmark))


def _report(scores: dict[str, tuple[Metrics, Metrics]], errors: dict[str, float], out: Path) -> list[str]:
    rows = [["HOTA", "as it was", "held out", "calibration error"]]
    for name, both in scores.items():
        figures = [f"{100 * one.row()['HOTA']:.2f}" for one in both]
        rows.append([name, *figures, f"{errors[name]:.3f}" if name in errors else "-"])
    total = [f"{100 * combine([both[k] for both in scores.values()]).row()['HOTA']:.2f}" for k in (0, 1)]
    rows.append(["combined", *total, ""])
    return [
        as_text(rows),
        "held out: each video by the tables of the others; calibration error: of their probabilities there",
        f"{out}: the tables of all",
    ]


def _write(path: Path, config: TrackerConfig, tables: LogOdds, names: Sequence[str]) -> None:
    source = f"Tables fitted by tools/calibrate.py on {', '.join(names)}. All other values: {config.source}"
    values = config.model_copy(update={"log_odds": tables, "source": source}).model_dump(mode="json")
    with writing(path), atomic_write(path) as file:
        yaml.safe_dump(values, file, sort_keys=False, width=110, allow_unicode=True)
