"""Open-set identification and search, as curves: who is found, who is taken for somebody, and at what gate.

NIST's words (FRVT part 2): FPIR(T), the share of searches for somebody who is not there that answer with a score of T
or more; FNIR(k, T), the share of searches for somebody who is there without him among the first k at T or more. For the
memory of a tracker the same two are stranger acceptance and 1 - return recall.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retrace.configs import InputError


@dataclass(frozen=True, slots=True, eq=False)
class OpenSetCurve:
    """What every gate would have done, the strictest first; shares in [0, 1]."""

    gate: np.ndarray  # (G,) falling; a score of the gate or more is accepted; the first accepts nobody
    fpir: np.ndarray  # (G,) of those who are not known: share accepted (stranger acceptance); NaN without any
    fnir: np.ndarray  # (G,) of those who are known: share not found (1 - return recall); NaN without any
    known: int
    strangers: int

    def fnir_at(self, fpir: float) -> float:
        """The least FNIR of gates with so much FPIR at most."""
        within = self.fpir <= fpir
        return float(self.fnir[within].min()) if within.any() else float("nan")


def open_set_curve(
    score: np.ndarray, known: np.ndarray, rank: np.ndarray | None = None, within: int = 1
) -> OpenSetCurve:
    """FPIR and FNIR over all gates.

    Args:
        score: (N,) a search each, similarity or probability: of the right person where he is known, else of the best.
        known: (N,) bool, whether the person is there to be found.
        rank: (N,) from 1, the right person's among all answers, read where ``known``; default: 1.
        within: so many answers are looked at.

    Raises:
        InputError: arrays of unlike length, a score that is no number, a rank below 1.
    """
    score, known = np.asarray(score, np.float64), np.asarray(known, bool)
    rank = np.ones(len(score)) if rank is None else np.asarray(rank)
    if not len(score) == len(known) == len(rank):
        raise InputError(f"expected arrays of one length, got {len(score)}, {len(known)}, {len(rank)}")
    if np.isnan(score).any():
        raise InputError(f"score {int(np.isnan(score).argmax())} is no number")
    if (rank[known] < 1).any() or within < 1:
        raise InputError("ranks and `within` count from 1")
    gate = np.append(np.inf, np.unique(score[np.isfinite(score)])[::-1])
    found = np.sort(score[known & (rank <= within)])
    wrong = np.sort(score[~known])
    strangers, count = int((~known).sum()), int(known.sum())
    return OpenSetCurve(
        gate,
        _above(wrong, gate) / strangers if strangers else np.full(len(gate), np.nan),
        1 - _above(found, gate) / count if count else np.full(len(gate), np.nan),
        count,
        strangers,
    )


def _above(rising: np.ndarray, gate: np.ndarray) -> np.ndarray:
    return len(rising) - np.searchsorted(rising, gate, side="left")


@dataclass(frozen=True, slots=True, eq=False)
class CameraStays:
    """Where and when: V stays in cameras.

    Raises:
        InputError: arrays of other lengths, an end that is not after its begin.
    """

    camera: np.ndarray  # (V,)
    begin: np.ndarray  # (V,) s
    end: np.ndarray  # (V,) s, after begin

    def __post_init__(self) -> None:
        if not len(self.camera) == len(self.begin) == len(self.end):
            raise InputError(
                f"visits: expected arrays of one length, got {len(self.camera)}, {len(self.begin)}, {len(self.end)}"
            )
        if not (np.asarray(self.end) > self.begin).all():
            raise InputError("visits: every end must come after its begin")


@dataclass(frozen=True, slots=True, eq=False)
class SearchMetrics:
    """Searches for people who were somewhere; fractions in [0, 1]."""

    mAP: float
    recall: dict[int, float]  # within the first k answers, mean over searches
    ap: np.ndarray  # (Q,) NaN where there is nothing to be found
    first: np.ndarray  # (Q,) rank from 1 of the first right answer; 0: none


def evaluate_search(
    answers: Sequence[CameraStays],
    truth: Sequence[CameraStays],
    asked: Sequence[CameraStays] | None = None,
    overlap: float = 0.5,
    recall_at: Sequence[int] = (1, 5, 10),
) -> SearchMetrics:
    """Score ranked answers 'where and when'.

    An answer is right if its camera is right and its temporal IoU with a true visit that is not yet taken is
    ``overlap`` or more; it takes the one that it overlaps most. AP is the mean over true visits of the precision at
    their ranks, 0 for those not found.

    Args:
        answers: by query, the best first.
        truth: by query, all true visits.
        asked: by query, the visits that the photo was taken from: they, and answers in their camera that touch their
            time, count neither way.

    Raises:
        InputError: lists of unlike length.
    """
    asked = [_NOTHING] * len(answers) if asked is None else asked
    if not len(answers) == len(truth) == len(asked):
        raise InputError(f"expected lists of one length, got {len(answers)}, {len(truth)}, {len(asked)}")
    right = [_right(_kept(a, q), _kept(t, q), overlap) for a, t, q in zip(answers, truth, asked, strict=True)]
    count = np.array([int((~_touches(t, q)).sum()) for t, q in zip(truth, asked, strict=True)])
    ap = np.array([_average_precision(r, n) for r, n in zip(right, count, strict=True)])
    there = count > 0
    recall = {
        k: float(np.mean([r[:k].sum() / n for r, n in zip(right, count, strict=True) if n]))
        if there.any()
        else float("nan")
        for k in recall_at
    }
    first = np.array([int(r.argmax()) + 1 if r.any() else 0 for r in right])
    return SearchMetrics(float(ap[there].mean()) if there.any() else float("nan"), recall, ap, first)


_NOTHING = CameraStays(np.zeros(0), np.zeros(0), np.zeros(0))


def _touches(some: CameraStays, others: CameraStays) -> np.ndarray:
    """(V,) bool, who is in the camera of one of the others at a moment of theirs."""
    return np.asarray((_overlap(some, others) > 0).any(1))


def _kept(some: CameraStays, asked: CameraStays) -> CameraStays:
    keep = ~_touches(some, asked)
    return CameraStays(some.camera[keep], some.begin[keep], some.end[keep])


def _overlap(a: CameraStays, b: CameraStays) -> np.ndarray:
    """(A, B) temporal IoU, 0 in different cameras."""
    both = np.minimum(a.end[:, None], b.end) - np.maximum(a.begin[:, None], b.begin)
    both = np.maximum(both, 0) * (a.camera[:, None] == b.camera)
    return both / ((a.end - a.begin)[:, None] + (b.end - b.begin) - both)


def _right(answers: CameraStays, truth: CameraStays, least: float) -> np.ndarray:
    """(A,) bool."""
    like = _overlap(answers, truth)
    right = np.zeros(len(like), bool)
    for k in range(len(like)):  # what an answer takes, the next ones do not find
        if like.shape[1] and like[k].max() >= least:
            right[k] = True
            like[:, like[k].argmax()] = 0
    return right


def _average_precision(right: np.ndarray, count: int) -> float:
    if not count:
        return float("nan")
    ranks = right.nonzero()[0] + 1
    return float((np.arange(1, len(ranks) + 1) / ranks).sum() / count)
