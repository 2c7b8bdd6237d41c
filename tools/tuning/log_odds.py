"""The tables of the cost `log_odds`, fitted on sequences with ground truth, or on tracklets that are believed.

A tracker runs, and of every pair of a track and a box that odds would be asked of it is written down what the terms see
and whether the box shows whom the track has mostly been: a label by its last box would teach a tracker to keep its
mistakes (LOG.md: 48.1 against 49.0 HOTA). All terms are fitted together by logistic regression, so what one knows the
others do not count again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array, diags_array

from retrace.configs import InputError
from retrace.eval.mot.oracle import shown_people
from retrace.reid.calibration.measures import reliability
from retrace.tools.tuning.clips import Clip
from retrace.tools.tuning.tracklets import Believed, hide
from retrace.tracker import Tracker
from retrace.tracker.association.assignment import CandidatePairs
from retrace.tracker.association.inputs import CostInputs
from retrace.tracker.association.log_odds import ages, quantities, thinkable
from retrace.tracker.association.matching import overlaps_of
from retrace.tracker.camera.warps import FileCamera
from retrace.tracker.config import LogOdds, TrackerConfig
from retrace.tracker.pipeline import run_on_boxes
from retrace.tracker.rows import FrameTime, expected

GAPS = (0.5, 2.0)  # s since seen
HIDDEN = (0.0, 0.3, 1.0, 3.0)  # s that tracklets are hidden for: a break of each age
KNOTS = {
    "overlap": (0, 0.05, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 1),
    "place": (-3, -1, 0, 1, 2, 3, 4, 5, 6, 8),
    "size": (0, 0.05, 0.1, 0.2, 0.35, 0.6, 1),
    "score": (0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1),
    "fall": (-0.4, -0.1, 0, 0.1, 0.3, 0.5),
    "look": (0, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 1.05, 1.3),
}
AGES = {  # by term: the row of nats for each age; those not here have one row
    "overlap": (0, 1, 2, 3),
    "place": (0, 1, 2, 3),
    "look": (0, 1, 1, 1),  # long gaps are few: what looks say then is what they say after short ones
}
MOST = 8_000  # pairs of a kind that a sequence gives; of more so many are drawn, and count for all
WEIGHT = 60_000.0  # of a sequence, against the penalties: every sequence counts alike
SMALL, SMOOTH = 1.0, 30.0  # penalties of a nat's square, and of a table's second differences
LEAST = 100  # pairs of either kind, of all sequences
STEPS, STILL = 40, 1e-7
# of a frame: values by term, ages, whether the same
Noted = tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]


@dataclass(frozen=True, slots=True)
class OddsPairs:
    """P pairs of a sequence: what the terms see, and whether they are one person."""

    values: dict[str, np.ndarray]  # by term, (P,) float64, NaN: not known
    age: np.ndarray  # (P,) int64
    same: np.ndarray  # (P,) bool
    weight: np.ndarray  # (P,) how many pairs of the sequence each stands for

    def take(self, rows: np.ndarray, weight: np.ndarray) -> OddsPairs:
        values = {name: value[rows] for name, value in self.values.items()}
        return OddsPairs(values, self.age[rows], self.same[rows], weight)


class _Notes:
    """The pairs of a tracker that runs, frame by frame: :meth:`look` at them, then :meth:`count` who was joined."""

    def __init__(self, known: Sequence[np.ndarray], strangers: np.ndarray | None = None) -> None:
        self._known = known  # by frame, (N,) who each box shows; 0: nobody
        self._strangers = strangers  # bool, of two tracklets: they are two people; None: who is who is known
        self._last = np.zeros(0 if strangers is None else len(strangers), np.int64)  # frame of each tracklet
        for k, who in enumerate(known if strangers is not None else ()):
            self._last[who] = k
        self._now = FrameTime(-1, 0.0, 0.0)
        self._keys: list[tuple[int, float]] = []  # of the frame's tracks
        self._been: dict[tuple[int, float], Counter[int]] = {}  # track -> how often it was whom
        self.found: list[Noted] = []

    def look(self, inputs: CostInputs) -> None:
        """A frame, before anybody is joined."""
        now = self._now = FrameTime(self._now.number + 1, inputs.time, self._now.time)
        live, config, person = inputs.live, inputs.config, self._known[now.number]
        self._keys = list(zip(live.slot.tolist(), live.born.tolist(), strict=True))
        if len(live) and len(person):
            alive = expected(live.seen, config.max_age, now)
            near = overlaps_of(inputs, "predicted", 0.0, expected(live.seen, config.believed_age, now))
            free = inputs.detections.score >= config.low
            pairs = thinkable(inputs, alive.astype(float), free, near)
            self._note(inputs, pairs, np.array([self._mostly(key) for key in self._keys]), person)

    def count(self, joined: np.ndarray) -> None:
        """The same frame, afterwards: (T,) the detection of each of its tracks, -1: none."""
        person = self._known[self._now.number]
        for row in (joined >= 0).nonzero()[0].tolist():
            if who := int(person[joined[row]]):
                self._been.setdefault(self._keys[row], Counter())[who] += 1

    def _mostly(self, key: tuple[int, float]) -> int:
        been = self._been.get(key)
        return been.most_common(1)[0][0] if been else 0

    def _note(
        self, inputs: CostInputs, pairs: CandidatePairs, mostly: np.ndarray, person: np.ndarray
    ) -> None:
        mine, other = mostly[pairs.row], person[pairs.col]
        known = (mine > 0) & (other > 0)
        if self._strangers is not None:
            # after its last box a tracklet may go on as another one: strangers alone would teach that nobody returns
            apart = self._strangers[mine, other] & (self._last[mine] >= self._now.number)
            known &= (mine == other) | apart
        sure = known.nonzero()[0]
        pairs = pairs.take(sure)
        age = ages(inputs, pairs.row, GAPS)
        self.found.append((quantities(inputs, pairs), age, mine[sure] == other[sure]))


def odds_pairs(clip: Clip, benchmark: str, config: TrackerConfig, seed: int = 0) -> OddsPairs:
    """The pairs of one sequence, while ``config`` tracks it: at most ``MOST`` of either kind.

    Args:
        config: which tracks there are depends on it; it must compare looks by `history` at `appearance_scale: 1`.

    Raises:
        InputError: the boxes have no vectors, or ``config`` compares looks otherwise.
    """
    _check(clip, config)
    found = _watched(clip, config, shown_people(clip.truth, clip.frames, benchmark))
    return _drawn(found, np.random.default_rng(seed))


def tracklet_pairs(clip: Clip, tracklets: Believed, config: TrackerConfig, seed: int = 0) -> OddsPairs:
    """As :func:`odds_pairs`, without ground truth: of tracklets that are believed, each of which is one person.

    ``config`` tracks the sequence as it is, and with boxes of tracklets hidden for each of :data:`HIDDEN`. Of two
    tracklets that were never seen together no pair is taken, nor of one and strangers who come after it.

    Args:
        tracklets: of ``clip``.

    Raises:
        InputError: as there.
    """
    _check(clip, config)
    found = []
    for seconds in HIDDEN:
        some, shown = hide(clip, tracklets, seconds)
        found += _watched(some, config, shown, tracklets.strangers)
    return _drawn(found, np.random.default_rng(seed))


def _check(clip: Clip, config: TrackerConfig) -> None:
    if not any(one.embedding is not None for one in clip.frames):
        raise InputError(
            "the boxes carry no vectors; track with the preset odds and save detections (.npz), which writes them"
        )
    memories = {config.active_appearance, config.lost_appearance}
    if memories != {"history"} or config.appearance_scale != 1:
        raise InputError("tables of log-odds are of the preset odds: active_appearance and lost_appearance history, "
                         "appearance_scale 1")  # fmt: skip


def _watched(
    clip: Clip, config: TrackerConfig, known: Sequence[np.ndarray], strangers: np.ndarray | None = None
) -> list[Noted]:
    """What there is to learn from each frame while ``config`` tracks it."""
    notes = _Notes(known, strangers)
    tracker = Tracker(config, clip.fps, ledger=True, watch=notes.look)
    camera = None if clip.warps is None else FileCamera(clip.warps)
    for _ in run_on_boxes(clip.frames, tracker, camera):
        assert tracker.ledger is not None
        notes.count(tracker.ledger.tracks.col)
    return notes.found


def _drawn(found: Sequence[Noted], rng: np.random.Generator) -> OddsPairs:
    whole = OddsPairs(
        {n: np.concatenate([np.zeros(0), *(values[n] for values, _, _ in found)]) for n in LogOdds.TERMS},
        np.concatenate([np.zeros(0, np.int64), *(age for _, age, _ in found)]),
        np.concatenate([np.zeros(0, bool), *(same for _, _, same in found)]),
        np.zeros(0),
    )
    rows, weight = [np.zeros(0, np.int64)], [np.zeros(0)]
    for kind in (False, True):
        some = (whole.same == kind).nonzero()[0]
        many = len(some)
        if many > MOST:
            some = np.sort(rng.choice(some, MOST, replace=False))
        rows.append(some)
        weight.append(np.full(len(some), many / max(1, len(some))))
    return whole.take(np.concatenate(rows), np.concatenate(weight))


def fit_log_odds(sets: Sequence[OddsPairs]) -> LogOdds:
    """Tables that say of each pair how likely it is one person; every set counts alike.

    Logistic regression by Newton's method, with small penalties of size and of bends.

    Raises:
        InputError: too few pairs of a kind.
    """
    counts = sum(int(one.same.sum()) for one in sets), sum(int((~one.same).sum()) for one in sets)
    if min(counts) < LEAST:
        raise InputError(
            f"{counts[0]:,} pairs of one person and {counts[1]:,} of two: at least {LEAST} of each are wanted; "
            "give more sequences, longer ones, or of more people"
        )
    matrix = _design(sets)
    same = np.concatenate([one.same for one in sets]).astype(float)
    weight = np.concatenate([one.weight * (WEIGHT / max(one.weight.sum(), 1)) for one in sets])
    penalty = _penalty(matrix.shape[1])
    found = np.zeros(matrix.shape[1])

    def loss(nats: np.ndarray) -> float:
        odds = matrix @ nats
        return float(weight @ (np.logaddexp(0, odds) - same * odds) + nats @ penalty @ nats / 2)

    before = loss(found)
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-(matrix @ found)))
        gradient = matrix.T @ (weight * (chance - same)) + penalty @ found
        curve = diags_array(weight * np.maximum(chance * (1 - chance), 1e-9))
        step = np.linalg.solve((matrix.T @ curve @ matrix).toarray() + penalty, gradient)
        share = 1.0
        while share > 1e-4 and loss(found - share * step) > before:
            share /= 2
        found -= share * step
        after = loss(found)
        if before - after <= STILL * abs(before):
            break
        before = after
    return _tables(found)


def _blocks() -> list[tuple[str, int, int]]:
    """(term, row of its table, first column) in the order of the columns; the last column is the bias."""
    found, column = [], 0
    for name in LogOdds.TERMS:
        for row in range(max(AGES.get(name, (0,))) + 1):
            found.append((name, row, column))
            column += len(KNOTS[name])
    return [*found, ("bias", 0, column)]


def _design(sets: Sequence[OddsPairs]) -> csr_array:
    """(P, K) how much of each nat every pair gets: two neighbours of each table, and the bias."""
    age = np.concatenate([one.age for one in sets])
    count, rows, columns, shares = len(age), [], [], []
    *blocks, (_, _, bias) = _blocks()
    for name, row, first in blocks:
        value = np.concatenate([one.values[name] for one in sets])
        mine = ~np.isnan(value)
        if name in AGES:
            mine &= np.array(AGES[name])[age] == row
        at, here = np.array(KNOTS[name], float), mine.nonzero()[0]
        inside = np.clip(value[here], at[0], at[-1])
        left = np.clip(np.searchsorted(at, inside, side="right") - 1, 0, len(at) - 2)
        share = (inside - at[left]) / (at[left + 1] - at[left])
        rows += [here, here]
        columns += [first + left, first + left + 1]
        shares += [1 - share, share]
    rows.append(np.arange(count))
    columns.append(np.full(count, bias))
    shares.append(np.ones(count))
    where = np.concatenate(rows), np.concatenate(columns)
    return csr_array((np.concatenate(shares), where), shape=(count, bias + 1))


def _penalty(size: int) -> np.ndarray:
    penalty = SMALL * np.eye(size)
    penalty[-1, -1] = 1e-6  # the bias is free
    for name, _, first in _blocks()[:-1]:
        for k in range(first, first + len(KNOTS[name]) - 2):
            bend = np.zeros(size)
            bend[k : k + 3] = 1, -2, 1
            penalty += SMOOTH * SMALL * np.outer(bend, bend)
    return penalty


def _tables(found: np.ndarray) -> LogOdds:
    told: dict[str, Any] = {"gaps": GAPS, "bias": round(float(found[-1]), 2)}
    rows = {
        (name, row): found[first : first + len(KNOTS[name])].round(2).tolist()
        for name, row, first in _blocks()[:-1]
    }
    for name in LogOdds.TERMS:
        nats = tuple(rows[name, row] for row in AGES.get(name, (0,)))
        told[name] = {"at": KNOTS[name], "nats": nats}
    return LogOdds.model_validate(told)


def told_odds(tables: LogOdds, pairs: OddsPairs) -> np.ndarray:
    """(P,) what the tables say of pairs that were written down."""
    rows = [[getattr(tables, name).nats[row] for row in _first_ages(name)] for name in LogOdds.TERMS]
    flat = [value for table in rows for row in table for value in row]
    return _design([pairs]) @ np.array([*flat, tables.bias])


def _first_ages(name: str) -> list[int]:
    """For each row of a table's block the first age that has it."""
    order = AGES.get(name, (0,))
    return [order.index(row) for row in range(max(order) + 1)]


def held_out(
    sets: dict[str, OddsPairs], video: Callable[[str], str]
) -> tuple[dict[str, LogOdds], dict[str, float]]:
    """For each video the tables fitted on the others, and by sequence their expected calibration error there.

    Raises:
        InputError: one video only, or too few pairs.
    """
    videos = sorted({video(name) for name in sets})
    if len(videos) < 2:
        raise InputError(f"one video only ({videos[0]}): what others would gain takes two at least")
    tables = {
        one: fit_log_odds([pairs for name, pairs in sets.items() if video(name) != one]) for one in videos
    }
    errors = {}
    for name, pairs in sets.items():
        if pairs.same.any() and not pairs.same.all():
            chance = 1 / (1 + np.exp(-told_odds(tables[video(name)], pairs)))
            errors[name] = reliability(chance, pairs.same, pairs.weight).ece
    return tables, errors
