"""One association stage: which pairs are open, what each costs, which gates are closed, who gets whom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrace.tracker.association.assignment import CandidatePairs, solve
from retrace.tracker.association.costs import ALL_LOOKS, COSTS, LOOKS
from retrace.tracker.association.inputs import CostInputs
from retrace.tracker.association.log_odds import thinkable
from retrace.tracker.config import Stage
from retrace.tracker.rows import STATUS

# Why the stages ask for a detection or not: below `low` none does, and below `high` only those with the band low
ASKED, TOO_LOW, NOT_HIGH = range(3)
SLACK = 1e-5  # looks of all pairs are a float32 product, rounded its own way; costs have the last word


@dataclass(frozen=True, slots=True)
class PreparedStage:
    """A stage, and what can be said about it before any frame."""

    stage: Stage
    limit: np.ndarray  # (3,) by status; 0: the stage leaves that status out
    far: float  # what boxes that do not overlap cost at least, looks aside; inf: they never match
    look: float  # times 1 - cosine: what looks cost of it
    by_place: bool  # it needs a predicted box that is still believed
    looks: bool  # a term or a gate compares appearance


def prepare(stage: Stage) -> PreparedStage:
    """Boxes that do not overlap can match where looks are part of the cost and no gate asks for overlap."""
    terms = stage.terms
    limit = np.array([stage.limit_of(name) for name in STATUS])
    look = sum(weight * LOOKS[name] for name, weight in terms.items() if name in LOOKS)
    far = sum(weight * COSTS[name][1] for name, weight in terms.items() if name not in LOOKS)
    if "nearest_cue" in terms and stage.cue_iou >= 1:
        look = terms["nearest_cue"] * LOOKS["half_appearance"]
    if "adaptive_appearance" in terms:  # its weight has no bound: every pair of known looks may meet
        look = max(look, terms["adaptive_appearance"])
    if look <= 0 or any(most < COSTS[name][1] for name, most in stage.gates.items()):
        far = np.inf
    by_place = any(name not in {*LOOKS, "log_odds"} for name in (*terms, *stage.gates))
    looks = bool(ALL_LOOKS & {*terms, *stage.gates})
    return PreparedStage(stage, limit, far, look, by_place and stage.against == "predicted", looks)


def candidates(
    inputs: CostInputs, prepared: PreparedStage, limit: np.ndarray, free: np.ndarray, near: CandidatePairs
) -> CandidatePairs:
    """The open pairs: those ``near`` that overlap, and those apart whose looks alone may bring them below the limit.

    Args:
        limit: (T,) of each track; 0: not in this stage.
        free: (N,) bool, the detections of this stage.
    """
    if "log_odds" in prepared.stage.terms:
        return thinkable(inputs, limit, free, near)
    if inputs.appearance is None or prepared.far == np.inf:
        open_ = free[near.col]
        open_ &= limit[near.row] > 0
        return near if open_.all() else near.take(open_.nonzero()[0])
    rows, cols = (limit > 0).nonzero()[0], free.nonzero()[0]
    chosen = np.ix_(rows, cols)
    look = inputs.appearance[chosen]
    if prepared.stage.neutral_appearance is not None:
        unknown = np.isnan(look)
        if not inputs.config.class_agnostic:  # between classes it is not unknown, it cannot be
            unknown &= inputs.live.class_id[rows][:, None] == inputs.detections.class_id[cols]
        look = np.where(unknown, prepared.stage.neutral_appearance, look)
    meet = look < ((limit[rows] - prepared.far) / prepared.look + SLACK)[:, None]  # False for NaN
    iou = np.zeros(inputs.appearance.shape)
    iou[near.row, near.col] = near.iou
    overlap = iou[chosen]
    meet |= overlap > 0
    r, c = meet.nonzero()
    return CandidatePairs(rows[r], cols[c], overlap[r, c])


def costs(
    inputs: CostInputs, prepared: PreparedStage, pairs: CandidatePairs, penalty: np.ndarray | None
) -> np.ndarray:
    """(P,) the weighted sum of the stage's terms, and what is added to each detection's cost (N,)."""
    total: np.ndarray | float = 0.0
    for name, weight in prepared.stage.terms.items():
        cost = COSTS[name][0](inputs, pairs, prepared.stage)
        total = total + (cost if weight == 1.0 else weight * cost)
    return total if penalty is None else total + penalty[pairs.col]  # type: ignore[return-value]


def open_gates(inputs: CostInputs, prepared: PreparedStage, pairs: CandidatePairs) -> np.ndarray:
    """(P,) bool: every gate lets this pair through."""
    allowed = np.ones(len(pairs.row), bool)
    for name, most in prepared.stage.gates.items():
        allowed &= COSTS[name][0](inputs, pairs, prepared.stage) <= most
    return allowed


def match(
    inputs: CostInputs, prepared: PreparedStage, pairs: CandidatePairs, gain: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns (K,) joined, of pairs that all gain something; ordered by row: as the stage says the
    optimum, the youngest tracks first (DeepSORT), or who is mutually nearest (TrackTrack)."""
    if not len(gain):
        return pairs.row, pairs.col
    if prepared.stage.cascade:
        return _cascade(inputs, pairs, gain)
    if prepared.stage.match == "mutual":
        return mutual_nearest(pairs.row, pairs.col, gain, prepared.stage.limit_step)
    return solve(pairs.row, pairs.col, gain)


def mutual_nearest(
    row: np.ndarray, col: np.ndarray, gain: np.ndarray, step: float
) -> tuple[np.ndarray, np.ndarray]:
    """CandidatePairs that are each other's nearest, again and again under a falling limit (TrackTrack, algorithm 1).

    Args:
        row, col, gain: (P,) pairs ordered by row, then column, and how far each is below the limit, > 0.
        step: how much the limit falls from round to round; the search ends with a round that adds nothing.

    Returns:
        rows, cols: (K,) each, ordered by row.
    """
    height, width = int(row.max()) + 1, int(col.max()) + 1
    found: list[np.ndarray] = []
    alive, fallen = np.arange(len(gain)), 0.0
    while len(alive):
        r, c, g = row[alive], col[alive], gain[alive]
        best_row, best_col = np.zeros(height), np.zeros(width)
        np.maximum.at(best_row, r, g)
        np.maximum.at(best_col, c, g)
        mutual = ((g == best_row[r]) & (g == best_col[c]) & (g > fallen)).nonzero()[0]
        mutual = _first_of_ties(mutual, r, c)
        if not len(mutual):
            break
        found.append(alive[mutual])
        row_taken, col_taken = np.zeros(height, bool), np.zeros(width, bool)
        row_taken[r[mutual]] = True
        col_taken[c[mutual]] = True
        alive = alive[~(row_taken[r] | col_taken[c])]
        fallen += step
    which = np.sort(np.concatenate(found)) if found else np.zeros(0, np.int64)
    return row[which], col[which]


def _first_of_ties(which: np.ndarray, row: np.ndarray, col: np.ndarray) -> np.ndarray:
    """Of pairs that share a row or a column, only the first: equal gains must not join two to one."""
    if len(np.unique(row[which])) == len(which) == len(np.unique(col[which])):
        return which
    rows: set[int] = set()
    cols: set[int] = set()
    kept = []
    for k in which:  # only ties come here
        if row[k] not in rows and col[k] not in cols:
            rows.add(int(row[k]))
            cols.add(int(col[k]))
            kept.append(k)
    return np.array(kept, np.int64)


def _cascade(inputs: CostInputs, pairs: CandidatePairs, gain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """DeepSORT's matching cascade (its listing 1): one assignment for each age, the youngest first."""
    age = np.rint((inputs.time - inputs.live.seen) / inputs.interval)[pairs.row]
    taken = np.zeros(len(inputs.detections), bool)
    rows, cols = [], []
    for value in np.unique(age):  # over ages, not tracks
        which = ((age == value) & ~taken[pairs.col]).nonzero()[0]
        found = solve(pairs.row[which], pairs.col[which], gain[which])
        taken[found[1]] = True
        rows.append(found[0])
        cols.append(found[1])
    order = np.argsort(np.concatenate(rows))
    return np.concatenate(rows)[order], np.concatenate(cols)[order]
