"""Small scenes for the evaluation tests."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from hypothesis import strategies as st

from retrace.tracker.data import MotTable

Row = tuple[float, ...]  # frame, id, left, top, width, height[, score[, class]]


def table(rows: Iterable[Row]) -> MotTable:
    """A table of (frame, id, left, top, width, height[, score = 1[, class = 1]]) rows, 0-based frames."""
    full = [(*row, *(1, 1)[len(row) - 6 :]) for row in rows]
    array = np.array(full, dtype=np.float64).reshape(-1, 8)
    array = array[np.argsort(array[:, 0], kind="stable")]
    xyxy = array[:, 2:6].copy()
    xyxy[:, 2:] += xyxy[:, :2]
    return MotTable(
        frame=array[:, 0].astype(np.int64),
        id=array[:, 1].astype(np.int64),
        xyxy=xyxy,
        score=array[:, 6],
        class_id=array[:, 7].astype(np.int64),
        visibility=np.ones(len(array)),
    )


# A coarse grid of places and sizes: boxes coincide, so equally good matchings are common
PLACES = st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(0, 3), st.integers(1, 3))
FREE = st.tuples(*[st.floats(0, 60, width=32)] * 2, *[st.floats(5, 40, width=32)] * 2)


@st.composite
def tables(draw: st.DrawFn, frames: int, is_gt: bool, places: st.SearchStrategy[Row]) -> MotTable:
    """Up to 5 boxes a frame with unique ids, in any order."""
    rows = []
    for frame in range(frames):
        for identity in draw(st.lists(st.integers(0, 6), unique=True, max_size=5)):
            score = draw(st.sampled_from((1, 1, 1, 0))) if is_gt else 0.5
            cls = draw(st.sampled_from((1, 1, 1, 6, 7, 8, 13))) if is_gt else 1
            rows.append((frame, identity, *draw(places), score, cls))
    return table(rows)


@st.composite
def scenes(draw: st.DrawFn) -> tuple[MotTable, MotTable, int]:
    """Ground truth, result and length."""
    frames = draw(st.integers(1, 6))
    places = draw(st.sampled_from((PLACES, FREE)))
    return draw(tables(frames, True, places)), draw(tables(frames, False, places)), frames


def random_scene(rng: np.random.Generator, frames: int, boxes: int) -> tuple[MotTable, MotTable]:
    """A larger crowd: people on a grid that move a step a frame; results miss, add and switch some."""
    places = rng.integers(0, 8, (boxes, 2)) * 6.0
    sizes = rng.integers(2, 4, (boxes, 2)) * 6.0
    gt, result = [], []
    for t in range(frames):
        places += rng.integers(-1, 2, places.shape) * 3
        for k in range(boxes):
            box = (*places[k], *sizes[k])
            gt.append((t, k + 1, *box, float(rng.random() > 0.05), int(rng.choice([1, 1, 1, 7]))))
            if rng.random() > 0.2:
                shift = rng.integers(-1, 2, 2) * 3.0
                result.append(
                    (t, (k + t // 5 * int(rng.random() > 0.9)) % boxes, *(places[k] + shift), *sizes[k])
                )
    seen: set[tuple[float, float]] = set()
    unique = [r for r in result if (r[0], r[1]) not in seen and not seen.add((r[0], r[1]))]  # type: ignore[func-returns-value]
    order = rng.permutation(len(unique))
    return table(gt), table([unique[k] for k in order])
