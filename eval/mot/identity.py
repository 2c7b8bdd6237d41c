"""Identity metrics: one result identity for each true one, over the whole sequence.

Ristani et al., "Performance Measures and a Data Set for Multi-Target, Multi-Camera Tracking", 2016.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retrace.eval.mot.match import best_pairs
from retrace.eval.mot.preprocess import Prepared

THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class Identity:
    """Boxes rightly, not, and wrongly identified."""

    IDTP: int
    IDFN: int
    IDFP: float  # whole, but of a person

    @property
    def IDF1(self) -> float:
        return self.IDTP / max(1.0, self.IDTP + 0.5 * self.IDFP + 0.5 * self.IDFN)

    @property
    def IDR(self) -> float:
        return self.IDTP / max(1.0, self.IDTP + self.IDFN)

    @property
    def IDP(self) -> float:
        return self.IDTP / max(1.0, self.IDTP + self.IDFP)


def identity(ready: Prepared) -> Identity:
    """Identity metrics of one sequence.

    The assignment that misses least is the one that matches most boxes: FN + FP = gt + results - 2 TP. So
    IDTP is the weight of a maximum matching, a whole number that ties cannot change.
    """
    tp = int(_rightly_identified(ready).sum())
    return Identity(tp, len(ready.gt_id) - tp, len(ready.result_id) - tp)


def identity_by_person(ready: Prepared) -> list[Identity]:
    """Of each true identity, in the order of ``gt_id``; combined they are the whole's.

    Boxes wrongly identified are nobody's: each person has a share of them as of the true boxes.
    """
    tp, boxes = _rightly_identified(ready), np.bincount(ready.gt_id, minlength=ready.gt_ids)
    false = (len(ready.result_id) - tp.sum()) * boxes / max(1, len(ready.gt_id))
    return [Identity(*row) for row in zip(tp.tolist(), (boxes - tp).tolist(), false.tolist(), strict=True)]


def _rightly_identified(ready: Prepared) -> np.ndarray:
    """(gt_ids,) boxes that each true identity shares with the result identity that is assigned to it."""
    close = ready.pairs.take(np.flatnonzero(ready.pairs.iou >= THRESHOLD))
    code = ready.gt_id[close.gt] * max(1, ready.result_ids) + ready.result_id[close.result]
    seen, count = np.unique(code, return_counts=True)
    row, col = np.divmod(seen, max(1, ready.result_ids))
    taken = best_pairs(row, col, count.astype(np.float64))
    found = np.zeros(ready.gt_ids, np.int64)
    found[row[taken]] = count[taken]
    return found


def combine_identity(parts: Sequence[Identity]) -> Identity:
    """All sequences as one: the counts add up."""
    return Identity(sum(p.IDTP for p in parts), sum(p.IDFN for p in parts), sum(p.IDFP for p in parts))
