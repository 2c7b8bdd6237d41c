"""Saved detections: what a detector and an embedder gave, to the bit, for another run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tracker.data import Detections, Frame, Step
from retrace.tracker.detection.boxes_file import open_detections
from retrace.tracker.outputs.detections import detection_block, read_blocks, write_detections
from tests.tracker.outputs.sinks import step


def seen(seed: int, n: int, numbers: int = 0) -> Detections:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 90, (n, 2))
    vectors = rng.normal(size=(n, numbers))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True) if numbers else None
    xyxy = np.hstack((corner, corner + rng.uniform(1, 30, (n, 2))))
    return Detections(xyxy, rng.uniform(0, 1, n), rng.integers(0, 80, n), unit)


def steps(numbers: int) -> list[Step]:
    found = [seen(0, 3, numbers), seen(1, 0), seen(2, 5, numbers), seen(3, 2)]  # the last without vectors
    return [Step(Frame(3 * k, 0.0, None), one, step(0, boxes=0).tracks) for k, one in enumerate(found)]


@pytest.mark.parametrize("numbers", [0, 8])
def test_what_is_read_is_what_was_seen(tmp_path: Path, numbers: int) -> None:
    (tmp_path / "grown").write_bytes(b"".join(map(detection_block, steps(numbers))))
    detector = open_detections(write_detections(tmp_path / "d.npz", tmp_path / "grown"))
    for one in steps(numbers):
        again = detector(Frame(one.frame.index, 0.0, None))
        for name in ("xyxy", "score", "class_id"):
            np.testing.assert_array_equal(getattr(again, name), getattr(one.detections, name))
        if numbers:
            known = one.detections.embedding
            expected = (
                np.zeros((len(again), numbers), np.float32) if known is None or not len(again) else known
            )
            np.testing.assert_array_equal(again.embedding, expected)
        else:
            assert again.embedding is None


def test_the_same_bytes_twice(tmp_path: Path) -> None:
    (tmp_path / "grown").write_bytes(b"".join(map(detection_block, steps(4))))
    one = write_detections(tmp_path / "a.npz", tmp_path / "grown").read_bytes()
    assert write_detections(tmp_path / "b.npz", tmp_path / "grown").read_bytes() == one


def test_classes_keep_their_names(tmp_path: Path) -> None:
    found = Detections([[0, 0, 9, 9], [5, 5, 9, 9]], [0.9, 0.8], [0, 7])
    (tmp_path / "grown").write_bytes(
        detection_block(Step(Frame(0, 0.0, None), found, step(0, boxes=0).tracks))
    )
    names = {0: "person", 7: "Lastwagen, gr\u00fcn"}
    detector = open_detections(write_detections(tmp_path / "d.npz", tmp_path / "grown", names))
    assert detector.names == names
    assert detector.labels == names


def test_nobody(tmp_path: Path) -> None:
    (tmp_path / "grown").write_bytes(b"")
    detector = open_detections(write_detections(tmp_path / "d.npz", tmp_path / "grown"))
    assert len(detector(Frame(0, 0.0, None))) == 0


@pytest.mark.parametrize("cut", [1, 20])
def test_a_file_that_breaks_off(tmp_path: Path, cut: int) -> None:
    data = b"".join(map(detection_block, steps(0)))
    (tmp_path / "grown").write_bytes(data[:-cut] if cut == 1 else data[:10])
    with pytest.raises(InputError, match="breaks off"):
        list(read_blocks(tmp_path / "grown"))
