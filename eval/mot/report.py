"""MOT metrics as JSON, CSV and Markdown, and HOTA over alpha as an SVG picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from retrace.eval.mot.hota import ALPHAS
from retrace.eval.mot.score import Metrics, combine
from retrace.eval.report import Section, as_markdown_table

COMBINED = "COMBINED"
COLUMNS = (
    "HOTA", "DetA", "AssA", "LocA", "MOTA", "MOTP", "IDF1", "IDP", "IDR",
    "IDSW", "FP", "FN", "TP", "MT", "PT", "ML", "Frag",
)  # fmt: skip
TITLE = 64  # characters of the picture's title that fit, be they wide
NAME = 28  # of a curve's name
COLOURS = ("#1f5fbf", "#c2571a", "#2e8b57", "#a0319a", "#888888", "#b8860b", "#d62763", "#17a2a2")
CURVES = {"HOTA": "#1f5fbf", "DetA": "#2e8b57", "AssA": "#c2571a", "LocA": "#888888"}


def as_json(metrics: Mapping[str, Metrics], sections: Iterable[Section] = (), **about: Any) -> dict[str, Any]:
    """``sequences`` and ``combined`` with every metric (fractions in [0, 1], counts as ints), ``curves`` over
    alpha, and a key for each section; ``about`` comes first."""
    total = combine(list(metrics.values()))
    curves = {name: getattr(total.hota, name).tolist() for name in CURVES}
    return {
        **about,
        "sequences": {name: m.row() for name, m in metrics.items()},
        "combined": total.row(),
        "curves": {"alpha": [round(float(a), 2) for a in ALPHAS], **curves},
        **{section.key: section.as_data() for section in sections},
    }


def rows_of(metrics: Mapping[str, Metrics]) -> dict[str, dict[str, float | int]]:
    """One row a sequence, and the combination last."""
    return {name: m.row() for name, m in metrics.items()} | {COMBINED: combine(list(metrics.values())).row()}


def as_csv(rows: Mapping[str, Mapping[str, float | int]], head: str = "sequence") -> str:
    """Every metric at full precision; fractions in [0, 1]. ``head``: what the rows are."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = list(next(iter(rows.values())))
    writer.writerow([head, *names])
    writer.writerows([name, *(row[n] for n in names)] for name, row in rows.items())
    return out.getvalue()


def cells(row: Mapping[str, float | int], columns: Iterable[str] = COLUMNS) -> list[str]:
    """A row as text: fractions in percent with two decimals, counts as they are."""
    return [str(row[c]) if isinstance(row[c], int) else f"{100 * row[c]:.2f}" for c in columns]


def as_markdown(
    rows: Mapping[str, Mapping[str, float | int]], columns: Iterable[str] = COLUMNS, head: str = "sequence"
) -> str:
    """A Markdown table, fractions in percent. ``head``: what the rows are."""
    columns = list(columns)
    return as_markdown_table(
        [[head, *columns], *([name, *cells(row, columns)] for name, row in rows.items())]
    )


def as_svg(total: Metrics, title: str) -> str:
    """HOTA, DetA, AssA and LocA over alpha as a stand-alone SVG picture; see :func:`curves_svg`."""
    return curves_svg({name: getattr(total.hota, name) for name in CURVES}, title, tuple(CURVES.values()))


def curves_svg(curves: Mapping[str, np.ndarray], title: str, colours: Sequence[str] = COLOURS) -> str:
    """Curves over alpha, (19,) each, as a stand-alone SVG picture; the legend gives the means.

    A title too long for the picture loses its middle, and so does a name. Colours come again, dashed.
    """
    left, top, width, legend = 64, 44, 480, 60 + max(50, max(8 * min(len(name), NAME) for name in curves))
    height = max(320, 20 * len(curves))
    x = left + width * ALPHAS
    shapes = []
    for k in range(0, 11, 2):
        at, y = left + width * k / 10, top + height * (1 - k / 10)
        shapes += [
            f'<path d="M{left} {y:.1f}h{width}M{at:.1f} {top}v{height}" stroke="#ddd"/>',
            f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{k / 10:g}</text>',
            f'<text x="{at:.1f}" y="{top + height + 18}" text-anchor="middle">{k / 10:g}</text>',
        ]
    for k, (name, values) in enumerate(curves.items()):
        y, colour = top + 10 + 20 * k, colours[k % len(colours)]
        stroke = f'stroke="{colour}" stroke-width="2"' + ' stroke-dasharray="6 3"' * (k // len(colours) % 2)
        points = " ".join(f"{a:.1f},{top + height * (1 - v):.1f}" for a, v in zip(x, values, strict=True))
        shapes += [
            f'<polyline points="{points}" fill="none" {stroke}/>',
            f'<path d="M{left + width + 12} {y}h18" {stroke}/>',
            f'<text x="{left + width + 36}" y="{y + 4}">{_safe(name, NAME)} {np.mean(values):.3f}</text>',
        ]
    middle = top + height / 2
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + legend}" height="{top + height + 50}" '
        'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>\n'
        f'<text x="{left}" y="26" font-size="14">{_safe(title, TITLE)}</text>\n'
        + "\n".join(shapes)
        + f'\n<text x="{left + width / 2}" y="{top + height + 38}" text-anchor="middle">'
        "alpha (least IoU of a match)</text>\n"
        f'<text x="18" y="{middle}" text-anchor="middle" transform="rotate(-90 18 {middle})">score</text>\n</svg>\n'
    )


def _safe(text: str, most: int) -> str:
    """For XML, and without its middle where it is longer than ``most`` characters."""
    if len(text) > most:
        text = f"{text[: most // 2 - 1]}...{text[-most // 2 + 2 :]}"
    return text.replace("&", "&amp;").replace("<", "&lt;")
