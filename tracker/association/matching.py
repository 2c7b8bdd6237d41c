"""Who gets which detection: the stages of a preset, run one after the other."""

from __future__ import annotations

import numpy as np

from retrace.tracker.association.assignment import Pairs, overlapping_pairs
from retrace.tracker.association.costs import SPANS, Scene
from retrace.tracker.association.stages import Plan, candidates, costs, match, open_gates
from retrace.tracker.boxes import grown
from retrace.tracker.config import TrackerConfig
from retrace.tracker.data import Detections
from retrace.tracker.ledger.record import Ledger
from retrace.tracker.tracks.overlaps import doubles, kinds
from retrace.tracker.tracks.state import Room


def associate(
    scene: Scene, plans: tuple[Plan, ...], believed: np.ndarray, alive: np.ndarray, ledger: Ledger | None
) -> np.ndarray:
    """Run the stages: (T,) the detection of each track, -1: none.

    Args:
        believed, alive: (T,) bool, whose predicted box counts, and who may be found at all.
    """
    joined = np.full(len(scene.live), -1)
    free = bands(scene.detections, scene.config)
    near: dict[tuple[str, float], Pairs] = {}
    for number, stage in enumerate(plans):
        boxes = (stage.stage.against, stage.stage.buffer)
        if boxes not in near:
            near[boxes] = overlaps_of(scene, *boxes, believed)
        limit = np.where(joined < 0, stage.limit[scene.live.status], 0.0)  # (T,), 0: not in this stage
        limit *= believed if stage.by_place else alive
        rows, cols = _run(number, stage, scene, limit, free, near[boxes], ledger)
        joined[rows] = cols
        for band in stage.stage.bands:
            free[band][cols] = False
    return joined


def _run(
    number: int,
    stage: Plan,
    scene: Scene,
    limit: np.ndarray,
    free: dict[str, np.ndarray],
    near: Pairs,
    ledger: Ledger | None,
) -> tuple[np.ndarray, np.ndarray]:
    """One stage: rows and columns (K,) that it joins."""
    chosen, penalty = stage.stage.bands, None
    open_ = free[next(iter(chosen))]
    if len(chosen) > 1 or any(chosen.values()):
        open_ = np.logical_or.reduce([free[band] for band in chosen])
        penalty = np.sum([added * free[band] for band, added in chosen.items()], axis=0)
    pairs = candidates(scene, stage, limit, open_, near)
    cost = costs(scene, stage, pairs, penalty)
    gain = limit[pairs.row] - cost
    good = gain > 0
    if stage.stage.gates:
        good &= open_gates(scene, stage, pairs)
    which = good.nonzero()[0]
    rows, cols = match(scene, stage, pairs.take(which), gain[which])
    if ledger is not None:
        ledger.add(number, stage, scene, pairs, cost, limit, rows, cols)
    return rows, cols


def overlaps_of(scene: Scene, against: str, buffer: float, believed: np.ndarray) -> Pairs:
    """The pairs of boxes that overlap, of one class; predicted boxes only while they are believed."""
    live, boxes = scene.live, scene.detections.xyxy
    predicted = against == "predicted"
    mine = scene.box if predicted else live.past[:, 0]
    if buffer:
        mine, boxes = grown(mine, buffer), grown(boxes.astype(np.float64), buffer)
    near = overlapping_pairs(mine, boxes)
    fits = believed[near.row] if predicted else np.ones(len(near.row), bool)
    if not scene.config.class_agnostic:
        fits &= live.class_id[near.row] == scene.detections.class_id[near.col]
    return near if fits.all() else near.take(fits)


def bands(detections: Detections, config: TrackerConfig) -> dict[str, np.ndarray]:
    """(N,) bool for each band: the detections in it."""
    high, gone = detections.score >= config.high, deleted(detections, config)
    low = (detections.score >= config.low) & ~high
    return {"high": high & ~gone, "low": low & ~gone, "deleted": high & gone}


def deleted(detections: Detections, config: TrackerConfig) -> np.ndarray:
    """(N,) bool, the detections that non-maximum suppression deletes."""
    if config.nms >= 1:
        return np.zeros(len(detections), bool)
    classes = kinds(detections.class_id, config)
    return doubles(detections.xyxy, detections.score, classes, config.nms)


def room_for(config: TrackerConfig) -> Room:
    """What this preset must remember of each track."""
    stages = (*config.stages, *config.blind_stages)
    terms = {term for stage in stages for term in (*stage.terms, *stage.gates)}
    boxes = [0]
    if config.reupdate or any(stage.against == "observed" for stage in stages):
        boxes.append(1)
    if "direction" in terms:
        boxes.append(config.direction_span + 1)
    if "corner_direction" in terms:
        boxes.append(max(SPANS) + 1)
    if config.motion == "linear":
        boxes.append(config.motion_memory + 1)
    vectors = config.bank if {config.active_appearance, config.lost_appearance} & {"minimum", "median"} else 0
    return Room(max(boxes), 5 * config.reupdate, vectors, 5 * ("score_forecast" in terms))
