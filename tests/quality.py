"""What a preset scores on the second halves of MOT17's sequences, from given boxes."""

from collections.abc import Sequence
from pathlib import Path

from retrace.configs import load_preset
from retrace.tools.benchmarks.presets import combined
from retrace.tools.tuning.clips import find_clips
from retrace.tracker.config import TrackerConfig

VAL_HALF = [f"MOT17-{number}-FRCNN" for number in ("02", "05", "10", "13")]


def val_half(
    shared: Path, preset: str, camera: str, sequences: Sequence[str] = VAL_HALF
) -> dict[str, float | int]:
    clips = find_clips(shared / "MOT17-train", "det_yolox/det.txt", camera, "val-half", list(sequences))
    return combined(clips, load_preset(preset, TrackerConfig, "tracker", {}), least=0.1).row()
