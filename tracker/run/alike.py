"""How well this video's people can be told apart, without labels; and when looking should stop.

People of one frame are strangers; one track is one person a second later. The share of strangers who look as alike as
nine of ten people look like themselves says how much looks are worth here.
"""

from __future__ import annotations

import numpy as np

from retrace.tracker.boxes import largest_overlap
from retrace.tracker.data import Step

GAP = 1.0  # s, between two looks at one person that are compared
KEPT = 10.0  # s, after which a look at somebody is forgotten
APART = 0.2  # IoU from which two boxes hold parts of each other
SELF = 0.9  # share of people who are themselves within the distance that is asked about
BINS = 200  # of 1 - cosine in [0, 2]
SAME, OTHER = 100, 1000  # pairs that a verdict takes
USELESS = 0.6  # share from which looks cost more than they bring (LOG.md: vectors with noise, five sequences)


class LooksAlike:
    """Counts, frame by frame, bounded in memory."""

    def __init__(self, least: float) -> None:
        """
        Args:
            least: score from which a box counts.
        """
        self.least = least
        self.same = np.zeros(BINS, np.int64)  # pairs of one person by distance
        self.other = np.zeros(BINS, np.int64)  # pairs of strangers
        # ascending: people and the look at them that the next is compared with
        self._id = np.zeros(0, np.int64)
        self._time = np.zeros(0)
        self._vector = np.zeros((0, 0), np.float32)

    def take(self, step: Step) -> None:
        """Take in a frame as the tracker left it."""
        tracks, detections = step.tracks, step.detections
        if detections.embedding is None or not len(tracks):
            return
        seen = ((tracks.det_index >= 0) & (tracks.score >= self.least)).nonzero()[0]
        order = np.argsort(detections.index)
        row = order[np.searchsorted(detections.index, tracks.det_index[seen], sorter=order)]
        vector, box = detections.embedding[row], detections.xyxy[row]
        apart, looked = largest_overlap(box) < APART, vector.any(axis=1)
        clear = apart & looked
        ids, vector, unseen = tracks.id[seen[clear]], vector[clear], tracks.id[seen[apart & ~looked]]
        if not len(ids):
            return
        above = np.triu_indices(len(ids), 1)
        self.other += _counted(1 - (vector @ vector.T)[above])
        self._forget(step.frame.time, vector.shape[1])
        # Who is in the frame and was looked at a moment ago is a stranger, too: often the only one where few are.
        known = self._vector[np.isin(self._id, unseen)]
        self.other += _counted(1 - (vector @ known.T).ravel())
        self._again(ids, vector, step.frame.time)

    def _forget(self, time: float, dimension: int) -> None:
        """Whoever was looked at too long ago."""
        if dimension != self._vector.shape[1]:
            self._vector = np.zeros((len(self._id), dimension), np.float32)
        fresh = time - self._time <= KEPT
        self._id, self._time, self._vector = self._id[fresh], self._time[fresh], self._vector[fresh]

    def _again(self, ids: np.ndarray, vector: np.ndarray, time: float) -> None:
        """Compare people with themselves of a second ago; ``ids`` (K,) ascend, as a tracker reports them."""
        known, when, before = self._id, self._time, self._vector
        at = np.minimum(np.searchsorted(known, ids), max(len(known) - 1, 0))
        old = known[at] == ids if len(known) else np.zeros(len(ids), bool)
        due = old.copy()
        due[old] = time - when[at[old]] >= GAP - 1e-6
        self.same += _counted(1 - (vector[due] * before[at[due]]).sum(axis=1))
        when[at[due]], before[at[due]] = time, vector[due]
        ids, vector = ids[~old], vector[~old]
        order = np.argsort(np.concatenate((known, ids)), kind="stable")
        self._id = np.concatenate((known, ids))[order]
        self._time = np.concatenate((when, np.full(len(ids), time)))[order]
        self._vector = np.concatenate((before, vector))[order]

    @property
    def share(self) -> float | None:
        """Of strangers, who look as alike as one person a second later; None: too few pairs for a verdict."""
        same, other = int(self.same.sum()), int(self.other.sum())
        if same < SAME or other < OTHER:
            return None
        limit = int(np.searchsorted(np.cumsum(self.same), SELF * same))
        return float(self.other[: limit + 1].sum() / other)

    @property
    def apart(self) -> tuple[float, float] | None:
        """Mean cosine distance of strangers and its standard deviation (`Calibration.suited`); None: too few pairs."""
        if self.other.sum() < OTHER:
            return None
        middle = (np.arange(BINS) + 0.5) / (BINS - 1) * 2
        mean = float(np.average(middle, weights=self.other))
        return mean, float(np.average((middle - mean) ** 2, weights=self.other)) ** 0.5

    @property
    def useless(self) -> bool:
        """Whether looks rather mislead here."""
        return (self.share or 0.0) > USELESS

    def __str__(self) -> str:
        """One line for people; empty where nobody was looked at twice, or beside another."""
        share = self.share
        if share is not None:
            percent = f"{100 * share:.0f}"
            return f"looks alike: {'under 1' if percent == '0' else percent} % of strangers"
        return self.unknown if self.same.any() or self.other.any() else ""

    @property
    def unknown(self) -> str:
        """One line for people, of a verdict that is not there: which pairs are too few."""
        same, other = int(self.same.sum()), int(self.other.sum())
        few = [f"{same:,} looks at one person a second later, {SAME:,} wanted"] if same < SAME else []
        few += [f"{other:,} at two people, {OTHER:,} wanted"] if other < OTHER else []
        return f"looks alike: not known, {'; '.join(few)}"

    def state_dict(self) -> dict[str, np.ndarray]:
        return {
            "same": self.same,
            "other": self.other,
            "id": self._id,
            "time": self._time,
            "vector": self._vector,
        }

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        self.same, self.other = state["same"].copy(), state["other"].copy()
        self._id, self._time, self._vector = (state[name] for name in ("id", "time", "vector"))


def _counted(distance: np.ndarray) -> np.ndarray:
    """(P,) in [0, 2] -> (BINS,) how many in each."""
    return np.bincount((np.clip(distance, 0, 2) / 2 * (BINS - 1)).astype(np.int64), minlength=BINS)
