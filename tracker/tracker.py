"""The tracker: detections of a frame in, identities out.

All live tracks are one struct of arrays (tracker/state.py); an algorithm is a list of stages (configs/tracker/).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from configs import InputError, load_preset
from tracker import motion
from tracker.association import Pairs, overlapping_pairs, solve
from tracker.config import TrackerConfig
from tracker.data import Detections, Tracks
from tracker.stages import BELIEVES_MOTION, REACH_ALL, Matches, gains_anywhere, gains_near, with_limits
from tracker.state import ACTIVE, LOST, NAMES, TENTATIVE, LiveTracks, no_tracks

EPSILON = 1e-6  # s; times are sums of floats
STEADY = 1e-3  # steps this near to 1 are one step: i / fps is not exact


class Tracker:
    """One tracker, with its own identities, clock and memory. Make one for each source."""

    def __init__(self, config: TrackerConfig, fps: float = 30.0) -> None:
        """
        Args:
            config: see :meth:`from_config`.
            fps: the source's nominal frame rate: the unit of motion, and the clock where no timestamps come.
        """
        if not (np.isfinite(fps) and fps > 0):
            raise InputError(f"fps must be a positive number, got {fps}")
        self.config = config
        self.fps = float(fps)
        self._model = motion.MODELS[config.motion]
        self._motion_age = config.max_age if config.motion_age is None else config.motion_age
        self._seeing = with_limits(config.stages)
        self._blind = with_limits(config.blind_stages or config.stages)
        self.reset()

    @classmethod
    def from_config(
        cls, name_or_path: str | Path = "default", fps: float = 30.0, **overrides: Any
    ) -> Tracker:
        """A preset by name ("bytetrack") or a YAML file, with single values replaced: ``max_age=2.0``.

        Raises:
            InputError: an unknown preset or key (the nearest is named), a value of wrong type or range.
        """
        return cls(load_preset(name_or_path, TrackerConfig, "tracker", overrides), fps)

    @property
    def count(self) -> int:
        """How many tracks have been reported so far."""
        return self._last_id

    @property
    def appearance_from(self) -> float:
        """The score from which a detection's appearance is used; 2: no stage compares appearance."""
        config = self.config
        looking = {stage.detections for stage in config.stages if stage.cost in REACH_ALL}
        if not looking:
            return 2.0
        return config.low if "low" in looking else config.high

    def reset(self) -> None:
        """Forget everything: the next frame is the first, the next identity is 1."""
        self._live = no_tracks()
        self._frame = -1  # index of the last frame
        self._time = 0.0  # s, of the last frame
        self._before = 0.0  # s, of the frame before it
        self._last_id = 0

    def update(
        self, detections: Detections, timestamp: float | None = None, warp: np.ndarray | None = None
    ) -> Tracks:
        """Track one frame further.

        Args:
            detections: of this frame, in any order; empty is fine.
            timestamp: s, above the last frame's; default: frame index / fps.
            warp: (2, 3) camera motion, the last frame's pixels -> this frame's; default: a still camera.

        Returns:
            the confirmed tracks seen in this frame, by id.

        Raises:
            InputError: time does not advance, a malformed warp, embeddings of another dimension than before.
        """
        warp = None if warp is None else _checked_warp(warp)
        self._learn_dimension(detections)
        self._predict(self._tick(timestamp), warp)
        self._absorb(detections, self._associate(detections))
        self._retire()
        self._begin(detections)
        state_box = self._drop_duplicates(self._model.to_xyxy(self._live.filters[motion.X]))
        return self._report(detections, state_box)

    # -- one frame, step by step

    def _learn_dimension(self, detections: Detections) -> None:
        if detections.embedding is None or not len(detections):
            return
        dimension, known = detections.embedding.shape[1], self._live.recent.shape[1]
        if known == 0:
            self._live.widen(dimension)
        elif dimension != known:
            raise InputError(f"embeddings have {dimension} dimensions, earlier frames had {known}")

    def _tick(self, timestamp: float | None) -> float:
        """Advance the clock; returns how many nominal frames have passed."""
        frame = self._frame + 1
        time = frame / self.fps if timestamp is None else float(timestamp)
        steps = (time - self._time) * self.fps if frame else 1.0
        if not (steps > 0 and np.isfinite(time)):
            raise InputError(f"timestamps must grow: {time:g} s came after {self._time:g} s")
        self._frame, self._before, self._time = frame, self._time, time
        return 1.0 if abs(steps - 1.0) < STEADY else steps

    def _predict(self, steps: float, warp: np.ndarray | None) -> None:
        live = self._live
        if not len(live):
            return
        if self.config.freeze_lost_size:
            lost = (live.status == LOST).nonzero()[0]
            for size in self._model.sizes:
                live.filters[motion.V, lost, size] = 0.0
        motion.predict(self._model, live.filters, steps)
        if warp is not None:
            motion.warp(self._model, live.filters, warp)

    def _associate(self, detections: Detections) -> np.ndarray:
        """Run the stages. Returns (T,) the detection of each track, -1: none."""
        live = self._live
        match = np.full(len(live), -1)
        if not len(live) or not len(detections):
            return match
        # (T,); who was seen in the last frame is believed, however long ago that was
        believed = live.seen >= min(self._time - self._motion_age, self._before) - EPSILON
        near = self._near(detections, believed)
        appearance = self._appearance(detections)  # (T, N) or None
        high = detections.score >= self.config.high
        free = {"high": high, "low": (detections.score >= self.config.low) & ~high}  # (N,) each, in this band
        for stage, limits in self._blind if appearance is None else self._seeing:
            band = free[stage.detections]
            if stage.cost in REACH_ALL and appearance is not None:
                limit = np.where(match < 0, limits[live.status], 0.0)  # (T,), 0: not in this stage
                if stage.cost in BELIEVES_MOTION:
                    limit *= believed
                found = gains_anywhere(stage, limit, band, near, detections.score, appearance)
                if stage.gate is not None:
                    found = self._within(stage.gate, found, detections)
            else:
                limit = limits[live.status[near.row]]  # (P,)
                open_ = band[near.col]
                open_ &= match[near.row] < 0
                found = gains_near(stage, limit, open_, near, detections.score)
            rows, cols = solve(*found)
            match[rows] = cols
            band[cols] = False
        return match

    def _within(self, gate: float, found: Matches, detections: Detections) -> Matches:
        """The pairs whose centres are near enough for what the filter knows."""
        row, col, gain = found
        z = self._model.from_xyxy(detections.xyxy[col])
        near = motion.centre_distance(self._model, self._live.filters, row, z) <= gate
        return row[near], col[near], gain[near]

    def _near(self, detections: Detections, believed: np.ndarray) -> Pairs:
        """The pairs of boxes that overlap, of one class, where the track's predicted box is believed."""
        live = self._live
        near = overlapping_pairs(self._model.to_xyxy(live.filters[motion.X]), detections.xyxy)
        fits = believed[near.row]
        if not self.config.class_agnostic:
            fits &= live.class_id[near.row] == detections.class_id[near.col]
        return near if fits.all() else near.take(fits)

    def _appearance(self, detections: Detections) -> np.ndarray | None:
        """(T, N) 1 - cosine between tracks and detections; NaN where one has no appearance; None: nobody has.

        GHOST (sec. 3.2): active tracks are compared by what they look like now, lost ones by the mean of the
        distances to all their views, which is one minus the dot product with the mean of the vectors.
        """
        live, seen = self._live, detections.embedding
        if seen is None or not live.views.any():
            return None
        known = live.recent
        if self.config.lost_appearance == "history":
            known = np.where((live.status == LOST)[:, None], live.history, known)
        distance = 1.0 - (known @ seen.T).astype(np.float64)
        distance[live.views == 0] = np.nan
        distance[:, ~seen.any(1)] = np.nan
        if not self.config.class_agnostic:
            distance[live.class_id[:, None] != detections.class_id] = np.nan
        return None if np.isnan(distance).all() else distance

    def _absorb(self, detections: Detections, match: np.ndarray) -> None:
        """Let every matched track take in its detection; every other becomes a little more lost."""
        live = self._live
        live.column = match
        missed = match < 0
        live.streak[missed] = 0
        live.status[missed & (live.status == ACTIVE)] = LOST
        rows = (~missed).nonzero()[0]
        if not len(rows):
            return
        cols = match[rows]
        box = detections.xyxy[cols]
        motion.update(self._model, live.filters, rows, self._model.from_xyxy(box))
        live.hits[rows] += 1
        live.streak[rows] += 1
        sure = (live.hits[rows] >= self.config.confirm_hits) | (live.status[rows] != TENTATIVE)
        live.status[rows[sure]] = ACTIVE
        live.seen[rows] = self._time
        live.score[rows] = detections.score[cols]
        if self.config.class_agnostic:  # else it is the same
            live.class_id[rows] = detections.class_id[cols]
        live.box[rows] = box
        self._remember(detections, rows, cols)

    def _remember(self, detections: Detections, rows: np.ndarray, cols: np.ndarray) -> None:
        """Appearance learns from high detections only: what scores low is mostly somebody else's shoulder."""
        if detections.embedding is None:
            return
        live, momentum = self._live, np.float32(self.config.recent_momentum)
        clear = (detections.score[cols] >= self.config.high) & detections.embedding[cols].any(1)
        rows, vector = rows[clear], detections.embedding[cols[clear]]
        live.recent[rows] = _unit(momentum * live.recent[rows] + (1 - momentum) * vector)
        live.views[rows] += 1
        live.history[rows] += (vector - live.history[rows]) / live.views[rows, None].astype(np.float32)

    def _retire(self) -> None:
        live, config = self._live, self.config
        age_limit = np.where(live.status == TENTATIVE, config.tentative_max_age, config.max_age)
        self._keep(self._time - live.seen <= age_limit + EPSILON)

    def _begin(self, detections: Detections) -> None:
        """New tracks at the unmatched detections that score high enough."""
        fresh = detections.score >= self.config.new
        fresh[self._live.column[self._live.column >= 0]] = False
        cols = fresh.nonzero()[0]
        if not len(cols):
            return
        # Ordered by what they are, not by where they stood: identities do not depend on the detector's order.
        cols = cols[np.lexsort((*detections.xyxy[cols].T, -detections.score[cols]))]
        count, box = len(cols), detections.xyxy[cols]
        at_once = self.config.confirm_hits == 1 or self._frame < self.config.start_frames
        dimension = self._live.recent.shape[1]
        vector = np.zeros((count, dimension), np.float32)
        if detections.embedding is not None:
            vector = detections.embedding[cols]
        self._live = self._live.append(
            LiveTracks(
                filters=motion.initiate(self._model, self._model.from_xyxy(box)),
                id=np.zeros(count, np.int64),
                status=np.full(count, ACTIVE if at_once else TENTATIVE, np.uint8),
                hits=np.ones(count, np.int64),
                streak=np.zeros(count, np.int64),
                born=np.full(count, self._time),
                seen=np.full(count, self._time),
                column=cols,
                score=detections.score[cols],
                class_id=detections.class_id[cols],
                box=box,
                recent=vector,
                history=vector.copy(),
                views=np.asarray(vector.any(1), np.int64),
            )
        )

    def _drop_duplicates(self, box: np.ndarray) -> np.ndarray:
        """Of a lost and an active track on the same spot the one with the shorter life goes (ByteTrack).

        Takes and returns the filters' boxes (T, 4) xyxy px.
        """
        live = self._live
        if self.config.duplicate_iou >= 1:
            return box
        believed = self._time - live.seen <= self._motion_age + EPSILON
        lost = ((live.status == LOST) & believed).nonzero()[0]
        active = (live.status == ACTIVE).nonzero()[0]
        if not len(lost) or not len(active):
            return box
        # IoU > t needs corners within (1 - t) / t of a width and a height: mostly nobody comes that close
        seen, gone = box[active], box[lost]
        reach = (1 / self.config.duplicate_iou - 1) * (seen[:, 2:] - seen[:, :2])
        close = np.abs(gone[:, 0, None] - seen[:, 0]) < reach[:, 0]
        close &= np.abs(gone[:, 1, None] - seen[:, 1]) < reach[:, 1]
        if not close.any():
            return box
        pairs = overlapping_pairs(seen, gone)
        same = (pairs.iou > self.config.duplicate_iou).nonzero()[0]
        if not len(same):
            return box
        a, b = active[pairs.row[same]], lost[pairs.col[same]]
        a_lived, b_lived = live.seen[a] - live.born[a], live.seen[b] - live.born[b]
        keep = np.ones(len(live), bool)
        keep[np.where(a_lived > b_lived, b, a)] = False
        self._keep(keep)
        return box[keep]

    def _keep(self, keep: np.ndarray) -> None:
        if not keep.all():
            self._live = self._live.take(keep.nonzero()[0])

    def _report(self, detections: Detections, state_box: np.ndarray) -> Tracks:
        """The tracks to show; one that is shown for the first time gets its identity now."""
        live, config = self._live, self.config
        shown = (live.column >= 0) & (live.status == ACTIVE)
        if config.report_streak and self._frame >= config.start_frames:
            shown &= live.streak >= config.report_streak
        if config.coast > 0:
            fresh = self._time - live.seen <= config.coast + EPSILON
            shown |= (live.status == LOST) & (live.id > 0) & fresh
        rows = shown.nonzero()[0]
        unnamed = rows[live.id[rows] == 0]
        if len(unnamed):
            live.id[unnamed] = self._last_id + 1 + np.arange(len(unnamed))
            self._last_id += len(unnamed)
        rows = rows[live.id[rows].argsort()]
        column = live.column[rows]
        predicted = column < 0
        box = (state_box if config.box == "state" else live.box)[rows].astype(np.float32)
        if predicted.any():
            box[predicted] = state_box[rows[predicted]]
            index = np.full(len(rows), -1)
            index[~predicted] = detections.index[column[~predicted]]
        else:
            index = detections.index[column]
        return Tracks(live.id[rows], box, live.score[rows], live.class_id[rows], index)

    # -- keeping and restoring

    def state_dict(self) -> dict[str, np.ndarray]:
        """Everything that the next frame depends on, as plain arrays (``np.savez`` holds them without pickle)."""
        state = {name: getattr(self._live, name).copy() for name in NAMES}
        clock = {"frame": self._frame, "time": self._time, "last_id": self._last_id, "fps": self.fps}
        return {
            **{f"tracks.{name}": value for name, value in state.items()},
            **{name: np.array(value) for name, value in clock.items()},
            "config": np.array(self.config.model_dump_json()),
        }

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Go on exactly where :meth:`state_dict` was taken: the same input gives the same bytes.

        Raises:
            InputError: parts are missing or too many, or it was taken with another configuration or frame rate.
        """
        want = {*(f"tracks.{name}" for name in NAMES), "frame", "time", "last_id", "fps", "config"}
        if set(state) != want:
            raise InputError(f"not a tracker's state: {sorted(want ^ set(state))} missing or too many")
        if str(state["config"]) != self.config.model_dump_json() or float(state["fps"]) != self.fps:
            raise InputError("the state was taken with another tracker configuration or frame rate")
        empty, count = no_tracks(), len(np.atleast_1d(state["tracks.id"]))
        for name in NAMES:
            given, like = np.asarray(state[f"tracks.{name}"]), getattr(empty, name)
            rows = given.shape[1:2] if name == "filters" else given.shape[:1]
            if given.dtype != like.dtype or given.ndim != like.ndim or rows != (count,):
                raise InputError(f"not a tracker's state: tracks.{name} is {given.dtype} {given.shape}")
        self._live = LiveTracks(*(np.array(state[f"tracks.{name}"]) for name in NAMES))
        self._frame, self._time = int(state["frame"]), float(state["time"])
        self._last_id = int(state["last_id"])


def _unit(vectors: np.ndarray) -> np.ndarray:
    """(K, D) rows scaled to norm 1; zero rows stay zero."""
    norm = np.sqrt(np.einsum("kd,kd->k", vectors, vectors))[:, None]
    return vectors / np.maximum(norm, np.float32(1e-12))


def _checked_warp(warp: np.ndarray) -> np.ndarray:
    warp = np.asarray(warp, np.float64)
    if warp.shape != (2, 3) or not np.isfinite(warp).all() or np.linalg.det(warp[:, :2]) == 0:
        raise InputError(f"warp must be a finite, invertible (2, 3) matrix, got {warp.tolist()}")
    return warp
