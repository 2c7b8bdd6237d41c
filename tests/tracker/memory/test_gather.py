"""Tracklets from a tracker's frames, beside the obvious way."""

from __future__ import annotations

import numpy as np
import pytest

from retrace.tracker import Detections, Tracker
from retrace.tracker.boxes import iou_matrix
from retrace.tracker.data import Frame, Step
from retrace.tracker.memory.gather import BESIDE, Gather
from tests.scenes import walk


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
    gather = Gather("cam", "clip", gap)
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
    gather = Gather("cam", "clip", 1e9)
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
    gather = Gather("cam", "clip", 1.0)
    told = [one for step in steps(0, dimension=0) for one in gather.take(step)] + gather.finish()
    assert told
    assert {(one.boxes, one.vector.shape) for one in told} == {(0, (0,))}


def test_a_state_goes_on() -> None:
    given = steps(3)
    one, other = Gather("c", "s", 0.5), Gather("c", "s", 0.5)
    for step in given[:35]:
        one.take(step)
    other.load_state_dict(one.state_dict())
    told, again = ([t for step in given[35:] for t in g.take(step)] + g.finish() for g in (one, other))
    assert len(told) == len(again) > 3
    for a, b in zip(told, again, strict=True):
        assert (a.track, a.begin, a.end, a.boxes, a.apart) == (b.track, b.begin, b.end, b.boxes, b.apart)
        assert a.vector.tobytes() == b.vector.tobytes()


def test_time_lies_on_the_memory_clock() -> None:
    early, late = Gather("c", "s", 6.0), Gather("c", "s", 6.0, start=1000.0)
    for step in steps(0):
        early.take(step)
        late.take(step)
    assert [one.begin + 1000 for one in early.finish()] == [one.begin for one in late.finish()]


def test_the_best_crop_is_kept() -> None:
    """Green while small, red when it is largest: the red one stays."""
    import cv2

    gather = Gather("c", "s", 1.0, crops=True)
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
