"""Vector engines of an identity memory: ms a search, recall beside comparing all, and what building takes.

The vectors are made up as those of tracklets lie: `VIEWS` of each person with a cosine of 0.67 among them and 0 on
average to others, most of them along few directions; or they are the gallery of a features file (docs:
`eval_reid.py`). A search is a new view of somebody in the gallery, or a query of the file. One search at a time.
Seconds and ms are of CPU, all threads together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from retrace.configs import InputError
from retrace.tracker.memory.engines import Engine, Exact, Rows, open_engine, recall_of, rows_of

VIEWS = 10  # of a person
SPREAD = 0.7  # deviation of a view about its person's vector of norm 1
# Directions in which variance falls to 1/e: 45 directions' worth in all, as (sum v)^2 / sum v^2 counts. This
# project's networks have 33 to 52 on people whom they never saw (LOG.md).
DIRECTIONS = 22.5
BLOCK = 50_000  # vectors made at once


def made_up(count: int, dimension: int, seed: int) -> Iterator[Rows]:
    """A gallery in blocks; ids from 1."""
    for start in range(0, count, BLOCK):
        number = np.arange(start, min(count, start + BLOCK))
        yield _rows(number + 1, views(number // VIEWS, dimension, seed, (seed, 1, start)))


def views(person: np.ndarray, dimension: int, seed: int, noise: tuple[int, ...]) -> np.ndarray:
    """(N, D) float32 unit views of people, who lie where ``seed`` says."""
    who, place = np.unique(person, return_inverse=True)
    own = np.stack([_normal((seed, 0, one), dimension) for one in who.tolist()])[place]
    found = own + SPREAD * np.random.default_rng(noise).standard_normal(own.shape, np.float32)
    found *= np.exp(-np.arange(dimension, dtype=np.float32) / (2 * DIRECTIONS))
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found


def _normal(seed: tuple[int, ...], dimension: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(dimension, np.float32)


def _rows(ids: np.ndarray, vector: np.ndarray) -> Rows:
    return rows_of(ids, np.zeros(len(ids)), 1.0 * ids, 1.0 * ids, vector)


def measure(
    *,
    vectors: Sequence[int],
    engines: Sequence[str],
    dimension: int,
    searches: int,
    seed: int,
    say: Callable[[str], None],
    features: str | None = None,
) -> dict[str, Any]:
    """Build and ask each engine; a row each under "engines".

    Args:
        vectors: sizes of made-up galleries.
        engines: names (`open_engine`); what they keep is left in no file.
        dimension: of made-up vectors.
        searches: a gallery.
        features: a features file: its gallery instead.

    Raises:
        InputError: a number that cannot be, no such file or engine.
    """
    if min([*vectors, dimension, searches]) < 1:
        raise InputError("`vectors`, `dimension` and `searches` must be positive")
    if features is not None:
        vector, asked = _from_file(Path(features), searches)
        galleries: list[tuple[Callable[[], Iterator[Rows]], Rows]] = [
            (lambda: iter([_rows(np.arange(1, len(vector) + 1), vector)]), asked)
        ]
    else:
        galleries = [_gallery(count, dimension, searches, seed) for count in vectors]
    rows = []
    for blocks, asked in galleries:
        judge = _filled(Exact(asked.vector.shape[1]), blocks)[0]
        for name in engines:
            rows.append(_measured(name, judge, blocks, asked))
            say(
                "{vectors} vectors, {engine}: built in {build_s:.1f} s, {ms:.2f} ms a search; of the ten nearest "
                "{recall:.4f} found".format(**rows[-1])
            )
    return {"engines": rows}


def _gallery(
    count: int, dimension: int, searches: int, seed: int
) -> tuple[Callable[[], Iterator[Rows]], Rows]:
    who = np.random.default_rng((seed, 2)).integers(0, -(-count // VIEWS), searches)
    asked = _rows(-2 - np.arange(searches), views(who, dimension, seed, (seed, 3)))  # ids that nobody has
    return lambda: made_up(count, dimension, seed), asked


def _from_file(path: Path, searches: int) -> tuple[np.ndarray, Rows]:
    from retrace.eval.ranking.features import read_features

    told = read_features(path)
    query, gallery = (
        side.features / np.linalg.norm(side.features, axis=1, keepdims=True)
        for side in (told.query, told.gallery)
    )
    some = query[np.linspace(0, len(query) - 1, min(searches, len(query))).astype(int)]
    return gallery, _rows(-2 - np.arange(len(some)), some)


def _filled(engine: Engine, blocks: Callable[[], Iterator[Rows]]) -> tuple[Engine, float]:
    taken = 0.0
    for rows in blocks():
        begun = time.process_time()
        engine.add(rows)
        taken += time.process_time() - begun
    return engine, taken


def _measured(name: str, judge: Engine, blocks: Callable[[], Iterator[Rows]], asked: Rows) -> dict[str, Any]:
    count, dimension = len(judge.held()[0]), asked.vector.shape[1]
    engine, taken = judge, 0.0
    if name != "exact":
        nowhere = Path("/nonexistent") / "memory"
        engine, taken = _filled(open_engine(name, nowhere, f"bench_{count}", dimension, count), blocks)
    engine.search(asked.vector[:1], 11)  # a graph measures itself first
    found = recall_of(engine, judge, asked, time.process_time)
    engine.close()
    looked = {"look_at": engine.look_at} if hasattr(engine, "look_at") else {}
    return {
        "engine": name, "vectors": count, "build_s": taken, "ms": found.ms, "recall": found.ten,
        "recall_first": found.first, **looked,
    }  # fmt: skip
