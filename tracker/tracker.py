"""The tracker: detections of a frame in, identities out.

All live tracks are one struct of arrays (tracker/state.py); an algorithm is a list of stages (configs/tracker/).
"""

from __future__ import annotations

from dataclasses import replace
from math import isfinite
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from retrace.configs import InputError, load_preset
from retrace.tracker.association.boost import boosted
from retrace.tracker.association.costs import ALL_LOOKS, Scene
from retrace.tracker.association.matching import associate, overlaps_of, room_for
from retrace.tracker.association.stages import plan
from retrace.tracker.at_once import AtOnce, at_once
from retrace.tracker.config import TrackerConfig
from retrace.tracker.data import Detections, Tracks, frame_rate
from retrace.tracker.kernels import compiled
from retrace.tracker.ledger.record import Ledger
from retrace.tracker.motion import filters as motion
from retrace.tracker.motion.models import MODELS
from retrace.tracker.tracks import appearance
from retrace.tracker.tracks import lifecycle as life
from retrace.tracker.tracks.lifecycle import Clock
from retrace.tracker.tracks.shown import report
from retrace.tracker.tracks.state import LOST, blank, packed, unpacked

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
        if not isinstance(config, TrackerConfig):
            raise InputError(
                f"expected a TrackerConfig, got {type(config).__name__}; a preset's name goes to Tracker.from_config"
            )
        fps = frame_rate(fps)
        self.config = config
        self.ledger = Ledger() if ledger else None
        self._model = MODELS[config.motion]
        self._seeing = tuple(plan(stage) for stage in config.stages)
        self._blind = tuple(plan(stage) for stage in config.blind_stages or config.stages)
        self._room = room_for(config)
        self._looks = self.appearance_from <= 1
        self._at_once = at_once(config)
        self._clock = Clock(fps)
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

    @property
    def fps(self) -> float:
        """The source's nominal frame rate."""
        return self._clock.fps

    def reset(self) -> None:
        """Forget everything: the next frame is the first, the next identity is 1."""
        self._live = blank(0, self._room)
        self.ledger = None if self.ledger is None else Ledger()
        self._clock = Clock(self.fps)
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
        if not isinstance(detections, Detections):
            raise InputError(
                f"expected Detections, got {type(detections).__name__}; make one: Detections(xyxy, score, class_id)"
            )
        warp = None if warp is None else _checked_warp(warp)
        dimension = self._dimension(detections)
        steps = self._tick(timestamp)  # the last that may refuse a frame: nothing has changed so far
        if dimension != self._live.recent.shape[1]:
            self._live.widen(dimension)
        if self._at_once is not None and not dimension and self.ledger is None and (fast := compiled()):
            return self._run_at_once(fast, self._at_once, detections, steps, warp)
        self._predict(steps, warp)
        scene = self._look(detections)
        self._live_on(scene.detections, self._associate(scene))
        state_box = self._model.to_xyxy(self._live.filters[motion.X])
        keep = life.not_doubled(self._live, state_box, self.config, self._clock)
        if keep is not None:
            self._live, state_box = self._live.take(keep.nonzero()[0]), state_box[keep]
        tracks, self._last_id = report(
            self._live, detections, state_box, self.config, self._clock, self._last_id
        )
        if self.ledger is not None:
            self.ledger.close(self._live, scene.detections, tracks, self.config)
        return tracks

    # -- one frame, step by step

    def _dimension(self, detections: Detections) -> int:
        """Of the appearance vectors, this frame's included; 0: there were none yet, or nobody looks."""
        known = self._live.recent.shape[1]
        if not self._looks:
            return 0
        if detections.embedding is None or not len(detections):
            return known
        dimension = detections.embedding.shape[1]
        if known not in (0, dimension):
            raise InputError(f"embeddings have {dimension} dimensions, earlier frames had {known}")
        return dimension

    def _tick(self, timestamp: float | None) -> float:
        """Advance the clock; returns how many nominal frames have passed."""
        last = self._clock
        number = last.number + 1
        time = number / last.fps if timestamp is None else float(timestamp)
        steps = (time - last.time) * last.fps if number else 1.0
        if not (steps > 0 and isfinite(time)):
            raise InputError(f"timestamps must grow: {time:g} s came after {last.time:g} s")
        self._clock = Clock(last.fps, number, time, last.time)
        return 1.0 if abs(steps - 1.0) < STEADY else steps

    def _run_at_once(
        self, fast: ModuleType, given: AtOnce, detections: Detections, steps: float, warp: np.ndarray | None
    ) -> Tracks:
        """The rest of the frame in one compiled call."""
        if warp is not None:
            self._predict(steps, warp)
            steps = 0.0  # predicted already
        live, clock, stages, rules, kalman, start = self._live, self._clock, *given
        rows, filters, self._last_id, ids, xyxy, score, class_id, det_index = fast.frame(
            live.rows,
            live.filters,
            detections.xyxy,
            detections.score,
            detections.class_id,
            detections.index,
            stages,
            rules,
            kalman,
            start,
            clock.number,
            clock.time,
            clock.before,
            steps,
            self._last_id,
        )
        if rows is not live.rows:
            self._live = live.like(filters, rows)
        return Tracks(ids, xyxy, score, class_id, det_index)

    def _predict(self, steps: float, warp: np.ndarray | None) -> None:
        live = self._live
        if not len(live):
            return
        if self.config.freeze_lost_size:
            lost = (live.status == LOST).nonzero()[0]
            for size in self._model.sizes:
                live.filters[motion.V, lost, size] = 0.0
        motion.predict(self._model, live.filters, steps)
        if self._room.scores:
            life.forecast(live.scores, steps)
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
            self._clock.time,
            1.0 / self.fps,
        )
        if config.boost is None or not len(detections):
            return scene
        believed = self._clock.fresh(live, config.believed_age)
        near = overlaps_of(scene, "predicted", 0.0, believed)
        score = boosted(scene, near, believed, config.boost, config.high)
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
        believed = self._clock.fresh(self._live, self.config.believed_age)
        alive = self._clock.fresh(self._live, self.config.max_age)
        return associate(scene, stages, believed, alive, self.ledger)

    def _live_on(self, detections: Detections, joined: np.ndarray) -> None:
        """Tracks take in their detections ``joined`` (T,), the long lost are forgotten, new ones begin."""
        config, clock = self.config, self._clock
        life.absorb(self._live, detections, joined, config, clock)
        keep = life.remembered(self._live, config, clock)
        if not keep.all():
            self._live = self._live.take(keep.nonzero()[0])
        cols = life.births(self._live, detections, config, clock)
        if len(cols):
            self._live = self._live.append(life.born(self._live, detections, cols, config, clock))

    # -- keeping and restoring

    def state_dict(self) -> dict[str, np.ndarray]:
        """Everything that the next frame depends on, as plain arrays (``np.savez`` holds them without pickle)."""
        now = self._clock
        clock = {"frame": now.number, "time": now.time, "last_id": self._last_id, "fps": now.fps}
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
        self._clock = Clock(self.fps, int(state["frame"]), float(state["time"]))
        self._last_id = int(state["last_id"])
        self._spread = np.array(state["spread"], np.float64)


def _checked_warp(warp: np.ndarray) -> np.ndarray:
    warp = np.asarray(warp, np.float64)
    if warp.shape != (2, 3) or not np.isfinite(warp).all() or np.linalg.det(warp[:, :2]) == 0:
        raise InputError(f"warp must be a finite, invertible (2, 3) matrix, got {warp.tolist()}")
    return warp
