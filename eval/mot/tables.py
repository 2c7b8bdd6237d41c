"""The tables beside the metrics: intervals, comparison of two results, headroom."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from retrace.eval.mot.bootstrap import SHOWN, intervals, paired_intervals
from retrace.eval.mot.cameras import CameraMetrics
from retrace.eval.mot.report import COMBINED
from retrace.eval.mot.score import Metrics, combine
from retrace.eval.report import Cell, Section

FEW = 5  # sequences below which a bootstrap says little


def interval_table(metrics: Mapping[str, Metrics]) -> Section:
    """Combined metrics with their bootstrap intervals; none (n/a) of a single sequence."""
    parts = list(metrics.values())
    total = combine(parts).row()
    found = intervals(parts) if len(parts) > 1 else dict.fromkeys(SHOWN, (None, None))
    lines: list[list[Cell]] = [["combined", "%", "low", "high"]]
    lines += [[n, total[n], *found[n]] for n in SHOWN]
    title = f"95 % intervals, {len(parts)} sequences drawn 1000 times"
    return Section("intervals", title, lines, _interval_notes(len(parts)))


def comparison(
    title: str, metrics: Mapping[str, Metrics], others: Mapping[str, Metrics], difference: str, left: str
) -> Section:
    """These results minus the others, per sequence and combined, with paired intervals.

    Args:
        title: which minus which.
        metrics, others: of the same sequences, in the same order.
        difference: why the two are unlike, "" if nothing speaks against it.
        left: what could not be compared of how they were made, "" if nothing.
    """
    mine, other = list(metrics.values()), list(others.values())
    total = combine(mine).row(), combine(other).row()
    rows = [(n, a.row(), b.row()) for n, a, b in zip(metrics, mine, other, strict=True)]
    lines: list[list[Cell]] = [["sequence", *SHOWN, "IDSW"]]
    lines += [[name, *(a[n] - b[n] for n in (*SHOWN, "IDSW"))] for name, a, b in [*rows, (COMBINED, *total)]]
    bounds = paired_intervals(mine, other) if len(mine) > 1 else dict.fromkeys(SHOWN, (None, None))
    for label, k in (("95 % low", 0), ("95 % high", 1)):
        lines.append([label, *(bounds[n][k] for n in SHOWN), ""])
    notes = _interval_notes(len(mine)) + ([left] if left else [])
    warning = f" (unlike: {difference})" if difference else ""
    return Section("comparison", f"{title}{warning}", lines, notes, signed=True)


def _interval_notes(count: int) -> list[str]:
    if count < 2:
        return ["interval: n/a (needs at least 2 sequences)"]
    return [f"{count} sequences: an interval of so few is rough"] if count < FEW else []


def headroom(detections: str, totals: Mapping[float, Metrics], mine: Metrics, notes: list[str]) -> Section:
    """Perfect association of the detections by their least score (-inf: all boxes), beside the results."""
    shown = (*SHOWN, "IDSW")
    lines: list[list[Cell]] = [["perfect association of", *shown]]
    for floor, total in totals.items():
        label = "all boxes" if floor == float("-inf") else f"boxes >= {floor:g}"
        lines.append([label, *(total.row()[n] for n in shown)])
    lines.append(["these results", *(mine.row()[n] for n in shown)])
    return Section("headroom", f"headroom with {detections}", lines, notes)


def site_table(site: CameraMetrics) -> Section:
    """All cameras of a site as one, beside what each is alone."""
    row, names = site.row(), ("HOTA", "AssA", "IDF1", "IDP", "IDR")
    whole = site.together.row()
    lines: list[list[Cell]] = [["", *names, "CVIDF1", "CVMA"]]
    lines.append(["all cameras as one", *(whole[name] for name in names), row["CVIDF1"], row["CVMA"]])
    alone = [metrics.row() for metrics in site.each.values()]
    means = [float(np.mean([one[name] for one in alone])) for name in names]
    lines.append(["mean of the cameras alone", *means, None, None])
    notes = [
        "One bijection of identities over all cameras: its IDF1 is MTMC IDF1, which is CVIDF1.",
        f"AssA within cameras is {100 * row['AssA within']:.2f}; crossing between them costs "
        f"{100 * row['AssA lost across']:.2f}.",
    ]
    return Section("cameras", f"{len(site.each)} cameras of one site", lines, notes)


def ground_table(found: Metrics, reach: float) -> Section:
    """All cameras of a site on its ground."""
    row, names = found.row(), ("HOTA", "DetA", "AssA", "IDF1", "MOTA", "MODA")
    lines: list[list[Cell]] = [["", *names], ["people on the ground", *(row[name] for name in names)]]
    note = f"Similar by 1 - distance / {reach:g}, of the ground's unit; MOTA, MODA and IDF1: nearer than {reach / 2:g}."
    return Section("ground", "where people stand", lines, [note])
