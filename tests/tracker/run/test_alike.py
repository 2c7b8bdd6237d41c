"""How alike strangers look: worked numbers, a slow twin, going on, and a tracker that stops looking."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retrace.tracker import Detections, Tracker
from retrace.tracker.data import Frame, Step, Tracks
from retrace.tracker.run import Job, track_source
from retrace.tracker.run.alike import APART, BINS, GAP, KEPT, OTHER, SAME, SELF, LooksAlike
from tests.scenes import walk
from tests.small_video import make_video, squares


def step(k: int, time: float, ids: list[int], vectors: np.ndarray, left: list[float] | None = None) -> Step:
    x = np.array([50.0 * i for i in ids] if left is None else left)
    xyxy = np.stack([x, 0 * x, x + 30, 0 * x + 80], 1)
    score = np.full(len(ids), 0.9)
    detections = Detections(xyxy, score, embedding=vectors)
    tracks = Tracks(
        np.array(ids), detections.xyxy, detections.score, detections.class_id, np.arange(len(ids))
    )
    return Step(Frame(k, time, None), detections, tracks)


def test_worked_numbers() -> None:
    a, b = np.eye(2, dtype=np.float32)
    found = LooksAlike(0.5)
    found.take(step(0, 0.0, [1, 2], np.stack([a, b])))
    found.take(step(1, 0.5, [1, 2], np.stack([a, b])))  # too soon for the same person
    found.take(step(2, 1.0, [1, 2], np.stack([a, a])))
    assert found.same.nonzero()[0].tolist() == [0, 99]  # 1 is himself, 2 looks otherwise: distances 0 and 1
    assert found.other.nonzero()[0].tolist() == [0, 99]  # 0 once, 1 twice
    assert found.other.sum() == 3
    found.take(step(3, 1.1, [3, 4], np.stack([a, b]), left=[0.0, 10.0]))  # they overlap: crops of both
    assert found.other.sum() == 3
    assert found.share is None  # far too few
    told = "looks alike: not known, {}3 at two people, 1,000 wanted"
    assert str(found) == told.format("2 looks at one person a second later, 100 wanted; ")
    found.same[0] = 100
    assert str(found) == told.format("")
    assert str(LooksAlike(0.5)) == ""


def test_who_was_looked_at_a_moment_ago_is_a_stranger_to_whom_is_looked_at_now() -> None:
    """As where only what is ambiguous is embedded: frame by frame one person. Distances of (1, 0) and (0, 1) are 1."""
    a, b = np.eye(2, dtype=np.float32)
    found = LooksAlike(0.5)
    for k, vectors in enumerate(((a, 0 * a), (0 * a, b), (0 * a, b), (0 * a, 0 * a))):
        found.take(step(k, 0.1 * k, [1, 2], np.stack(vectors)))
    assert found.other.nonzero()[0].tolist() == [99]
    assert found.other.sum() == 2  # of the second and the third frame: nobody was known in the first
    found.take(step(9, 0.5, [2], np.stack([b])))  # 1 is not in the frame
    found.take(step(99, 0.2 + 2 * KEPT, [1, 2], np.stack([0 * a, b])))  # and is forgotten
    assert found.other.sum() == 2


def test_share() -> None:
    found = LooksAlike(0.5)
    found.same[[10, 20]] = 95, 5
    found.other[[5, 10, 50]] = 100, 200, 700
    assert found.share == pytest.approx(0.3)  # nine of ten are within bin 10
    # middles of bins; their mean is 38, and (100 * 32.5 ** 2 + 200 * 27.5 ** 2 + 700 * 12.5 ** 2) / 1000 = 366.25
    assert found.apart == pytest.approx((2 / 199 * 38, 2 / 199 * 366.25**0.5))
    assert str(found) == "looks alike: 30 % of strangers"
    assert not found.useless
    found.other[50] = 10**6
    assert str(found) == "looks alike: under 1 % of strangers"
    found.other[50] = 300 * 199  # a share of .005
    assert str(found) == "looks alike: under 1 % of strangers"
    found.other[50] = 700
    found.other[5] = 2000
    assert found.useless
    found.same[:] = 0
    found.same[3] = SAME - 1
    assert found.share is None
    assert OTHER > SAME


def slow(steps: list[Step], least: float) -> tuple[np.ndarray, np.ndarray]:
    same, other, looks = np.zeros(BINS, int), np.zeros(BINS, int), {}

    def put(hist: np.ndarray, a: np.ndarray, b: np.ndarray) -> None:
        hist[int(min(max(1 - a @ b, 0), 2) / 2 * (BINS - 1))] += 1

    def overlap(p: np.ndarray, q: np.ndarray) -> float:
        w, h = (min(p[k + 2], q[k + 2]) - max(p[k], q[k]) for k in (0, 1))
        both = max(w, 0) * max(h, 0)
        area = [(r[2] - r[0]) * (r[3] - r[1]) for r in (p, q)]
        return both / (sum(area) - both)

    for one in steps:
        time, vectors, rows = one.frame.time, one.detections.embedding, []
        where = {int(i): n for n, i in enumerate(one.detections.index)}
        for k, column in enumerate(one.tracks.det_index):
            if column >= 0 and one.tracks.score[k] >= least:
                rows.append((int(one.tracks.id[k]), where[int(column)]))
        boxes = one.detections.xyxy
        alone = [
            (i, n) for i, n in rows if all(overlap(boxes[n], boxes[m]) < APART for _, m in rows if m != n)
        ]
        rows = [(i, n) for i, n in alone if vectors[n].any()]
        for k, (_, n) in enumerate(rows):
            for _, m in rows[k + 1 :]:
                put(other, vectors[n], vectors[m])
        looks = {i: (t, v) for i, (t, v) in looks.items() if not rows or time - t <= KEPT}
        for _, n in rows:
            for i, m in alone:
                if not vectors[m].any() and i in looks:
                    put(other, vectors[n], looks[i][1])
        for i, n in rows:
            if i not in looks:
                looks[i] = time, vectors[n]
            elif time - looks[i][0] >= GAP - 1e-6:
                put(same, vectors[n], looks[i][1])
                looks[i] = time, vectors[n]
    return same, other


@pytest.mark.parametrize(("seed", "looked"), [(0, 1.0), (1, 1.0), (2, 0.5), (3, 0.2)])
def test_slow_twin_and_going_on(seed: int, looked: float) -> None:
    tracker, steps, rng = Tracker.from_config("default", fps=8), [], np.random.default_rng(seed)
    for k, detections in enumerate(walk(seed, people=8, frames=80, dimension=6)):
        assert detections.embedding is not None
        some = rng.random(len(detections)) < looked
        detections = detections.with_embedding(detections.embedding * some[:, None].astype(np.float32))
        steps.append(Step(Frame(k, k / 8, None), detections, tracker.update(detections, k / 8)))
    found = LooksAlike(0.5)
    for one in steps[:40]:
        found.take(one)
    later = LooksAlike(0.5)
    later.load_state_dict(found.state_dict())
    for one in steps[40:]:
        found.take(one)
        later.take(one)
    same, other = slow(steps, 0.5)
    assert same.sum() > 20
    # products of rows and of matrices may round a distance over the edge of a bin
    for ours, twin in ((found.same, same), (found.other, other), (later.same, same)):
        assert ours.sum() == twin.sum()
        assert np.abs(np.cumsum(ours) - np.cumsum(twin)).max() <= 2
    assert SELF < 1


def test_a_blindfolded_tracker_is_a_blind_one() -> None:
    scene = walk(5, dimension=8)
    folded, blind = (Tracker.from_config("default") for _ in range(2))
    folded.blindfold()
    assert folded.appearance_from == 2.0
    for detections in scene[:20]:
        ours, theirs = folded.update(detections), blind.update(detections.with_embedding(None))
        assert ours.xyxy.tolist() == theirs.xyxy.tolist()
    again = Tracker.from_config("default")
    again.load_state_dict(folded.state_dict())
    for detections in scene[20:]:
        assert again.update(detections).id.tolist() == folded.update(detections).id.tolist()
    folded.reset()
    assert folded.appearance_from < 1


@pytest.mark.parametrize(("embed", "stops"), [("all", True), ("always", False)])
def test_looking_stops_where_it_misleads(
    embed: str, stops: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody looks the same to this network."""
    monkeypatch.setattr("retrace.tracker.run.alike.SAME", 1)
    monkeypatch.setattr("retrace.tracker.run.alike.OTHER", 10)
    crops = []

    def network(image: np.ndarray, xyxy: np.ndarray) -> np.ndarray:
        crops.append(len(xyxy))
        return np.ones((len(xyxy), 4), np.float32) / 2

    video = make_video(tmp_path / "v.mp4", 40)
    report = track_source(Job(str(video), str(tmp_path / "out"), embed=embed), detect=squares, embed=network)
    told = [note for note in report.notes if note.startswith("looks alike: 100 % of strangers")]
    assert len(told) == 1
    assert ("so looking stopped" in told[0]) is stops
    assert (sum(crops[25:]) == 0) is stops
    assert report.record["strangers_alike"] == 1.0
    assert report.record["strangers_apart"] == pytest.approx(0, abs=0.01)  # half a bin
    assert report.record["strangers_spread"] == 0


def test_ambiguous_crops_are_counted(tmp_path: Path) -> None:
    def network(image: np.ndarray, xyxy: np.ndarray) -> np.ndarray:
        return np.eye(4, dtype=np.float32)[: len(xyxy)]

    video = make_video(tmp_path / "v.mp4", 30)
    job = Job(str(video), str(tmp_path / "out"), embed="ambiguous")
    report = track_source(job, detect=squares, embed=network)
    crops = report.record["crops"]
    assert crops["embedded"] > 0
    assert crops["skipped"] > 0
    assert any(note.startswith("embedded ") for note in report.notes)


def test_a_run_that_goes_on_counts_the_crops_of_the_whole(tmp_path: Path) -> None:
    def network(image: np.ndarray, xyxy: np.ndarray) -> np.ndarray:
        return np.eye(4, dtype=np.float32)[: len(xyxy)]

    video, stop = make_video(tmp_path / "v.mp4", 30), threading.Event()
    job = Job(str(video), str(tmp_path / "out"), embed="ambiguous")
    whole = track_source(replace(job, out=str(tmp_path / "whole")), detect=squares, embed=network)

    def halt(step: Step) -> None:
        if step.frame.index == 14:
            stop.set()

    assert track_source(job, detect=squares, embed=network, on_step=halt, stop=stop).stopped
    rest = track_source(replace(job, resume=True), detect=squares, embed=network)
    assert rest.new == 15
    assert rest.record["crops"] == whole.record["crops"]


def test_a_budget_that_leaves_nobody_to_look_at_is_named(tmp_path: Path) -> None:
    def slow(image: np.ndarray, xyxy: np.ndarray) -> np.ndarray:
        time.sleep(0.05)
        return np.eye(4, dtype=np.float32)[: len(xyxy)]

    video = make_video(tmp_path / "v.mp4", 10)
    job = Job(str(video), str(tmp_path / "out"), embed="ambiguous", embed_budget=1e-3)
    notes = track_source(job, detect=squares, embed=slow).notes
    assert any("of them because the 0.001 ms a frame were spent" in note for note in notes)
    assert any(note.startswith("looks alike: not known, 0 looks at one person") for note in notes)
