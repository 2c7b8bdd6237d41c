"""All live tracks of one tracker: T rows, in a few arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from retrace.configs import InputError
from retrace.tracker.config import TrackerConfig
from retrace.tracker.motion.filters import Filters
from retrace.tracker.rows import ROW


@dataclass(frozen=True, slots=True)
class Depth:
    """How much a preset remembers of each track."""

    boxes: int = 0  # K last detections
    filters: int = 0  # 5: also the filter as it was at the last detection; 0: not
    vectors: int = 0  # B last appearance vectors
    scores: int = 0  # 5: a filter of its scores; 0: not

    @property
    def parts(self) -> dict[str, tuple[int, tuple[int, ...]]]:
        """Where each of MEMORIES begins in a row of the memory, and its shape."""
        shapes = ((self.boxes, 4), (self.boxes,), (self.filters, 4), (self.scores,))
        begin, found = 0, {}
        for name, shape in zip(MEMORIES, shapes, strict=True):
            found[name] = (begin, shape)
            begin += prod(shape)
        return found

    @property
    def width(self) -> int:
        """Numbers in a row of the memory."""
        return 5 * self.boxes + 4 * self.filters + self.scores


@dataclass(slots=True)
class Vectors:
    """What tracks look like, S places: a row's `slot` is its place, so that rows move and vectors do not.

    Places that no row has hold anything.
    """

    recent: np.ndarray  # (S, D) float32 appearance now: the last vector, or a running mean; zero: none yet
    history: np.ndarray  # (S, D) float32 mean of all appearance vectors matched so far (not a unit vector)
    bank: np.ndarray  # (S, B, D) float32 the last B vectors, newest first; zero: there were not so many

    @property
    def dimension(self) -> int:
        return self.recent.shape[1]

    def reserve(self, count: int) -> None:
        """Places for ``count`` rows at least."""
        if len(self.recent) < count:
            more = max(count, 2 * len(self.recent)) - len(self.recent)
            for name in ("recent", "history", "bank"):
                array = getattr(self, name)
                setattr(self, name, np.concatenate((array, np.zeros((more, *array.shape[1:]), np.float32))))

    def begin(self, slots: np.ndarray, vectors: np.ndarray | None) -> None:
        """Places (K,) are new tracks', of these first vectors (K, D); None: they have none yet."""
        self.recent[slots] = self.history[slots] = 0 if vectors is None else vectors
        self.bank[slots] = 0
        if vectors is not None:
            self.bank[slots, :1] = vectors[:, None]


def _column(name: str) -> property:
    return property(lambda live: live.rows[name], doc=f"(T,) a view of rows: {name}, see ROW.")


def _memory(name: str, what: str) -> property:
    def view(live: LiveTracks) -> np.ndarray:
        begin, shape = live.depth.parts[name]
        return live.memory[:, begin : begin + prod(shape)].reshape(live.count, *shape)

    return property(view, doc=f"{what}; a view.")


def _looks(name: str) -> property:
    def gather(live: LiveTracks) -> np.ndarray:
        array = getattr(live.vectors, name)
        return (
            array[live.slot]
            if live.vectors.dimension
            else np.zeros((len(live), *array.shape[1:]), np.float32)
        )

    return property(gather, doc=f"(T, ...) a copy: {name}, see Vectors.")


@dataclass(slots=True)
class LiveTracks:
    """T rows. The arrays may have room for more."""

    row_buffer: np.ndarray  # (C,) ROW
    filter_buffer: Filters  # (5, C, 4) float64, see tracker/motion/filters.py
    memory_buffer: np.ndarray  # (C, Depth.width) float64, MEMORIES side by side
    count: int  # T
    depth: Depth
    vectors: Vectors

    id = _column("id")
    hits = _column("hits")
    streak = _column("streak")
    born = _column("born")
    seen = _column("seen")
    column = _column("column")
    views = _column("views")
    slot = _column("slot")
    box = _column("box")
    score = _column("score")
    score_before = _column("score_before")
    class_id = _column("class_id")
    status = _column("status")
    past = _memory("past", "(T, K, 4) xyxy px, the last K detections, newest first, in this frame's pixels")
    past_time = _memory("past_time", "(T, K) s, when; NaN: there were not so many")
    kept = _memory("kept", "(T, 5 or 0, 4) the filter after the last detection, in this frame's pixels")
    scores = _memory("scores", "(T, 5 or 0) a filter of scores: X, V, XX, XV, VV as in filters.py")
    recent = _looks("recent")
    history = _looks("history")
    bank = _looks("bank")

    def __len__(self) -> int:
        return self.count

    @property
    def rows(self) -> np.ndarray:
        """(T,) ROW, a view; its columns by name: live.id, live.status, ..."""
        return self.row_buffer[: self.count]

    @property
    def filters(self) -> Filters:
        """(5, T, 4) float64, a view."""
        return self.filter_buffer[:, : self.count]

    @property
    def memory(self) -> np.ndarray:
        """(T, Depth.width) float64, a view: what is remembered beside the filters, see MEMORIES."""
        return self.memory_buffer[: self.count]

    def reserve(self, more: int) -> None:
        """Room for so many more rows."""
        if len(self.row_buffer) < self.count + more:
            size = 2 * (self.count + more)
            rows, filters = np.zeros(size, ROW), np.zeros((5, size, 4))
            memory = np.zeros((size, self.depth.width))
            rows[: self.count], filters[:, : self.count] = self.rows, self.filters
            memory[: self.count] = self.memory
            self.row_buffer, self.filter_buffer, self.memory_buffer = rows, filters, memory
        if len(self.vectors.recent) < self.count + more:
            self.vectors.reserve(self.count + more)

    def take(self, rows: np.ndarray) -> LiveTracks:
        """Some of them; vectors stay where they are."""
        filters = self.filters.take(rows, axis=1)
        return LiveTracks(self.rows[rows], filters, self.memory[rows], len(rows), self.depth, self.vectors)

    def append(self, new: LiveTracks, vectors: np.ndarray | None) -> LiveTracks:
        """These and new tracks (K), of these first vectors (K, D); None: they have none."""
        if self.vectors.dimension:
            self.vectors.reserve(self.count + len(new))
            new.slot[:] = free_slots(self.slot, len(self.vectors.recent))[: len(new)]
            self.vectors.begin(new.slot, vectors)
            new.views[:] = 0 if vectors is None else vectors.any(1)
        rows, memory = np.concatenate((self.rows, new.rows)), np.concatenate((self.memory, new.memory))
        filters = np.concatenate((self.filters, new.filters), axis=1)
        return LiveTracks(rows, filters, memory, self.count + len(new), self.depth, self.vectors)

    def widen(self, dimension: int) -> None:
        """Give appearance ``dimension`` columns when the first embeddings arrive; zero rows: none yet."""
        self.vectors = blank_vectors(self.count, self.depth, dimension)
        self.slot[:] = np.arange(self.count)


MEMORIES = ("past", "past_time", "kept", "scores")
COLUMNS = tuple(name for name in ROW.names or () if name != "slot")
NAMES = ("filters", *COLUMNS, *MEMORIES, "recent", "history", "bank")


def free_slots(slots: np.ndarray, size: int) -> np.ndarray:
    """The places of ``size`` that no row has, given those that rows have (T,)."""
    free = np.ones(size, np.bool_)
    free[slots] = False
    return np.nonzero(free)[0]


def kinds(class_id: np.ndarray, config: TrackerConfig) -> np.ndarray:
    """(N,) who competes with whom: the classes, or all alike for a preset that does not look at them."""
    return np.zeros_like(class_id) if config.class_agnostic else class_id


def blank_vectors(count: int, depth: Depth, dimension: int) -> Vectors:
    """Of ``count`` tracks that nobody has seen yet."""
    shape = (count, dimension)
    bank = np.zeros((count, depth.vectors, dimension), np.float32)
    return Vectors(np.zeros(shape, np.float32), np.zeros(shape, np.float32), bank)


def blank(count: int, depth: Depth, dimension: int = 0) -> LiveTracks:
    """``count`` tracks of which nothing is known."""
    rows = np.zeros(count, ROW)
    rows["slot"] = np.arange(count)
    memory, vectors = np.zeros((count, depth.width)), blank_vectors(count, depth, dimension)
    live = LiveTracks(rows, np.zeros((5, count, 4)), memory, count, depth, vectors)
    live.past_time[:] = np.nan
    return live


def packed(live: LiveTracks) -> dict[str, np.ndarray]:
    """Copies of all arrays, by name; one for each column of the rows."""
    return {f"tracks.{name}": getattr(live, name).copy() for name in NAMES}


def unpacked(state: Mapping[str, np.ndarray], depth: Depth) -> LiveTracks:
    """What :func:`packed` gave.

    Raises:
        InputError: an array of another dtype or shape than a preset with this ``depth`` has.
    """
    recent = np.asarray(state["tracks.recent"])
    count = len(np.atleast_1d(state["tracks.id"]))
    live = blank(count, depth, recent.shape[1] if recent.ndim == 2 else 0)
    for name in NAMES:
        given = np.asarray(state[f"tracks.{name}"])
        want = getattr(live.vectors if name in ("recent", "history", "bank") else live, name)
        if given.dtype != want.dtype or given.shape != want.shape:
            raise InputError(f"not a tracker's state: tracks.{name} is {given.dtype} {given.shape}")
        want[...] = given
    return live
