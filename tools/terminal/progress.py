"""A progress bar with the time left, for every tool that works long."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

Bar = Callable[[str, int], AbstractContextManager[Callable[[int, int], None]]]  # title, total: done, total


@contextmanager
def bar(title: str, total: int | None, quiet: bool = False, start: int = 0) -> Iterator[Callable[..., None]]:
    """A function to call as (done, total) or (done, total, title) on the way; silent in a pipe.

    A total of None is not known yet.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda done, total, title=None: None
        return
    from rich import progress  # slow to import
    from rich.console import Console

    columns = (
        "{task.description}",
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        "left",
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(title, total=total, completed=start)
        yield lambda done, total, said=title: shown.update(
            task, completed=done, total=total, description=said
        )
