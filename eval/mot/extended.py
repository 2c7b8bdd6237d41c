"""py-motmetrics on our boxes: its extended table, with our distances (its own IoU breaks on NumPy 2)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from retrace.configs import InputError
from retrace.eval.mot.overlap import EPS
from retrace.eval.mot.preprocess import Prepared
from retrace.eval.report import Cell

COUNTS = (
    "num_frames", "num_unique_objects", "mostly_tracked", "partially_tracked", "mostly_lost",
    "num_false_positives", "num_misses", "num_switches", "num_fragmentations", "num_transfer",
    "num_ascend", "num_migrate",
)  # fmt: skip
FRACTIONS = ("idf1", "idp", "idr", "recall", "precision", "mota", "motp")


def accumulate(ready: Prepared) -> Any:
    """A filled ``motmetrics.MOTAccumulator``: distance 1 - IoU, pairs below IoU 0.5 excluded (NaN).

    Raises:
        InputError: py-motmetrics is not installed.
    """
    try:
        import motmetrics
    except ImportError:
        raise InputError("`motmetrics` needs py-motmetrics: pip install motmetrics") from None

    accumulator = motmetrics.MOTAccumulator()
    pair_cut = np.searchsorted(ready.pairs.gt, ready.gt_cut)
    for t in range(ready.frames):
        g, r, p = (slice(*cut[t : t + 2]) for cut in (ready.gt_cut, ready.result_cut, pair_cut))
        distance = np.full((g.stop - g.start, r.stop - r.start), np.nan)
        iou = ready.pairs.iou[p]
        distance[ready.pairs.gt[p] - g.start, ready.pairs.result[p] - r.start] = np.where(
            iou >= 0.5 - EPS, 1 - iou, np.nan
        )
        accumulator.update(ready.gt_id[g], ready.result_id[r], distance, frameid=t)
    return accumulator


def extended_table(accumulators: Mapping[str, Any]) -> list[list[Cell]]:
    """Lines of the table, a head first; fractions in [0, 1], None where there is nothing to divide by.

    Args:
        accumulators: by sequence, from :func:`accumulate`.

    It differs from ours where py-motmetrics counts otherwise: MT from 0.8 on (TrackEval: above), a match is
    kept from any earlier frame (TrackEval: the previous one), MOTP is a distance.
    """
    import motmetrics

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas' deprecations inside py-motmetrics
        found = motmetrics.metrics.create().compute_many(
            list(accumulators.values()),
            metrics=[*FRACTIONS, *COUNTS],
            names=list(accumulators),
            generate_overall=True,
        )
    lines: list[list[Cell]] = [["sequence", *FRACTIONS, *(c.removeprefix("num_") for c in COUNTS)]]
    for name, row in found.iterrows():
        lines.append(
            [
                str(name),
                *(float(row[f]) if np.isfinite(row[f]) else None for f in FRACTIONS),
                *(int(row[c]) for c in COUNTS),
            ]
        )
    return lines
