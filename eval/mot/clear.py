"""CLEAR MOT metrics: Bernardin and Stiefelhagen 2008, as TrackEval 1.3.0 computes them.

A match of the previous frame is kept while its IoU stays at 0.5; the rest is matched for the largest summed
IoU. "Previous frame" means the last one that has both ground truth and result boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from retrace.eval.mot.match import decide, solve_frame
from retrace.eval.mot.overlap import EPS, Overlaps
from retrace.eval.mot.preprocess import Prepared, relabel

THRESHOLD = 0.5
KEEP = 1000.0  # what a match of the previous frame is worth more
NOBODY = -2  # in a list of partners: no match. (-1 in a list of predecessors: there is none.)


@dataclass(frozen=True, slots=True)
class Clear:
    """Counts of one sequence or several; the fractions follow from them."""

    TP: int
    FN: int
    FP: int
    IDSW: int
    MT: int
    PT: int
    ML: int
    Frag: int
    frames: int
    overlap: float  # summed IoU of the matches
    empty: bool = False  # one sequence without boxes on one side: TrackEval leaves its fractions at 0

    @property
    def MOTP(self) -> float:
        return self.overlap / max(1.0, self.TP)

    @property
    def MOTA(self) -> float:
        return self._per_gt(self.TP - self.FP - self.IDSW)

    @property
    def MODA(self) -> float:
        return self._per_gt(self.TP - self.FP)

    @property
    def sMOTA(self) -> float:
        return self._per_gt(self.overlap - self.FP - self.IDSW)

    @property
    def MOTAL(self) -> float:
        return self._per_gt(self.TP - self.FP - (float(np.log10(self.IDSW)) if self.IDSW else 0))

    @property
    def recall(self) -> float:
        return self._per_gt(self.TP)

    @property
    def precision(self) -> float:
        return 0.0 if self.empty else self.TP / max(1.0, self.TP + self.FP)

    @property
    def FAF(self) -> float:
        """False alarms a frame (TrackEval's FP_per_frame)."""
        return 0.0 if self.empty else self.FP / max(1.0, self.frames)

    def _per_gt(self, amount: float) -> float:
        return 0.0 if self.empty else amount / max(1.0, self.TP + self.FN)


def clear(ready: Prepared) -> Clear:
    """CLEAR of one sequence."""
    gts, results = len(ready.gt_id), len(ready.result_id)
    if not gts or not results:
        # TrackEval returns early here, before it notes the number of frames
        return Clear(0, gts, results, 0, 0, 0, ready.gt_ids, 0, frames=0, overlap=0.0, empty=True)
    pairs, before = matches(ready)
    partner = np.full(gts + 1, NOBODY)
    partner[pairs.gt] = ready.result_id[pairs.result]
    matched = partner[:-1] != NOBODY
    length = np.bincount(ready.gt_id, minlength=ready.gt_ids)
    share = np.bincount(ready.gt_id[matched], minlength=ready.gt_ids) / length
    mostly = int((share > 0.8).sum())
    partly = int((share >= 0.2).sum()) - mostly
    starts = np.bincount(ready.gt_id[matched & (partner[before] == NOBODY)], minlength=ready.gt_ids)
    tp = len(pairs)
    return Clear(
        TP=tp,
        FN=gts - tp,
        FP=results - tp,
        IDSW=int(_switches(ready, partner[:-1]).sum()),
        MT=mostly,
        PT=partly,
        ML=ready.gt_ids - mostly - partly,
        Frag=int(np.maximum(starts - 1, 0).sum()),
        frames=ready.frames,
        overlap=float(np.bincount(ready.gt_frame[pairs.gt], pairs.iou).sum()),
    )


def switches_by_person(ready: Prepared) -> np.ndarray:
    """(gt_ids,) int: how often the match of each true identity differs from its last one; their sum is IDSW."""
    partner = np.full(len(ready.gt_id), NOBODY)
    if len(ready.gt_id) and len(ready.result_id):
        pairs, _ = matches(ready)
        partner[pairs.gt] = ready.result_id[pairs.result]
    return _switches(ready, partner)


def combine_clear(parts: Sequence[Clear]) -> Clear:
    """All sequences as one: everything adds up."""
    names = [f.name for f in fields(Clear) if f.name != "empty"]
    return Clear(**{name: sum(getattr(p, name) for p in parts) for name in names})


def matches(ready: Prepared) -> tuple[Overlaps, np.ndarray]:
    """The matched pairs of all frames, sorted by ground-truth row, and for every ground-truth box its row in
    the previous frame, -1 if it was not there."""
    close = ready.pairs.take(np.flatnonzero(ready.pairs.iou >= THRESHOLD - EPS))
    both = (np.diff(ready.gt_cut) > 0) & (np.diff(ready.result_cut) > 0)
    turn = np.cumsum(both)  # frames with boxes on one side only do not count as previous
    before_gt = _predecessors(ready.gt_id, turn[ready.gt_frame], both[ready.gt_frame])
    before_result = _predecessors(ready.result_id, turn[ready.result_frame], both[ready.result_frame])
    partner = _partners(close, before_gt[close.gt], before_result[close.result], ready)
    return close.take(np.flatnonzero(partner[close.gt] == close.result)), before_gt


def _predecessors(ids: np.ndarray, turn: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Row of the same id one turn earlier, or -1; rows whose frame has no turn of its own never are one."""
    before = np.full(len(ids), -1)
    rows = np.flatnonzero(counts)
    rows = rows[_by_id(ids[rows])]
    follows = (ids[rows[1:]] == ids[rows[:-1]]) & (turn[rows[1:]] == turn[rows[:-1]] + 1)
    before[rows[1:][follows]] = rows[:-1][follows]
    return before


def _by_id(ids: np.ndarray) -> np.ndarray:
    """Stable order by id; two-byte ids let numpy sort by radix."""
    small = len(ids) and ids.max() < 1 << 16
    return np.argsort(ids.astype(np.uint16) if small else ids, kind="stable")


def _partners(
    pairs: Overlaps, before_gt: np.ndarray, before_result: np.ndarray, ready: Prepared
) -> np.ndarray:
    """(G + 1,) result row matched to each ground-truth row, NOBODY if none (and in the last place).

    Each frame depends on the one before. All frames are solved at once with the matches known so far, then
    again where that changed the previous frame's matches, until nothing changes: by induction over frames
    that is the one solution. A pair with no rival is matched whatever came before, so it is not iterated.
    """
    partner = np.full(len(ready.gt_id) + 1, NOBODY)
    rivals = np.bincount(pairs.gt, minlength=len(partner))[pairs.gt]
    rivals = rivals + np.bincount(pairs.result, minlength=len(ready.result_id))[pairs.result]
    lone = rivals == 2
    partner[pairs.gt[lone]] = pairs.result[lone]
    frame = ready.gt_frame[pairs.gt]
    contested = np.flatnonzero(~lone)
    rows, cols = relabel(pairs.gt[contested])[0], relabel(pairs.result[contested])[0]
    stale = np.ones(ready.frames, bool)  # frames to solve (again)
    watched, kept = (
        tuple(x[contested] for x in (before_gt, before_result, frame)),
        np.zeros(len(contested), bool),
    )
    while True:
        now = partner[watched[0]] == watched[1]
        stale[watched[2][now != kept]] = True
        kept = now
        again = np.flatnonzero(stale[frame[contested]])
        if not len(again):
            return partner
        stale[:] = False
        todo = contested[again]
        weight = pairs.iou[todo] + KEEP * (partner[before_gt[todo]] == before_result[todo])
        taken, tied = decide(rows[again], cols[again], weight)
        taken = todo[taken]
        if len(tied):
            # a tie is broken by the dense solver, which sees the frame's other pairs too: watch them all
            watched, kept = (before_gt, before_result, frame), partner[before_gt] == before_result
            dense = _dense(pairs, KEEP * kept + pairs.iou, np.unique(frame[todo[tied]]), ready)
            taken = np.concatenate((taken[~np.isin(frame[taken], frame[dense])], dense))
        partner[pairs.gt[todo]] = NOBODY
        partner[pairs.gt[taken]] = pairs.result[taken]


def _dense(pairs: Overlaps, weight: np.ndarray, frames: np.ndarray, ready: Prepared) -> np.ndarray:
    """The pairs that the dense solver takes in these frames."""
    cuts = ready.gt_cut, ready.result_cut
    solved = [solve_frame(pairs.gt, pairs.result, weight, *(c[f : f + 2] for c in cuts)) for f in frames]
    return np.concatenate(solved)


def _switches(ready: Prepared, partner: np.ndarray) -> np.ndarray:
    """(gt_ids,) how often an identity's match differs from its last one, however long ago."""
    rows = np.flatnonzero(partner != NOBODY)
    rows = rows[_by_id(ready.gt_id[rows])]
    same = ready.gt_id[rows[1:]] == ready.gt_id[rows[:-1]]
    switched = rows[1:][same & (partner[rows[1:]] != partner[rows[:-1]])]
    return np.bincount(ready.gt_id[switched], minlength=ready.gt_ids)
