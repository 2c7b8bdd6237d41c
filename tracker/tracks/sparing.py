"""Only what is ambiguous is embedded: a box whose place alone says whose it is needs no network.

A box is settled where it and one active track meet each other and nobody else. A young track is looked at all the same,
so that it is remembered well, and any track once in a while, so that what is remembered stays fresh.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from retrace.configs import InputError
from retrace.tracker.boxes import iou_matrix
from retrace.tracker.data import Detections

SURE = 0.55  # IoU with the predicted box from which place settles it (LOG.md: chosen with three networks on 14 sets)
MEETS = 0.2  # IoU from which another box or track might be meant
FRESH = 2.0  # s that a track is looked at whenever it is seen, and then between two looks while it is settled
SAVED = 25  # frames whose budget may be saved: after a quiet hour one crowded frame must not take minutes
GRAIN = 1e-9  # s, and of a crop: less is rounding
Embed = Callable[[np.ndarray, np.ndarray], np.ndarray]


def settled(
    xyxy: np.ndarray, class_id: np.ndarray, expected: np.ndarray, sure: np.ndarray, kind: np.ndarray
) -> np.ndarray:
    """Whose place alone says whose they are: one track and one box meet, and no other is near either.

    Args:
        xyxy, class_id: (N, 4) px and (N,), the boxes that looks could be compared of.
        expected: (T, 4) px, predicted boxes that are believed.
        sure: (T,) bool, tracks that are active, known well and were looked at lately.
        kind: (T,) their classes.

    Returns:
        (N,) bool.
    """
    if not len(xyxy) or not len(expected):
        return np.zeros(len(xyxy), bool)
    overlap = iou_matrix(expected, np.asarray(xyxy, np.float64))
    overlap[kind[:, None] != class_id] = 0
    meets = overlap > MEETS
    nearest = overlap.argmax(axis=0)
    alone = (meets.sum(axis=0) == 1) & (meets.sum(axis=1) == 1)[nearest]
    return alone & (overlap.max(axis=0) >= SURE) & sure[nearest]


class Sparing:
    """Embeds what is not settled, at most so long a frame; counts both."""

    def __init__(self, budget: float | None = None, clock: Callable[[], float] = time.perf_counter) -> None:
        """
        Args:
            budget: ms a frame, on average: what one frame leaves, the ``SAVED`` next may take, and what one took too
                much, later ones lack. None: no bound. What it buys depends on the machine, so results with a budget
                are not the same twice.
            clock: s.

        Raises:
            InputError: a budget that is not above 0.
        """
        if budget is not None and not 0 < budget < float("inf"):
            raise InputError(f"`embed_budget` {budget}: expected milliseconds above 0")
        self.budget, self.clock = budget, clock
        self.embedded = 0  # crops
        self.skipped = 0
        self.unpaid = 0  # of them, those that only the budget kept from being embedded
        self._left = 0.0  # s of the budget; below 0: overdrawn
        self._seconds = 0.0  # of looks at one crop or more

    def state_dict(self) -> dict[str, np.ndarray]:
        counts = [self.embedded, self.skipped, self.unpaid]
        return {"crops": np.array(counts), "seconds": np.array([self._seconds, self._left])}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        self.embedded, self.skipped, self.unpaid = map(int, state["crops"])
        self._seconds, self._left = map(float, state["seconds"])

    def __str__(self) -> str:
        """One line for people."""
        line = f"embedded {self.embedded:,} crops, skipped {self.skipped:,}"
        if not self.unpaid:
            return line
        return f"{line}, {self.unpaid:,} of them because the {self.budget:g} ms a frame were spent"

    def __call__(
        self, embed: Embed, image: np.ndarray, detections: Detections, useful: np.ndarray, place: np.ndarray
    ) -> Detections:
        """Detections with vectors where they are needed, zero rows elsewhere.

        Args:
            useful: (N,) bool, the boxes that looks could be compared of.
            place: (N,) bool, of which place alone says whose they are.
        """
        a_frame = (self.budget or 0.0) / 1000
        self._left = min(self._left + a_frame, SAVED * a_frame)
        asked = (useful & ~place).nonzero()[0]
        best = np.argsort(-detections.score[asked], kind="stable")[: self._most(len(asked))]
        wanted = asked[np.sort(best)]
        begin = self.clock()
        vectors = embed(image, detections.xyxy[wanted])
        if len(wanted):
            spent = self.clock() - begin
            self._seconds += spent
            self._left -= spent
        self.embedded += len(wanted)
        self.skipped += int(useful.sum()) - len(wanted)
        self.unpaid += len(asked) - len(wanted)
        rows = np.zeros((len(detections), vectors.shape[1]), np.float32)
        rows[wanted] = vectors
        return detections.with_embedding(rows)

    def _most(self, asked: int) -> int:
        """How many crops of those that are asked for the budget allows in this frame."""
        if self.budget is None:
            return asked
        if self._left < GRAIN:
            return 0
        # One in any case: how long a crop takes is not known before, and a slow first one may have told too much.
        return max(1, int(self._left * self.embedded / max(self._seconds, GRAIN) + GRAIN))
