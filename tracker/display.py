"""Columns as a table that people read: text for a terminal, HTML for a notebook."""

from __future__ import annotations

import html
from collections.abc import Mapping

import numpy as np

ROWS = 10  # shown of a longer table: the first ones


def as_text(title: str, columns: Mapping[str, np.ndarray]) -> str:
    """The title, then a line a row, right-aligned; of more than ``ROWS`` rows the first and a count."""
    names, cells, more = _cells(columns)
    if not cells:
        return title
    widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
    lines = [
        "  ".join(f"{cell:>{w}}" for cell, w in zip(row, widths, strict=True)) for row in (names, *cells)
    ]
    return "\n".join([title, *lines, *([f"... {more} more"] if more else [])])


def as_html(title: str, columns: Mapping[str, np.ndarray]) -> str:
    """The same as an HTML table."""
    names, cells, more = _cells(columns)
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in cells)
    foot = f"<p>... {more} more</p>" if more else ""
    return f"<p>{html.escape(title)}</p><table><tr>{head}</tr>{body}</table>{foot}"


def _cells(columns: Mapping[str, np.ndarray]) -> tuple[list[str], list[list[str]], int]:
    """Names, the first rows as words, and how many rows are left out."""
    total = len(next(iter(columns.values())))
    shown = [[_word(value) for value in values[:ROWS].tolist()] for values in columns.values()]
    return list(columns), [list(row) for row in zip(*shown, strict=True)], max(total - ROWS, 0)


def _word(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4g}" if 0 < abs(value) < 1 else f"{value:.1f}"
