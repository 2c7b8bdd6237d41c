"""Tables for a reader: by rich on a terminal that is wide enough, else plain text."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable

from retrace.tools.terminal.console import say


def show(title: str, lines: list[list[str]], notes: Iterable[str] = (), bold_last: bool = False) -> None:
    """A table under its title, its head first, and notes below. (rich would cut numbers off to make it fit.)"""
    from retrace.eval.report import as_text

    text = as_text(lines)
    if not sys.stdout.isatty() or text.index("\n") + 2 > shutil.get_terminal_size().columns:
        say(title)
        say(text.removesuffix("\n"))
    else:
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        table = Table(title=escape(title), title_justify="left", box=None, header_style="bold")
        for k, name in enumerate(lines[0]):
            table.add_column(escape(name), justify="right" if k else "left", no_wrap=True)
        for k, line in enumerate(lines[1:], 2):
            table.add_row(*map(escape, line), style="bold" if bold_last and k == len(lines) else None)
        Console().print(table)
    for note in notes:
        say(note)
