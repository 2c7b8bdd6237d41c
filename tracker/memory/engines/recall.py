"""What an engine finds on a gallery of one's own, beside comparing all, and how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from retrace.tracker.memory.engines.engine import NONE, Engine, Rows


@dataclass(frozen=True, slots=True)
class Recall:
    """Of the nearest of some of its own vectors, each one's own not counted.

    Example:
        >>> import numpy as np
        >>> from retrace.tracker.memory.engines import Exact, recall_of, rows_of
        >>> engine, zeros = Exact(dimension=8), np.zeros(8)
        >>> rows = rows_of(np.arange(8), zeros, zeros, zeros, np.eye(8))
        >>> engine.add(rows)
        >>> found = recall_of(engine, engine, rows.take(slice(0, 3)))  # it is its own judge
        >>> found.vectors, found.asked, found.first, found.ms > 0
        (8, 3, 1.0, True)
    """

    vectors: int  # in the engine
    asked: int  # searches
    first: float  # share of the nearest that were found
    ten: float  # of the ten nearest
    ms: float  # a search, median
    exact_ms: float  # by the judge


def recall_of(
    engine: Engine, judge: Engine, rows: Rows, now: Callable[[], float] = time.perf_counter
) -> Recall:
    """Search each of ``rows`` in both engines, which hold the same.

    Args:
        engine: to be measured.
        judge: an exact one.
        rows: (N,) some vectors of the gallery; others have ids that it does not have.
        now: s, what a search is timed by.

    Example:
        >>> import numpy as np
        >>> from retrace.tracker.memory.engines import Exact, recall_of, rows_of
        >>> engine, zeros = Exact(dimension=8), np.zeros(8)
        >>> rows = rows_of(np.arange(8), zeros, zeros, zeros, np.eye(8))
        >>> engine.add(rows)
        >>> recall_of(engine, engine, rows).ten  # it is its own judge
        1.0
    """
    found, took = _asked(engine, rows, now)
    truth, exact_took = _asked(judge, rows, now)
    own = rows.id[:, None]
    shares = []
    for most in (1, 10):
        wanted = np.array([line[line != me][:most] for line, (me,) in zip(truth, own, strict=True)])
        known = wanted != NONE
        hit = np.array([np.isin(line, told) for line, told in zip(wanted, found, strict=True)]) & known
        shares.append(float(hit.sum() / max(1, int(known.sum()))))
    first, ten = shares
    return Recall(len(engine.held()[0]), len(rows.id), first, ten, took, exact_took)


def _asked(engine: Engine, rows: Rows, now: Callable[[], float]) -> tuple[np.ndarray, float]:
    """(N, 11) ids, and the median time of a search in ms."""
    found, took = [], []
    for vector in rows.vector:  # one by one, as they are asked
        begun = now()
        found.append(engine.search(vector[None], 11)[0][0])
        took.append(1e3 * (now() - begun))
    return np.array(found).reshape(-1, 11), float(np.median(took)) if took else 0.0
