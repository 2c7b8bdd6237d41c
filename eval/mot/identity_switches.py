"""Identity switches one by one: whom CLEAR's IDSW counts, when, and between which identities."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from retrace.eval.mot.clear import NOBODY, matches
from retrace.eval.mot.preprocess import check_benchmark, prepare
from retrace.tracker.data import MotTable


class IdentitySwitch(NamedTuple):
    """A person is matched to another identity than the last time, however long ago."""

    person: int  # id in the ground truth
    frame: int  # from 0: the first with the new identity
    last: int  # the last frame before it with a match
    before: int  # the identity then
    after: int  # the identity now


def identity_switches(
    gt: MotTable, result: MotTable, length: int, benchmark: str = "custom"
) -> list[IdentitySwitch]:
    """Every switch that CLEAR counts, by frame, then person; as many as ``evaluate(...).clear.IDSW``.

    Args:
        gt, result, length, benchmark: as for :func:`retrace.eval.mot.evaluate`; tables that it would not refuse.

    Raises:
        InputError: another benchmark.
    """
    check_benchmark(benchmark)
    if not len(gt) or not len(result):
        return []
    ready = prepare(gt, result, length, benchmark)
    pairs, _ = matches(ready)
    partner = np.full(len(ready.gt_id), NOBODY)
    partner[pairs.gt] = result.id[ready.result_row[pairs.result]]
    person = gt.id[ready.gt_row]
    rows = (partner != NOBODY).nonzero()[0]
    rows = rows[np.lexsort((ready.gt_frame[rows], person[rows]))]
    a, b = rows[:-1], rows[1:]
    which = ((person[a] == person[b]) & (partner[a] != partner[b])).nonzero()[0]
    a, b = a[which], b[which]
    columns = (person[b], ready.gt_frame[b], ready.gt_frame[a], partner[a], partner[b])
    found = [IdentitySwitch(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]
    return sorted(found, key=lambda switch: (switch.frame, switch.person))
