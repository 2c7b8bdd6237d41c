"""An identity memory of many people: inserts a second, the file's size, exact search, opening, room, and who is who.

The people are made up: everybody comes to a camera of a ring, stays 2 to 15 s, walks to a neighbour in about 20 s,
makes 8 such visits in the mean and is gone; one in ten comes back within two hours. Vectors of one person have a
cosine of 0.8, as means of visits have. Tracklets arrive a window at a time, as from a tracker, each window a
transaction that outlives the process once `add` returns. Seconds are of CPU, all threads together.
"""

from __future__ import annotations

import heapq
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from retrace.configs import InputError
from retrace.eval.partition import evaluate_partition
from retrace.tracker.memory import Memory, Tracklet
from retrace.tracker.memory.editing import tidy
from retrace.tracker.memory.search import search

VISITS = 8.0  # of a person, mean
STAY = (2.0, 15.0)  # s
WALK = (20.0, 4.0)  # s, mean and deviation, between two neighbours
BACK = (0.1, 1800.0, 7200.0)  # share who come back, after so many s
SPREAD = 0.5  # deviation of a vector about its person's, both of norm 1: a cosine of 1 / (1 + SPREAD^2)
PARTS = 10  # of the stream, timed by themselves
SEARCHES = 20


def passers(
    count: int, cameras: int, rate: float, dimension: int, seed: int, window: float
) -> Iterator[tuple[list[int], list[Tracklet]]]:
    """Windows of tracklets by their end, and whose they are; ``count`` in all, ``rate`` a second in the long run."""
    rng = np.random.default_rng(seed)
    inside: list[tuple[float, float, int, int, int]] = []  # end, begin, person, camera, visits left
    next_person, arrival = 0, 0.0
    who: list[int] = []
    told: list[Tracklet] = []
    for k in range(count):
        while not inside or arrival <= inside[0][0]:
            visit = _visit(
                arrival, next_person, int(rng.integers(cameras)), int(rng.geometric(1 / VISITS)), rng
            )
            heapq.heappush(inside, visit)
            next_person, arrival = next_person + 1, arrival + float(rng.exponential(VISITS / rate))
        end, begin, person, camera, left = heapq.heappop(inside)
        if told and end > told[0].end + window:
            yield who, told
            who, told = [], []
        vector = _look(person, dimension, seed) + rng.normal(0, SPREAD / np.sqrt(dimension), dimension)
        vector = (vector / np.linalg.norm(vector)).astype(np.float32)
        who.append(person)
        told.append(Tracklet(f"c{camera}", f"c{camera}", k, begin, end, 5, vector, frozenset()))
        if left > 1:
            away, place = max(1.0, float(rng.normal(*WALK))), (camera + int(rng.choice((-1, 1)))) % cameras
            heapq.heappush(inside, _visit(end + away, person, place, left - 1, rng))
        elif rng.random() < BACK[0]:
            again = end + float(rng.uniform(*BACK[1:]))
            heapq.heappush(inside, _visit(again, person, camera, int(rng.geometric(1 / VISITS)), rng))
    yield who, told


def _visit(
    begin: float, person: int, camera: int, left: int, rng: np.random.Generator
) -> tuple[float, float, int, int, int]:
    return begin + float(rng.uniform(*STAY)), begin, person, camera, left


def _look(person: int, dimension: int, seed: int) -> np.ndarray:
    """(D,) of norm about 1: the person's own."""
    return np.random.default_rng((seed, person)).standard_normal(dimension) / np.sqrt(dimension)


def measure(
    *,
    tracklets: int,
    cameras: int,
    rate: float,
    dimension: int,
    seed: int,
    say: Callable[[str], None],
    forget_after: float | None = None,
    keep: str | None = None,
) -> dict[str, Any]:
    """Fill a memory and ask it; what is returned stands under "memory".

    Args:
        tracklets: in all.
        cameras: in the ring.
        rate: tracklets a second on the memory's clock.
        dimension: of the vectors.
        forget_after: s; None: nobody is forgotten.
        keep: a file that must not be there yet; None: a temporary one.

    Raises:
        InputError: a number that cannot be, a file that is there.
    """
    if min(tracklets, cameras, dimension) < 1 or not rate > 0:
        raise InputError("`tracklets`, `cameras`, `dimension` and `rate` must be positive")
    if keep is not None and Path(keep).exists():
        raise InputError(f"{keep}: is there; name a new file")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(keep) if keep is not None else Path(folder) / "memory.db"
        with Memory(path, "made-up", dimension, "default", forget_after=forget_after) as memory:
            stream = passers(tracklets, cameras, rate, dimension, seed, memory.config.window)
            found = _fill(memory, stream, tracklets, say)
            found |= _ask(memory, seed, say)
            memory.store.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        found["file_mb"] = path.stat().st_size / 1e6
        begun = time.process_time()
        Memory(path).close()
        found["open_s"] = time.process_time() - begun
    say(f"file {found['file_mb']:.0f} MB, opened again in {found['open_s']:.1f} s")
    return {"memory": found}


def _fill(
    memory: Memory, stream: Iterator[tuple[list[int], list[Tracklet]]], count: int, say: Callable[[str], None]
) -> dict[str, Any]:
    true: list[int] = []
    told: list[int] = []
    begin: list[float] = []
    forgotten = 0
    parts: list[dict[str, float]] = []
    spent, before = 0.0, (0, 0.0)
    for who, window in stream:
        begun = time.process_time()
        decisions = memory.add(window)
        forgotten += tidy(memory)["people"]
        spent += time.process_time() - begun
        true += who
        told += [one.person for one in decisions]
        begin += [one.begin for one in window]
        if len(true) >= (len(parts) + 1) * count / PARTS:
            part = {
                "tracklets": float(len(true)),
                "per_s": (len(true) - before[0]) / max(spent - before[1], 1e-9),
                "people": float(memory.people.count),
                "resident_mb": resident_mb(),
            }
            parts.append(part)
            before = len(true), spent
            line = (
                "{tracklets:.0f} tracklets, {people:.0f} people: {per_s:.0f} a second, {resident_mb:.0f} MB"
            )
            say(line.format(**part))
    scores = evaluate_partition(np.array(true), np.array(told), np.array(begin))
    say(
        f"{len(true)} tracklets in {spent:.1f} s of CPU: {len(true) / spent:.0f} a second; "
        f"{scores.identities} identities of {scores.people} people, {forgotten} forgotten; purity {scores.purity:.4f}, "
        f"returns known {scores.return_recall:.3f}, strangers joined {scores.stranger_acceptance:.4f}"
    )
    return {
        "tracklets": len(true), "insert_cpu_s": spent, "per_s": len(true) / spent, "parts": parts,
        "people": scores.people, "identities": scores.identities, "forgotten": forgotten,
        "purity": scores.purity, "return_recall": scores.return_recall,
        "stranger_acceptance": scores.stranger_acceptance, "resident_mb": resident_mb(),
    }  # fmt: skip


def _ask(memory: Memory, seed: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Exact search: everybody's mean, and every vector of those who are named."""
    taken = []
    for person in range(SEARCHES):
        photo = _look(person, memory.store.dimension, seed).astype(np.float32)
        photo /= np.linalg.norm(photo)
        begun = time.process_time()
        search(memory, photo)
        taken.append(1e3 * (time.process_time() - begun))
    told = {"search_ms": float(np.median(taken)), "search_ms_p95": float(np.quantile(taken, 0.95))}
    say(f"exact search {told['search_ms']:.1f} ms, 95 % below {told['search_ms_p95']:.1f} ms")
    return told


def resident_mb() -> float:
    """Of this process now; NaN where there is no /proc."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except FileNotFoundError:
        return float("nan")
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
