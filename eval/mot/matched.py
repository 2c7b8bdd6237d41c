"""Box by box: which result box is which person's, which people were missed, which boxes are nobody's."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from retrace.eval.mot.clear import matches
from retrace.eval.mot.preprocess import check_benchmark, prepare
from retrace.tracker.data import MotTable


class MatchedRows(NamedTuple):
    """Rows of the two tables, as CLEAR matches them; what a benchmark does not score is in none of them."""

    gt: np.ndarray  # (M,) int64 rows of the ground truth, ascending
    result: np.ndarray  # (M,) int64 the result row of each
    missed: np.ndarray  # (FN,) int64 rows of the ground truth
    false: np.ndarray  # (FP,) int64 rows of the result


def matched_rows(gt: MotTable, result: MotTable, length: int, benchmark: str = "custom") -> MatchedRows:
    """As many of each as ``evaluate(...).clear`` has TP, FN and FP.

    Args:
        gt, result, length, benchmark: as for :func:`retrace.eval.mot.evaluate`; tables that it would not refuse.

    Raises:
        InputError: another benchmark.
    """
    check_benchmark(benchmark)
    nothing = np.zeros(0, np.int64)
    ready = prepare(gt, result, length, benchmark)
    if not len(ready.gt_row) or not len(ready.result_row):
        return MatchedRows(nothing, nothing, ready.gt_row, ready.result_row)
    pairs, _ = matches(ready)
    rows = ready.gt_row[pairs.gt], ready.result_row[pairs.result]
    return MatchedRows(
        *rows,
        np.setdiff1d(ready.gt_row, rows[0], assume_unique=True),
        np.setdiff1d(ready.result_row, rows[1], assume_unique=True),
    )
