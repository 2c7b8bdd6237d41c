"""Several cameras as one: by hand, and equal to TrackEval on real ground truth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.eval.mot.cameras import concatenated, evaluate_cameras, interleaved
from retrace.tracker.data import MotTable
from retrace.tracker.mot_file import read_ground_truth


def stay(ids: list[int], frames: int = 4) -> MotTable:
    """People who stand side by side."""
    rows = [(frame, person, place) for frame in range(frames) for place, person in enumerate(ids)]
    frame, person, place = (np.array(column) for column in zip(*rows, strict=True))
    box = np.stack((100.0 * place, 0 * place, 100.0 * place + 40, 0 * place + 90), axis=1)
    n = len(rows)
    return MotTable(frame, person, box, np.ones(n), np.ones(n, np.int64), np.ones(n))


def test_an_identity_that_changes_between_cameras() -> None:
    """Two cameras, two people, 16 boxes; person 2 has another id in the second one: 12 of 16 boxes correspond."""
    truth = stay([1, 2])
    found = evaluate_cameras({"a": (truth, stay([5, 6])), "b": (truth, stay([5, 9]))})
    row = found.row()
    assert row["MTMC IDF1"] == 12 / 16
    assert row["AssA within"] == 1
    assert row["AssA lost across"] == pytest.approx(1 - row["AssA"])
    assert row["AssA"] == pytest.approx((8 * 1 + 8 * 0.5) / 16)
    # a0 b0 a1 b1 ...: person 2 is 6, 9, 6, 9, ... : seven switches, each twice
    assert row["CVMA"] == 1 - 2 * 7 / 16
    assert {name: metrics.row()["IDF1"] for name, metrics in found.each.items()} == {"a": 1, "b": 1}


def test_frames_do_not_meet() -> None:
    cameras = {"a": (stay([1], 3), stay([1], 3)), "b": (stay([1], 2), stay([1], 2))}
    assert concatenated(cameras, {"a": 3, "b": 2})[0].frame.tolist() == [0, 1, 2, 3, 4]
    assert interleaved(cameras)[0].frame.tolist() == [0, 1, 2, 3, 4]
    assert interleaved({"a": cameras["b"][:2], "b": cameras["b"]})[0].frame.tolist() == [0, 1, 2, 3]


def test_one_camera_is_itself() -> None:
    truth, result = stay([1, 2, 3]), stay([7, 8, 9])
    found = evaluate_cameras({"only": (truth, result)})
    assert found.together.row() == found.each["only"].row()


def test_mistakes_name_the_camera() -> None:
    truth = stay([1, 2])
    twice = replace(truth, id=np.ones(len(truth), np.int64))
    with pytest.raises(InputError, match="camera b: "):
        evaluate_cameras({"a": (truth, truth), "b": (truth, twice)})
    with pytest.raises(InputError, match="no cameras"):
        evaluate_cameras({})


def test_perfect_tracking_without_association_across(shared: Path) -> None:
    """Five views of PETS, each camera tracked perfectly with ids of its own: TrackEval 1.3.0 gave HOTA 47.0, AssA 22.1,
    IDF1 29.3, IDSW 40 on the concatenation."""
    cameras = {}
    for k in range(1, 6):
        truth = read_ground_truth(shared / "multicam-gt" / "PETS09-S2L1" / f"cam{k}" / "gt" / "gt.txt")
        cameras[f"cam{k}"] = (truth, replace(truth, id=truth.id + 1000 * k))
    found = evaluate_cameras(cameras, dict.fromkeys(cameras, 795))
    row = found.row()
    assert round(100 * row["HOTA"], 1) == 47.0
    assert round(100 * row["AssA"], 1) == 22.1
    assert round(100 * row["MTMC IDF1"], 1) == 29.3
    assert found.together.clear.IDSW == 40
    assert row["AssA within"] == pytest.approx(1)
