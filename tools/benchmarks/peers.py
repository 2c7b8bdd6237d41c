"""Our side for the shared harness: one small file that it runs with our Python, in rounds with the peers."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

ADAPTER = '''"""Retrace for run_assoc.py; written by tools/bench.py."""
VENV = "{python}"
import sys
sys.path.insert(0, "{root}")
from adapter_base import Base
from retrace import Detections, Tracker

SETTINGS = {settings!r}

class Retrace(Base):
    preset = ""
    def __init__(self, cfg):
        super().__init__(cfg)
        self.tracker = Tracker.from_config(self.preset, fps=cfg["fps"], **SETTINGS[self.preset])
    def prepare(self, dets, embs): return [Detections(d[:, :4], d[:, 4]) for d in dets]
    def update(self, x): return self.tracker.update(x)
    def collect(self, out): return out.id, out.xyxy.astype(float)

TRACKERS = {{f"retrace:{{p}}": type(p, (Retrace,), {{"preset": p}}) for p in SETTINGS}}
for one in TRACKERS.values():  # compiled before anything is timed
    one({{"fps": 30}}).update(Detections([[0, 0, 9, 9]], [0.9]))
'''


def write_adapter(path: Path, settings: Mapping[str, Mapping[str, float]]) -> Path:
    """The adapter file for the given presets and their settings."""
    root = Path(__file__).resolve().parents[2]
    path.write_text(ADAPTER.format(python=sys.executable, root=root, settings=dict(settings)))
    return path
