"""A ratchet: what the presets score on real boxes. A change that moves a number explains itself in LOG.md."""

import numpy as np
import pytest

from retrace.eval.mot.score import evaluate
from retrace.tracker import Tracker
from retrace.tracker.data import Frame, MotTable
from retrace.tracker.detection.boxes_file import open_detections
from retrace.tracker.mot_file import read_ground_truth
from tests.quality import val_half


def as_table(steps):
    """Tracks of each frame -> a result table."""
    frame = np.concatenate([np.full(len(tracks), k) for k, tracks in enumerate(steps)])
    xyxy = np.concatenate([tracks.xyxy for tracks in steps]).astype(np.float64)
    one = np.ones(len(frame))
    return MotTable(frame, np.concatenate([tracks.id for tracks in steps]), xyxy, one, one.astype(int), one)


@pytest.mark.parametrize(
    ("preset", "camera", "hota", "idf1"),
    [
        ("sort", "none", 50.45, 62.94),
        ("bytetrack", "none", 53.90, 68.17),
        ("default", "none", 54.88, 66.96),
        ("bytetrack", "auto", 55.82, 71.00),
        ("default", "auto", 58.33, 73.27),
    ],
)
def test_mot17_val_half(shared, preset, camera, hota, idf1):
    row = val_half(shared, preset, camera)
    assert 100 * row["HOTA"] == pytest.approx(hota, abs=0.05)
    assert 100 * row["IDF1"] == pytest.approx(idf1, abs=0.05)


def test_pets_motion_only(shared):
    folder = shared / "MOT15-train" / "PETS09-S2L1"
    detect = open_detections(folder / "det" / "det.txt")
    tracker = Tracker.from_config("default", fps=10)  # the rate of vtest.avi
    steps = [tracker.update(detect(Frame(k, k / 10, None))) for k in range(795)]
    row = evaluate(read_ground_truth(folder / "gt" / "gt.txt"), as_table(steps), 795, "MOT15").row()
    assert 100 * row["HOTA"] == pytest.approx(48.4, abs=0.06)
    assert 100 * row["IDF1"] == pytest.approx(65.2, abs=0.06)
