"""What a detector's scores are worth on labelled videos: the fit that goes into `tracker/detection/scores.py`.

P(a box of a person is right at IoU 0.5) = sigmoid(slope * logit(score) + shift) of the detector's own score, by each
video and by all of them, each counting alike. "off" is the mean distance between what ten equal parts of the boxes
promise and what they keep: as the detector counts, as the table has it, and by the fit of the other videos alone.
Whoever has labels puts the last line into NAME.yaml beside the weights (`scores: [slope, shift]`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retrace.configs import InputError
from retrace.tools.benchmarks.side_by_side import shared_folder
from retrace.tracker.boxes import iou_matrix
from retrace.tracker.data import Detections, MotTable
from retrace.tracker.detection.boxes_file import Detector
from retrace.tracker.detection.open import open_detector
from retrace.tracker.detection.scores import Fit, calibrated, logit, raw
from retrace.tracker.mot_file import read_ground_truth
from retrace.tracker.sources import open_source

LOWEST = 0.05  # of the scores that count
RIGHT = 0.5  # IoU from which a box is right
PARTS = 10  # of the boxes, by score
LEAST = 20  # right and wrong boxes each, below which a video says nothing
STEPS, STILL = 60, 1e-10  # of Newton's method
VIDEOS = {  # of the shared folder: name -> what is looked at, below data/
    "PETS09-S2L1": "videos/vtest.avi",
    "ADL-Rundle-6": "videos/ADL-Rundle-6.mp4",
    "TUD-Campus": "MOT15-train/TUD-Campus",
    "TUD-Stadtmitte": "MOT15-train/TUD-Stadtmitte",
}


@dataclass(frozen=True, slots=True)
class Judged:
    """The boxes of one video, and which of them are right."""

    score: np.ndarray  # (N,) as the detector counts
    right: np.ndarray  # (N,) bool
    people: int  # boxes of the ground truth in the frames looked at


def measure(
    detector: str,
    data: Sequence[str] | None = None,
    every: int = 1,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Fits and figures of one detector.

    Args:
        detector: as :func:`open_detector` takes it.
        data: "VIDEO=GT.txt" each, a video or folder of images and its ground truth; None: the shared folder's four.
        every: look at one frame in so many.
        say: told the lines of a table.

    Raises:
        InputError: no such pairs, something named is missing, or no video has enough right and wrong boxes.
    """
    if every < 1:
        raise InputError(f"`every` must be at least 1 frame, got {every}")
    videos = _pairs(data) if data else _shared()
    say(f"{'':16}{'boxes':>7}{'right':>7}{'AP50':>7}{'slope':>7}{'shift':>7}   off: raw  table  others' fit")
    judged: dict[str, Judged] = {}
    for name, (video, truth) in videos.items():
        detect = open_detector(detector, conf=LOWEST)
        judged[name] = judge(detect, video, read_ground_truth(truth), every)
    fit = detect.fit or Fit()
    telling = {name: one for name, one in judged.items() if min(_counts(one)) >= LEAST}
    if not telling:
        raise InputError(f"{detector}: no video with {LEAST} right and {LEAST} wrong boxes; take more frames")
    rows: dict[str, dict[str, Any]] = {}
    for name, one in judged.items():
        others = [other for key, other in telling.items() if key != name]
        own = fitted([one]) if name in telling else None
        by_others = off(one, Fit(*fitted(others))) if others else float("nan")
        told = {"raw": off(one, Fit()), "table": off(one, fit), "others' fit": by_others}
        counts = {"boxes": len(one.score), "right": int(one.right.sum()), "AP50": _ap(one)}
        rows[name] = {**counts, "fit": own, "off": told}
        say(
            f"{name:16}{counts['boxes']:7}{counts['right']:7}{counts['AP50']:7.3f}"
            f"{'{:7.2f}{:7.2f}'.format(*own) if own else ' ' * 14}"
            f"{told['raw']:11.3f}{told['table']:7.3f}{by_others:13.3f}"
        )
    slope, shift = fitted(list(telling.values()))
    say(f"{detect.description}\nscores: [{slope:.2f}, {shift:.2f}]")
    return {"detector": detect.description, "every": every, "videos": rows, "fit": [slope, shift]}


def judge(detect: Detector, video: Path, truth: MotTable, every: int = 1) -> Judged:
    """Greedy by score: each box takes the free person of most overlap; what has none from IoU 0.5 on is wrong."""
    truth = truth.take((truth.score > 0) & (truth.class_id == 1))
    scores, rights, people = [np.zeros(0)], [np.zeros(0, bool)], 0
    for frame in open_source(video):
        if frame.index % every:
            continue
        found = detect(frame)
        there = truth.xyxy[truth.frame == frame.index]
        people += len(there)
        scores.append(raw(found.score, detect.fit or Fit()))
        rights.append(_right(found, there))
    return Judged(np.concatenate(scores), np.concatenate(rights), people)


def _right(found: Detections, there: np.ndarray) -> np.ndarray:
    right = np.zeros(len(found), bool)
    overlap = iou_matrix(found.xyxy.astype(np.float64), there)
    if not there.size:
        return right
    for row in np.argsort(-found.score, kind="stable"):
        best = int(overlap[row].argmax())
        if overlap[row, best] >= RIGHT:
            right[row] = True
            overlap[:, best] = -1
    return right


def fitted(videos: Sequence[Judged]) -> tuple[float, float]:
    """Slope and shift of the largest likelihood (Platt 1999), each video of the same weight; Newton's method."""
    x = logit(np.concatenate([one.score for one in videos]))
    right = np.concatenate([one.right for one in videos])
    weight = np.concatenate([np.full(len(one.score), 1 / len(one.score)) for one in videos])
    columns, found = np.stack([x, np.ones_like(x)], 1), np.array([1.0, 0.0])
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-columns @ found))
        curve = (columns * (weight * chance * (1 - chance))[:, None]).T @ columns
        step = np.linalg.solve(curve + 1e-9 * np.eye(2), columns.T @ (weight * (chance - right)))
        found -= step * min(1.0, 2 / max(np.abs(step).max(), 1e-300))
        if np.abs(step).max() < STILL:
            break
    return float(found[0]), float(found[1])


def off(one: Judged, fit: Fit) -> float:
    """Expected calibration error: mean |promised - kept| of ten equal parts of the boxes by score; nan: no boxes."""
    if not len(one.score):
        return float("nan")
    order = np.argsort(one.score, kind="stable")
    promised, kept = calibrated(one.score, fit)[order], one.right[order]
    parts = [rows for rows in np.array_split(np.arange(len(order)), PARTS) if len(rows)]
    return float(
        sum(len(rows) * abs(promised[rows].mean() - kept[rows].mean()) for rows in parts) / len(order)
    )


def _ap(one: Judged) -> float:
    """Area under precision over recall, precision made falling (PASCAL VOC 2010)."""
    kept = one.right[np.argsort(-one.score, kind="stable")]
    precision = np.cumsum(kept) / np.arange(1, len(kept) + 1)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best_from_here[kept].sum() / one.people) if one.people else float("nan")


def _counts(one: Judged) -> tuple[int, int]:
    return int(one.right.sum()), int((~one.right).sum())


def _pairs(data: Sequence[str]) -> dict[str, tuple[Path, Path]]:
    parts = [one.rpartition("=") for one in data]
    if not all(video and truth for video, _, truth in parts):
        raise InputError(
            f"`data` {','.join(data)[:200]}: expected VIDEO=GT.txt, several with commas between them"
        )
    names = [Path(video).stem for video, _, _ in parts]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:  # it would be judged by its own fit
        raise InputError(f"`data`: two videos are called {twice}; give each once, under a name of its own")
    return {name: (Path(video), Path(truth)) for name, (video, _, truth) in zip(names, parts, strict=True)}


def _shared() -> dict[str, tuple[Path, Path]]:
    data = shared_folder() / "data"
    return {
        name: (data / video, data / "MOT15-train" / name / "gt" / "gt.txt") for name, video in VIDEOS.items()
    }
