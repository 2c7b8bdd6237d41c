"""A progress bar with the time left, for every tool that works long."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

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

    with progress.Progress(*_columns(), console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(title, total=total, completed=start)
        yield lambda done, total, said=title: shown.update(
            task, completed=done, total=total, description=said
        )


@contextmanager
def bars(
    title: str, total: int, quiet: bool = False
) -> Iterator[Callable[[str, int | None, int | None], None]]:
    """Many things at once: a bar for all, and one for each that is in work. A function to call as (name, done, its
    total); done None: it has ended. Silent in a pipe."""
    if quiet or not sys.stderr.isatty():
        yield lambda name, done, length: None
        return
    from rich import progress
    from rich.console import Console

    look = {"console": Console(stderr=True), "transient": True, "redirect_stdout": sys.stdout.isatty()}
    with progress.Progress(*_columns(), **look) as shown:  # type: ignore[arg-type]
        whole, tasks = shown.add_task(title, total=total), dict[str, progress.TaskID]()

        def tell(name: str, done: int | None, length: int | None) -> None:
            if done is None:
                shown.advance(whole)
                if name in tasks:
                    shown.remove_task(tasks.pop(name))
                return
            if name not in tasks:
                tasks[name] = shown.add_task(name, total=length)
            shown.update(tasks[name], completed=done)

        yield tell


def _columns() -> tuple[Any, ...]:
    from rich import progress

    return (
        "{task.description}",
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        "left",
        progress.TimeRemainingColumn(),
    )
