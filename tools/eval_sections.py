"""The optional tables of ``eval_mot.py``: intervals, comparison, headroom, py-motmetrics."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from configs import InputError
from eval.bootstrap import SHOWN, intervals, paired_intervals
from eval.manifest import read_manifest, unlike
from eval.mot import Metrics, combine, score_scene
from eval.oracle import perfect_association
from eval.preprocess import prepare
from eval.sequences import Sequence, find_sequences, read_sequence, score_sequences
from tracker.data import MotTable
from tracker.mot_file import read_detections

Section = tuple[str, list[list[str]]]
LEAST_SCORES = (0.0, 0.1, 0.3, 0.5, 0.6, 0.7)


def percent(value: float, sign: bool = False) -> str:
    return f"{100 * value:+.2f}" if sign else f"{100 * value:.2f}"


def interval_table(metrics: dict[str, Metrics]) -> Section:
    """Combined metrics with their bootstrap intervals."""
    parts = list(metrics.values())
    total, found = combine(parts).row(), intervals(parts)
    lines = [[n, percent(total[n]), *map(percent, found[n])] for n in SHOWN]
    return f"95 % intervals, {len(parts)} sequences drawn 1000 times", [
        ["combined", "%", "low", "high"],
        *lines,
    ]


def comparison(
    args: argparse.Namespace, sequences: list[Sequence], benchmark: str, metrics: dict[str, Metrics]
) -> Section:
    """These results minus the others, per sequence and combined, with paired intervals."""
    difference = unlike(read_manifest(Path(args.results)), read_manifest(Path(args.compare)))
    if difference and not args.force:
        raise InputError(f"{args.results} and {args.compare} are unlike: {difference}; --force compares them")
    others = find_sequences(args.gt, args.compare, args.split, args.numbering, [s.name for s in sequences])
    other = score_sequences(others, benchmark, args.jobs)
    rows = [(name, metrics[name].row(), other[name].row()) for name in metrics]
    parts = list(metrics.values()), list(other.values())
    total = combine(parts[0]).row(), combine(parts[1]).row()
    bounds = paired_intervals(*parts)
    lines = [["sequence", *SHOWN, "IDSW"]]
    for name, a, b in [*rows, ("COMBINED", *total)]:
        lines.append([name, *(percent(a[n] - b[n], True) for n in SHOWN), f"{a['IDSW'] - b['IDSW']:+d}"])
    for label, k in (("95 % low", 0), ("95 % high", 1)):
        lines.append([label, *(percent(bounds[n][k], True) for n in SHOWN), ""])
    warning = f" (unlike: {difference})" if difference else ""
    return f"{args.results} minus {args.compare}{warning}", lines


def headroom(
    args: argparse.Namespace, sequences: list[Sequence], benchmark: str, metrics: dict[str, Metrics]
) -> Section:
    """Perfect association of the detections, beside the results."""
    names = ("HOTA", "DetA", "AssA", "MOTA", "IDF1")
    least = LEAST_SCORES if args.min_score is None else (args.min_score,)
    tables = [(s, read_sequence(s, benchmark)[0], _detections(args, s)) for s in sequences]
    lines = [["perfect association of", *names, "IDSW"]]
    for score in least:
        parts = []
        for sequence, gt, boxes in tables:
            tracks = perfect_association(gt, boxes, sequence.length, benchmark, score)
            parts.append(score_scene(prepare(gt, tracks, sequence.length, benchmark)))
        row = combine(parts).row()
        lines.append([f"boxes >= {score:g}", *(percent(row[n]) for n in names), str(row["IDSW"])])
    mine = combine(list(metrics.values())).row()
    lines.append(["these results", *(percent(mine[n]) for n in names), str(mine["IDSW"])])
    return f"headroom with {args.detections}", lines


def _detections(args: argparse.Namespace, sequence: Sequence) -> MotTable:
    """A sequence's detections, cut to the scored frames where they are the full sequence's."""
    folder = Path(args.detections)
    tried = [folder / f"{sequence.name}.txt", folder / sequence.name / args.detections_file]
    path = next((p for p in tried if p.is_file()), None)
    if path is None:
        raise InputError(f"no detections of {sequence.name}: neither {tried[0]} nor {tried[1]}")
    boxes = read_detections(path)
    skip = max(sequence.gt_skip, sequence.result_skip)
    if not skip and args.split == "val-half" and boxes.frame.max(initial=0) >= sequence.length:
        skip = _half(int(boxes.frame.max()) + 1, sequence.length, path)
    boxes = boxes.take(np.flatnonzero((boxes.frame >= skip) & (boxes.frame < skip + sequence.length)))
    return replace(boxes, frame=boxes.frame - skip)


def _half(last: int, length: int, path: Path) -> int:
    """Frames before the val half, whose length is known, for detections of the full sequence."""
    for full in (2 * length + 1, 2 * length + 2):
        if full - (full // 2 + 1) == length and last <= full:
            return full // 2 + 1
    raise InputError(f"{path}: frame {last} is outside the full sequence of {2 * length + 2} frames")


def extended(sequences: list[Sequence], benchmark: str) -> Section:
    """py-motmetrics' MOTChallenge table, fed with our boxes and distances."""
    from tools.extended_metrics import extended_table

    scenes = {s.name: prepare(*read_sequence(s, benchmark), s.length, benchmark) for s in sequences}
    return "py-motmetrics on the same boxes", extended_table(scenes)
