"""Work done ahead of its turn by threads, its results in order: the bytes are those of one thing after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

WAITING = 1  # batches more than threads that are in work or done: a thread that ends finds the next one ready


class Ahead(NamedTuple):
    """How far frames are looked at before the tracker needs them."""

    threads: int = 0  # that look at the same time; 0: the tracker's own, when a frame's turn comes
    batch: int = 1  # frames that are looked at together


def in_order(function: Callable[[Item], Result], items: Iterable[Item], threads: int = 0) -> Iterator[Result]:
    """``map(function, items)``, computed by ``threads`` threads that run ahead of the consumer.

    At most ``threads`` + 1 results are in work or waiting, so memory is bounded. ``items`` are taken in the
    consumer's thread. What raises, ``function`` or ``items``, raises here when its turn has come, after all before it.

    Args:
        function: called by several threads at the same time.
        items: may be endless.
        threads: 0: none, ``function`` is called when its result is asked for.
    """
    if threads < 1:
        for (
            item
        ) in items:  # not `map`, which would take a StopIteration of the function for the end of the items
            yield function(item)
        return
    source, ended = iter(items), False
    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="ahead")
    try:
        while waiting or not ended:
            while not ended and len(waiting) < threads + WAITING:
                try:
                    waiting.append(pool.submit(function, next(source)))
                except StopIteration:
                    ended = True
                except BaseException as problem:
                    waiting.append(_failed(problem))
                    ended = True
            if waiting:
                yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _failed(problem: BaseException) -> Future[Result]:
    future: Future[Result] = Future()
    future.set_exception(problem)
    return future


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of ``size`` items, the last one shorter. What ``items`` raises comes after those taken before it."""
    batch: list[Item] = []
    problem: BaseException | None = None
    source = iter(items)
    while True:
        try:
            batch.append(next(source))
        except StopIteration:
            break
        except BaseException as raised:
            problem = raised
            break
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
    if problem is not None:
        raise problem
