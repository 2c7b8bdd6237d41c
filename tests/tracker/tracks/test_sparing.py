"""Which boxes need to be looked at, and that they are counted."""

from __future__ import annotations

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tracker import Detections, Tracker
from retrace.tracker.boxes import iou_matrix
from retrace.tracker.data import Frame
from retrace.tracker.pipeline import run
from retrace.tracker.tracks.sparing import MEETS, SURE, Sparing, settled
from tests.scenes import walk


def box(left: float, width: float = 30.0) -> list[float]:
    return [left, 0.0, left + width, 80.0]


def test_worked_cases() -> None:
    expected = np.array([box(0), box(100), box(200), box(218), box(300)])
    found = np.array([box(3), box(112), box(210), box(400), box(301), box(310)])
    sure = np.array([True, True, True, True, True])
    same = np.zeros(5), np.zeros(6)
    # 0: IoU 27/33; 1: 18/42 < .5; 2: two tracks meet it; 3: nobody; 4, 5: two boxes meet one track
    assert settled(found, same[1], expected, sure, same[0]).tolist() == [True] + [False] * 5
    assert not settled(found, same[1], expected, ~sure, same[0]).any()  # lost, or not looked at lately
    assert not settled(found, same[1] + 1, expected, sure, same[0]).any()  # of another class
    assert settled(np.zeros((0, 4)), np.zeros(0), expected, sure, same[0]).shape == (0,)
    assert settled(found, same[1], np.zeros((0, 4)), np.zeros(0, bool), np.zeros(0)).tolist() == [False] * 6


@pytest.mark.parametrize("seed", range(4))
def test_slow_twin(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tracks, boxes = (
        np.concatenate((c := rng.uniform(0, 150, (n, 2)), c + rng.uniform(20, 60, (n, 2))), 1)
        for n in (8, 12)
    )
    sure, kind, class_id = rng.random(8) < 0.8, rng.integers(0, 2, 8), rng.integers(0, 2, 12)
    overlap = iou_matrix(tracks, boxes) * (kind[:, None] == class_id)
    twin = []
    for n in range(12):
        near = [t for t in range(8) if overlap[t, n] > MEETS]
        fits = len(near) == 1 and overlap[near[0], n] >= SURE and sure[near[0]]
        twin.append(fits and sum(overlap[near[0]] > MEETS) == 1)
    assert settled(boxes, class_id, tracks, sure, kind).tolist() == twin


def alone(k: int) -> Detections:
    """Somebody who walks alone, and somebody with a companion."""
    return Detections(np.array([box(4.0 * k), box(400 - 3 * k), box(412 - 3 * k)]), np.array([0.9, 0.9, 0.9]))


def test_a_tracker_asks_seldom_for_who_walks_alone() -> None:
    tracker, wanted = Tracker.from_config("default", fps=10), []
    for k in range(42):
        detections = alone(k)
        wanted.append(~tracker.settled(detections, k / 10))
        vectors = np.eye(3, 4, dtype=np.float32)
        tracker.update(detections.with_embedding(vectors * wanted[-1][:, None]), k / 10)
    asked = np.array(wanted)
    assert asked[0].all()  # nobody is known
    assert asked[:, 0].nonzero()[0].tolist() == [*range(21), 40]  # for two seconds, then every two seconds
    assert asked[:, 1:].all()  # two who overlap
    assert tracker.count == 3


def test_asking_changes_nothing() -> None:
    scene, warp = walk(3, dimension=8), np.array([[1.0, 0.0, 2.0], [0.0, 1.0, -1.0]])
    asked, silent = (Tracker.from_config("default") for _ in range(2))
    for detections in scene:
        asked.settled(detections, warp=warp)
        ours, theirs = (t.update(detections, warp=warp) for t in (asked, silent))
        assert ours.id.tolist() == theirs.id.tolist()
        assert ours.xyxy.tolist() == theirs.xyxy.tolist()


def test_the_pipeline_embeds_what_is_asked_for_and_counts() -> None:
    crops = []

    def embed(image: np.ndarray, xyxy: np.ndarray) -> np.ndarray:
        crops.append(len(xyxy))
        return np.eye(4, dtype=np.float32)[np.arange(len(xyxy)) % 4]

    frames = [Frame(k, k / 10, np.zeros((90, 500, 3), np.uint8)) for k in range(30)]
    sparing = Sparing()
    steps = [
        *run(frames, lambda f: alone(f.index), Tracker.from_config("default", fps=10), embed, sparing=sparing)
    ]
    assert sum(crops) == sparing.embedded
    assert sparing.embedded + sparing.skipped == 90
    assert sparing.embedded == 2 * 30 + 21
    last = steps[-1].detections.embedding
    assert last is not None
    assert last.shape == (3, 4)


def test_a_budget_bounds_the_crops_and_takes_the_surest() -> None:
    seen = []

    def embed(image: np.ndarray, xyxy: np.ndarray) -> np.ndarray:
        seen.append(xyxy[:, 0].tolist())
        return np.eye(4, dtype=np.float32)[: len(xyxy)]

    sparing = Sparing(budget=1.0)
    detections = Detections(np.array([box(0), box(50), box(100)]), np.array([0.7, 0.9, 0.8]))
    sparing.embedded, sparing._seconds = 10, 0.005  # 2 crops a ms
    nobody = np.zeros(3, bool)
    found = sparing(embed, np.zeros((90, 200, 3), np.uint8), detections, ~nobody, nobody)
    assert seen == [[50.0, 100.0]]
    assert found.embedding is not None
    assert found.embedding.any(axis=1).tolist() == [False, True, True]
    assert (sparing.embedded, sparing.skipped) == (12, 1)


@pytest.mark.parametrize("budget", [0, -1.0, float("nan"), float("inf")])
def test_budgets_that_are_none(budget: float) -> None:
    with pytest.raises(InputError, match="expected milliseconds above 0"):
        Sparing(budget)
