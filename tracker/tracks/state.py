"""All live tracks of one tracker: T rows, in a few arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from retrace.configs import InputError
from retrace.tracker.motion.filters import Filters

TENTATIVE, ACTIVE, LOST = 0, 1, 2
STATUS = {"tentative": TENTATIVE, "active": ACTIVE, "lost": LOST}
EPSILON = 1e-6  # s; times are sums of floats

# What every preset knows of a track. One record a row: whole rows come, go and move, compiled loops take them as one.
ROW = np.dtype(
    [
        ("id", np.int64),  # 0: never reported so far
        ("hits", np.int64),  # detections matched in all, the first included
        ("streak", np.int64),  # frames matched in a row since the first detection or the last miss
        ("born", np.float64),  # s, time of the first detection
        ("seen", np.float64),  # s, time of the last match
        ("column", np.int64),  # detection matched in this frame, -1: none
        ("views", np.int64),  # appearance vectors matched so far
        ("box", np.float32, 4),  # xyxy px, the last matched detection, in the pixels of its frame
        ("score", np.float32),  # of the last matched detection
        ("score_before", np.float32),  # of the one before it
        ("class_id", np.int32),
        ("status", np.uint8),  # TENTATIVE, ACTIVE (matched in the last frame) or LOST
    ],
    align=True,
)


@dataclass(frozen=True, slots=True)
class Room:
    """How much a preset remembers of each track."""

    boxes: int = 0  # K last detections
    filters: int = 0  # 5: also the filter as it was at the last detection; 0: not
    vectors: int = 0  # B last appearance vectors
    scores: int = 0  # 5: a filter of its scores; 0: not


def _column(name: str) -> property:
    return property(lambda live: live.rows[name], doc=f"(T,) a view of rows: {name}, see ROW.")


@dataclass(slots=True)
class LiveTracks:
    """T rows."""

    filters: Filters  # (5, T, 4) float64, see tracker/motion.py
    rows: np.ndarray  # (T,) ROW; its columns by name: live.id, live.status, ...
    past: np.ndarray  # (T, K, 4) float64 xyxy px, the last K detections, newest first, in this frame's pixels
    past_time: np.ndarray  # (T, K) float64 s, when; NaN: there were not so many
    kept: np.ndarray  # (T, 5 or 0, 4) float64, the filter after the last detection, in this frame's pixels
    scores: np.ndarray  # (T, 5 or 0) float64, a filter of scores: X, V, XX, XV, VV as in motion.py
    recent: np.ndarray  # (T, D) float32 appearance now: the last vector, or a running mean; zero: none yet
    history: np.ndarray  # (T, D) float32 mean of all appearance vectors matched so far (not a unit vector)
    bank: np.ndarray  # (T, B, D) float32 the last B vectors, newest first; zero: there were not so many

    id = _column("id")
    hits = _column("hits")
    streak = _column("streak")
    born = _column("born")
    seen = _column("seen")
    column = _column("column")
    views = _column("views")
    box = _column("box")
    score = _column("score")
    score_before = _column("score_before")
    class_id = _column("class_id")
    status = _column("status")

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def room(self) -> Room:
        return Room(self.past.shape[1], self.kept.shape[1], self.bank.shape[1], self.scores.shape[1])

    def like(self, filters: Filters, rows: np.ndarray) -> LiveTracks:
        """Other tracks that need nothing beside ``filters`` and ``rows``."""
        live = blank(len(rows), self.room)
        live.filters, live.rows = filters, rows
        return live

    def take(self, rows: np.ndarray) -> LiveTracks:
        return LiveTracks(self.filters.take(rows, axis=1), *(getattr(self, name)[rows] for name in PARTS[1:]))

    def append(self, other: LiveTracks) -> LiveTracks:
        filters = np.concatenate((self.filters, other.filters), axis=1)
        rest = (np.concatenate((getattr(self, name), getattr(other, name))) for name in PARTS[1:])
        return LiveTracks(filters, *rest)

    def widen(self, dimension: int) -> None:
        """Give appearance ``dimension`` columns when the first embeddings arrive; zero rows: none yet."""
        self.recent = np.zeros((len(self), dimension), np.float32)
        self.history = np.zeros((len(self), dimension), np.float32)
        self.bank = np.zeros((*self.bank.shape[:2], dimension), np.float32)


PARTS = tuple(f.name for f in fields(LiveTracks))
COLUMNS = ROW.names or ()
NAMES = (PARTS[0], *COLUMNS, *PARTS[2:])


def blank(count: int, room: Room, dimension: int = 0) -> LiveTracks:
    """``count`` tracks of which nothing is known."""
    return LiveTracks(
        filters=np.zeros((5, count, 4)),
        rows=np.zeros(count, ROW),
        past=np.zeros((count, room.boxes, 4)),
        past_time=np.full((count, room.boxes), np.nan),
        kept=np.zeros((count, room.filters, 4)),
        scores=np.zeros((count, room.scores)),
        recent=np.zeros((count, dimension), np.float32),
        history=np.zeros((count, dimension), np.float32),
        bank=np.zeros((count, room.vectors, dimension), np.float32),
    )


def packed(live: LiveTracks) -> dict[str, np.ndarray]:
    """Copies of all arrays, by name; one for each column of the rows."""
    return {f"tracks.{name}": getattr(live, name).copy() for name in NAMES}


def unpacked(state: Mapping[str, np.ndarray], room: Room) -> LiveTracks:
    """What :func:`packed` gave.

    Raises:
        InputError: an array of another dtype or shape than a preset with this ``room`` has.
    """
    recent = np.asarray(state["tracks.recent"])
    count = len(np.atleast_1d(state["tracks.id"]))
    live = blank(count, room, recent.shape[1] if recent.ndim == 2 else 0)
    for name in NAMES:
        given, want = np.asarray(state[f"tracks.{name}"]), getattr(live, name)
        if given.dtype != want.dtype or given.shape != want.shape:
            raise InputError(f"not a tracker's state: tracks.{name} is {given.dtype} {given.shape}")
        want[...] = given
    return live
