"""Ground truth and results in, metrics out: the entry of the MOT evaluation.

Equal to TrackEval 1.3.0: every count, and every fraction to 1e-12, ties included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retrace.configs import InputError
from retrace.configs.errors import expect, number
from retrace.eval.mot.clear import Clear, clear, combine_clear, switches_by_person
from retrace.eval.mot.hota import Hota, combine_hota, hota, hota_by_person
from retrace.eval.mot.identity import Identity, combine_identity, identity, identity_by_person
from retrace.eval.mot.preprocess import Prepared, check_benchmark, check_some_scored, find_fault, prepare
from retrace.tracker.data import MotTable
from retrace.tracker.mot_rows import LAST_FRAME

MEANS = ("HOTA", "DetA", "AssA", "LocA", "DetRe", "DetPr", "AssRe", "AssPr", "OWTA")


@dataclass(frozen=True, slots=True)
class Count:
    """What there was to score, after preprocessing."""

    gt_boxes: int
    gt_ids: int
    boxes: int
    ids: int
    frames: int


@dataclass(frozen=True, slots=True, eq=False)
class Metrics:
    """All metrics of a sequence, or of several combined: of :func:`evaluate` and :func:`combine`.

    HOTA and its parts are (19,) arrays, a value for each IoU from 0.05 to 0.95; all others are numbers.

    Example:
        >>> from retrace import evaluate, read_ground_truth
        >>> truth = read_ground_truth("gt/MOT17-02-FRCNN/gt/gt.txt")
        >>> metrics = evaluate(truth, truth)
        >>> metrics.row()["IDF1"], metrics.hota.HOTA.shape
        (1.0, (19,))
    """

    hota: Hota
    clear: Clear
    identity: Identity
    count: Count

    def row(self) -> dict[str, float | int]:
        """Names to numbers: fractions in [0, 1] (MOTA, MODA and sMOTA may be negative), counts as ints.

        Metrics with an alpha are averaged over it, as leaderboards print them.
        """
        h, c, i = self.hota, self.clear, self.identity
        row: dict[str, float | int] = {name: float(np.mean(getattr(h, name))) for name in MEANS}
        row |= {"HOTA(0)": float(h.HOTA[0]), "LocA(0)": float(h.LocA[0])}
        row |= {"HOTALocA(0)": row["HOTA(0)"] * row["LocA(0)"]}
        row |= {name: getattr(c, name) for name in ("MOTA", "MOTP", "MODA", "sMOTA", "MOTAL", "FAF")}
        row |= {"Recall": c.recall, "Precision": c.precision}
        row |= {name: getattr(c, name) for name in ("TP", "FP", "FN", "IDSW", "MT", "PT", "ML", "Frag")}
        row |= {name: getattr(i, name) for name in ("IDF1", "IDP", "IDR", "IDTP", "IDFN", "IDFP")}
        n = self.count
        return row | {"GT": n.gt_boxes, "GT_IDs": n.gt_ids, "Dets": n.boxes, "IDs": n.ids, "Frames": n.frames}


def evaluate(gt: MotTable, result: MotTable, length: int | None = None, benchmark: str = "custom") -> Metrics:
    """Score one sequence.

    Args:
        gt: ground truth; ``score`` is the considered flag (0: not scored), ``class_id`` the class.
        result: tracks; ``score`` is not looked at. Both ascend by frame; the order inside a frame only
            matters where two matchings are equally good.
        length: frames of the sequence; default: up to the last box.
        benchmark: whose preprocessing: MOT15 (all classes alike), MOT16, MOT17, MOT20, DanceTrack or custom
            (MOT17's; ground truth without classes, 0 or -1, are pedestrians).

    Raises:
        InputError: unknown benchmark, or a row that TrackEval would not score (an id twice in a frame, a
            frame outside the sequence, a class that the benchmark does not have ...); ground truth without a
            single pedestrian.

    Example:
        >>> from dataclasses import replace
        >>> from retrace import evaluate, read_ground_truth
        >>> truth = read_ground_truth("gt/MOT17-02-FRCNN/gt/gt.txt")
        >>> row = evaluate(truth, replace(truth, id=truth.id + (truth.frame >= 15) * 10)).row()  # new ids half-way
        >>> round(row["MOTA"], 3), row["IDSW"], row["IDF1"]  # 2 people, 60 boxes: 1 - 2 / 60
        (0.967, 2, 0.5)
    """
    check_benchmark(benchmark)
    for table, name in ((gt, "gt"), (result, "result")):
        expect(name, table, MotTable, "a MotTable")
    if length is not None:
        number("length", length, 0, LAST_FRAME, whole=True)
    if length is None:
        length = int(max(gt.frame.max(initial=-1), result.frame.max(initial=-1))) + 1
    for table, name in ((gt, "ground truth"), (result, "result")):
        if (np.diff(table.frame) < 0).any():
            raise InputError(f"{name}: rows must ascend by frame")
        fault = find_fault(table, length, benchmark, is_gt=table is gt)
        if fault:
            raise InputError(f"{name}, row {fault.row}: {fault.text}")
    metrics = score_prepared(prepare(gt, result, length, benchmark))
    classes = set(np.unique(gt.class_id[np.trunc(gt.score) != 0]).tolist())
    check_some_scored(classes, metrics.count.gt_boxes, benchmark)
    return metrics


def score_prepared(ready: Prepared) -> Metrics:
    """All metrics of a prepared sequence."""
    count = Count(len(ready.gt_id), ready.gt_ids, len(ready.result_id), ready.result_ids, ready.frames)
    return Metrics(hota(ready), clear(ready), identity(ready), count)


@dataclass(frozen=True, slots=True, eq=False)
class PersonMetrics:
    """What one person adds to a sequence's metrics."""

    hota: Hota
    identity: Identity
    IDSW: int


def score_people(ready: Prepared) -> list[PersonMetrics]:
    """Of each true identity, in the order of ``gt_id``; combined they are the sequence's."""
    each = hota_by_person(ready), identity_by_person(ready), switches_by_person(ready).tolist()
    return [PersonMetrics(*row) for row in zip(*each, strict=True)]


def combine(parts: Sequence[Metrics]) -> Metrics:
    """Several sequences as one, as TrackEval's COMBINED_SEQ.

    Raises:
        InputError: there are none.

    Example:
        >>> from retrace import read_ground_truth
        >>> from retrace.eval.mot import combine, evaluate
        >>> truth = read_ground_truth("gt/MOT17-02-FRCNN/gt/gt.txt")
        >>> perfect, nothing = evaluate(truth, truth), evaluate(truth, truth.take(truth.frame < 0))
        >>> combine([perfect, nothing]).row()["MOTA"]
        0.5
    """
    if not parts:
        raise InputError("no sequences to combine")
    counts = [p.count for p in parts]
    total = Count(*(sum(getattr(c, name) for c in counts) for name in Count.__dataclass_fields__))
    return Metrics(
        combine_hota([p.hota for p in parts]),
        combine_clear([p.clear for p in parts]),
        combine_identity([p.identity for p in parts]),
        total,
    )
