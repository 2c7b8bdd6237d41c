"""Tables of figures as text, CSV, Markdown and JSON."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from typing import Any

Cell = str | float | int | None


@dataclass(frozen=True, slots=True)
class Section:
    """A table beside the metrics. Cells are texts, fractions (float), counts (int) or None: not available."""

    key: str  # its name in JSON and in file names
    title: str
    lines: list[list[Cell]]  # the head first; the first cell names the row
    notes: list[str] = field(default_factory=list)
    signed: bool = False  # differences: a plus is shown

    def texts(self) -> list[list[str]]:
        """The cells as a reader wants them: fractions in percent."""
        return [[_text(cell, self.signed) for cell in line] for line in self.lines]

    def as_data(self) -> dict[str, Any]:
        """For JSON: title, notes and rows by name; fractions in [0, 1], empty cells left out."""
        head, *rows = self.lines
        table = {
            str(row[0]): {str(n): c for n, c in zip(head[1:], row[1:], strict=True) if c != ""}
            for row in rows
        }
        return {"title": self.title, "notes": self.notes, "rows": table}

    def as_csv(self) -> str:
        """Every digit; None is an empty cell."""
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows(self.lines)
        return out.getvalue()

    def as_markdown(self) -> str:
        """A heading, the table, the notes."""
        notes = "".join(f"\n{note}\n" for note in self.notes)
        return f"\n## {self.title}\n\n{as_markdown_table(self.texts())}{notes}"


def _text(cell: Cell, signed: bool) -> str:
    if cell is None:
        return "n/a"
    if isinstance(cell, str):
        return cell
    value, digits = (cell, "d") if isinstance(cell, int) else (100 * cell, ".2f")
    return format(value, f"{'+' if signed else ''}{digits}")


def as_markdown_table(lines: list[list[str]]) -> str:
    """A Markdown table; the first line is the head."""
    ruled = [lines[0], ["---", *["---:"] * (len(lines[0]) - 1)], *lines[1:]]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in ruled)


def as_text(lines: list[list[str]]) -> str:
    """Aligned columns: the first to the left, the others to the right; the first line is the head."""
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "".join(
        "  ".join(
            cell.rjust(w) if k else cell.ljust(w)
            for k, (cell, w) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        + "\n"
        for line in lines
    )
