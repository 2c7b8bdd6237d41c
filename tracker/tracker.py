"""The tracker: detections of a frame in, identities out.

All live tracks are one struct of arrays (tracker/tracks/state.py); an algorithm is a list of stages (configs/tracker/).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from retrace.configs import InputError, load_preset
from retrace.configs.errors import expect, one_line
from retrace.tracker.association.boost import boosted
from retrace.tracker.association.costs import ALL_LOOKS
from retrace.tracker.association.inputs import CostInputs
from retrace.tracker.association.matching import associate, depth_of, overlaps_of, unasked
from retrace.tracker.association.stages import prepare
from retrace.tracker.config import TrackerConfig
from retrace.tracker.data import Detections, Tracks, frame_rate
from retrace.tracker.kernels import compiled
from retrace.tracker.ledger.record import Ledger
from retrace.tracker.motion import filters
from retrace.tracker.motion.models import MODELS
from retrace.tracker.rows import ACTIVE, EPSILON, LOST, FrameTime, expected
from retrace.tracker.rules import CompiledStages, compiled_stages, rules_of
from retrace.tracker.tracks import appearance, lifecycle, overlaps, shown, sparing
from retrace.tracker.tracks.scores import correct_scores, forecast_scores, initial_scores
from retrace.tracker.tracks.sparing import FRESH
from retrace.tracker.tracks.state import blank, kinds, packed, unpacked

STEADY = 1e-3  # steps this near to 1 are one step: i / fps is not exact
NO_VECTORS = np.zeros((0, 0), np.float32)
NO_MATRIX = np.zeros((0, 0))


@cache
def compiled_frame() -> Callable[..., Any] | None:
    """`tracker.compiled_frame.run_frame` where numba is installed."""
    if not compiled():
        return None
    from retrace.tracker import compiled_frame as module
    from retrace.tracker.compiled.cache import forgive

    forgive(module)
    return module.run_frame


class Tracker:
    """One tracker, with its own identities, clock and memory. Make one for each source, with :meth:`from_config`.

    Which tracker it is, a preset says: a list of association stages, a motion model, a lifecycle; each file in
    ``configs/tracker`` names its paper.

    Raises:
        InputError: a configuration, detections, a time or a state that does not fit; each method says which.

    Example:
        >>> from retrace import Detections, Tracker
        >>> tracker = Tracker.from_config("bytetrack", fps=25)
        >>> for k in range(3):  # somebody who walks to the right, 5 px a frame
        ...     tracks = tracker.update(Detections([[10 + 5 * k, 20, 50 + 5 * k, 120]], [0.9]), timestamp=k / 25)
        >>> tracks.id, tracks.det_index
        (array([1]), array([0]))
        >>> tracker.count, tracker.fps  # identities given so far, frames/s
        (1, 25.0)
    """

    def __init__(
        self,
        config: TrackerConfig,
        fps: float = 30.0,
        ledger: bool = False,
        watch: Callable[[CostInputs], object] | None = None,
    ) -> None:
        """
        Args:
            config: see :meth:`from_config`.
            fps: the source's nominal frame rate: the unit of motion, and the clock where no timestamps come.
            ledger: keep in ``self.ledger`` what became of each detection of the last frame, and why.
            watch: called in each frame with what its costs look at, before anybody is joined. It may change nothing
                and keep copies only: the arrays are the tracker's own. Where it raises, the tracker stays in the
                middle of the frame: :meth:`reset` it.

        Raises:
            InputError: something else than a configuration or a function; a frame rate outside 0.001 to 1,000,000.
        """
        if not isinstance(config, TrackerConfig):
            raise InputError(
                f"expected a TrackerConfig, got {type(config).__name__}; a preset's name goes to Tracker.from_config"
            )
        if watch is not None:
            expect("watch", watch, Callable, "a function")  # type: ignore[arg-type]
        self.config = config
        self.ledger = Ledger() if ledger else None
        self._watch = watch
        self._model = MODELS[config.motion]
        self._fps = frame_rate(fps)
        self._seeing = tuple(prepare(stage) for stage in config.stages)
        self._blind = tuple(prepare(stage) for stage in config.blind_stages or config.stages)
        self._depth = depth_of(config)
        self._looks_from = _looks_from(config)
        self._looks = self._looks_from <= 1
        self._rules = rules_of(config, self._depth)
        self._compiled_stages = compiled_stages(config)
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
        """The score from which a detection's appearance is used: boxes below it need no vector. 2: no stage compares
        appearance.

        Example:
            >>> from retrace import Tracker
            >>> Tracker.from_config("deepsort").appearance_from, Tracker.from_config("sort").appearance_from
            (0.6, 2.0)
        """
        return 2.0 if self._blindfolded else self._looks_from

    @property
    def fps(self) -> float:
        """The source's nominal frame rate, frames/s."""
        return self._fps

    def reset(self) -> None:
        """Forget everything: the next frame is the first, the next identity is 1.

        Example:
            >>> from retrace import Detections, Tracker
            >>> tracker = Tracker.from_config("sort")
            >>> for video in ("monday.mp4", "tuesday.mp4"):
            ...     tracker.reset()
            ...     print(tracker.update(Detections([[10, 20, 50, 120]], [0.9]), timestamp=0.0).id)
            [1]
            [1]
        """
        self._blindfolded = False
        self._live = blank(0, self._depth)
        self.ledger = None if self.ledger is None else Ledger()
        self._now = FrameTime(-1, 0.0, 0.0)
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
            InputError: no detections, time does not advance, a malformed warp, embeddings of another dimension than
                before.
        """
        _check_detections(detections)
        warp = None if warp is None else _checked_warp(warp)
        if self._blindfolded:
            detections = detections.with_embedding(None)
        dimension = self._dimension(detections)
        steps = self._tick(timestamp)  # the last that may refuse a frame: nothing has changed so far
        if dimension != self._live.vectors.dimension:
            self._live.widen(dimension)
        tracks = self._track(detections, steps, warp)
        return tracks.carrying(detections) if detections.extras else tracks

    def blindfold(self) -> None:
        """From now on compare nobody's looks, whatever comes with the boxes; until :meth:`reset`.

        Example:
            >>> from retrace import Tracker
            >>> tracker = Tracker.from_config("default")
            >>> tracker.blindfold()  # everybody wears the same: looks mislead here
            >>> tracker.appearance_from  # no detection has a score of 2
            2.0
        """
        self._blindfolded = True

    def settled(
        self, detections: Detections, timestamp: float | None = None, warp: np.ndarray | None = None
    ) -> np.ndarray:
        """(N,) bool: the boxes of the next frame of which place alone says whose they are.

        See `tracker.tracks.sparing`. Arguments as for :meth:`update`, which is to follow; nothing changes here.

        Raises:
            InputError: as :meth:`update`, for no detections, a timestamp that is no number or a malformed warp.

        Example:
            >>> from retrace import Detections, Tracker
            >>> tracker, somebody = Tracker.from_config("default", fps=10), Detections([[10, 20, 50, 120]], [0.9])
            >>> for _ in range(25):  # for 2.5 s
            ...     tracks = tracker.update(somebody.with_embedding([[0.6, 0.8]]))
            >>> tracker.settled(Detections([[10, 20, 50, 120], [300, 20, 340, 120]], [0.9, 0.9]))
            array([ True, False])
        """
        _check_detections(detections)
        live, useful = self._live, detections.score >= self.appearance_from
        number = self._now.number + 1
        now = number / self._fps if timestamp is None else _seconds(timestamp)
        steps = (now - self._now.time) * self._fps
        place = live.filters.copy()
        place[filters.X] += (
            np.where(place[filters.X] + steps * place[filters.V] > 0, steps, 0) * place[filters.V]
        )
        if warp is not None:
            filters.warp(self._model, place, _checked_warp(warp))
        believed = expected(live.seen, self.config.believed_age, FrameTime(number, now, self._now.time))
        due = max(1, round(FRESH * self._fps))  # matches between two looks, each at its own time
        sure = (live.status == ACTIVE) & (live.views > 0) & (live.hits > due) & (live.hits % due != 0)
        box, rows = self._model.to_xyxy(place[filters.X])[believed], useful.nonzero()[0]
        kind = kinds(live.class_id, self.config)[believed]
        found = kinds(detections.class_id, self.config)[rows]
        settled = np.zeros(len(detections), bool)
        settled[rows] = sparing.settled(detections.xyxy[rows], found, box, sure[believed], kind)
        return settled

    # -- one frame, step by step

    def _track(self, detections: Detections, steps: float, warp: np.ndarray | None) -> Tracks:
        """The whole frame, in one compiled call or step by step."""
        ready = self._compiled_stages if self.ledger is None and self._watch is None else None
        if ready and (ready.looks or not self._live.vectors.dimension) and (frame := compiled_frame()):
            return self._run_compiled(frame, ready, detections, steps, warp)
        self._predict(steps, warp)
        inputs = self._look(detections)
        if self._watch is not None:
            self._watch(inputs)
        deleted_by = overlaps.deleted_boxes(inputs.detections, self._rules[0])
        joined = self._associate(inputs, deleted_by >= 0)
        return self._settle(detections, inputs.detections, joined, deleted_by)

    def _dimension(self, detections: Detections) -> int:
        """Of the appearance vectors, this frame's included; 0: there were none yet, or nobody looks."""
        known = self._live.vectors.dimension
        if not self._looks:
            return 0
        if detections.embedding is None or not len(detections):
            return known
        dimension = detections.embedding.shape[1]
        if known not in (0, dimension):
            raise InputError(f"embeddings have {dimension} dimensions, earlier frames had {known}")
        return dimension

    def _tick(self, timestamp: float | None) -> float:
        """Go to the next frame; returns how many nominal frames have passed."""
        last = self._now
        number = last.number + 1
        time = number / self._fps if timestamp is None else _seconds(timestamp)
        steps = (time - last.time) * self._fps if number else 1.0
        if not (steps > 0 and isfinite(time)):
            raise InputError(f"timestamps must grow: {time:g} s came after {last.time:g} s")
        self._now = FrameTime(number, time, last.time)
        return 1.0 if abs(steps - 1.0) < STEADY else steps

    def _run_compiled(
        self,
        frame: Callable[..., Any],
        ready: CompiledStages,
        detections: Detections,
        steps: float,
        warp: np.ndarray | None,
    ) -> Tracks:
        """The rest of the frame in one compiled call."""
        if warp is not None:
            self._predict(steps, warp)
            steps = 0.0  # predicted already
        live, now, looks = self._live, self._now, self._looks and detections.embedding is not None
        matrix = None
        if ready.matrix and looks and len(live) and len(detections):
            matrix = appearance.distances(live, detections, self.config)
        live.reserve(len(detections))
        vectors = live.vectors
        live.count, self._last_id, reported = frame(
            live.row_buffer,
            live.filter_buffer,
            live.memory_buffer,
            live.count,
            vectors.recent,
            vectors.history,
            vectors.bank,
            self._spread,
            self._rules,
            ready.stages,
            detections.xyxy,
            detections.score,
            detections.class_id,
            detections.index,
            detections.embedding if looks else NO_VECTORS,
            NO_MATRIX if matrix is None else matrix,
            now.number,
            now.time,
            now.before,
            1.0 / self._fps,
            steps,
            self._last_id,
        )
        return Tracks(
            reported["id"], reported["xyxy"], reported["score"], reported["class_id"], reported["det_index"]
        )

    def _predict(self, steps: float, warp: np.ndarray | None) -> None:
        live = self._live
        if not len(live):
            return
        if self.config.freeze_lost_size:
            lost = (live.status == LOST).nonzero()[0]
            for size in self._model.sizes:
                live.filters[filters.V, lost, size] = 0.0
        filters.predict(self._model, live.filters, steps)
        if self._depth.scores:
            forecast_scores(live.scores, steps)
        if warp is not None:
            filters.warp(self._model, live.filters, warp)
            if self._depth.filters:
                filters.warp(self._model, live.kept.transpose(1, 0, 2), warp)
            if self._depth.boxes:
                live.past[:] = filters.warp_boxes(live.past, warp)

    def _look(self, detections: Detections) -> CostInputs:
        """Everything that the costs of this frame look at."""
        live, config = self._live, self.config
        distances, stretch = self._distances(detections)
        inputs = CostInputs(
            config,
            live,
            detections,
            self._model,
            self._model.to_xyxy(live.filters[filters.X]),
            distances,
            self._now.time,
            1.0 / self._fps,
            stretch,
        )
        if config.boost is None or not len(detections):
            return inputs
        believed = expected(live.seen, config.believed_age, self._now)
        near = overlaps_of(inputs, "predicted", 0.0, believed)
        score = boosted(inputs, near, believed, config.boost, config.high)
        return replace(inputs, detections=replace(detections, score=score))

    def _distances(self, detections: Detections) -> tuple[np.ndarray | None, float]:
        """(T, N) how different tracks and detections look, in units that do not depend on the network; these units."""
        live, config, vectors = self._live, self.config, detections.embedding
        if not self._looks or vectors is None or not len(detections):
            return None, 1.0
        if config.appearance_scale is not None:
            known = (detections.score >= config.high) & vectors.any(1)
            self._spread = self._spread + appearance.spread(vectors[known])
        stretch = appearance.stretch_by(config.appearance_scale, self._spread)
        found = appearance.distances(live, detections, config) if len(live) else None
        if found is not None:
            found *= stretch
        return found, stretch

    def _associate(self, inputs: CostInputs, deleted: np.ndarray) -> np.ndarray:
        """(T,) the detection of each track, -1: none."""
        anybody = len(self._live) > 0 and len(inputs.detections) > 0
        stages = self._blind if anybody and inputs.appearance is None else self._seeing
        if self.ledger is not None:
            self.ledger.open(self._live, inputs, unasked(inputs.detections, stages, self.config))
        if not anybody:
            return np.full(len(self._live), -1)
        believed = expected(self._live.seen, self.config.believed_age, self._now)
        alive = expected(self._live.seen, self.config.max_age, self._now)
        return associate(inputs, stages, believed, alive, deleted, self.ledger)

    def _settle(
        self, given: Detections, detections: Detections, joined: np.ndarray, deleted_by: np.ndarray
    ) -> Tracks:
        """Tracks take in their detections ``joined`` (T,), some end, new ones begin, and the frame is reported.

        Args:
            given, detections: as they came, and as the stages saw them (a preset may raise scores).
            deleted_by: (N,) from `overlaps.deleted_boxes`.
        """
        rules, now, live = self._rules[0], self._now, self._live
        self._correct(detections, joined)
        lifecycle.take_in(live.rows, joined, detections, rules, now)
        self._remember(detections, joined)
        stays = lifecycle.remembered(live.status, live.seen, rules, now)
        # (T,) the row at the frame's beginning, or that many plus its place in `cols`
        source = stays.nonzero()[0]
        if not stays.all():
            self._live = live.take(source)
        cols, reason = lifecycle.births(self._live.rows, detections, deleted_by, rules)
        by = deleted_by
        if len(cols) and self.config.birth_iou < 1:
            cols, by = self._free_places(detections, cols, reason, by, source)
        source = np.concatenate((source, len(stays) + np.arange(len(cols))))
        if self.ledger is not None:
            self.ledger.note_forgotten(~stays)
            self.ledger.note_births(cols, reason, by)
        if len(cols):
            self._begin(detections, cols)
        box = self._box()
        duplicate_of = overlaps.duplicates(self._live.rows, box, rules, now)
        if self.ledger is not None:
            self.ledger.note_ends(source, duplicate_of)
        kept = (duplicate_of < 0).nonzero()[0]
        if len(kept) < len(duplicate_of):
            self._live, box, source = self._live.take(kept), box[kept], source[kept]
        tracks, self._last_id = shown.report(self._live.rows, box, given, rules, now, self._last_id)
        if self.ledger is not None:
            self.ledger.close(self._live, source, detections)
        return tracks

    def _box(self) -> np.ndarray:
        """(T, 4) xyxy px, where the filters stand."""
        return self._model.to_xyxy(self._live.filters[filters.X])

    def _free_places(
        self, detections: Detections, cols: np.ndarray, reason: np.ndarray, by: np.ndarray, source: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Of the births ``cols`` (K,) those on free places; reason (N,) is told of the others, and by (N,) grows."""
        live, rules, by = self._live, self._rules[0], by.copy()
        track, birth = lifecycle.taken_places(live.rows, self._box(), cols, detections, rules, self._now)
        on_track, on_birth = track >= 0, birth >= 0
        reason[cols[on_track]], by[cols[on_track]] = lifecycle.ON_TRACK, source[track[on_track]]
        reason[cols[on_birth]], by[cols[on_birth]] = lifecycle.ON_BIRTH, birth[on_birth]
        return cols[~(on_track | on_birth)], by

    def _correct(self, detections: Detections, joined: np.ndarray) -> None:
        """Motion and scores take in the detections ``joined`` (T,)."""
        live, config, model, now = self._live, self.config, self._model, self._now
        rows = (joined >= 0).nonzero()[0]
        if not len(rows):
            return
        box, score = detections.xyxy[joined[rows]], detections.score[joined[rows]]
        z = model.from_xyxy(box)
        if config.reupdate:
            self._reupdate(rows, box)
        if live.scores.shape[1]:
            correct_scores(live.scores, rows, score)
        if live.past.shape[1]:
            live.past[rows] = np.concatenate((box[:, None], live.past[rows, :-1]), axis=1)
            when = np.full((len(rows), 1), now.time)
            live.past_time[rows] = np.concatenate((when, live.past_time[rows, :-1]), axis=1)
        if config.motion == "linear":
            past = live.past[rows]
            past = model.from_xyxy(past.reshape(-1, 4)).reshape(past.shape)
            gap = -np.diff(live.past_time[rows], axis=1) / (1.0 / self._fps)
            filters.follow(live.filters, rows, z, past, gap)
            return
        filters.update(model, live.filters, rows, z, 1.0 - score if config.noise_by_score else None)
        if live.kept.shape[1]:
            live.kept[rows] = live.filters[:, rows].transpose(1, 0, 2)

    def _reupdate(self, rows: np.ndarray, box: np.ndarray) -> None:
        """Filters ``rows`` (K,) found again at boxes (K, 4) go through their gap anew (OC-SORT, sec. 4.1)."""
        live, now = self._live, self._now
        steps = np.rint((now.time - live.seen[rows]) / (1.0 / self._fps)).astype(np.int64)
        missed = live.seen[rows] < now.before - EPSILON  # between slow frames nobody was lost
        again = (missed & (steps > 1)).nonzero()[0]
        if len(again):
            found = rows[again]
            some = np.ascontiguousarray(live.kept[found].transpose(1, 0, 2))
            last, here = live.past[found, 0], box[again].astype(np.float64)
            filters.reupdate(self._model, some, last, here, steps[again])
            live.filters[:, found] = some

    def _remember(self, detections: Detections, joined: np.ndarray) -> None:
        """Appearance of high detections only: what scores low is mostly somebody else's shoulder."""
        vectors = detections.embedding
        if vectors is None or not self._live.vectors.dimension:
            return
        rows = (joined >= 0).nonzero()[0]
        cols = joined[rows]
        clear = (detections.score[cols] >= self.config.high) & vectors[cols].any(1)
        rows, cols = rows[clear], cols[clear]
        appearance.remember(self._live, self.config, rows, vectors[cols], detections.score[cols])

    def _begin(self, detections: Detections, cols: np.ndarray) -> None:
        """Tracks of one detection each, ``cols`` (K,)."""
        new, box, depth = blank(len(cols), self._depth), detections.xyxy[cols], self._depth
        lifecycle.begin(new.rows, cols, detections, self._rules[0], self._now)
        new.filters[:] = filters.initiate(self._model, self._model.from_xyxy(box))
        new.past[:], new.past_time[:, :1] = box[:, None], self._now.time
        new.kept[:] = new.filters.transpose(1, 0, 2)[:, : depth.filters]
        if depth.scores:
            new.scores[:] = initial_scores(detections.score[cols])
        vectors = detections.embedding
        self._live = self._live.append(new, None if vectors is None else vectors[cols])

    # -- keeping and restoring

    def state_dict(self) -> dict[str, np.ndarray]:
        """Everything that the next frame depends on, as plain arrays (``np.savez`` holds them without pickle).

        Example:
            >>> import numpy as np
            >>> from retrace import Detections, Tracker
            >>> before, after = Tracker.from_config("sort"), Tracker.from_config("sort")
            >>> _ = before.update(Detections([[10, 20, 50, 120]], [0.9]))
            >>> np.savez("tracker.npz", **before.state_dict())
            >>> after.load_state_dict(np.load("tracker.npz"))
            >>> tracks = after.update(Detections([[300, 20, 340, 120], [12, 20, 52, 120]], [0.9, 0.9]))
            >>> tracks.id, tracks.det_index  # the second box is whom it knew
            (array([1, 2]), array([1, 0]))
        """
        now = self._now
        clock = {"frame": now.number, "time": now.time, "last_id": self._last_id, "fps": self._fps}
        return {
            **packed(self._live),
            **{name: np.array(value) for name, value in clock.items()},
            "spread": self._spread.copy(),
            "blindfolded": np.array(self._blindfolded),
            "config": np.array(self.config.model_dump_json()),
        }

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Go on exactly where :meth:`state_dict` was taken: the same input gives the same bytes.

        Raises:
            InputError: parts are missing or too many, or it was taken with another configuration or frame rate.
        """
        want = {*packed(self._live), "frame", "time", "last_id", "fps", "spread", "blindfolded", "config"}
        expect("state", state, Mapping, "what state_dict() gave")
        if set(state) != want:
            raise InputError(f"not a tracker's state: {[*map(str, want ^ set(state))]} missing or too many")
        try:
            if str(state["config"]) != self.config.model_dump_json() or float(state["fps"]) != self.fps:
                raise InputError("the state was taken with another tracker configuration or frame rate")
            live = unpacked(state, self._depth)
            now = FrameTime(int(state["frame"]), float(state["time"]), 0.0)
            last_id, blindfolded = int(state["last_id"]), bool(state["blindfolded"])
            spread = np.array(state["spread"], np.float64).reshape(2)
        except InputError:
            raise
        except (TypeError, ValueError, OverflowError, AttributeError) as error:
            raise InputError(f"not a tracker's state: {one_line(error)}") from None
        self._live, self._now, self._last_id = live, now, last_id
        self._spread, self._blindfolded = spread, blindfolded


def _looks_from(config: TrackerConfig) -> float:
    """The least score of a band that some stage compares by looks; 2: none does."""
    looking = {
        band for stage in config.stages if ALL_LOOKS & {*stage.terms, *stage.gates} for band in stage.bands
    }
    if not looking:
        return 2.0
    return config.low if "low" in looking else config.high


def _check_detections(detections: Detections) -> None:
    """Raises InputError for something else."""
    if not isinstance(detections, Detections):
        raise InputError(
            f"expected Detections, got {type(detections).__name__}; make one: Detections(xyxy, score, class_id)"
        )


def _seconds(timestamp: float) -> float:
    """As a float; raises InputError for what is no number."""
    try:
        if isinstance(timestamp, str | bytes):
            raise TypeError
        return float(timestamp)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"timestamp must be a number of seconds, got {type(timestamp).__name__}") from None


def _checked_warp(warp: np.ndarray) -> np.ndarray:
    try:
        matrix = np.asarray(warp, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"warp must be a (2, 3) matrix of numbers, got {type(warp).__name__}") from None
    if matrix.shape != (2, 3) or not np.isfinite(matrix).all() or np.linalg.det(matrix[:, :2]) == 0:
        raise InputError(f"warp must be a finite, invertible (2, 3) matrix, got {matrix.tolist()}")
    return matrix
