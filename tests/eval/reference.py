"""TrackEval 1.3.0 on arrays: the judge of the tests. Its file reading is stepped over, nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import trackeval

from retrace.tracker.data import MotTable

CLASS_IDS = {
    "pedestrian": 1, "person_on_vehicle": 2, "car": 3, "bicycle": 4, "motorbike": 5, "non_mot_vehicle": 6,
    "static_person": 7, "distractor": 8, "occluder": 9, "occluder_on_ground": 10, "occluder_full": 11,
    "reflection": 12, "crowd": 13,
}  # fmt: skip
QUIET = {"PRINT_CONFIG": False}
METRICS = (trackeval.metrics.HOTA(), trackeval.metrics.CLEAR(QUIET), trackeval.metrics.Identity(QUIET))


def judge(gt: MotTable, result: MotTable, length: int, benchmark: str) -> dict[str, Any]:
    """TrackEval's HOTA, CLEAR, Identity and Count of one sequence."""
    dataset = object.__new__(trackeval.datasets.MotChallenge2DBox)
    dataset.do_preproc = True  # the default, for a benchmark of one's own too
    dataset.benchmark = benchmark
    dataset.class_name_to_class_id = CLASS_IDS
    dataset.valid_class_numbers = list(CLASS_IDS.values())
    raw: dict[str, Any] = {"num_timesteps": length, "seq": "scene", "similarity_scores": []}
    for table, side in ((gt, "gt"), (result, "tracker")):
        frames = [np.flatnonzero(table.frame == t) for t in range(length)]
        raw[f"{side}_ids"] = [table.id[rows] for rows in frames]
        raw[f"{side}_classes"] = [table.class_id[rows] for rows in frames]
        raw[f"{side}_dets"] = [table.xyxy[rows] for rows in frames]
        raw["gt_extras" if side == "gt" else "tracker_confidences"] = [
            {"zero_marked": table.score[rows].astype(int)} if side == "gt" else table.score[rows]
            for rows in frames
        ]
    raw["similarity_scores"] = [
        dataset._calculate_box_ious(a, b, box_format="x0y0x1y1")
        for a, b in zip(raw["gt_dets"], raw["tracker_dets"], strict=True)
    ]
    data = dataset.get_preprocessed_seq_data(raw, "pedestrian")
    found = {metric.get_name(): metric.eval_sequence(data) for metric in METRICS}
    found["Count"] = trackeval.metrics.Count().eval_sequence(data)
    return found


def combine(parts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """TrackEval's combination of sequences."""
    return {
        metric.get_name(): metric.combine_sequences({name: p[metric.get_name()] for name, p in parts.items()})
        for metric in METRICS
    }
