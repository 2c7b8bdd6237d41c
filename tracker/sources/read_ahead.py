"""Frames made in a thread while the consumer is busy with the ones before."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from retrace.tracker.data import Frame


class ReadAhead(Iterator[Frame]):
    """Frames made by a thread while the consumer is busy.

    ``close()`` (also on deletion, and at the end of a ``with``) stops the thread; one that waits for the network ends
    by itself within its time limit.

    Args:
        frames: a generator is closed in the thread that runs it.
        depth: this many frames wait at most.
        on_drop: the oldest waiting frame is dropped, and this called, instead of letting the thread wait.
        on_close: called by ``close()``, to wake ``frames`` up.

    Raises:
        Exception: whatever ``frames`` raises in the thread, when its turn comes.

    Example:
        >>> from retrace import open_source
        >>> from retrace.tracker.sources import ReadAhead
        >>> with ReadAhead(open_source("video.mp4"), depth=2) as frames:
        ...     print(next(frames).index, next(frames).index, frames.seconds > 0)  # s that decoding took
        0 1 True
        >>> next(frames, None) is None  # the thread has stopped with the block
        True
    """

    def __init__(
        self,
        frames: Iterable[Frame],
        depth: int = 4,
        on_drop: Callable[[], None] | None = None,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        self._queue = _Queue(depth, on_drop)
        self._on_close = on_close
        # the thread must not hold this object, or it would never be deleted
        self._thread = threading.Thread(
            target=_pump, args=(frames, self._queue), name="read-ahead", daemon=True
        )
        self._thread.start()

    @property
    def seconds(self) -> float:
        """s that the thread has spent on making frames."""
        return self._queue.seconds

    def __next__(self) -> Frame:
        return self._queue.take()

    def close(self) -> None:
        """Stop the thread, and wait for it, at most 2 s."""
        self._queue.close()
        if self._on_close:
            self._on_close()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=2.0)

    def __enter__(self) -> ReadAhead:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_thread"):
            self.close()


def read_ahead(frames: Iterable[Frame], depth: int = 4) -> ReadAhead:
    """``frames`` made in a thread, at most ``depth`` ahead; a live source, which does so already, stays.

    Example:
        >>> from retrace.tracker.sources import open_source, read_ahead
        >>> with read_ahead(open_source("video.mp4")) as frames:
        ...     sum(1 for _ in frames)
        30
    """
    return frames if isinstance(frames, ReadAhead) else ReadAhead(frames, depth)


class _Queue:
    """The frames that wait between the thread and the consumer."""

    def __init__(self, depth: int, on_drop: Callable[[], None] | None) -> None:
        self.seconds = 0.0
        self._depth, self._on_drop = depth, on_drop
        self._changed = threading.Condition()
        self._waiting: deque[Frame] = deque()
        self._closed = self._ended = False
        self._error: BaseException | None = None

    def put(self, frame: Frame) -> bool:
        """False when nobody wants any more."""
        with self._changed:
            if self._on_drop is None:
                self._changed.wait_for(lambda: self._closed or len(self._waiting) < self._depth)
            elif len(self._waiting) >= self._depth:
                self._waiting.popleft()
                self._on_drop()
            self._waiting.append(frame)
            self._changed.notify_all()
            return not self._closed

    def end(self, error: BaseException | None) -> None:
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def take(self) -> Frame:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._ended or self._waiting)
            if self._waiting and not self._closed:
                frame = self._waiting.popleft()
                self._changed.notify_all()
                return frame
            error, self._error = self._error, None
        if error is not None and not self._closed:
            raise error
        raise StopIteration

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()


def _pump(frames: Iterable[Frame], queue: _Queue) -> None:
    error = None
    source = iter(frames)
    try:
        while True:
            begin = time.perf_counter()
            frame = next(source, None)
            queue.seconds += time.perf_counter() - begin
            if frame is None or not queue.put(frame):
                break
    except BaseException as problem:  # it crosses over to the consumer
        error = problem
    finally:
        close = getattr(source, "close", None)
        if close is not None:
            close()
        queue.end(error)
