"""Plots as SVG, written by hand: values with their intervals, and one column against another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from retrace.tools.loss_bench.groups import Estimate

# Okabe and Ito's, for everybody's eyes
COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
)
ROW, LEFT, WIDTH, FOOT = 18, 190, 760, 40  # px


def intervals(title: str, rows: Sequence[tuple[str, Estimate, int]], mark: float | None = None) -> str:
    """A row an entrant: its value in percent, its interval, its group's colour; ``mark``: a line at a value."""
    low = 100 * min(e.low for _, e, _ in rows)
    high = 100 * max(e.high for _, e, _ in rows)
    ticks = _ticks(low, high)
    scale = _Scale(ticks[0], ticks[-1], LEFT, WIDTH - 20)
    bottom = 34 + ROW * len(rows)
    parts = [f'<text x="{LEFT}" y="18" font-weight="bold">{escape(title)}</text>']
    parts += _axis_below(scale, ticks, 28, bottom)
    if mark is not None:
        x = scale(100 * mark)
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="28" y2="{bottom}" stroke="#000" stroke-dasharray="4 3"/>'
        )
    for k, (name, e, group) in enumerate(rows):
        y, colour = 42 + ROW * k, COLOURS[(group - 1) % len(COLOURS)]
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{escape(name)}</text>')
        parts.append(
            f'<line x1="{scale(100 * e.low):.1f}" x2="{scale(100 * e.high):.1f}" y1="{y}" y2="{y}" '
            f'stroke="{colour}" stroke-width="2"/>'
            f'<circle cx="{scale(100 * e.value):.1f}" cy="{y}" r="4" fill="{colour}"/>'
        )
    return _svg(parts, WIDTH, bottom + FOOT)


def scatter(title: str, points: Mapping[str, tuple[float, float, int]], across: str, up: str) -> str:
    """A named point an entrant: (x, y, group)."""
    xs, ys = ([p[k] for p in points.values()] for k in (0, 1))
    x_ticks, y_ticks = _ticks(min(xs), max(xs)), _ticks(min(ys), max(ys))
    x_scale, y_scale = (
        _Scale(x_ticks[0], x_ticks[-1], 60, WIDTH - 90),
        _Scale(y_ticks[0], y_ticks[-1], 420, 34),
    )
    parts = [f'<text x="60" y="18" font-weight="bold">{escape(title)}</text>']
    parts += _axis_below(x_scale, x_ticks, 28, 420)
    for value in y_ticks:
        y = y_scale(value)
        parts.append(f'<line x1="60" x2="{WIDTH - 90}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="54" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    parts.append(f'<text x="{WIDTH / 2}" y="456" text-anchor="middle">{escape(across)}</text>')
    parts.append(f'<text transform="translate(14 230) rotate(-90)" text-anchor="middle">{escape(up)}</text>')
    for name, (x, y, group) in points.items():
        colour = COLOURS[(group - 1) % len(COLOURS)]
        parts.append(f'<circle cx="{x_scale(x):.1f}" cy="{y_scale(y):.1f}" r="4" fill="{colour}"/>')
        parts.append(
            f'<text x="{x_scale(x) + 6:.1f}" y="{y_scale(y) + 3:.1f}" font-size="9">{escape(name)}</text>'
        )
    return _svg(parts, WIDTH, 466)


class _Scale:
    """Values to px."""

    def __init__(self, low: float, high: float, begin: float, end: float) -> None:
        self.low, self.begin, self.step = low, begin, (end - begin) / ((high - low) or 1)

    def __call__(self, value: float) -> float:
        return self.begin + (value - self.low) * self.step


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers around a range: steps of 1, 2 or 5 times a power of ten."""
    span = max(high - low, 1e-9)
    power = 10.0 ** len(str(int(span))) / 10 if span >= 1 else 10.0 ** -_zeros(span)
    step = next(f * power / 10 for f in (1, 2, 5, 10, 20, 50, 100) if span <= 8 * f * power / 10)
    first = int(low // step)
    last = int(-(-high // step))
    return [round(k * step, 10) for k in range(first, max(last, first + 1) + 1)]


def _zeros(span: float) -> int:
    count = 0
    while span < 1:
        span, count = span * 10, count + 1
    return count


def _axis_below(scale: _Scale, ticks: Sequence[float], top: float, bottom: float) -> list[str]:
    parts = []
    for value in ticks:
        x = scale(value)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}" stroke="#ddd"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{value:g}</text>')
    return parts


def _svg(parts: Sequence[str], width: float, height: float) -> str:
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="#fff"/>\n{body}\n</svg>\n'
    )
