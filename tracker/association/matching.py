"""Who gets which detection: the stages of a preset, run one after the other."""

from __future__ import annotations

import numpy as np

from retrace.tracker.association.assignment import CandidatePairs, overlapping_pairs
from retrace.tracker.association.costs import SPANS
from retrace.tracker.association.inputs import CostInputs
from retrace.tracker.association.stages import (
    ASKED,
    NOT_HIGH,
    TOO_LOW,
    PreparedStage,
    candidates,
    costs,
    match,
    open_gates,
)
from retrace.tracker.boxes import grown
from retrace.tracker.config import TrackerConfig
from retrace.tracker.data import Detections
from retrace.tracker.ledger.record import Ledger
from retrace.tracker.tracks.appearance import pair_distances
from retrace.tracker.tracks.state import Depth


def associate(
    inputs: CostInputs,
    stages: tuple[PreparedStage, ...],
    believed: np.ndarray,
    alive: np.ndarray,
    deleted: np.ndarray,
    ledger: Ledger | None,
) -> np.ndarray:
    """Run the stages: (T,) the detection of each track, -1: none.

    Args:
        believed, alive: (T,) bool, whose predicted box counts, and who may be found at all.
        deleted: (N,) bool, the detections that non-maximum suppression deletes.
    """
    joined = np.full(len(inputs.live), -1)
    free = bands(inputs.detections, deleted, inputs.config)
    near: dict[tuple[str, float], CandidatePairs] = {}
    for number, stage in enumerate(stages):
        boxes = (stage.stage.against, stage.stage.buffer)
        if boxes not in near:
            near[boxes] = overlaps_of(inputs, *boxes, believed)
        limit = np.where(joined < 0, stage.limit[inputs.live.status], 0.0)  # (T,), 0: not in this stage
        limit *= believed if stage.by_place else alive
        rows, cols = _run(number, stage, inputs, limit, free, near[boxes], ledger)
        joined[rows] = cols
        for band in stage.stage.bands:
            free[band][cols] = False
    return joined


def _run(
    number: int,
    stage: PreparedStage,
    inputs: CostInputs,
    limit: np.ndarray,
    free: dict[str, np.ndarray],
    near: CandidatePairs,
    ledger: Ledger | None,
) -> tuple[np.ndarray, np.ndarray]:
    """One stage: rows and columns (K,) that it joins."""
    chosen, penalty = stage.stage.bands, None
    open_ = free[next(iter(chosen))]
    if len(chosen) > 1 or any(chosen.values()):
        open_ = np.logical_or.reduce([free[band] for band in chosen])
        penalty = np.sum([added * free[band] for band, added in chosen.items()], axis=0)
    pairs = candidates(inputs, stage, limit, open_, near)
    if stage.looks and inputs.appearance is not None:
        pair_distances(
            inputs.live, inputs.detections, inputs.config, pairs, inputs.stretch, inputs.appearance
        )
    cost = costs(inputs, stage, pairs, penalty)
    gain = limit[pairs.row] - cost
    good = gain > 0
    if stage.stage.gates:
        good &= open_gates(inputs, stage, pairs)
    which = good.nonzero()[0]
    rows, cols = match(inputs, stage, pairs.take(which), gain[which])
    if ledger is not None:
        ledger.add(number, stage, inputs, pairs, cost, limit, rows, cols)
    return rows, cols


def overlaps_of(inputs: CostInputs, against: str, buffer: float, believed: np.ndarray) -> CandidatePairs:
    """The pairs of boxes that overlap, of one class; predicted boxes only while they are believed."""
    live, boxes = inputs.live, inputs.detections.xyxy
    predicted = against == "predicted"
    mine = inputs.box if predicted else live.past[:, 0]
    if buffer:
        mine, boxes = grown(mine, buffer), grown(boxes.astype(np.float64), buffer)
    near = overlapping_pairs(mine, boxes)
    fits = believed[near.row] if predicted else np.ones(len(near.row), bool)
    if not inputs.config.class_agnostic:
        fits &= live.class_id[near.row] == inputs.detections.class_id[near.col]
    return near if fits.all() else near.take(fits)


def bands(detections: Detections, deleted: np.ndarray, config: TrackerConfig) -> dict[str, np.ndarray]:
    """(N,) bool for each band: the detections in it."""
    high = detections.score >= config.high
    low = (detections.score >= config.low) & ~high
    return {"high": high & ~deleted, "low": low & ~deleted, "deleted": high & deleted}


def unasked(detections: Detections, stages: tuple[PreparedStage, ...], config: TrackerConfig) -> np.ndarray:
    """(N,) why the stages ask for each detection or not, by its score alone: ASKED, TOO_LOW or NOT_HIGH.

    Only a ledger wants to know, so :func:`associate` does not spend time on it.
    """
    why, band = np.full(len(detections), ASKED), bands(detections, np.zeros(len(detections), bool), config)
    why[~(band["high"] | band["low"])] = TOO_LOW
    if not any("low" in stage.stage.bands for stage in stages):
        why[band["low"]] = NOT_HIGH
    return why


def depth_of(config: TrackerConfig) -> Depth:
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
    return Depth(max(boxes), 5 * config.reupdate, vectors, 5 * ("score_forecast" in terms))
