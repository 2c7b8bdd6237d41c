"""The presets we ship, variants that none of ours says, and how a tracker is held against its slow twin."""

import numpy as np

from tests.conftest import ROOT
from tests.tracker.slow_tracker import SlowTracker

CONFIGS = ROOT / "configs" / "tracker"
PRESETS = sorted(path.stem for path in CONFIGS.glob("*.yaml"))
ANYBODY = {"tracks": ["active", "lost", "tentative"], "detections": "high"}
VARIANTS = {  # what a preset file may say and none of ours does
    "banks": (
        "default",
        {"bank": 5, "active_appearance": "minimum", "lost_appearance": "median", "motion_age": 0.2},
    ),
    "shown while hidden": (
        "bytetrack",
        {
            "hidden": {"age": 0.5, "cover": 0.3, "hits": 2, "slack": 0.2},
            "coast": 0.1,
            "confirm_score": 0.9,
            "confirm_hits": 4,
            "tentative_max_age": 0.1,
        },
    ),
    "careful births": (
        "bytetrack",
        {"birth_iou": 0.3, "nms": 0.6, "motion_age": 0.1, "class_agnostic": True},
    ),
    "boost without classes": ("boosttrack", {"class_agnostic": True, "low": 0.3, "nms": 0.7}),
    "looks wherever they are": (
        "botsort",
        {"stages.0.cue_iou": 1, "stages.0.limit": 0.9, "recent_momentum": 0.5, "momentum_from": 0.3},
    ),
    "adaptive looks without a gate": (
        "deepocsort",
        {"stages": [{**ANYBODY, "cost": {"adaptive_appearance": 1, "iou": 1}, "limit": 0.6}]},
    ),
    "observed, grown, mutual": (
        "ocsort",
        {
            "direction_span": 1,
            "stages": [
                {
                    **ANYBODY,
                    "cost": {"iou": 1, "direction": 0.3, "half_appearance": 0.5},
                    "neutral_appearance": 0.3,
                    "against": "observed",
                    "buffer": 0.2,
                    "limit": {"active": 0.9, "lost": 1.05, "tentative": 0.7},
                    "match": "mutual",
                }
            ],
        },
    ),
    "cascade with penalties": (
        "tracktrack",
        {
            "noise_by_score": False,
            "reupdate": True,
            "freeze_lost_size": True,
            "blind_stages": [],
            "stages": [
                {
                    "tracks": ["active", "lost", "tentative"],
                    "detections": {"high": 0, "low": 0.1, "deleted": 0.2},
                    "cost": {"appearance": 0.4, "iou": 0.6},
                    "neutral_appearance": 0.1,
                    "limit": 0.8,
                    "cascade": True,
                    "gates": {"centre_mahalanobis": 60},
                }
            ],
        },
    ),
}


def rows(tracks):
    columns = (tracks.id.tolist(), tracks.det_index.tolist(), tracks.class_id.tolist())
    return [(*row, *box) for *row, box in zip(*columns, tracks.xyxy.tolist(), strict=True)]


def assert_equals_twin(tracker, scene):
    slow = SlowTracker(tracker.config, tracker.fps)
    for detections, time, warp in scene:
        tracks, expected = tracker.update(detections, time, warp), slow.update(detections, time, warp)
        assert [r[:3] for r in rows(tracks)] == [r[:3] for r in expected]
        assert np.allclose(tracks.score, [r[3] for r in expected])
        assert np.allclose(tracks.xyxy, np.reshape([r[4:] for r in expected], (-1, 4)), atol=2e-3)


def assert_same(a, b):
    for name in ("id", "xyxy", "score", "class_id", "det_index"):
        assert getattr(a, name).tobytes() == getattr(b, name).tobytes(), name
