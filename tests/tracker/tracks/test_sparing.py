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


class Machine:
    """An embedder and the clock that it is measured by: a crop takes so long, the first look longer."""

    def __init__(self, crop: float = 0.004, first: float = 0.0) -> None:
        self.now, self.crop, self.late = 0.0, crop, first  # s
        self.seen: list[list[float]] = []  # left edges, by look

    def clock(self) -> float:
        return self.now

    def __call__(self, image: np.ndarray, xyxy: np.ndarray) -> np.ndarray:
        self.seen.append(xyxy[:, 0].tolist())
        self.now += self.late + self.crop * len(xyxy)
        self.late = 0.0
        return np.eye(4, dtype=np.float32)[: len(xyxy)]


def look(sparing: Sparing, machine: Machine, frames: int) -> list[int]:
    """Three people who all need a look, frame by frame; how many of them get one."""
    detections = Detections(np.array([box(0), box(50), box(100)]), np.array([0.7, 0.9, 0.8]))
    nobody, picture, counts = np.zeros(3, bool), np.zeros((90, 200, 3), np.uint8), []
    for _ in range(frames):
        found = sparing(machine, picture, detections, ~nobody, nobody)
        assert found.embedding is not None
        counts.append(int(found.embedding.any(axis=1).sum()))
    return counts


def test_a_budget_bounds_the_crops_and_takes_the_surest() -> None:
    machine = Machine()
    sparing = Sparing(8.0, machine.clock)
    # a crop's time is not known at first; then 12 and 8 ms are left
    assert look(sparing, machine, 3) == [1, 3, 2]
    assert machine.seen == [[50.0], [0.0, 50.0, 100.0], [50.0, 100.0]]
    assert (sparing.embedded, sparing.skipped, sparing.unpaid) == (6, 3, 3)
    assert str(sparing) == "embedded 6 crops, skipped 3, 3 of them because the 8 ms a frame were spent"
    assert str(Sparing()) == "embedded 0 crops, skipped 0"


def test_a_budget_below_one_crop_buys_one_now_and_then() -> None:
    machine = Machine(crop=0.010)
    assert look(Sparing(5.0, machine.clock), machine, 8) == [1, 0, 1, 0, 1, 0, 1, 0]
    machine = Machine(crop=0.010)
    assert sum(look(Sparing(0.1, machine.clock), machine, 1000)) == 10


def test_a_slow_first_look_is_paid_back() -> None:
    machine = Machine(first=1.0)
    counts = look(Sparing(20.0, machine.clock), machine, 400)
    assert counts[0] == 1
    assert sum(counts[1:50]) == 0  # 1.004 s are 51 frames' budget
    assert counts[51] > 0
    assert set(counts[200:]) == {3}  # 12 ms of 20
    assert machine.now <= 400 * 0.020


def test_a_quiet_hour_saves_the_budget_of_a_second() -> None:
    """4 ms a crop: a frame's budget buys one, and what 25 frames may save buys as many, not 1,000."""
    machine, sparing = Machine(), Sparing(4.0)
    sparing.clock = machine.clock
    nobody, picture = np.zeros(0, bool), np.zeros((90, 200, 3), np.uint8)
    assert look(sparing, machine, 1) == [1]
    for _ in range(1000):
        sparing(machine, picture, Detections(np.zeros((0, 4)), np.zeros(0)), nobody, nobody)
    assert sum(look(sparing, machine, 40)) == 25 + 39


def test_looks_at_nobody_cost_no_budget() -> None:
    """As where people are rare: an empty call takes its time, too."""
    machine, sparing = Machine(), Sparing(1.0)
    sparing.clock = machine.clock
    nobody, picture = np.zeros(0, bool), np.zeros((90, 200, 3), np.uint8)
    for _ in range(100):
        machine.late = 0.002
        sparing(machine, picture, Detections(np.zeros((0, 4)), np.zeros(0)), nobody, nobody)
    # 25 ms are saved; of 4 ms a crop 21 + 1 and then 10 + 1 are left
    assert look(sparing, machine, 3) == [1, 3, 2]


def test_a_budget_goes_on_where_it_stood() -> None:
    machine = Machine(first=0.05)
    whole = look(Sparing(6.0, machine.clock), machine, 60)
    machine = Machine(first=0.05)
    begun, rest = (Sparing(6.0, machine.clock) for _ in range(2))
    half = look(begun, machine, 25)
    rest.load_state_dict(begun.state_dict())
    assert half + look(rest, machine, 35) == whole
    assert rest.unpaid == 180 - sum(whole)


@pytest.mark.parametrize("budget", [0, -1.0, float("nan"), float("inf")])
def test_budgets_that_are_none(budget: float) -> None:
    with pytest.raises(InputError, match="expected milliseconds above 0"):
        Sparing(budget)
