"""tools/bench.py track: what it feeds the trackers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tools import bench
from retrace.tools.benchmarks import update
from retrace.tracker import Detections


def test_vectors_come_with_the_boxes(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRACE_SHARED", str(shared.parent))
    monkeypatch.setattr(update, "FRAMES", {10: 4})
    fed: list[Detections] = []
    monkeypatch.setattr(update, "_whole", lambda preset, frames: lambda: fed.extend(frames))
    rows = update.measure_updates([10], ["default"], 1, vectors=16)
    assert {row["side"] for row in rows} == {"floor: kalman", "floor: assignment", "default"}
    looks = [frame.embedding for frame in fed if len(frame)]
    assert {one.shape[1] for one in looks if one is not None} == {16}
    assert all(one is not None and np.allclose(np.linalg.norm(one, axis=1), 1) for one in looks)
    fed.clear()
    update.measure_updates([10], ["default"], 1)
    assert all(frame.embedding is None for frame in fed)


def test_peers_get_boxes_alone() -> None:
    with pytest.raises(InputError, match="leave --vectors out"):
        bench.main(["track", "--peers", "--vectors", "8"])
