"""What is scored: TrackEval's rules for which boxes count, and the checks a table must pass.

Per frame all ground truth, of every class, is matched to the result boxes at IoU 0.5; a result box matched to
a distractor is taken out of the game. Then only pedestrians whose flag is not 0 are ground truth.
Rules: TrackEval 1.3.0, ``mot_challenge_2d_box.py``; for a benchmark of one's own ("custom") its defaults, and
ground truth that has no classes (0 or -1) counts as pedestrians.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from retrace.configs import InputError
from retrace.eval.mot.match import match_frames
from retrace.eval.mot.overlap import EPS, Overlaps, overlaps
from retrace.tracker.data import MotTable

PEDESTRIAN = 1
CLASSES = range(1, 14)
LARGEST = 1e9  # px; a coordinate beyond it is a fault of the file, and squares of it still are exact enough


@dataclass(frozen=True, slots=True)
class Rules:
    """How a benchmark treats classes."""

    classed: bool  # the ground truth has classes, and only pedestrians count
    distractors: tuple[int, ...] = ()  # a result box on one of these is neither right nor wrong


_MOT16 = Rules(True, (2, 7, 8, 12))  # person on vehicle, static person, distractor, reflection
NO_CLASSES = "MOT15"  # whose rules score every class alike
BENCHMARKS = {
    "MOT15": Rules(False),
    "MOT16": _MOT16,
    "MOT17": _MOT16,
    "MOT20": Rules(True, (2, 6, 7, 8, 12)),  # and non-motorised vehicles
    "DanceTrack": _MOT16,
    "custom": _MOT16,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """A row that a table must not have."""

    row: int
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """One sequence ready for the metrics: G ground-truth and R result boxes, in order of frames."""

    frames: int
    gt_row: np.ndarray  # (G,) int64 rows of the ground truth that are scored, ascending
    gt_frame: np.ndarray  # (G,) int64 from 0, ascending
    gt_id: np.ndarray  # (G,) int64, 0 .. gt_ids - 1
    gt_ids: int
    result_row: np.ndarray  # (R,) rows of the result that are scored
    result_frame: np.ndarray  # (R,)
    result_id: np.ndarray  # (R,) 0 .. result_ids - 1
    result_ids: int
    pairs: Overlaps  # of boxes that overlap
    gt_cut: np.ndarray  # (frames + 1,) first row of every frame
    result_cut: np.ndarray  # (frames + 1,)


def find_fault(table: MotTable, length: int, benchmark: str, is_gt: bool) -> Fault | None:
    """The first row that TrackEval would not score, with the reason; None if there is none.

    Stricter than TrackEval in three points: it looks at ground-truth classes only in frames that have result
    boxes, runs into an index error (or merges two identities) at a negative id, and lets huge boxes overflow.
    """
    outside = (table.frame < 0) | (table.frame >= length)
    if outside.any():
        row = int(np.argmax(outside))
        return Fault(row, f"frame {table.frame[row] + 1} is outside the sequence (1..{length})")
    if (table.id < 0).any():
        row = int(np.argmax(table.id < 0))
        what = "ids of ground truth begin at 0" if is_gt else "a detection file is no tracking result"
        return Fault(row, f"id {table.id[row]} is negative; {what}")
    wild = ~(np.abs(table.xyxy).max(1, initial=0) < LARGEST)
    if wild.any():
        row = int(np.argmax(wild))
        return Fault(row, f"box {table.xyxy[row].tolist()} is not finite or beyond {LARGEST:g} px")
    if is_gt and BENCHMARKS[benchmark].classed:
        lowest, whose, hint = CLASSES[0], f"{benchmark}'s", ""
        if benchmark == "custom":
            lowest, whose, hint = -1, "MOTChallenge's", f"; `benchmark` {NO_CLASSES} ignores them"
        foreign = (table.class_id < lowest) | (table.class_id > CLASSES[-1])
        text = f"is none of {whose} ({CLASSES[0]}..{CLASSES[-1]}){hint}"
    else:
        foreign = (table.class_id > PEDESTRIAN) & (not is_gt)
        text = "in a result (column 8); only pedestrians (1, or -1 for none) are evaluated"
    if foreign.any():
        row = int(np.argmax(foreign))
        return Fault(row, f"class {table.class_id[row]} {text}")
    return _duplicate(table)


def _duplicate(table: MotTable) -> Fault | None:
    ids, count = relabel(table.id)
    if (np.diff(np.sort(table.frame * max(1, count) + ids, kind="stable")) > 0).all():
        return None
    order = np.lexsort((ids, table.frame))
    again = (np.diff(table.frame[order]) == 0) & (np.diff(ids[order]) == 0)
    row = int(order[1:][again].min())
    return Fault(row, f"id {table.id[row]} is twice in frame {table.frame[row] + 1}")


def relabel(number: np.ndarray) -> tuple[np.ndarray, int]:
    """(N,) numbers from 0 as 0 .. n - 1 in the same order, and n."""
    largest = int(number.max(initial=-1))
    if largest > 16 * len(number) + 1024:  # a table of that size would cost more than sorting
        seen, label = np.unique(number, return_inverse=True)
        return label, len(seen)
    used = np.zeros(largest + 1, bool)
    used[number] = True
    label = np.cumsum(used) - 1
    return label[number], int(used.sum())


def prepare(gt: MotTable, result: MotTable, length: int, benchmark: str) -> Prepared:
    """Apply the benchmark's rules.

    Args:
        gt: ``score`` is the considered flag. Rows ascend by frame; inside a frame the order is kept: it
            breaks ties as in TrackEval.
        result: likewise; scores are not looked at.
        length: frames of the sequence.
        benchmark: a key of BENCHMARKS.
    """
    rules = BENCHMARKS[benchmark]
    pairs = overlaps(gt.frame, gt.xyxy, result.frame, result.xyxy)
    gt_keep = is_scored(gt, benchmark)
    result_keep = np.ones(len(result), bool)
    if rules.classed:
        result_keep[_on_distractors(gt, result, pairs, length, rules.distractors)] = False
    gt_id, gt_ids = relabel(gt.id[gt_keep])
    result_id, result_ids = relabel(result.id[result_keep])
    gt_frame, result_frame = gt.frame[gt_keep], result.frame[result_keep]
    if not (gt_keep.all() and result_keep.all()):
        pairs = pairs.take(np.flatnonzero(gt_keep[pairs.gt] & result_keep[pairs.result]))
        gt_row, result_row = np.cumsum(gt_keep) - 1, np.cumsum(result_keep) - 1
        pairs = Overlaps(gt_row[pairs.gt], result_row[pairs.result], pairs.iou)
    return Prepared(
        frames=length,
        gt_row=np.flatnonzero(gt_keep),
        gt_frame=gt_frame,
        gt_id=gt_id,
        gt_ids=gt_ids,
        result_row=np.flatnonzero(result_keep),
        result_frame=result_frame,
        result_id=result_id,
        result_ids=result_ids,
        pairs=pairs,
        gt_cut=frame_cuts(gt_frame, length),
        result_cut=frame_cuts(result_frame, length),
    )


def is_scored(gt: MotTable, benchmark: str) -> np.ndarray:
    """(G,) bool: ground truth that is to be found: its flag is not 0, and it is a pedestrian where classes count."""
    considered = np.trunc(gt.score) != 0
    if not BENCHMARKS[benchmark].classed:
        return considered
    # below: no class, which only one's own benchmark may have
    return considered & (gt.class_id <= PEDESTRIAN)


def frame_cuts(frame: np.ndarray, length: int) -> np.ndarray:
    """(length + 1,) first row of every frame, for ascending (N,) frames."""
    return np.searchsorted(frame, np.arange(length + 1))


def _on_distractors(
    gt: MotTable, result: MotTable, pairs: Overlaps, length: int, distractors: tuple[int, ...]
) -> np.ndarray:
    """Rows of the result that are matched to a distractor."""
    is_distractor = np.isin(gt.class_id, distractors)
    if not is_distractor.any():
        return np.zeros(0, np.int64)
    close = pairs.take(np.flatnonzero(pairs.iou >= 0.5 - EPS))
    cuts = frame_cuts(gt.frame, length), frame_cuts(result.frame, length)
    matched = match_frames(close.gt, close.result, close.iou, *cuts)
    return close.result[matched][is_distractor[close.gt[matched]]]


def check_benchmark(benchmark: str) -> None:
    """Raises InputError for a benchmark that is not known."""
    if not isinstance(benchmark, str) or benchmark not in BENCHMARKS:
        raise InputError(f"unknown benchmark {benchmark!r}; known: {', '.join(BENCHMARKS)}")


def check_some_scored(classes: Collection[int], scored: int, benchmark: str) -> None:
    """Raises InputError where no box of one's own ground truth is a pedestrian.

    Args:
        classes: those of the boxes whose flag is not 0.
        scored: boxes that are ground truth after preprocessing.
        benchmark: whose rules were applied.
    """
    if classes and not scored and benchmark == "custom":
        found = ", ".join(map(str, sorted(classes)))
        raise InputError(
            f"no ground-truth box is a pedestrian (class 1), the classes are {found}; "
            f"with `benchmark` {NO_CLASSES} all classes are scored alike"
        )
