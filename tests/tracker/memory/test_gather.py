"""Tracklets from a tracker's frames, beside the obvious way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from retrace.configs.loader import load_preset
from retrace.tracker import Detections, Tracker
from retrace.tracker.boxes import iou_matrix
from retrace.tracker.data import Frame, Step, Tracks
from retrace.tracker.memory.config import MemoryConfig
from retrace.tracker.memory.gather import BESIDE, Gather
from tests.scenes import walk


def limits(gap: float, **other: float | None) -> MemoryConfig:
    return load_preset("default", MemoryConfig, "memory", {"split_gap": gap, "split_odds": None, **other})


def steps(seed: int, dimension: int = 8, fps: float = 10.0) -> list[Step]:
    tracker = Tracker.from_config("default", fps=fps)
    found = []
    for k, detections in enumerate(walk(seed, people=7, frames=80, dimension=dimension)):
        if 30 <= k < 40:  # nobody for a second
            detections = Detections.empty()
        found.append(Step(Frame(k, k / fps, None), detections, tracker.update(detections, timestamp=k / fps)))
    return found


def slow(given: list[Step], gap: float) -> dict[tuple[int, float], tuple[float, int, np.ndarray]]:
    """(track, begin) -> end, boxes with looks, unit sum."""
    seen: dict[int, list[tuple[float, np.ndarray]]] = {}
    for step in given:
        for person, index in zip(step.tracks.id, step.tracks.det_index, strict=True):
            if index >= 0:
                row = step.detections.index.tolist().index(index)
                vectors = step.detections.embedding
                looks = np.zeros(8) if vectors is None else vectors[row]
                seen.setdefault(int(person), []).append((step.frame.time, looks))
    found = {}
    for person, rows in seen.items():
        pieces: list[list[tuple[float, np.ndarray]]] = []
        for time, looks in rows:
            if not pieces or time - pieces[-1][-1][0] > gap:
                pieces.append([])
            pieces[-1].append((time, looks))
        for piece in pieces:
            total = np.sum([looks for _, looks in piece], axis=0)
            count = sum(bool(looks.any()) for _, looks in piece)
            found[person, piece[0][0]] = (piece[-1][0], count, total / max(np.linalg.norm(total), 1e-12))
    return found


@pytest.mark.parametrize(("seed", "gap"), [(0, 0.5), (1, 0.5), (2, 6.0)])
def test_equal_to_the_obvious_way(seed: int, gap: float) -> None:
    given = steps(seed)
    gather = Gather("cam", "clip", limits(gap))
    told = [one for step in given for one in gather.take(step)] + gather.finish()
    want = slow(given, gap)
    assert {(one.track, one.begin) for one in told} == set(want)
    for one in told:
        end, count, vector = want[one.track, one.begin]
        assert (one.end, one.boxes) == (end, count)
        np.testing.assert_allclose(one.vector, vector, atol=1e-5)
        assert (one.camera, one.source) == ("cam", "clip")


def test_who_was_seen_beside_whom() -> None:
    given = steps(3)
    gather = Gather("cam", "clip", limits(1e9))
    told = {one.track: one.apart for step in given for one in gather.take(step)}
    told |= {one.track: one.apart for one in gather.finish()}
    want: dict[int, set[int]] = {track: set() for track in told}
    for step in given:
        here = (step.tracks.det_index >= 0).nonzero()[0]
        iou = iou_matrix(step.tracks.xyxy, step.tracks.xyxy) if len(here) else np.zeros((0, 0))
        for a in here:
            for b in here:
                if a != b and iou[a, b] < BESIDE and int(step.tracks.id[a]) in want:
                    want[int(step.tracks.id[a])].add(int(step.tracks.id[b]))
    assert {track: set(others) for track, others in told.items()} == want
    assert any(want.values())


def test_without_looks_they_are_told_all_the_same() -> None:
    gather = Gather("cam", "clip", limits(1.0))
    told = [one for step in steps(0, dimension=0) for one in gather.take(step)] + gather.finish()
    assert told
    assert {(one.boxes, one.vector.shape) for one in told} == {(0, (0,))}


@pytest.mark.parametrize("odds", [None, 2.0])
def test_a_state_goes_on(odds: float | None) -> None:
    given = steps(3)
    one, other = (Gather("c", "s", limits(0.5, split_odds=odds)) for _ in range(2))
    for step in given[:35]:
        one.take(step)
    other.load_state_dict(one.state_dict())
    told, again = ([t for step in given[35:] for t in g.take(step)] + g.finish() for g in (one, other))
    assert len(told) == len(again) > 3
    for a, b in zip(told, again, strict=True):
        assert (a.track, a.begin, a.end, a.boxes, a.apart) == (b.track, b.begin, b.end, b.boxes, b.apart)
        assert a.vector.tobytes() == b.vector.tobytes()


def test_time_lies_on_the_memory_clock() -> None:
    early, late = Gather("c", "s", limits(6.0)), Gather("c", "s", limits(6.0), start=1000.0)
    for step in steps(0):
        early.take(step)
        late.take(step)
    assert [one.begin + 1000 for one in early.finish()] == [one.begin for one in late.finish()]


def test_the_best_crop_is_kept() -> None:
    """Green while small, red when it is largest: the red one stays."""
    import cv2

    gather = Gather("c", "s", limits(1.0), crops=True)
    tracker = Tracker.from_config("default", fps=10)
    for k, size in enumerate((40, 80, 60)):
        image = np.zeros((200, 300, 3), np.uint8)
        image[...] = (0, 0, 255) if size == 80 else (0, 255, 0)
        box = np.array([[100 - size / 4, 100 - size / 2, 100 + size / 4, 100 + size / 2]])
        seen = Detections(box, [0.9], embedding=np.eye(1, 8))
        gather.take(Step(Frame(k, k / 10, image), seen, tracker.update(seen)))
    (found,) = gather.finish()
    assert found.crop is not None
    crop = cv2.imdecode(np.frombuffer(found.crop, np.uint8), cv2.IMREAD_COLOR)
    assert abs(crop.shape[0] - 80) < 12
    assert crop[..., 2].mean() > 200 > 50 > crop[..., 1].mean()


# -- where the tracker may have switched

FRAMES = 60  # at 10 a second
NOBODY_SEES = range(25, 35)


def one_track(change: int | None, hide: str, crops: bool = False) -> list[Step]:
    """Track 1 stands still and looks like a stranger from frame ``change`` on; it is ``hide``: "gone" in
    `NOBODY_SEES`, "covered" by track 2 then, or "never". Track 3 stands beside, at right angles to both."""
    found = []
    for k in range(FRAMES):
        boxes, ids, looks = [], [], []
        if not (hide == "gone" and k in NOBODY_SEES):
            boxes.append([10, 10, 30, 70])
            ids.append(1)
            looks.append(1 if change is not None and k >= change else 0)
        if hide == "covered" and k in NOBODY_SEES:
            boxes.append([14, 10, 34, 70])  # IoU 2/3 with the first
            ids.append(2)
            looks.append(2)
        boxes.append([100, 10, 120, 70])
        ids.append(3)
        looks.append(3)
        xyxy, vector = np.array(boxes, np.float32), np.eye(4, 8, dtype=np.float32)[looks]
        score = np.full(len(ids), 0.9, np.float32)
        detections = Detections(xyxy, score, embedding=vector)
        index = np.arange(len(ids))
        tracks = Tracks(np.array(ids), xyxy, score, np.zeros(len(ids), np.int64), index)
        image = np.full((100, 150, 3), 4 * k, np.uint8) if crops else None
        found.append(Step(Frame(k, k / 10, image), detections, tracks))
    return found


@pytest.mark.parametrize("hide", ["gone", "covered"])
def test_who_looks_like_somebody_else_after_a_doubt_is_another_tracklet(hide: str) -> None:
    """Both moments of doubt, and who the two pieces are: the looks of each are its own, and so are its boxes."""
    given = one_track(change=35, hide=hide, crops=True)
    gather = Gather("c", "s", limits(6.0, split_odds=2.0), crops=True, paths=1.0)
    told = [one for step in given for one in gather.take(step)] + gather.finish()
    before, after = (one for one in told if one.track == 1)
    seen_before = 35 if hide == "covered" else 25
    assert (before.begin, before.end, before.boxes) == (0.0, (seen_before - 1) / 10, seen_before)
    assert (after.begin, after.end, after.boxes) == (3.5, 5.9, 25)
    np.testing.assert_array_equal(before.vector, np.eye(1, 8)[0])
    np.testing.assert_array_equal(after.vector, np.eye(2, 8)[1])
    assert before.path is not None
    assert after.path is not None
    assert before.path[:, 0].max() <= before.end < after.begin <= after.path[:, 0].min()
    assert before.crop is not None
    assert after.crop is not None
    assert before.apart == after.apart == {3}
    assert [one.track for one in told if one.track != 1] == ([2, 3] if hide == "covered" else [3])


@pytest.mark.parametrize(("change", "hide"), [(None, "gone"), (None, "covered"), (35, "never"), (57, "gone")])
def test_it_is_one_tracklet_otherwise(change: int | None, hide: str) -> None:
    """The same looks, no moment of doubt, or a change long after one: the tracker is believed."""
    given = one_track(change, hide)
    gather = Gather("c", "s", limits(6.0, split_odds=2.0))
    told = [one for step in given for one in gather.take(step)] + gather.finish()
    (whole,) = (one for one in told if one.track == 1)
    assert (whole.begin, whole.end) == (0.0, 5.9)
    assert whole.boxes == (50 if hide == "gone" else 60)


def test_too_few_boxes_after_a_doubt_tell_nothing() -> None:
    config = limits(6.0, split_odds=2.0, least_boxes=30)
    gather = Gather("c", "s", config)
    told = [one for step in one_track(35, "gone") for one in gather.take(step)] + gather.finish()
    assert [one.track for one in told] == [1, 3]


def test_a_doubt_is_settled_before_its_tracklet_would_be_late() -> None:
    """Of somebody who is hardly seen after it: the part before ends at 2.4 s and is told 6 s later at the latest."""
    given = one_track(35, "gone")
    few = [step for k, step in enumerate(given) if k < 36]
    for k in range(36, 100):
        step = given[50]
        detections = replace(step.detections, embedding=step.detections.embedding.copy())  # type: ignore[union-attr]
        assert detections.embedding is not None
        # two boxes with looks
        detections.embedding[0] = 0 if k != 40 else np.eye(1, 8)[0, [1, 0, 2, 3, 4, 5, 6, 7]]
        few.append(Step(Frame(k, k / 10, None), detections, step.tracks))
    gather, told = Gather("c", "s", limits(6.0, split_odds=2.0)), {}
    for step in few:
        for one in gather.take(step):
            told.setdefault(one.track, (one.end, step.frame.time))
    assert told[1] == (2.4, 8.5)


@pytest.mark.parametrize(("bystander", "pieces"), [(3, 1), (0, 2)])
def test_strangers_who_look_alike_here_are_told_apart_by_less(bystander: int, pieces: int) -> None:
    """Somebody .7 away is .02 nats short of a stranger where the one beside is 1 apart: unit (1 + 3 x .92) / 4 = .94,
    10.8 - 15.8 x .7 x .92 / .94. Where that one looks the same, the unit is .69, and it is 3.9 nats."""
    given = one_track(35, "gone")
    for step in given:
        vectors = step.detections.embedding
        assert vectors is not None
        vectors[vectors[:, 1] == 1] = 0.3 * np.eye(8)[0] + np.sqrt(1 - 0.3**2) * np.eye(8)[1]
        vectors[vectors[:, 3] == 1] = np.eye(8)[bystander]
    gather = Gather("c", "s", limits(6.0, split_odds=2.0))
    told = [one for step in given for one in gather.take(step)] + gather.finish()
    assert sum(one.track == 1 for one in told) == pieces
