"""A calibration from beginning to end: sequences in, a preset with fitted tables and honest figures out."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import yaml

from retrace.configs import InputError, load_preset
from retrace.configs.errors import one_of
from retrace.configs.files import atomic_write, writing
from retrace.eval.mot.preprocess import check_benchmark, prepare
from retrace.eval.mot.score import Metrics, combine, score_prepared
from retrace.eval.mot.sequences import guess_benchmark
from retrace.eval.report import as_text
from retrace.tools.tuning.clips import ClipFiles, find_clips, load_clip, track
from retrace.tools.tuning.log_odds import GAPS, OddsPairs, fit_log_odds, held_out, odds_pairs, tracklet_pairs
from retrace.tools.tuning.tracklets import Believed, check_strangers, find_tracklets
from retrace.tracker.config import LogOdds, TrackerConfig

LABELS = ("truth", "tracks")  # by which boxes are known: ground truth, or tracklets that are believed


def calibrate(
    data: str | Path,
    detections: Sequence[str],
    out: Path,
    *,
    tracker: str = "odds",
    camera: str = "auto",
    benchmark: str = "auto",
    sequences: Sequence[str] = (),
    labels: str = "truth",
    told: Callable[[int, int], object] = lambda done, total: None,
) -> list[str]:
    """Fit, judge each video by the tables of the others, write the preset; the lines of the report.

    Args:
        data, detections, camera, sequences: as `clips.find_clips` has them, once for each of ``detections``.
        out: .yaml, the preset ``tracker`` with the tables of all sequences.
        benchmark: whose rules; "auto": told from the names.
        labels: "tracks": label-free, of sequence folders that need no ground truth; where it is, it only scores.
        told: sequences done, of how many.

    Raises:
        InputError: files that are missing, faulty or named twice, boxes without vectors, one video only, too few pairs,
            no two tracklets that are surely strangers.
    """
    if out.suffix != ".yaml":
        raise InputError(f"`out` {out}: expected a name that ends in .yaml")
    plain = [os.path.normpath(each) for each in detections]
    twice = next((each for each in plain if plain.count(each) > 1), None)
    if twice is not None:
        raise InputError(f"`detections` {twice}: named twice; give the file of each detector once")
    label_free = one_of("labels", labels, LABELS) == "tracks"
    config = load_preset(tracker, TrackerConfig, "tracker")
    files: dict[str, ClipFiles] = {}
    for each in detections:
        for one in find_clips(Path(data), each, camera, "all", sequences, labelled=not label_free):
            files[f"{one.name} {each}"] = one
    if not files:
        wanted = "seqinfo.ini" if label_free else "gt/gt.txt"
        raise InputError(f"`data` {data}: no sequence folder with {wanted} in it")
    scored = {name: one for name, one in files.items() if one.labelled}
    rules = benchmark if benchmark != "auto" else guess_benchmark(one.name for one in scored.values())
    check_benchmark(rules)
    pairs: dict[str, OddsPairs] = {}
    tracklets = _believed(files, rules) if label_free else {}
    widths: set[int] = set()
    for done, (name, one) in enumerate(files.items(), 1):
        clip = load_clip(one, rules)
        widths |= {found.embedding.shape[1] for found in clip.frames if found.embedding is not None}
        if len(widths) > 1:
            raise InputError(f"{name}: vectors of {', '.join(map(str, sorted(widths)))} numbers in one calibration; "
                             "all boxes must be looked at by one network")  # fmt: skip
        if label_free:
            pairs[name] = tracklet_pairs(clip, tracklets[name], config)
        else:
            pairs[name] = odds_pairs(clip, rules, config)
        told(done, len(files) + len(scored))
    tables, errors = held_out(pairs, lambda name: files[name].video)
    scores: dict[str, tuple[Metrics, Metrics]] = {}
    for done, (name, one) in enumerate(scored.items(), 1):
        other = config.model_copy(update={"log_odds": tables[one.video]})
        scores[name] = _score(one, rules, config), _score(one, rules, other)
        told(len(files) + done, len(files) + len(scored))
    _write(out, config, fit_log_odds([*pairs.values()]), [*files], label_free)
    told_of = _of_tracklets(scores, errors, pairs, tracklets) if label_free else _of_truth(scores, errors)
    return [*told_of, f"{out}: the tables of all"]


def _believed(files: Mapping[str, ClipFiles], benchmark: str) -> dict[str, Believed]:
    """The tracklets of each sequence; without strangers among them it ends here, before the pairs, which take long."""
    found = {name: find_tracklets(load_clip(one, benchmark)) for name, one in files.items()}
    check_strangers([*found.values()])
    return found


def _score(files: ClipFiles, benchmark: str, config: TrackerConfig) -> Metrics:
    clip = load_clip(files, benchmark)
    return score_prepared(prepare(clip.truth, track(clip, config), files.sequence.length, benchmark))


def _of_truth(scores: dict[str, tuple[Metrics, Metrics]], errors: dict[str, float]) -> list[str]:
    return [
        _table(scores, errors, [*scores]),
        "held out: each video by the tables of the others; calibration error: of their probabilities there",
    ]


def _of_tracklets(
    scores: dict[str, tuple[Metrics, Metrics]],
    errors: dict[str, float],
    pairs: dict[str, OddsPairs],
    tracklets: dict[str, Believed],
) -> list[str]:
    count = sum(len(one) for one in tracklets.values())
    tracks = sum(one.tracks for one in tracklets.values())
    return [
        _table(scores, errors, [*pairs]),
        "held out: each video by the tables of the others; calibration error: of their probabilities there, by that "
        "video's tracklets: a tracker found them, they are no truth",
        f"label-free: {count} tracklets are believed, of {tracks} tracks; pairs of one person | of strangers, by how "
        f"long ago the track was seen: {_by_age([*pairs.values()])}",
    ]


def _by_age(sets: Sequence[OddsPairs]) -> str:
    """How many pairs of either kind there are of each age."""
    found = []
    for age, since in enumerate(("in the last frame", *(f"under {gap:g} s" for gap in GAPS), "longer")):
        same, other = (
            sum(one.weight[(one.age == age) & (one.same == kind)].sum() for one in sets)
            for kind in (True, False)
        )
        found.append(f"{since} {same:,.0f} | {other:,.0f}")
    return ", ".join(found)


def _table(scores: dict[str, tuple[Metrics, Metrics]], errors: dict[str, float], names: Sequence[str]) -> str:
    rows = [["HOTA", "as it was", "held out", "calibration error"]]
    for name in names:
        figures = [f"{100 * one.row()['HOTA']:.2f}" for one in scores[name]] if name in scores else ["-", "-"]
        rows.append([name, *figures, f"{errors[name]:.3f}" if name in errors else "-"])
    if scores:
        both = zip(*scores.values(), strict=True)
        rows.append(["combined", *(f"{100 * combine([*one]).row()['HOTA']:.2f}" for one in both), ""])
    return as_text(rows)


def _write(
    path: Path, config: TrackerConfig, tables: LogOdds, names: Sequence[str], label_free: bool
) -> None:
    how = "label-free (by tracklets that a tracker found) " if label_free else ""
    source = (
        f"Tables fitted by tools/calibrate.py {how}on {', '.join(names)}. All other values: {config.source}"
    )
    values = config.model_copy(update={"log_odds": tables, "source": source}).model_dump(mode="json")
    with writing(path), atomic_write(path) as file:
        yaml.safe_dump(values, file, sort_keys=False, width=110, allow_unicode=True)
