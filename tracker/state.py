"""All live tracks of one tracker: one struct of arrays, T rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from configs import InputError
from tracker.motion import Filters

TENTATIVE, ACTIVE, LOST = 0, 1, 2
STATUS = {"tentative": TENTATIVE, "active": ACTIVE, "lost": LOST}


@dataclass(frozen=True, slots=True)
class Room:
    """How much a preset remembers of each track."""

    boxes: int = 0  # K last detections
    filters: int = 0  # 5: also the filter as it was at the last detection; 0: not
    vectors: int = 0  # B last appearance vectors


@dataclass(slots=True)
class LiveTracks:
    """T rows. A track that was never reported has id 0."""

    filters: Filters  # (5, T, 4) float64, see tracker/motion.py

    id: np.ndarray  # (T,) int64
    status: np.ndarray  # (T,) uint8: TENTATIVE, ACTIVE (matched in the last frame) or LOST
    hits: np.ndarray  # (T,) int64 detections matched in all, the first included
    streak: np.ndarray  # (T,) int64 frames matched in a row since the first detection or the last miss
    born: np.ndarray  # (T,) float64 s, time of the first detection
    seen: np.ndarray  # (T,) float64 s, time of the last match
    column: np.ndarray  # (T,) int64 detection matched in this frame, -1: none
    score: np.ndarray  # (T,) float32 of the last matched detection
    score_before: np.ndarray  # (T,) float32 of the one before it
    class_id: np.ndarray  # (T,) int32
    box: np.ndarray  # (T, 4) float32 xyxy px, the last matched detection, in the pixels of its frame
    past: np.ndarray  # (T, K, 4) float64 xyxy px, the last K of them, newest first, in this frame's pixels
    past_time: np.ndarray  # (T, K) float64 s, when; NaN: there were not so many
    kept: np.ndarray  # (T, 5 or 0, 4) float64, the filter after the last detection, in this frame's pixels
    recent: np.ndarray  # (T, D) float32 appearance now: the last vector, or a running mean; zero: none yet
    history: np.ndarray  # (T, D) float32 mean of all appearance vectors matched so far (not a unit vector)
    views: np.ndarray  # (T,) int64 how many vectors that mean is of
    bank: np.ndarray  # (T, B, D) float32 the last B vectors, newest first; zero: there were not so many

    def __len__(self) -> int:
        return len(self.id)

    def take(self, rows: np.ndarray) -> LiveTracks:
        return LiveTracks(self.filters.take(rows, axis=1), *(getattr(self, name)[rows] for name in NAMES[1:]))

    def append(self, other: LiveTracks) -> LiveTracks:
        filters = np.concatenate((self.filters, other.filters), axis=1)
        rest = (np.concatenate((getattr(self, name), getattr(other, name))) for name in NAMES[1:])
        return LiveTracks(filters, *rest)

    def widen(self, dimension: int) -> None:
        """Give appearance ``dimension`` columns when the first embeddings arrive; zero rows: none yet."""
        self.recent = np.zeros((len(self), dimension), np.float32)
        self.history = np.zeros((len(self), dimension), np.float32)
        self.bank = np.zeros((*self.bank.shape[:2], dimension), np.float32)


NAMES = tuple(f.name for f in fields(LiveTracks))


def no_tracks(room: Room | None = None) -> LiveTracks:
    room = room or Room()
    return LiveTracks(
        filters=np.zeros((5, 0, 4)),
        id=np.zeros(0, np.int64),
        status=np.zeros(0, np.uint8),
        hits=np.zeros(0, np.int64),
        streak=np.zeros(0, np.int64),
        born=np.zeros(0),
        seen=np.zeros(0),
        column=np.zeros(0, np.int64),
        score=np.zeros(0, np.float32),
        score_before=np.zeros(0, np.float32),
        class_id=np.zeros(0, np.int32),
        box=np.zeros((0, 4), np.float32),
        past=np.zeros((0, room.boxes, 4)),
        past_time=np.zeros((0, room.boxes)),
        kept=np.zeros((0, room.filters, 4)),
        recent=np.zeros((0, 0), np.float32),
        history=np.zeros((0, 0), np.float32),
        views=np.zeros(0, np.int64),
        bank=np.zeros((0, room.vectors, 0), np.float32),
    )


def packed(live: LiveTracks) -> dict[str, np.ndarray]:
    """Copies of all arrays, by name."""
    return {f"tracks.{name}": getattr(live, name).copy() for name in NAMES}


def unpacked(state: Mapping[str, np.ndarray], room: Room) -> LiveTracks:
    """What :func:`packed` gave.

    Raises:
        InputError: an array of another dtype or shape than a preset with this ``room`` has.
    """
    like, count = no_tracks(room), len(np.atleast_1d(state["tracks.id"]))
    recent = np.asarray(state["tracks.recent"])
    like.widen(recent.shape[1] if recent.ndim == 2 else 0)
    for name in NAMES:
        given, want = np.asarray(state[f"tracks.{name}"]), getattr(like, name)
        axis = 1 if name == "filters" else 0
        shape = (*want.shape[:axis], count, *want.shape[axis + 1 :])
        if given.dtype != want.dtype or given.shape != shape:
            raise InputError(f"not a tracker's state: tracks.{name} is {given.dtype} {given.shape}")
    return LiveTracks(*(np.array(state[f"tracks.{name}"]) for name in NAMES))
