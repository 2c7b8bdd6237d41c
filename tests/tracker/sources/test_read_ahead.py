"""Frames from a thread: order, bounds, errors, and no thread that outlives its reader."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from retrace.tracker.data import Frame
from retrace.tracker.sources.read_ahead import ReadAhead, read_ahead


def frames(count: int, made: list[int] | None = None, fail_at: int | None = None) -> Iterator[Frame]:
    for index in range(count):
        if index == fail_at:
            raise RuntimeError(f"frame {index}")
        if made is not None:
            made.append(index)
        yield Frame(index, index / 10, None)


def reader_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "read-ahead"]


def settled(made: list[int], count: int) -> bool:
    """Waits, bounded, until so many frames were made."""
    pause = threading.Event()
    for _ in range(200):
        if len(made) >= count:
            pause.wait(0.05)  # a faulty reader would make more now
            return True
        pause.wait(0.01)
    return False


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert reader_threads() == []


@pytest.mark.parametrize("depth", [1, 4, 100])
def test_all_frames_come_in_order(depth: int) -> None:
    assert [f.index for f in read_ahead(frames(50), depth)] == list(range(50))


def test_no_frames_are_fine() -> None:
    assert list(read_ahead(frames(0))) == []


def test_no_more_than_depth_frames_wait() -> None:
    made: list[int] = []
    with ReadAhead(frames(50, made), depth=3) as reader:
        assert settled(made, 4)
        assert made == [0, 1, 2, 3]  # three wait, one is in the thread's hands
        next(reader)
        assert settled(made, 5)
        assert made == [0, 1, 2, 3, 4]


def test_an_error_crosses_over_after_the_frames_before_it() -> None:
    reader = read_ahead(frames(10, fail_at=3))
    assert [next(reader).index for _ in range(3)] == [0, 1, 2]
    with pytest.raises(RuntimeError, match="frame 3"):
        next(reader)
    assert list(reader) == []


def test_closing_early_stops_the_thread_and_closes_the_generator() -> None:
    closed = threading.Event()

    def endless() -> Iterator[Frame]:
        try:
            yield from frames(10**9)
        finally:
            closed.set()

    reader = read_ahead(endless())
    assert next(reader).index == 0
    reader.close()
    assert reader_threads() == []
    assert closed.is_set()
    assert list(reader) == []
    reader.close()  # again does no harm


def test_a_forgotten_reader_stops_its_thread() -> None:
    for frame in read_ahead(frames(10**9)):
        if frame.index == 2:
            break
    assert reader_threads() == []


def test_dropping_keeps_the_newest_and_counts() -> None:
    made: list[int] = []
    dropped: list[int] = []
    with ReadAhead(frames(10, made), depth=2, on_drop=lambda: dropped.append(1)) as reader:
        assert settled(made, 10)
        assert [f.index for f in reader] == [8, 9]
    assert len(dropped) == 8


def test_closing_wakes_frames_that_wait() -> None:
    wake = threading.Event()

    def waiting() -> Iterator[Frame]:
        yield Frame(0, 0.0, None)
        wake.wait(30)

    reader = ReadAhead(waiting(), on_close=wake.set)
    next(reader)
    reader.close()
    assert reader_threads() == []


def test_reading_ahead_twice_is_reading_ahead_once() -> None:
    reader = read_ahead(frames(3))
    assert read_ahead(reader) is reader
    assert [f.index for f in reader] == [0, 1, 2]
    assert reader.seconds >= 0
