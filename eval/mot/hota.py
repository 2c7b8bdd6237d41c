"""HOTA: detection and association in one number, over 19 localisation thresholds alpha.

Luiten et al., "HOTA: A Higher Order Metric for Evaluating Multi-Object Tracking", IJCV 2021; as TrackEval
1.3.0 computes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retrace.eval.mot.match import match_frames
from retrace.eval.mot.overlap import EPS
from retrace.eval.mot.preprocess import Prepared, relabel

ALPHAS = np.arange(0.05, 0.99, 0.05)
COUNT = len(ALPHAS)
BLOCK = 128  # numpy sums a contiguous run in blocks of at most 128 with 8 running sums
DENSE = 1 << 24  # largest table of id pairs that is indexed directly (128 MB)


@dataclass(frozen=True, slots=True, eq=False)
class Hota:
    """(19,) float64 each, one entry an alpha; TP, FN, FP are whole numbers."""

    TP: np.ndarray
    FN: np.ndarray
    FP: np.ndarray
    AssA: np.ndarray
    AssRe: np.ndarray
    AssPr: np.ndarray
    LocA: np.ndarray

    @property
    def DetA(self) -> np.ndarray:
        return self.TP / np.maximum(1, self.TP + self.FN + self.FP)

    @property
    def DetRe(self) -> np.ndarray:
        return self.TP / np.maximum(1, self.TP + self.FN)

    @property
    def DetPr(self) -> np.ndarray:
        return self.TP / np.maximum(1, self.TP + self.FP)

    @property
    def HOTA(self) -> np.ndarray:
        return np.sqrt(self.DetA * self.AssA)

    @property
    def OWTA(self) -> np.ndarray:
        return np.sqrt(self.DetRe * self.AssA)


def hota(ready: Prepared) -> Hota:
    """HOTA of one sequence."""
    gts, results, zero = len(ready.gt_id), len(ready.result_id), np.zeros(COUNT)
    if not gts or not results:
        return Hota(zero, zero + gts, zero + results, zero, zero, zero, zero + 1)
    found = _matches(ready)
    tp = _per_alpha(np.zeros(len(found.level), np.int64), found.level, 1)[0].astype(float)
    located = _per_alpha(found.frame, found.level, ready.frames, found.iou).sum(0)
    count, gt_length, result_length = found.count, found.gt_length, found.result_length
    per_match = np.maximum(1, tp)
    return Hota(
        TP=tp,
        FN=gts - tp,
        FP=results - tp,
        AssA=(count * (count / np.maximum(1, gt_length + result_length - count))).sum(0) / per_match,
        AssRe=(count * (count / np.maximum(1, gt_length))).sum(0) / per_match,
        AssPr=(count * (count / np.maximum(1, result_length))).sum(0) / per_match,
        LocA=np.maximum(1e-10, located) / np.maximum(1e-10, tp),
    )


def hota_by_person(ready: Prepared) -> list[Hota]:
    """HOTA of each true identity, in the order of ``gt_id``; combined they are the whole's.

    False boxes are nobody's: each person has a share of them as of the true boxes. An association counts with the
    person whose it is, so AssPr loses what others lost to the same track.
    """
    if not len(ready.gt_id):
        return []
    whole, boxes = hota(ready), np.bincount(ready.gt_id, minlength=ready.gt_ids)
    shape = (ready.gt_ids, COUNT)
    tp, located, sums = np.zeros(shape), np.zeros(shape), np.zeros((3, *shape))
    if len(ready.result_id):
        found = _matches(ready)
        tp = _per_alpha(found.person, found.level, ready.gt_ids).astype(float)
        located = _per_alpha(found.person, found.level, ready.gt_ids, found.iou)
        count, gt_length, result_length = found.count, found.gt_length, found.result_length
        for total, of in zip(
            sums, (gt_length + result_length - count, gt_length, result_length), strict=True
        ):
            np.add.at(total, found.owner, count * (count / np.maximum(1, of)))
    false = whole.FP * (boxes / len(ready.gt_id))[:, None]
    association = sums / np.maximum(1, tp)
    where = np.maximum(1e-10, located) / np.maximum(1e-10, tp)
    rows = zip(tp, boxes[:, None] - tp, false, *association, where, strict=True)
    return [Hota(*row) for row in rows]


@dataclass(frozen=True, slots=True, eq=False)
class _Matches:
    """Matched boxes (M,), and pairs of identities (Q,) with their matches."""

    level: np.ndarray  # (M,) how many alphas a match satisfies
    iou: np.ndarray  # (M,)
    frame: np.ndarray  # (M,)
    person: np.ndarray  # (M,) true identity
    count: np.ndarray  # (Q, 19) matches of a pair at each alpha
    owner: np.ndarray  # (Q,) the pair's true identity
    gt_length: np.ndarray  # (Q, 1) boxes of the true identity
    result_length: np.ndarray  # (Q, 1) boxes of the other


def _matches(ready: Prepared) -> _Matches:
    """The boxes matched, frame by frame, so that identities fit best."""
    pairs = ready.pairs
    gt_length = np.bincount(ready.gt_id, minlength=ready.gt_ids)[ready.gt_id[pairs.gt]]
    result_length = np.bincount(ready.result_id, minlength=ready.result_ids)[ready.result_id[pairs.result]]
    both, code = _id_pairs(ready)
    common = np.bincount(code, _soft_overlap(ready), both)[code]
    # how well two identities fit, before any matching: shared frames over all their frames, weighted by overlap
    alignment = common / (gt_length + result_length - common)
    matched = match_frames(pairs.gt, pairs.result, alignment * pairs.iou, ready.gt_cut, ready.result_cut)
    level = np.searchsorted(ALPHAS - EPS, pairs.iou[matched], side="right")
    matched, level = matched[level > 0], level[level > 0]
    place, pairings = relabel(code[matched])
    example = np.zeros(pairings, np.int64)
    example[place] = matched
    box = pairs.gt[matched]
    return _Matches(
        level,
        pairs.iou[matched],
        ready.gt_frame[box],
        ready.gt_id[box],
        _per_alpha(place, level, pairings),
        ready.gt_id[pairs.gt[example]],
        gt_length[example][:, None],
        result_length[example][:, None],
    )


def combine_hota(parts: Sequence[Hota]) -> Hota:
    """All sequences as one: detection counts add up, association and localisation are weighted by TP."""
    tp, fn, fp = (sum(getattr(p, name) for p in parts) for name in ("TP", "FN", "FP"))
    weighted = {
        name: sum(getattr(p, name) * p.TP for p in parts) / np.maximum(1.0, tp)
        for name in ("AssA", "AssRe", "AssPr")
    }
    located = np.maximum(1e-10, sum(p.LocA * p.TP for p in parts)) / np.maximum(1e-10, tp)
    return Hota(tp, fn, fp, LocA=located, **weighted)


def _per_alpha(
    group: np.ndarray, level: np.ndarray, groups: int, amount: np.ndarray | None = None
) -> np.ndarray:
    """(groups, 19) matches (or their summed ``amount``) that satisfy each alpha; ``level``: how many one does."""
    table = np.bincount(group * (COUNT + 1) + level, amount, groups * (COUNT + 1)).reshape(-1, COUNT + 1)
    return table[:, :0:-1].cumsum(1)[:, ::-1]


def _id_pairs(ready: Prepared) -> tuple[int, np.ndarray]:
    """A number for each pair of identities: (how many numbers, (P,) numbers)."""
    code = ready.gt_id[ready.pairs.gt] * ready.result_ids + ready.result_id[ready.pairs.result]
    size = int(code.max(initial=0)) + 1
    if size > DENSE:
        code, size = relabel(code)
    return size, code


def _soft_overlap(ready: Prepared) -> np.ndarray:
    """(P,) each pair's IoU over all that its two boxes have with anybody: 1 where nobody else is near."""
    pairs = ready.pairs
    gt_sum, result_sum = _box_sums(ready)
    union = result_sum[pairs.result] + gt_sum[pairs.gt] - pairs.iou
    return np.where(union > EPS, pairs.iou / union, 0)


def _box_sums(ready: Prepared) -> tuple[np.ndarray, np.ndarray]:
    """Each box's summed IoU with the other side's boxes of its frame: (G,), (R,).

    To the last bit as numpy sums TrackEval's dense matrices, because these sums decide ties of identities
    that move alike: a matrix's columns are summed row after row, its rows (and a single column) in blocks.
    """
    pairs = ready.pairs
    frame = ready.gt_frame[pairs.gt]
    gt_count, result_count = np.diff(ready.gt_cut), np.diff(ready.result_cut)
    gt_sum = _blocked_sum(
        pairs.gt, pairs.result - ready.result_cut[frame], pairs.iou, result_count[ready.gt_frame]
    )
    result_sum = np.bincount(pairs.result, pairs.iou, len(ready.result_id))
    lone = result_count[ready.result_frame] == 1
    some = np.flatnonzero(lone[pairs.result])
    if len(some):
        place = pairs.gt[some] - ready.gt_cut[frame[some]]
        blocked = _blocked_sum(pairs.result[some], place, pairs.iou[some], gt_count[ready.result_frame])
        result_sum[lone] = blocked[lone]
    return gt_sum, result_sum


def _blocked_sum(owner: np.ndarray, place: np.ndarray, value: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Sums of sparse runs in numpy's order for contiguous ones (``pairwise_sum`` in its source).

    Args:
        owner, place, value: (P,) the run a value belongs to, where it stands in it; places ascend in a run.
        length: (N,) length of each run, zeros included.

    Returns:
        (N,) sums.
    """
    long = length > BLOCK
    if long.any():
        half = length // 2
        half -= half % 8
        second = long[owner] & (place >= half[owner])
        first = _blocked_sum(owner[~second], place[~second], value[~second], np.where(long, half, length))
        o, p = owner[second], place[second] - half[owner[second]]
        return first + _blocked_sum(o, p, value[second], np.where(long, length - half, 0))
    lanes = place < (length - length % 8)[owner]
    counted = np.bincount(owner[lanes] * 8 + place[lanes] % 8, value[lanes], len(length) * 8)
    part = counted.astype(np.float64).reshape(-1, 8)  # numpy counts nothing in integers, weights or not
    total = ((part[:, 0] + part[:, 1]) + (part[:, 2] + part[:, 3])) + (
        (part[:, 4] + part[:, 5]) + (part[:, 6] + part[:, 7])
    )
    np.add.at(total, owner[~lanes], value[~lanes])
    return total
