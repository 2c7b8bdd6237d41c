"""Threads that run ahead give what one after the other gives: the order, the bytes, the moment of an error."""

import threading
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tracker import Tracker
from retrace.tracker.ahead import Ahead, batches, in_order
from retrace.tracker.data import Detections, Frame
from retrace.tracker.detection.boxes_file import Detector
from retrace.tracker.pipeline import run
from tests.small_video import LENGTH, squares


def late_first(k: int) -> int:
    """The earlier an item, the longer it takes: what is done first comes last."""
    time.sleep(0.01 * (3 - k % 4))
    return k * k


@pytest.mark.parametrize("threads", [0, 1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 3, 12])
def test_results_come_in_order(threads: int, count: int) -> None:
    assert list(in_order(late_first, range(count), threads)) == [k * k for k in range(count)]


@pytest.mark.parametrize("threads", [1, 3])
def test_no_more_than_one_waits_beside_those_in_work(threads: int) -> None:
    taken: list[int] = []

    def endless() -> Iterator[int]:
        for k in range(10**9):
            taken.append(k)
            yield k

    results = in_order(lambda k: k, endless(), threads)
    for k in range(5):
        assert next(results) == k
        assert len(taken) <= k + 1 + threads
    results.close()  # type: ignore[attr-defined]
    assert not [one for one in threading.enumerate() if one.name.startswith("ahead")]


def test_several_work_at_once() -> None:
    """Each waits for the other: with one thread nobody would come."""
    meeting = threading.Barrier(2, timeout=10)
    assert list(in_order(lambda k: meeting.wait() >= 0, range(4), 2)) == [True] * 4


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_what_raises_does_so_in_its_turn(threads: int) -> None:
    def bad_third(k: int) -> int:
        if k == 2:
            raise InputError("the third")
        return k

    got: list[int] = []
    with pytest.raises(InputError, match="the third"):
        got.extend(in_order(bad_third, range(9), threads))
    assert got == [0, 1]


@pytest.mark.parametrize("threads", [0, 1, 3])
@pytest.mark.parametrize("size", [1, 2, 4])
def test_a_source_that_breaks_off_gives_what_it_had(threads: int, size: int) -> None:
    def broken() -> Iterator[int]:
        yield from range(5)
        raise OSError("pulled out")

    got: list[int] = []
    with pytest.raises(OSError, match="pulled out"):
        got.extend(chain.from_iterable(in_order(lambda batch: batch, batches(broken(), size), threads)))
    assert got == [0, 1, 2, 3, 4]


def test_batches() -> None:
    assert list(batches(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(batches([], 3)) == []


def frames(count: int = LENGTH) -> Iterator[Frame]:
    for k in range(count):
        yield Frame(k, k / 10, np.full((96, 192, 3), k, np.uint8))


def colour(image: np.ndarray, xyxy: np.ndarray) -> np.ndarray:
    """An embedder: how bright the picture is, and where the box stands."""
    seen = np.stack([np.full(len(xyxy), float(image[0, 0, 0]) + 1), xyxy[:, 0]], 1).astype(np.float32)
    return seen / np.linalg.norm(seen, axis=1, keepdims=True)


class Several:
    """A detector, or an embedder, that takes several at once and counts how many."""

    def __init__(self, one: object) -> None:
        self.one, self.sizes = one, list[int]()

    def __call__(self, *given: object) -> object:
        return self.one(*given)  # type: ignore[operator]

    def many(self, *given: list[object]) -> list[object]:
        self.sizes.append(len(given[0]))
        return [self.one(*one) for one in zip(*given, strict=True)]  # type: ignore[operator]


@pytest.mark.parametrize("ahead", [Ahead(1, 1), Ahead(2, 1), Ahead(0, 4), Ahead(3, 4), Ahead(2, 100)])
def test_the_same_as_one_after_the_other(ahead: Ahead) -> None:
    def tracked(ahead: Ahead, detect: object, embed: object) -> list[bytes]:
        tracker = Tracker.from_config("default", 10.0)
        steps = run(frames(), detect, tracker, embed, ahead=ahead)  # type: ignore[arg-type]
        return [
            b"".join(
                np.ascontiguousarray(a).tobytes()
                for a in (s.tracks.id, s.tracks.xyxy, s.detections.embedding)
            )
            for s in steps
        ]

    detect, embed = Several(squares), Several(colour)
    alone = tracked(Ahead(), squares, colour)
    assert len(alone) == LENGTH
    assert tracked(ahead, detect, embed) == alone
    full, rest = divmod(LENGTH, ahead.batch)
    told = [ahead.batch] * full + [rest] * (rest > 1)
    assert (
        sorted(detect.sizes, reverse=True)
        == sorted(embed.sizes, reverse=True)
        == (told if ahead.batch > 1 else [])
    )


@pytest.mark.parametrize("ahead", [Ahead(), Ahead(0, 4), Ahead(2, 4), Ahead(2, 1)])
def test_a_frame_that_is_refused_ends_it_there_and_not_before(ahead: Ahead) -> None:
    def refuses_the_sixth(frame: Frame) -> Detections:
        if frame.index == 6:
            raise InputError("a box that is not finite")
        return squares(frame)

    detector = Detector("test", refuses_the_sixth, callers=9)
    steps = run(frames(), detector, Tracker.from_config("sort", 10.0), ahead=ahead)
    done: list[int] = []
    with pytest.raises(InputError, match=r"^frame 6: a box that is not finite$"):
        done.extend(step.frame.index for step in steps)
    assert done == list(range(6))


@pytest.mark.parametrize("ahead", [Ahead(0, 4), Ahead(3, 4)])
def test_from_the_moment_that_nobody_compares_looks_there_are_none(ahead: Ahead) -> None:
    """Frame 4 is the last before a tracker is blindfolded; frames 5 to 7 were looked at with it."""
    tracker = Tracker.from_config("default", 10.0)
    for step in run(frames(), squares, tracker, colour, ahead=ahead):
        assert step.detections.embedding is not None
        assert step.detections.embedding.any() == (step.frame.index <= 4)
        if step.frame.index == 4:
            tracker.blindfold()


def test_vectors_that_are_there_stay_and_frames_without_pictures_get_none(tmp_path: Path) -> None:
    def with_vectors_at_odd(frame: Frame) -> Detections:
        boxes = squares(frame)
        return boxes.with_embedding(np.eye(2, dtype=np.float32)) if frame.index % 2 else boxes

    bare = (Frame(f.index, f.time, None if f.index in (4, 8) else f.image) for f in frames(12))
    embed = Several(colour)
    seen = list(
        run(bare, with_vectors_at_odd, Tracker.from_config("default", 10.0), embed, ahead=Ahead(2, 4))  # type: ignore[arg-type]
    )
    for step in seen:
        k, looks = step.frame.index, step.detections.embedding
        if k % 2:
            np.testing.assert_array_equal(looks, np.eye(2))
        elif k in (4, 8):
            assert looks is None
        else:
            np.testing.assert_array_equal(looks, colour(step.frame.image, step.detections.xyxy))  # type: ignore[arg-type]
    assert embed.sizes == [2]  # frames 0 and 2; of 4 to 7 and 8 to 11 only one each has to be looked at
