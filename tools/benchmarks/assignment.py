"""Candidates and assignment, dense against sparse: the sizes at which tracker/association/assignment.py switches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import lap
import numpy as np
from scipy.optimize import linear_sum_assignment

from retrace.tools.benchmarks.side_by_side import as_table, generator, interleaved
from retrace.tracker.association import assignment

GAIN = 0.2  # least IoU of a pair
NEVER = 10**12  # a size that no problem has


def measure(
    objects: Sequence[int], rounds: int = 5, say: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """ "assign": a row for each number of objects and each way, CPU us a frame; ``say`` is told the table."""
    make_stream, rows = generator("gen").make_stream, []
    for n in objects:
        det = make_stream(n, 12, 0).det
        frames = [one[:, :4].astype(float) for one in det]
        problems = list(zip(frames[:-1], frames[1:], strict=True))
        ready = [_ready(a, b) for a, b in problems]
        repeats = max(1, 2000 // n)
        pairs = partial(_each, repeats, [partial(assignment.overlapping_pairs, a, b) for a, b in problems])
        solve = partial(_each, repeats, [partial(assignment.solve, *p) for p, _ in ready])
        scipy = [partial(linear_sum_assignment, np.minimum(c - (1 - GAIN), 0)) for _, c in ready]
        jonker = [partial(lap.lapjv, c, extend_cost=True, cost_limit=1 - GAIN) for _, c in ready]
        sides: dict[str, Callable[[], None]] = {
            "pairs: dense": partial(_switched, "SWEEP_FROM", NEVER, pairs),
            "pairs: sweep": partial(_switched, "SWEEP_FROM", 0, pairs),
            "solve: dense": partial(_switched, "SPLIT_FROM", NEVER, solve),
            "solve: split": partial(_switched, "SPLIT_FROM", 0, solve),
            "solve: as built": solve,
            "scipy on a ready matrix": partial(_each, repeats, scipy),
            "lap on a ready matrix": partial(_each, repeats, jonker),
        }
        each = repeats * len(problems)
        for name, seconds in interleaved(sides, rounds).items():
            rows.append({"objects": n, "side": name, "us a frame": round(1e6 * seconds / each, 1)})
    say(as_table("association, CPU time of one thread", rows))
    return {"assign": rows}


def _ready(a: np.ndarray, b: np.ndarray) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """The pairs that may be joined with their gain, and the same as a matrix of costs."""
    pairs = assignment.overlapping_pairs(a, b)
    gain = pairs.iou - GAIN
    cost = np.ones((len(a), len(b)))
    cost[pairs.row, pairs.col] -= pairs.iou
    return (pairs.row[gain > 0], pairs.col[gain > 0], gain[gain > 0]), cost


def _each(repeats: int, works: Sequence[Callable[[], Any]]) -> None:
    for _ in range(repeats):
        for work in works:
            work()


def _switched(name: str, value: int, work: Callable[[], None]) -> None:
    """The work with another size at which the module switches ways."""
    before = getattr(assignment, name)
    setattr(assignment, name, value)
    try:
        work()
    finally:
        setattr(assignment, name, before)
