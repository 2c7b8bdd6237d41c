"""Results by hand and at random, for the offline passes."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from retrace.tracker.data import MotTable


def table(rows):
    """(frame, id, x1, y1, x2, y2[, score[, class]]) a row."""
    rows = [(*row, *(1.0, 1)[len(row) - 6 :]) for row in rows]
    a = np.array(rows, float).reshape(-1, 8)
    whole = a[:, [0, 1, 7]].astype(np.int64).T
    return MotTable(whole[0], whole[1], a[:, 2:6], a[:, 6], whole[2], np.ones(len(a)))


def random_table(seed, ids=20, frames=80, area=300):
    """Wandering people who come and go, with holes; rows sorted by frame, then id."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in rng.permutation(ids).tolist():
        first, length = int(rng.integers(frames)), int(rng.integers(1, frames // 2))
        place, step = rng.uniform(0, area, 2), rng.normal(0, 2, 2)
        size = rng.uniform(15, 25) * np.array([1, 2.4])
        for k in range(first, min(first + length, frames)):
            place = place + step + rng.normal(0, 1, 2)
            if k == first or rng.random() < 0.7:
                rows.append((k, i, *place, *(place + size), rng.uniform(0.3, 1)))
    return by_frame(table(rows))


def by_frame(t):
    return t.take(np.lexsort((t.id, t.frame)))


def same(a, b):
    for f in fields(MotTable):
        np.testing.assert_array_equal(getattr(a, f.name), getattr(b, f.name), err_msg=f.name)
