"""What each preset scores on a benchmark's second halves, from given boxes: one table for all.

The protocol that published val-half figures have: a tracker that begins at the second half, boxes of at least --least,
and of its result the boxes that ByteTrack's MOT17 script keeps (w/h <= 1.6, area > 100 px^2). Each preset without and
with the camera motion of each sequence's gmc.txt, and afterwards improved offline as `tools/track.py --offline` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from retrace.configs import load_preset
from retrace.configs.loader import HERE
from retrace.eval.mot.preprocess import prepare
from retrace.eval.mot.score import Metrics, combine, score_prepared
from retrace.tools.benchmarks.side_by_side import shared_folder
from retrace.tools.tuning.clips import ClipFiles, find_clips, load_clip, track
from retrace.tracker.config import TrackerConfig
from retrace.tracker.data import MotTable
from retrace.tracker.offline.passes import OfflineConfig, improve

WIDEST, SMALLEST = 1.6, 100.0  # w/h and px^2: ByteTrack's box filter
CONDITIONS = ("no camera motion", "gmc", "gmc, offline")
SHOWN = ("HOTA", "IDF1", "MOTA", "IDSW")


def measure(
    data: Path | None = None,
    detections: str = "det_yolox/det.txt",
    least: float = 0.1,
    presets: Sequence[str] = (),
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """ "presets": preset -> condition -> all metrics of the sequences combined.

    Args:
        data: folder of sequence folders; None: the shared folder's MOT17-train.
        detections: file inside each.
        least: boxes that score less are not offered.
        presets: names; default: every one there is.
        say: told the lines of a Markdown table, each as soon as it is known.

    Raises:
        InputError: something named is missing.
    """
    data = data or shared_folder() / "data" / "MOT17-train"
    names = presets or sorted(path.stem for path in (HERE / "tracker").glob("*.yaml"))
    configs = {name: load_preset(name, TrackerConfig, "tracker", {}) for name in names}
    passes = load_preset("default", OfflineConfig, "offline", {})
    clips = {c: find_clips(data, detections, c, "val-half") for c in ("none", "auto")}
    say(f"| preset | {' | '.join(CONDITIONS)} |\n|{'---|' * (1 + len(CONDITIONS))}")
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for name, config in configs.items():
        rows = [
            combined(clips["none"], config, least),
            combined(clips["auto"], config, least),
            combined(clips["auto"], config.model_copy(update={"hidden": None}), least, passes),
        ]
        found[name] = {label: row.row() for label, row in zip(CONDITIONS, rows, strict=True)}
        say(f"| {name} | {' | '.join(cells(row.row()) for row in rows)} |")
    return {"presets": found}


def cells(row: dict[str, float | int]) -> str:
    return " / ".join(str(row[n]) if n == "IDSW" else f"{100 * row[n]:.2f}" for n in SHOWN)


def combined(
    clips: list[ClipFiles],
    config: TrackerConfig,
    least: float,
    passes: OfflineConfig | None = None,
    benchmark: str = "MOT17",
) -> Metrics:
    """What ``config`` scores on all clips together; ``passes``: after these."""
    parts = []
    for files in clips:
        clip = load_clip(files, benchmark)
        frames = [boxes_from(frame, least) for frame in clip.frames]
        result = kept(track(replace(clip, frames=frames), config))
        if passes is not None:
            result = kept(improve(result, clip.fps, passes))
        parts.append(score_prepared(prepare(clip.truth, result, files.sequence.length, benchmark)))
    return combine(parts)


def boxes_from(detections: Any, least: float) -> Any:
    """Those that score at least so much."""
    sure = detections.score >= np.float32(least)
    return replace(
        detections,
        xyxy=detections.xyxy[sure],
        score=detections.score[sure],
        class_id=detections.class_id[sure],
        index=detections.index[sure],
    )


def kept(result: MotTable) -> MotTable:
    """The boxes that ByteTrack's script writes."""
    size = result.xyxy[:, 2:] - result.xyxy[:, :2]
    return result.take((size.prod(1) > SMALLEST) & (size[:, 0] <= WIDEST * size[:, 1]))
