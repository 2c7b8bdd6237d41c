"""Does appearance pay? One tracker on the same boxes: blind, with each embedder, and with perfect looks."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from retrace.configs import InputError
from retrace.configs.errors import number
from retrace.eval.mot.bootstrap import paired_intervals, people_intervals
from retrace.eval.mot.oracle import shown_people
from retrace.eval.mot.preprocess import Prepared, prepare
from retrace.eval.mot.score import Metrics, PersonMetrics, combine, score_people, score_prepared
from retrace.eval.reassociation import Reassociation, pooled, reassociation
from retrace.tracker import Detections, Tracker
from retrace.tracker.boxes import largest_overlap
from retrace.tracker.camera.warps import FileCamera
from retrace.tracker.config import TrackerConfig
from retrace.tracker.data import MotTable
from retrace.tracker.pipeline import run_on_boxes
from retrace.tracker.sources import Source

if TYPE_CHECKING:
    from retrace.reid.embedder import Embedder

OFF, ORACLE = "off", "oracle"
SHOWN = ("HOTA", "AssA", "IDF1", "IDSW")
PEOPLE = 2  # of each sequence at least
FEW = 3  # sequences below which intervals are over people
# Copies of boxes with noise: deviation of each edge as a share of the box's side, and of scores; share that is lost.
SHAKEN, SCORE_OFF, LOST = 0.02, 0.03, 0.04
MOST_COPIES = 10_000
LEAST = 0.01  # score of a box in a copy
Advance = Callable[[int, int], object]  # frames done, of how many


@dataclass(frozen=True, slots=True)
class Gap:
    """How much later looks are compared.

    Example:
        >>> Gap(5).frames(fps=10), Gap(5, "f").frames(fps=10), str(Gap(5)), str(Gap(5, "f"))
        (50, 5, '5 s', '5 frames')
    """

    amount: float
    unit: Literal["s", "f"] = "s"  # seconds of each sequence's own clock, or frames

    def frames(self, fps: float) -> int:
        """At least 1."""
        return max(1, round(self.amount * (fps if self.unit == "s" else 1)))

    def __str__(self) -> str:
        if self.unit == "s":
            return f"{self.amount:g} s"
        return f"{self.amount:g} frame{'s' if self.amount != 1 else ''}"


class Gain(NamedTuple):
    """A measure of one way of looking minus that of appearance off, and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class TrialSequence:
    """One sequence to try on: its pictures, its boxes by frame, who is there, and how its camera moves."""

    name: str
    source: Source
    boxes: list[Detections]
    truth: MotTable
    benchmark: str
    camera: FileCamera | None = None


@dataclass(slots=True)
class Contender:
    """What one way of looking gave, over all sequences.

    Attributes:
        metrics: by sequence.
        people: of all sequences.
        gained: over appearance off, by the names in `SHOWN`; empty for off itself.
        gaps: re-association; empty for those who do not look.
        copies: on copies of the boxes with noise: by copy, then by sequence.
        embed_ms, track_ms: a frame, of this run's clock.
    """

    name: str
    metrics: dict[str, Metrics] = field(default_factory=dict)
    people: list[PersonMetrics] = field(default_factory=list)
    gained: dict[str, Gain] = field(default_factory=dict)
    gaps: dict[Gap, Reassociation] = field(default_factory=dict)
    copies: list[list[Metrics]] = field(default_factory=list)
    embed_ms: float = 0.0
    track_ms: float = 0.0

    @property
    def combined(self) -> Metrics:
        return combine([*self.metrics.values()])

    def on_copies(self, name: str) -> np.ndarray:
        """(copies,) float64 a measure of `SHOWN` on each copy, over all sequences."""
        return np.array([combine(one).row()[name] for one in self.copies], float)

    def minus(self, other: Contender) -> dict[str, Gain]:
        """By the names in `SHOWN`. Both on the same draws: of sequences, or of people where sequences are few."""
        if len(self.metrics) < FEW:
            bounds = people_intervals(self.people, other.people)
        else:
            mine, theirs = ([*each.metrics.values()] for each in (self, other))
            bounds = paired_intervals(mine, theirs, names=SHOWN)
        row, base = self.combined.row(), other.combined.row()
        return {name: Gain(row[name] - base[name], *bounds[name]) for name in SHOWN}


def compare(
    trials: Sequence[TrialSequence],
    embedders: Mapping[str, Embedder],
    config: TrackerConfig,
    gaps: Sequence[Gap],
    advance: Advance = lambda done, total: None,
    copies: int = 0,
) -> list[Contender]:
    """Blind, each embedder, and perfect looks, on the same boxes.

    Perfect looks: each box that matches ground truth (IoU from 0.5) carries its person's own vector, the others look
    like nobody. What is missing to them is the embedder's; what they miss to 1 is the detector's and the motion's.

    Args:
        embedders: by the name that they are told of by.
        config: of the tracker; it must compare appearance.
        gaps: after which looks are compared, each once.
        advance: told of frames embedded, over all sequences.
        copies: of the boxes, each with noise of its own (:func:`noisy`), that are tracked as well: on a short clip one
            box more or less decides, and says little about the next clip.

    Raises:
        InputError: fewer copies than none, a tracker that does not look, a name that is taken, a sequence without
            pictures, or of fewer than two people who count.
    """
    number("copies", copies, 0, MOST_COPIES, whole=True)
    for trial in trials:
        _expect_people(trial)
    floor = Tracker(config).appearance_from
    if floor > 1:
        raise InputError("this tracker does not compare appearance; take one that does, such as default")
    for name in {OFF, ORACLE} & embedders.keys():
        raise InputError(f"{name}: is the name of a row of its own; call the weights otherwise")
    contenders = [Contender(name, copies=[[] for _ in range(copies)]) for name in (OFF, *embedders, ORACLE)]
    found: dict[tuple[str, Gap], list[Reassociation]] = {}
    gaps = [*dict.fromkeys(gaps)]  # one that is given twice would count twice
    total, done = sum(len(trial.boxes) for trial in trials), 0
    for trial in trials[:1]:
        # The compiled loops are read with the first frames: no time of whoever comes first.
        track(trial, config)
    for trial in trials:
        known = shown_people(trial.truth, trial.boxes, trial.benchmark)
        looks, seconds = embedded(
            trial.source, trial.boxes, embedders, floor, partial(_advance, advance, done, total)
        )
        done += len(trial.boxes)
        for contender in contenders:
            name = contender.name
            contender.embed_ms += 1000 * seconds.get(name, 0.0) / total
            vectors = perfect_looks(known) if name == ORACLE else looks.get(name)
            looked = replace(trial, boxes=with_looks(trial.boxes, vectors))
            least = 0.0 if name == ORACLE else floor
            begin = time.perf_counter()
            result = track(looked, config, least)
            contender.track_ms += 1000 * (time.perf_counter() - begin) / total
            ready = _prepared(trial, result)
            contender.metrics[trial.name] = score_prepared(ready)
            contender.people += score_people(ready)
            for seed, scores in enumerate(contender.copies):
                copy = replace(looked, boxes=noisy(looked.boxes, seed))
                scores.append(score_prepared(_prepared(trial, track(copy, config, least))))
            if name in looks:
                for gap, one in zip(gaps, _after(trial, known, looks[name], gaps), strict=True):
                    found.setdefault((name, gap), []).append(one)
    for contender in contenders:
        contender.gaps = {
            gap: pooled(parts) for (name, gap), parts in found.items() if name == contender.name
        }
        if contender.name != OFF:
            contender.gained = contender.minus(contenders[0])
    return contenders


def _expect_people(trial: TrialSequence) -> None:
    """Raises InputError where nobody could be taken for somebody else, and no draw of people differs from another."""
    count = len(score_people(_prepared(trial, trial.truth.take(slice(0, 0)))))
    if count < PEOPLE:
        who = "nobody" if not count else "one person"
        raise InputError(
            f"{trial.name}: the ground truth has {who} who counts (of the classes that are scored, confidence above "
            f"0); expected {PEOPLE} or more people"
        )


def _prepared(trial: TrialSequence, result: MotTable) -> Prepared:
    return prepare(trial.truth, result, len(trial.boxes), trial.benchmark)


def _advance(advance: Advance, before: int, total: int, done: int) -> None:
    advance(before + done, total)


def perfect_looks(known: Sequence[np.ndarray]) -> list[np.ndarray]:
    """By frame (N, D) one direction a person; zero rows for boxes of nobody."""
    people = max((int(one.max(initial=0)) for one in known), default=0)
    directions = np.eye(people + 1, max(people, 1), -1, dtype=np.float32)
    return [directions[one] for one in known]


def embedded(
    source: Source,
    boxes: Sequence[Detections],
    embedders: Mapping[str, Embedder],
    floor: float,
    advance: Callable[[int], object],
) -> tuple[dict[str, list[np.ndarray]], dict[str, float]]:
    """Vectors by embedder and frame, and seconds by embedder. Zero rows: boxes of scores below ``floor``, and frames
    that cannot be read.

    Args:
        boxes: by frame.

    Raises:
        InputError: a source without pictures.
    """
    looks = {
        name: [np.zeros((len(one), each.dim), np.float32) for one in boxes]
        for name, each in embedders.items()
    }
    seconds = dict.fromkeys(embedders, 0.0)
    if not embedders:
        return looks, seconds
    if not source.has_images:
        raise InputError(f"{source.name}: has no images to embed; give a video, or a sequence with img1/")
    for each in embedders.values():
        each.reset()  # those that go by what they have seen of a video
    for frame in source.frames():
        if frame.index >= len(boxes):
            break
        here = boxes[frame.index]
        useful = here.score >= floor
        if useful.any() and frame.image is not None:
            for name, embed in embedders.items():
                begin = time.perf_counter()
                looks[name][frame.index][useful] = embed(frame.image, here.xyxy[useful])
                seconds[name] += time.perf_counter() - begin
        advance(frame.index + 1)
    return looks, seconds


def with_looks(boxes: list[Detections], vectors: Sequence[np.ndarray] | None) -> list[Detections]:
    """Boxes by frame that carry vectors, (N, D) by frame; None: as they are."""
    if vectors is None:
        return boxes
    return [one.with_embedding(rows) for one, rows in zip(boxes, vectors, strict=True)]


def noisy(boxes: Sequence[Detections], seed: int) -> list[Detections]:
    """As another detector of the same worth may find them: some boxes are missing, all lie a little elsewhere.

    ``LOST`` of them are gone; each edge moves by a normal deviate of ``SHAKEN`` of the box's width or height, each
    score by one of ``SCORE_OFF``. Vectors stay as they are; a box that was too unsure to be looked at has none.

    Args:
        boxes: by frame.
        seed: of this copy.
    """
    rng = np.random.default_rng(seed)
    return [_noisy(one, rng) for one in boxes]


def _noisy(boxes: Detections, rng: np.random.Generator) -> Detections:
    kept = boxes.take(np.flatnonzero(rng.random(len(boxes)) >= LOST))
    sides = np.tile(kept.xyxy[:, 2:] - kept.xyxy[:, :2], 2)
    moved = kept.xyxy + rng.normal(0, SHAKEN, kept.xyxy.shape) * sides
    score = np.clip(kept.score + rng.normal(0, SCORE_OFF, len(kept)), LEAST, 1)
    return replace(kept, xyxy=moved.astype(np.float32), score=score.astype(np.float32))


def track(trial: TrialSequence, config: TrackerConfig, least: float = 0.0) -> MotTable:
    """The result that tools/track.py would write.

    Args:
        least: of a box's score; below it, it is not looked at: its vector becomes zero.
    """
    boxes = [
        one if one.embedding is None else one.with_embedding(one.embedding * (one.score >= least)[:, None])
        for one in trial.boxes
    ]
    tracker = Tracker(config, trial.source.fps)
    return MotTable.of(run_on_boxes(boxes, tracker, trial.camera), as_file=True)


def _after(
    trial: TrialSequence, known: Sequence[np.ndarray], vectors: Sequence[np.ndarray], gaps: Sequence[Gap]
) -> list[Reassociation]:
    ids, count = np.concatenate(known), [len(one) for one in known]
    frames = np.repeat(np.arange(len(count)), count)
    crowd = np.concatenate([largest_overlap(one.xyxy) for one in trial.boxes])
    steps = [gap.frames(trial.source.fps) for gap in gaps]
    return reassociation(np.concatenate(vectors), ids, frames, steps, crowd)
