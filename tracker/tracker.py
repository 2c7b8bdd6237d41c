"""The tracker: detections of a frame in, identities out.

All live tracks are one struct of arrays (tracker/state.py); an algorithm is a list of stages (configs/tracker/).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from configs import InputError, load_preset
from tracker import appearance, motion
from tracker.boost import boosted
from tracker.config import TrackerConfig
from tracker.costs import ALL_LOOKS, Scene
from tracker.data import Detections, Tracks
from tracker.ledger import Ledger
from tracker.matching import associate, deleted, overlaps_of, room_for, stages_of
from tracker.overlaps import duplicate_tracks, hidden, kinds, suppressed_births
from tracker.state import ACTIVE, LOST, TENTATIVE, LiveTracks, no_tracks, packed, unpacked

EPSILON = 1e-6  # s; times are sums of floats
STEADY = 1e-3  # steps this near to 1 are one step: i / fps is not exact


class Tracker:
    """One tracker, with its own identities, clock and memory. Make one for each source."""

    def __init__(self, config: TrackerConfig, fps: float = 30.0, ledger: bool = False) -> None:
        """
        Args:
            config: see :meth:`from_config`.
            fps: the source's nominal frame rate: the unit of motion, and the clock where no timestamps come.
            ledger: keep in ``self.ledger`` what became of each detection of the last frame, and why.
        """
        if not (np.isfinite(fps) and fps > 0):
            raise InputError(f"fps must be a positive number, got {fps}")
        self.config = config
        self.fps = float(fps)
        self.ledger = Ledger() if ledger else None
        self._model = motion.MODELS[config.motion]
        self._motion_age = config.max_age if config.motion_age is None else config.motion_age
        self._seeing = stages_of(config.stages)
        self._blind = stages_of(config.blind_stages or config.stages)
        self._room = room_for(config)
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
        looking = {
            band
            for stage in config.stages
            if ALL_LOOKS & {*stage.terms, *stage.gates}
            for band in stage.bands
        }
        if not looking:
            return 2.0
        return config.low if "low" in looking else config.high

    def reset(self) -> None:
        """Forget everything: the next frame is the first, the next identity is 1."""
        self._live = no_tracks(self._room)
        self.ledger = None if self.ledger is None else Ledger()
        self._frame = -1  # index of the last frame
        self._time = 0.0  # s, of the last frame
        self._before = 0.0  # s, of the frame before it
        self._last_id = 0
        self._spread = np.zeros(2)  # sum of 1 - cosine of boxes of one frame, and how many pairs

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
        dimension = self._dimension(detections)
        steps = self._tick(timestamp)  # the last that may refuse a frame: nothing has changed so far
        if dimension != self._live.recent.shape[1]:
            self._live.widen(dimension)
        self._predict(steps, warp)
        scene = self._look(detections)
        self._absorb(scene.detections, self._associate(scene))
        self._retire()
        self._begin(scene.detections)
        state_box = self._drop_duplicates(self._model.to_xyxy(self._live.filters[motion.X]))
        tracks = self._report(detections, state_box)
        if self.ledger is not None:
            self.ledger.close(self._live, scene.detections, tracks, self.config)
        return tracks

    # -- one frame, step by step

    def _dimension(self, detections: Detections) -> int:
        """Of the appearance vectors, this frame's included; 0: there were none yet."""
        known = self._live.recent.shape[1]
        if detections.embedding is None or not len(detections):
            return known
        dimension = detections.embedding.shape[1]
        if known not in (0, dimension):
            raise InputError(f"embeddings have {dimension} dimensions, earlier frames had {known}")
        return dimension

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
            if self._room.filters:
                motion.warp(self._model, live.kept.transpose(1, 0, 2), warp)
            if self._room.boxes:
                live.past = motion.warp_boxes(live.past, warp)

    def _look(self, detections: Detections) -> Scene:
        """Everything that the costs of this frame look at."""
        live, config = self._live, self.config
        scene = Scene(
            config,
            live,
            detections,
            self._model,
            self._model.to_xyxy(live.filters[motion.X]),
            self._distances(detections),
            self._time,
            1.0 / self.fps,
        )
        if config.boost is None or not len(detections):
            return scene
        near = overlaps_of(scene, "predicted", 0.0, self._fresh(self._motion_age))
        score = boosted(scene, near, config.boost, config.high)
        return replace(scene, detections=replace(detections, score=score))

    def _distances(self, detections: Detections) -> np.ndarray | None:
        """(T, N) how different tracks and detections look, in units that do not depend on the network."""
        live, config = self._live, self.config
        if detections.embedding is None or not len(detections):
            return None
        if config.appearance_scale is not None:
            known = (detections.score >= config.high) & detections.embedding.any(1)
            self._spread = self._spread + appearance.spread(detections.embedding[known])
        found = appearance.distances(live, detections, config) if len(live) else None
        apart = self._spread[0] > appearance.ALIKE * self._spread[1]
        if found is not None and config.appearance_scale is not None and apart:
            found *= config.appearance_scale * self._spread[1] / self._spread[0]
        return found

    def _associate(self, scene: Scene) -> np.ndarray:
        """(T,) the detection of each track, -1: none."""
        if self.ledger is not None:
            self.ledger.open(self._live)
        if not len(self._live) or not len(scene.detections):
            return np.full(len(self._live), -1)
        stages = self._blind if scene.appearance is None else self._seeing
        return associate(
            scene, stages, self._fresh(self._motion_age), self._fresh(self.config.max_age), self.ledger
        )

    def _fresh(self, age: float) -> np.ndarray:
        """(T,) bool, who was seen within ``age`` s, or in the last frame, however long ago that was."""
        return self._live.seen >= min(self._time - age, self._before) - EPSILON

    def _absorb(self, detections: Detections, joined: np.ndarray) -> None:
        """Let every matched track take in its detection; every other becomes a little more lost."""
        live, config = self._live, self.config
        live.column = joined
        missed = joined < 0
        live.streak[missed] = 0
        live.status[missed & (live.status == ACTIVE)] = LOST
        rows = (~missed).nonzero()[0]
        if not len(rows):
            return
        cols = joined[rows]
        box, score = detections.xyxy[cols], detections.score[cols]
        self._correct(rows, box, score)
        live.hits[rows] += 1
        live.streak[rows] += 1
        sure = (live.hits[rows] >= config.confirm_hits) | (live.status[rows] != TENTATIVE)
        sure |= score >= config.confirm_score
        live.status[rows[sure]] = ACTIVE
        live.seen[rows] = self._time
        live.score_before[rows] = live.score[rows]
        live.score[rows] = score
        if config.class_agnostic:  # else it is the same
            live.class_id[rows] = detections.class_id[cols]
        live.box[rows] = box
        if detections.embedding is not None:
            # High detections only: what scores low is mostly somebody else's shoulder
            clear = (score >= config.high) & detections.embedding[cols].any(1)
            appearance.remember(live, config, rows[clear], detections.embedding[cols[clear]], score[clear])

    def _correct(self, rows: np.ndarray, box: np.ndarray, score: np.ndarray) -> None:
        """Motion takes in the detections box (K, 4), score (K,) of the tracks ``rows``."""
        live, config, z = self._live, self.config, self._model.from_xyxy(box)
        if config.reupdate:
            steps = np.rint((self._time - live.seen[rows]) * self.fps).astype(np.int64)
            missed = live.seen[rows] < self._before - EPSILON  # between slow frames nobody was lost
            again = (missed & (steps > 1)).nonzero()[0]
            if len(again):
                found = rows[again]
                filters = np.ascontiguousarray(live.kept[found].transpose(1, 0, 2))
                motion.relive(
                    self._model, filters, live.past[found, 0], box[again].astype(np.float64), steps[again]
                )
                live.filters[:, found] = filters
        if live.past.shape[1]:
            live.past[rows] = np.concatenate((box[:, None], live.past[rows, :-1]), axis=1)
            now = np.full((len(rows), 1), self._time)
            live.past_time[rows] = np.concatenate((now, live.past_time[rows, :-1]), axis=1)
        if config.motion == "linear":
            past = live.past[rows]
            past = self._model.from_xyxy(past.reshape(-1, 4)).reshape(past.shape)
            motion.follow(live.filters, rows, z, past, -np.diff(live.past_time[rows], axis=1) * self.fps)
            return
        motion.update(self._model, live.filters, rows, z, 1.0 - score if config.noise_by_score else None)
        if live.kept.shape[1]:
            live.kept[rows] = live.filters[:, rows].transpose(1, 0, 2)

    def _retire(self) -> None:
        live, config = self._live, self.config
        age_limit = np.where(live.status == TENTATIVE, config.tentative_max_age, config.max_age)
        self._keep(self._time - live.seen <= age_limit + EPSILON)

    def _begin(self, detections: Detections) -> None:
        """New tracks at the unmatched detections that score high enough."""
        config = self.config
        fresh = detections.score >= config.new
        fresh[self._live.column[self._live.column >= 0]] = False
        cols = (fresh & ~deleted(detections, self.config)).nonzero()[0]
        if not len(cols):
            return
        # Ordered by what they are, not by where they stood: identities do not depend on the detector's order.
        cols = cols[np.lexsort((*detections.xyxy[cols].T, -detections.score[cols]))]
        if config.birth_iou < 1:
            known = self._live.take((self._time - self._live.seen <= self._motion_age + EPSILON).nonzero()[0])
            doubled = suppressed_births(
                detections.xyxy[cols],
                kinds(detections.class_id[cols], config),
                self._model.to_xyxy(known.filters[motion.X]),
                kinds(known.class_id, config),
                config.birth_iou,
            )
            cols = cols[~doubled]
        self._live = self._live.append(self._born(detections, cols))

    def _born(self, detections: Detections, cols: np.ndarray) -> LiveTracks:
        """Tracks of one detection each, ``cols`` (K,)."""
        config, room, dimension = self.config, self._room, self._live.recent.shape[1]
        count, box, score = len(cols), detections.xyxy[cols], detections.score[cols]
        at_once = config.confirm_hits == 1 or self._frame < config.start_frames
        sure = at_once | (score >= config.confirm_score)
        vector = np.zeros((count, dimension), np.float32)
        if detections.embedding is not None:
            vector = detections.embedding[cols]
        past, past_time = np.zeros((count, room.boxes, 4)), np.full((count, room.boxes), np.nan)
        past[:], past_time[:, :1] = box[:, None], self._time
        filters = motion.initiate(self._model, self._model.from_xyxy(box))
        bank = np.zeros((count, room.vectors, dimension), np.float32)
        bank[:, :1] = vector[:, None]
        return LiveTracks(
            filters=filters,
            id=np.zeros(count, np.int64),
            status=np.where(sure, ACTIVE, TENTATIVE).astype(np.uint8),
            hits=np.ones(count, np.int64),
            streak=np.zeros(count, np.int64),
            born=np.full(count, self._time),
            seen=np.full(count, self._time),
            column=cols,
            score=score,
            score_before=score.copy(),
            class_id=detections.class_id[cols],
            box=box,
            past=past,
            past_time=past_time,
            kept=filters.transpose(1, 0, 2)[:, : room.filters].copy(),
            recent=vector,
            history=vector.copy(),
            views=np.asarray(vector.any(1), np.int64),
            bank=bank,
        )

    def _drop_duplicates(self, box: np.ndarray) -> np.ndarray:
        """Takes and returns the filters' boxes (T, 4) xyxy px."""
        if self.config.duplicate_iou >= 1:
            return box
        believed = self._time - self._live.seen <= self._motion_age + EPSILON
        classes = kinds(self._live.class_id, self.config)
        keep = duplicate_tracks(self._live, classes, box, believed, self.config.duplicate_iou)
        if keep is None:
            return box
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
        if config.hidden is not None:
            missing = (live.status == LOST) & (live.id > 0) & (live.hits >= config.hidden.hits)
            missing &= self._time - live.seen <= config.hidden.age + EPSILON
            shown[hidden(state_box, missing.nonzero()[0], shown.nonzero()[0], config.hidden)] = True
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
        index, score = np.full(len(rows), -1), live.score[rows]
        seen = column[~predicted]
        index[~predicted], score[~predicted] = detections.index[seen], detections.score[seen]
        return Tracks(live.id[rows], box, score, live.class_id[rows], index)

    # -- keeping and restoring

    def state_dict(self) -> dict[str, np.ndarray]:
        """Everything that the next frame depends on, as plain arrays (``np.savez`` holds them without pickle)."""
        clock = {"frame": self._frame, "time": self._time, "last_id": self._last_id, "fps": self.fps}
        return {
            **packed(self._live),
            **{name: np.array(value) for name, value in clock.items()},
            "spread": self._spread.copy(),
            "config": np.array(self.config.model_dump_json()),
        }

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Go on exactly where :meth:`state_dict` was taken: the same input gives the same bytes.

        Raises:
            InputError: parts are missing or too many, or it was taken with another configuration or frame rate.
        """
        want = {*packed(self._live), "frame", "time", "last_id", "fps", "spread", "config"}
        if set(state) != want:
            raise InputError(f"not a tracker's state: {sorted(want ^ set(state))} missing or too many")
        if str(state["config"]) != self.config.model_dump_json() or float(state["fps"]) != self.fps:
            raise InputError("the state was taken with another tracker configuration or frame rate")
        self._live = unpacked(state, self._room)
        self._frame, self._time = int(state["frame"]), float(state["time"])
        self._last_id = int(state["last_id"])
        self._spread = np.array(state["spread"], np.float64)


def _checked_warp(warp: np.ndarray) -> np.ndarray:
    warp = np.asarray(warp, np.float64)
    if warp.shape != (2, 3) or not np.isfinite(warp).all() or np.linalg.det(warp[:, :2]) == 0:
        raise InputError(f"warp must be a finite, invertible (2, 3) matrix, got {warp.tolist()}")
    return warp
