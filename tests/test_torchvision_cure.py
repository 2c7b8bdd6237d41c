"""The workaround for torchvision beside a torch that its operators do not fit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from retrace.torchvision_cure import cure_torchvision, nms

torch = pytest.importorskip("torch")
ROOT = Path(__file__).resolve().parents[1]


def slow_nms(boxes: np.ndarray, scores: np.ndarray, limit: float) -> list[int]:
    """The definition, one pair at a time."""
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        for k in kept:
            width = min(boxes[i][2], boxes[k][2]) - max(boxes[i][0], boxes[k][0])
            height = min(boxes[i][3], boxes[k][3]) - max(boxes[i][1], boxes[k][1])
            inter = max(width, 0) * max(height, 0)
            areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (boxes[i], boxes[k])]
            if inter > limit * (sum(areas) - inter):
                break
        else:
            kept.append(i)
    return kept


def test_nms_drops_the_weaker_of_two_boxes_that_overlap_too_much() -> None:
    # IoU of the first two: 80 / 100
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 8], [20, 20, 30, 30]])
    scores = torch.tensor([0.5, 0.9, 0.1])
    assert nms(boxes, scores, 0.7).tolist() == [1, 2]
    assert nms(boxes, scores, 0.85).tolist() == [1, 0, 2]


def test_nms_keeps_a_box_whose_overlap_equals_the_limit() -> None:
    boxes = torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, 2]])  # IoU 8 / 16, exact in floating point
    assert nms(boxes, torch.tensor([0.9, 0.8]), 0.5).tolist() == [0, 1]


def test_nms_equals_its_slow_twin() -> None:
    rng = np.random.default_rng(0)
    for n in (1, 2, 30):
        for limit in (0.0, 0.3, 0.7):
            low = rng.integers(0, 12, (n, 2))
            boxes = np.concatenate([low, low + rng.integers(1, 8, (n, 2))], axis=1).astype(np.float32)
            scores = rng.integers(0, 5, n).astype(np.float32)  # ties
            want = slow_nms(boxes, scores, limit)
            assert nms(torch.from_numpy(boxes), torch.from_numpy(scores), limit).tolist() == want


def test_nms_of_nothing_is_nothing() -> None:
    kept = nms(torch.zeros(0, 4), torch.zeros(0), 0.5)
    assert kept.shape == (0,)
    assert kept.dtype == torch.int64


def test_cured_torchvision_does_what_torchreid_and_ultralytics_need() -> None:
    cure_torchvision()
    cure_torchvision()  # twice is once
    import torchvision
    import torchvision.transforms.v2

    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 9]])
    scores, classes = torch.tensor([0.9, 0.8, 0.7]), torch.tensor([0, 0, 1])
    assert torchvision.ops.nms(boxes, scores, 0.5).tolist() == [0]
    assert torchvision.ops.batched_nms(boxes, scores, classes, 0.5).tolist() == [0, 2]
    assert torchvision.transforms.v2.Resize((4, 2))(torch.zeros(3, 8, 8)).shape == (3, 4, 2)


def run_with_torchvision(folder: Path, body: str, check: str) -> str:
    """``check`` in a fresh process whose torchvision is ``body``."""
    (folder / "torchvision.py").write_text(body)
    code = f"import sys; sys.path[:0] = [{str(folder)!r}, {str(ROOT)!r}]\n{check}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() or done.stderr.strip()


def test_a_torchvision_that_loads_is_left_alone(tmp_path: Path) -> None:
    check = "from retrace import torchvision_cure as t; print(t.cure_torchvision(), 'torch' in sys.modules)"
    assert run_with_torchvision(tmp_path, "", check) == "False False"


def test_another_failure_of_torchvision_is_not_hidden(tmp_path: Path) -> None:
    check = "from retrace import torchvision_cure as t; t.cure_torchvision()"
    said = run_with_torchvision(tmp_path, "raise RuntimeError('disk on fire')", check)
    assert said.endswith("RuntimeError: disk on fire")
