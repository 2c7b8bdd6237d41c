"""A ratchet: what the presets score on real boxes. A change that moves a number explains itself in LOG.md."""

import numpy as np
import pytest

from eval.mot import combine, evaluate
from tracker import Detections, Tracker
from tracker.camera import read_warps
from tracker.data import Frame, MotTable
from tracker.detection_source import open_detections
from tracker.mot_file import read_detections, read_ground_truth, read_sequence_info

VAL_HALF = [f"MOT17-{number}-FRCNN" for number in ("02", "05", "10", "13")]


def as_table(steps):
    """Tracks of each frame -> a result table."""
    frame = np.concatenate([np.full(len(tracks), k) for k, tracks in enumerate(steps)])
    xyxy = np.concatenate([tracks.xyxy for tracks in steps]).astype(np.float64)
    one = np.ones(len(frame))
    return MotTable(frame, np.concatenate([tracks.id for tracks in steps]), xyxy, one, one.astype(int), one)


def val_half(shared, preset, camera):
    parts = []
    for name in VAL_HALF:
        info = read_sequence_info(shared / "MOT17-train" / name)
        begin = info.length // 2 + 1
        boxes = read_detections(shared / "MOT17-train" / name / "det_yolox" / "det.txt")
        frames = list(boxes.by_frame(info.length))[begin:]
        tracker = Tracker.from_config(preset, fps=info.fps)
        warps = read_warps(shared / "MOT17-train" / name / "gmc.txt") if camera else {}
        steps = []
        for k, f in enumerate(frames):
            seen = Detections(f.xyxy[f.score >= 0.1], f.score[f.score >= 0.1])
            steps.append(tracker.update(seen, warp=warps.get(begin + k) if k else None))
        result = as_table(steps)
        size = result.xyxy[:, 2:] - result.xyxy[:, :2]
        result = result.take((size.prod(1) > 100) & (size[:, 0] <= 1.6 * size[:, 1]))
        gt = read_ground_truth(shared / "MOT17-val-half" / name / "gt" / "gt.txt")
        parts.append(evaluate(gt, result, len(frames), "MOT17"))
    return combine(parts).row()


@pytest.mark.parametrize(
    ("preset", "camera", "hota", "idf1"),
    [
        ("sort", False, 50.45, 62.94),
        ("bytetrack", False, 53.90, 68.17),
        ("default", False, 54.88, 66.96),
        ("bytetrack", True, 55.82, 71.00),
        ("default", True, 58.33, 73.27),
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
