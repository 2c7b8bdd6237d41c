"""Identity metrics: one result identity for each true one, over the whole sequence.

Ristani et al., "Performance Measures and a Data Set for Multi-Target, Multi-Camera Tracking", 2016.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retrace.eval.mot.match import best_total
from retrace.eval.mot.preprocess import Prepared

THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class Identity:
    """Boxes rightly, not, and wrongly identified."""

    IDTP: int
    IDFN: int
    IDFP: int

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
    gts, results = len(ready.gt_id), len(ready.result_id)
    close = ready.pairs.take(np.flatnonzero(ready.pairs.iou >= THRESHOLD))
    code = ready.gt_id[close.gt] * max(1, ready.result_ids) + ready.result_id[close.result]
    seen, count = np.unique(code, return_counts=True)
    row, col = np.divmod(seen, max(1, ready.result_ids))
    tp = round(best_total(row, col, count.astype(np.float64)))
    return Identity(tp, gts - tp, results - tp)


def combine_identity(parts: Sequence[Identity]) -> Identity:
    """All sequences as one: the counts add up."""
    return Identity(sum(p.IDTP for p in parts), sum(p.IDFN for p in parts), sum(p.IDFP for p in parts))
