"""A folder of results against a folder of ground truth: metrics, and whatever else is wanted of them.

All that needs a sequence's boxes is done in one visit to it, so its ground truth is read once and the visits
can run in parallel; the tables are made of what the visits bring back.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from retrace.configs import InputError
from retrace.eval.manifest import offline_mark, read_manifest, unchecked, unlike
from retrace.eval.mot import tables
from retrace.eval.mot.cameras import evaluate_cameras
from retrace.eval.mot.ground import REACH, evaluate_on_ground
from retrace.eval.mot.oracle import perfect_association
from retrace.eval.mot.preprocess import (
    BENCHMARKS,
    NO_CLASSES,
    PEDESTRIAN,
    check_benchmark,
    check_some_scored,
    prepare,
)
from retrace.eval.mot.report import as_json, as_svg, rows_of
from retrace.eval.mot.score import Metrics, combine, score_prepared
from retrace.eval.mot.sequences import (
    Sequence,
    each_sequence,
    find_sequences,
    guess_benchmark,
    near_misses,
    read_result,
    read_truth,
)
from retrace.eval.report import Section
from retrace.tracker.data import MotTable
from retrace.tracker.mot_file import read_detections, scores_to_unit

ALL_BOXES = float("-inf")
LEAST_SCORES = (ALL_BOXES, 0.1, 0.3, 0.5, 0.6, 0.7)


@dataclass(frozen=True, slots=True)
class FolderScore:
    """What a folder of results scored.

    Example:
        >>> from retrace import read_ground_truth, write_results
        >>> from retrace.eval.mot import score_folder
        >>> truth = read_ground_truth("gt/MOT17-02-FRCNN/gt/gt.txt")
        >>> write_results("runs/half/MOT17-02-FRCNN.txt", truth.take(truth.id == 1))  # one of two people
        >>> score = score_folder("gt", "runs/half")
        >>> score.title, score.combined.row()["MOTA"], list(score.rows)
        ('MOT17, all, 1 sequence', 0.5, ['MOT17-02-FRCNN', 'COMBINED'])
        >>> score.as_json()["combined"]["MT"], score.as_svg("half of them")[:4]  # mostly tracked; a picture
        (1, '<svg')
    """

    benchmark: str  # whose rules were applied
    split: str
    metrics: dict[str, Metrics]  # by sequence
    sections: list[Section]  # the tables that were asked for
    notes: list[str]  # what a reader of the numbers must know
    offline: str  # ", OFFLINE: ..." where the results' manifest says so, else ""
    online: bool | None  # None: nobody says

    @property
    def combined(self) -> Metrics:
        """Of all sequences as one, as TrackEval combines them."""
        return combine(list(self.metrics.values()))

    @property
    def title(self) -> str:
        """Benchmark, split, how many sequences, and whether the results are offline ones."""
        count = len(self.metrics)
        return f"{self.benchmark}, {self.split}, {count} sequence{'s' * (count != 1)}{self.offline}"

    @property
    def head(self) -> str:
        """What the rows are."""
        return "sequence"

    @property
    def rows(self) -> dict[str, dict[str, float | int]]:
        """One row a sequence as by :meth:`Metrics.row`, and the combination last."""
        return rows_of(self.metrics)

    def as_svg(self, title: str) -> str:
        """HOTA, DetA, AssA and LocA of all sequences over alpha, as the text of an SVG picture."""
        return as_svg(self.combined, title)

    def as_json(self) -> dict[str, Any]:
        """Every figure, by sequence and combined, and each table that was asked for; fractions in [0, 1]."""
        about: dict[str, Any] = {"benchmark": self.benchmark, "split": self.split, "online": self.online}
        if self.notes:
            about["notes"] = self.notes
        return as_json(self.metrics, self.sections, **about)


def score_folder(
    gt: str | Path,
    results: str | Path,
    *,
    benchmark: str = "auto",
    split: str = "all",
    numbering: str = "split",
    sequences: Iterable[str] = (),
    intervals: bool = False,
    compare: str | Path | None = None,
    force: bool = False,
    detections: str | Path | None = None,
    detections_file: str = "det/det.txt",
    min_score: float | None = None,
    motmetrics: bool = False,
    multi_camera: bool = False,
    planes: Mapping[str, np.ndarray] | None = None,
    reach: float | None = None,
    jobs: int | None = None,
    progress: Callable[[int, int | None], None] = lambda done, total: None,
    executor: Executor | None = None,
) -> FolderScore:
    """Score every sequence of a folder, as TrackEval does.

    Args:
        gt: folder of ``SEQUENCE/gt/gt.txt`` with ``seqinfo.ini``.
        results: folder of ``SEQUENCE.txt``.
        benchmark: whose rules; "auto": told from the sequences' names.
        split, numbering: as for :func:`retrace.eval.mot.sequences.find_sequences`.
        sequences: only these; default: all.
        intervals: also 95 % bootstrap intervals over sequences.
        compare: also the difference to this other folder of results, with paired intervals.
        force: compare results whose manifests say that they are unlike.
        detections: also the score of a perfect association of these boxes: a file inside each sequence folder of
            ``gt``, as "det/det.txt"; or a folder, for ``DIR/SEQUENCE.txt`` or ``DIR/SEQUENCE/detections_file``.
        min_score: of those boxes; default: a range of floors.
        motmetrics: also py-motmetrics' extended table of the same matches.
        multi_camera: the sequences are cameras of one site with shared identities: also all of them as one
            (:mod:`retrace.eval.mot.cameras`).
        planes: of those cameras, which see one place at one time, by name, from pixels to its ground: also by where
            people stand (:mod:`retrace.eval.mot.ground`).
        reach: distance at which two are not similar at all there; default: `REACH`.
        jobs: processes; default: by cores and size.
        progress: told how many sequences of how many are done.
        executor: scores sequences instead of processes of this machine, such as a cluster's.

    Raises:
        InputError: anything that TrackEval refuses, named by file and line; something that is missing.

    Example:
        >>> from retrace import read_ground_truth, write_results
        >>> from retrace.eval.mot import score_folder
        >>> truth = read_ground_truth("gt/MOT17-02-FRCNN/gt/gt.txt")
        >>> write_results("runs/mine/MOT17-02-FRCNN.txt", truth)  # as good as it gets
        >>> score_folder("gt", "runs/mine").combined.row()["HOTA"]
        1.0
    """
    if jobs is not None and jobs < 1:
        raise InputError(f"`jobs` {jobs}: expected a number of processes from 1")
    if jobs is not None and executor is not None:
        raise InputError("`jobs` are processes of this machine, and a cluster has its own: leave it out")
    if min_score is not None and not math.isfinite(min_score):
        raise InputError(f"`min_score` {min_score}: expected a number")
    found = find_sequences(gt, results, split, numbering, sequences)
    names = [s.name for s in found]
    if benchmark == "auto":
        benchmark = guess_benchmark(names)
    check_benchmark(benchmark)
    manifest = read_manifest(Path(results))
    others: dict[str, Sequence] = {}
    manifests: tuple[Any, Any] = (manifest, None)
    if compare is not None:
        others = {s.name: s for s in find_sequences(gt, compare, split, numbering, names)}
        manifests = manifest, read_manifest(Path(compare))
        difference = unlike(*manifests)
        if difference and not force:
            raise InputError(f"{results} and {compare} are unlike: {difference}; `force` compares them")
    boxes = {}
    if detections is not None:
        inside = not Path(detections).is_dir()
        where = (Path(gt), str(detections)) if inside else (Path(detections), detections_file)
        boxes = {name: _detections(where[0], name, where[1]) for name in names}
        if len({path.resolve() for path in boxes.values()}) < len(boxes):
            raise InputError(
                f"`detections` {detections}: is one file for {len(boxes)} sequences; expected one inside each sequence "
                "folder, or a folder of SEQUENCE.txt"
            )
    floors = LEAST_SCORES if min_score is None else (min_score,)
    visit = partial(
        score_one, benchmark=benchmark, others=others, boxes=boxes, floors=floors, motmetrics=motmetrics
    )
    count = itertools.count(1)
    visits = each_sequence(visit, found, jobs, lambda name: progress(next(count), len(found)), executor)
    metrics = {name: one.metrics for name, one in visits.items()}
    classes = set().union(*(one.classes for one in visits.values()))
    check_some_scored(classes, sum(m.count.gt_boxes for m in metrics.values()), benchmark)
    sections = []
    if intervals:
        sections.append(tables.interval_table(metrics))
    if compare is not None:
        other = {name: one.other for name, one in visits.items() if one.other is not None}
        title = f"{results} minus {compare}"
        sections.append(tables.comparison(title, metrics, other, unlike(*manifests), unchecked(*manifests)))
    if detections is not None:
        totals = {f: combine([one.oracle[k] for one in visits.values()]) for k, f in enumerate(floors)}
        if not totals[floors[0]].count.boxes:
            least = "" if min_score is None else f" with a score of {min_score:g} or more"
            raise InputError(f"`detections` {detections}: no box{least} in the scored frames")
        said = [f"{name}: {one.note}" for name, one in visits.items() if one.note]
        sections.append(tables.headroom(str(detections), totals, combine(list(metrics.values())), said))
    if motmetrics:
        from retrace.eval.mot.extended import extended_table

        lines = extended_table({name: one.accumulator for name, one in visits.items()})
        sections.append(Section("motmetrics", "py-motmetrics on the same boxes", lines))
    if multi_camera:
        pairs = {one.name: (read_truth(one, benchmark), read_result(one, benchmark)) for one in found}
        lengths = {one.name: one.length for one in found}
        sections.append(tables.site_table(evaluate_cameras(pairs, lengths, benchmark)))
        if planes is not None:
            reach = REACH if reach is None else reach
            on_ground = evaluate_on_ground(pairs, planes, reach, lengths, benchmark)
            sections.append(tables.ground_table(on_ground, reach))
    mark = offline_mark(manifest)
    online = None if manifest is None else not mark
    return FolderScore(benchmark, split, metrics, sections, _notes(benchmark, names, classes), mark, online)


def _notes(benchmark: str, names: list[str], classes: set[int]) -> list[str]:
    """What the rules made of somebody's own sequences, whose names tell nothing of them."""
    if benchmark != "custom":
        return []
    found = [
        f"{name} is named nearly like {whose}, and is scored as custom" for name, whose in near_misses(names)
    ]
    if classes - {PEDESTRIAN}:
        listed, neutral = ", ".join(map(str, sorted(classes))), BENCHMARKS[benchmark].distractors
        unclassed = " or none" * any(c < PEDESTRIAN for c in classes)
        found.append(
            f"classes {listed} in the ground truth: only pedestrians (class 1{unclassed}) are scored, result boxes "
            f"on {', '.join(map(str, neutral))} are neither right nor wrong; with benchmark {NO_CLASSES} all "
            "classes are alike"
        )
    return found


@dataclass(frozen=True, slots=True)
class SequenceScore:
    """What a visit to a sequence brings back."""

    metrics: Metrics
    classes: frozenset[int]  # of the ground truth that is to be considered
    other: Metrics | None  # of the results to compare with
    oracle: list[Metrics]  # one for each floor
    note: str | None  # what was done to its detections' scores
    accumulator: Any  # py-motmetrics'


def score_one(
    sequence: Sequence,
    benchmark: str,
    others: Mapping[str, Sequence],
    boxes: Mapping[str, Path],
    floors: tuple[float, ...],
    motmetrics: bool,
) -> SequenceScore:
    """Read a sequence once and do all that is wanted of it.

    Args:
        sequence: the one to visit.
        benchmark: whose rules.
        others: the results to compare with, by sequence; none: no comparison.
        boxes: detections by sequence; none: no headroom.
        floors: least scores of the headroom.
        motmetrics: whether py-motmetrics is to see it.
    """
    gt, length = read_truth(sequence, benchmark), sequence.length
    ready = prepare(gt, read_result(sequence, benchmark), length, benchmark)
    other, oracle, note, accumulator = None, [], None, None
    if sequence.name in others:
        result = read_result(others[sequence.name], benchmark)
        other = score_prepared(prepare(gt, result, length, benchmark))
    if sequence.name in boxes:
        found, note = read_boxes(boxes[sequence.name], sequence)
        for floor in floors:
            tracks = perfect_association(gt, found, length, benchmark, floor)
            oracle.append(score_prepared(prepare(gt, tracks, length, benchmark)))
    if motmetrics:
        from retrace.eval.mot.extended import accumulate

        accumulator = accumulate(ready)
    classes = frozenset(np.unique(gt.class_id[np.trunc(gt.score) != 0]).tolist())
    return SequenceScore(score_prepared(ready), classes, other, oracle, note, accumulator)


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


def _detections(folder: Path, name: str, file: str) -> Path:
    tried = [folder / f"{name}.txt", folder / name / file]
    path = next((p for p in tried if p.is_file()), None)
    if path is None:
        raise InputError(f"no detections of {name}: neither {tried[0]} nor {tried[1]}")
    return path
