"""The optional tables of ``eval_mot.py``: intervals, comparison, headroom, py-motmetrics.

All that needs a sequence's boxes is done in one visit to it (:func:`score_one`), so its ground truth is read
once and the visits can run in parallel; the tables are made of what the visits bring back.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from retrace.configs import InputError
from retrace.eval.manifest import read_manifest, unchecked, unlike
from retrace.eval.mot.bootstrap import SHOWN, intervals, paired_intervals
from retrace.eval.mot.oracle import perfect_association
from retrace.eval.mot.preprocess import check_benchmark, prepare
from retrace.eval.mot.score import Metrics, combine, score_scene
from retrace.eval.mot.sequences import Sequence, find_sequences, read_result, read_truth
from retrace.eval.report import COMBINED, Cell, Section
from retrace.tracker.data import MotTable
from retrace.tracker.mot_file import read_detections, scores_to_unit

ALL_BOXES = float("-inf")
LEAST_SCORES = (ALL_BOXES, 0.1, 0.3, 0.5, 0.6, 0.7)
ORACLE_SHOWN = ("HOTA", "DetA", "AssA", "MOTA", "IDF1")
FEW = 5  # sequences below which a bootstrap says little


@dataclass(frozen=True, slots=True)
class Extras:
    """What is wanted of every sequence beside its metrics."""

    benchmark: str
    others: Mapping[str, Sequence]  # the results to compare with, by sequence; none: no comparison
    boxes: Mapping[str, Path]  # detections by sequence; none: no headroom
    floors: tuple[float, ...]  # least scores of the headroom
    motmetrics: bool


@dataclass(frozen=True, slots=True)
class Scored:
    """What a visit to a sequence brings back."""

    metrics: Metrics
    other: Metrics | None
    oracle: list[Metrics]  # one for each floor
    note: str | None  # what was done to its detections' scores
    accumulator: Any  # py-motmetrics'


def plan_extras(args: argparse.Namespace, sequences: list[Sequence], benchmark: str) -> Extras:
    """The options' wishes, with every file found."""
    check_benchmark(benchmark)
    others: dict[str, Sequence] = {}
    if args.compare is not None:
        names = [s.name for s in sequences]
        others = {s.name: s for s in find_sequences(args.gt, args.compare, args.split, args.numbering, names)}
        difference = unlike(*_manifests(args))
        if difference and not args.force:
            raise InputError(
                f"{args.results} and {args.compare} are unlike: {difference}; --force compares them"
            )
    boxes = {s.name: _detections_path(args, s.name) for s in sequences} if args.headroom else {}
    floors = LEAST_SCORES if args.min_score is None else (args.min_score,)
    return Extras(benchmark, others, boxes, floors, args.motmetrics)


def score_one(sequence: Sequence, extras: Extras) -> Scored:
    """Read a sequence once and do all that is wanted of it."""
    gt, length, benchmark = read_truth(sequence, extras.benchmark), sequence.length, extras.benchmark
    scene = prepare(gt, read_result(sequence, benchmark), length, benchmark)
    other, oracle, note, accumulator = None, [], None, None
    if sequence.name in extras.others:
        result = read_result(extras.others[sequence.name], benchmark)
        other = score_scene(prepare(gt, result, length, benchmark))
    if sequence.name in extras.boxes:
        boxes, note = read_boxes(extras.boxes[sequence.name], sequence)
        for floor in extras.floors:
            tracks = perfect_association(gt, boxes, length, benchmark, floor)
            oracle.append(score_scene(prepare(gt, tracks, length, benchmark)))
    if extras.motmetrics:
        from retrace.eval.mot.extended import accumulate

        accumulator = accumulate(scene)
    return Scored(score_scene(scene), other, oracle, note, accumulator)


def read_boxes(path: Path, sequence: Sequence) -> tuple[MotTable, str | None]:
    """A sequence's detections, scores in [0, 1], cut to the scored frames where they are the full sequence's;
    and what was done to the scores.

    Raises:
        InputError: frames that are neither the scored ones' nor the full sequence's.
    """
    boxes = read_detections(path)
    try:
        skip = sequence.split_skip(int(boxes.frame.max(initial=-1)) + 1)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    score, note = scores_to_unit(boxes.score)
    rows = slice(int(np.searchsorted(boxes.frame, skip)), None)
    boxes = replace(boxes, score=score).take(rows)
    return replace(boxes, frame=boxes.frame - skip), note


def _detections_path(args: argparse.Namespace, name: str) -> Path:
    folder = Path(args.detections)
    tried = [folder / f"{name}.txt", folder / name / (args.detections_file or "det/det.txt")]
    path = next((p for p in tried if p.is_file()), None)
    if path is None:
        raise InputError(f"no detections of {name}: neither {tried[0]} nor {tried[1]}")
    return path


def _manifests(args: argparse.Namespace) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    return read_manifest(Path(args.results)), read_manifest(Path(args.compare))


def make_sections(args: argparse.Namespace, scored: Mapping[str, Scored]) -> list[Section]:
    """The tables that options ask for."""
    found = []
    if args.intervals:
        found.append(interval_table({name: s.metrics for name, s in scored.items()}))
    if args.compare is not None:
        found.append(comparison(args, scored))
    if args.headroom:
        found.append(headroom(args, scored))
    if args.motmetrics:
        from retrace.eval.mot.extended import extended_table

        lines = extended_table({name: s.accumulator for name, s in scored.items()})
        found.append(Section("motmetrics", "py-motmetrics on the same boxes", lines))
    return found


def _interval_notes(count: int) -> list[str]:
    if count < 2:
        return ["interval: n/a (needs at least 2 sequences)"]
    return [f"{count} sequences: an interval of so few is rough"] if count < FEW else []


def interval_table(metrics: Mapping[str, Metrics]) -> Section:
    """Combined metrics with their bootstrap intervals; none (n/a) of a single sequence."""
    parts = list(metrics.values())
    total = combine(parts).row()
    found = intervals(parts) if len(parts) > 1 else dict.fromkeys(SHOWN, (None, None))
    lines: list[list[Cell]] = [["combined", "%", "low", "high"]]
    lines += [[n, total[n], *found[n]] for n in SHOWN]
    title = f"95 % intervals, {len(parts)} sequences drawn 1000 times"
    return Section("intervals", title, lines, _interval_notes(len(parts)))


def comparison(args: argparse.Namespace, scored: Mapping[str, Scored]) -> Section:
    """These results minus the others, per sequence and combined, with paired intervals."""
    mine = [s.metrics for s in scored.values()]
    other = [s.other for s in scored.values() if s.other]
    total = combine(mine).row(), combine(other).row()
    rows = [(n, a.row(), b.row()) for n, a, b in zip(scored, mine, other, strict=True)]
    lines: list[list[Cell]] = [["sequence", *SHOWN, "IDSW"]]
    lines += [[name, *(a[n] - b[n] for n in (*SHOWN, "IDSW"))] for name, a, b in [*rows, (COMBINED, *total)]]
    bounds = paired_intervals(mine, other) if len(mine) > 1 else dict.fromkeys(SHOWN, (None, None))
    for label, k in (("95 % low", 0), ("95 % high", 1)):
        lines.append([label, *(bounds[n][k] for n in SHOWN), ""])
    manifests = _manifests(args)
    difference, left = unlike(*manifests), unchecked(*manifests)
    notes = _interval_notes(len(mine)) + ([left] if left else [])
    warning = f" (unlike: {difference})" if difference else ""
    title = f"{args.results} minus {args.compare}{warning}"
    return Section("comparison", title, lines, notes, signed=True)


def headroom(args: argparse.Namespace, scored: Mapping[str, Scored]) -> Section:
    """Perfect association of the detections, beside the results."""
    floors = LEAST_SCORES if args.min_score is None else (args.min_score,)
    lines: list[list[Cell]] = [["perfect association of", *ORACLE_SHOWN, "IDSW"]]
    totals = [combine([s.oracle[k] for s in scored.values()]) for k in range(len(floors))]
    if not totals[0].count.boxes:
        least = "" if args.min_score is None else f" with a score of {args.min_score:g} or more"
        raise InputError(f"--detections {args.detections}: no box{least} in the scored frames")
    for floor, total in zip(floors, totals, strict=True):
        label = "all boxes" if floor == ALL_BOXES else f"boxes >= {floor:g}"
        lines.append([label, *(total.row()[n] for n in (*ORACLE_SHOWN, "IDSW"))])
    mine = combine([s.metrics for s in scored.values()]).row()
    lines.append(["these results", *(mine[n] for n in (*ORACLE_SHOWN, "IDSW"))])
    notes = [f"{name}: {s.note}" for name, s in scored.items() if s.note]
    return Section("headroom", f"headroom with {args.detections}", lines, notes)
