"""What the comparison found so far: tables by regime, plots, and how the regimes agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from retrace.configs import InputError
from retrace.configs.files import atomic_write, writing
from retrace.eval.report import Cell, Section, as_markdown_table
from retrace.tools.loss_bench.entrants import REGIMES, TITLES, Bench, Trained
from retrace.tools.loss_bench.groups import Estimate, estimate, groups, rank_correlation, sums
from retrace.tools.loss_bench.jobs import NOBODY, STORED, TRACK, Result, finals, searched
from retrace.tools.loss_bench.plots import intervals, scatter

if TYPE_CHECKING:
    from retrace.tools.loss_bench.cost import Cost  # it imports torch

LETTERS = "abcdefghijklmnopqrstuvwxyz"
FROZEN_NOTES = (
    "A test of implementations and geometry, not a ranking of losses: the network stays as it is, a linear map is "
    "trained, so what is measured is how well an objective re-weighs given numbers. Smoothed labels cost here what "
    "they gain in training, and a distance term alone equals cross-entropy, which it does not from random weights. The "
    "vectors as they are score rank-1 68.6, mAP 46.2 here and mAP 41.0 on CUHK03 (`eval_reid.py`)."
)


@dataclass(frozen=True, slots=True)
class Row:
    """An entrant in a regime: its finals, summarised."""

    name: str
    group: int
    mAP: Estimate
    rank1: Estimate
    # mAP minus the yardstick's, paired; None: it is the yardstick, or that has no finals
    against: Estimate | None
    results: list[Result]

    def mean(self, *path: str) -> float | None:
        """Of a figure over the seeds that have it."""
        found = []
        for one in self.results:
            value: Any = one
            for key in path:
                value = value.get(key) if isinstance(value, dict) else None
            if value is not None:
                found.append(float(value))
        return float(np.mean(found)) if found else None


@dataclass(frozen=True, slots=True)
class Regime:
    """One regime's table; empty: nobody has finals yet."""

    name: str
    published: bool
    rows: list[Row]
    missing: dict[str, str]  # entrant -> why it is not in the table
    notes: list[str] = field(default_factory=list)


def read_regime(bench: Bench, name: str, results: Sequence[Result], published: bool = False) -> Regime:
    """Whoever has a final, best first; people and seeds as in `groups.estimate`."""
    found = finals(bench, name, results, published)
    good = {e: [r for r in mine if "failed" not in r] for e, mine in found.items()}
    scored = {e: sums(mine) for e, mine in good.items() if mine}
    place = groups(scored)
    yardstick = scored.get(bench.yardstick)
    rows = [
        Row(
            e,
            place[e],
            estimate(scored[e]),
            estimate(sums(good[e], "hits")),
            None if yardstick is None or e == bench.yardstick else estimate(scored[e], yardstick),
            good[e],
        )
        for e in sorted(scored, key=lambda e: (place[e], -estimate(scored[e]).value))
    ]
    missing = {}
    for e in bench.entrants:
        if why := bench.why_not(e, name):
            missing[e] = why
        elif e in found and e not in scored:
            missing[e] = found[e][0]["failed"]
        elif e not in scored:
            missing[e] = "not done yet"
    notes = _notes(bench, name, rows, published)
    if any(row.mean("track", "IDF1") is not None for row in rows):
        notes += _of_the_street(results)
    return Regime(name, published, rows, missing, notes)


def _notes(bench: Bench, name: str, rows: Sequence[Row], published: bool) -> list[str]:
    how = bench.regime(name)
    seeds = sorted({row.mAP.seeds for row in rows})
    search = (
        "Nothing was searched: everybody's settings as in the file."
        if published
        else (
            f"Search for everybody: {searched(bench, name)}, on {bench.validation} training people held out; chosen by "
            "their mAP; finals on all training people."
        )
    )
    unit = "epochs" if isinstance(how, Trained) else "steps"
    length = f"{how.length:g} {unit}" if how.length else f"as many {unit} as the search found"
    notes = [
        f"{search} Finals: {length}, batches of {bench.identities} x {bench.images}, {_span(seeds)} "
        f"seed{'s' * (seeds != [1])}. Scored once on people nobody trained or chose on; intervals 95 %, over seeds and "
        "people.",
        "Losses of one group cannot be told apart from its best (paired differences over seeds and people, Student's "
        "t, Holm's correction at 5 %); the order inside a group means nothing.",
    ]
    if isinstance(how, Trained):
        notes.append(
            "512 numbers made from 128 have rank 128 at most, and rho is a mean of logarithms that the dead directions "
            "decide: compare the effective rank."
        )
    if 1 in seeds:
        notes.append(
            "Where there is one seed, the interval is of people only, and says nothing of another run."
        )
    return notes


def _of_the_street(results: Sequence[Result]) -> list[str]:
    """What IDF1 and HOTA are of, and what to compare them with."""
    lines = {one["entrant"]: one for one in results if one["stage"] == TRACK}
    told = [
        f"{what} {100 * lines[key]['IDF1']:.1f} and {100 * lines[key]['HOTA']:.1f}"
        for key, what in ((NOBODY, "without appearance"), (STORED, "with the MSMT17 network as it is"))
        if key in lines
    ]
    return [
        "IDF1, HOTA: PETS09-S2L1 with given boxes (`bench_losses.py track`), the preset as it is: its thresholds were "
        f"found with the shipped network{'; ' + ', '.join(told) if told else ''}. One video of 19 people: differences "
        "below a point or two mean nothing."
    ]


def _span(seeds: Sequence[int]) -> str:
    return "no" if not seeds else str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"


def table(regime: Regime, steps: Mapping[str, Cost] | None = None) -> Section:
    """Of a regime, a row an entrant."""
    steps = steps or {}
    tracked = any(row.mean("track", "IDF1") is not None for row in regime.rows)
    head: list[Cell] = [
        "loss",
        "group",
        "mAP",
        "against yardstick",
        "rank-1",
        "TAR at FAR 1e-3",
        "CUHK03 mAP",
        "rho",
        "effective rank",
    ]
    head += (
        ["pi_ratio", "seeds", "setting", "length"] + ["IDF1", "HOTA"] * tracked + ["ms a step"] * bool(steps)
    )
    lines: list[list[Cell]] = [head]
    for row in regime.rows:
        one = row.results[0]
        line: list[Cell] = [
            row.name,
            letter(row.group),
            bounds(row.mAP),
            "yardstick" if row.against is None else bounds(row.against, signed=True),
            bounds(row.rank1),
            row.mean("TAR@FAR"),
            row.mean("other", "mAP"),
            number(row.mean("space", "rho")),
            number(row.mean("space", "effective_rank"), 0),
            number(row.mean("space", "pi_ratio")),
            row.mAP.seeds,
            str(one["setting"]),
            f"{one['length']:g}",
        ]
        line += [row.mean("track", "IDF1"), row.mean("track", "HOTA")] if tracked else []
        lines.append(line + ([number(steps[row.name].ms if row.name in steps else None, 1)] if steps else []))
    notes = [*regime.notes]
    by_reason: dict[str, list[str]] = {}
    for name, why in regime.missing.items():
        by_reason.setdefault(why, []).append(name)
    notes += [f"Not in it ({why}): {', '.join(names)}." for why, names in by_reason.items()]
    return Section(regime.name, TITLES[regime.name], lines, notes)


def letter(group: int) -> str:
    return LETTERS[group - 1] if group <= len(LETTERS) else str(group)


def bounds(e: Estimate, signed: bool = False) -> str:
    plus = "+" if signed else ""
    return f"{100 * e.value:{plus}.1f} [{100 * e.low:{plus}.1f}, {100 * e.high:{plus}.1f}]"


def number(value: float | None, digits: int = 2) -> str:
    return "n/a" if value is None else f"{value:.{digits}f}"


def agreement(regimes: Sequence[Regime]) -> list[str]:
    """Rank correlations between regimes, of rho with mAP, and of here with elsewhere: a line each."""
    lines = []
    columns = {r.name: {row.name: row.mAP.value for row in r.rows} for r in regimes}
    for k, one in enumerate(regimes):
        for other in regimes[k + 1 :]:
            if found := rank_correlation(columns[one.name], columns[other.name]):
                lines.append(f"mAP of {one.name} and {other.name}: {_said(found)}.")
    for regime in regimes:
        for what, path in (("rho", ("space", "rho")), ("CUHK03's mAP", ("other", "mAP"))):
            column = {row.name: v for row in regime.rows if (v := row.mean(*path)) is not None}
            if found := rank_correlation(columns[regime.name], column):
                lines.append(f"mAP and {what} in {regime.name}: {_said(found)}.")
    return lines


def _said(found: tuple[float, float, int]) -> str:
    return f"Spearman {found[0]:+.2f} over {found[2]} losses, p {found[1]:.2g}"


def plots(regime: Regime) -> dict[str, str]:
    """SVG by file name."""
    if not regime.rows:
        return {}
    yardstick = next((row.mAP.value for row in regime.rows if row.against is None), None)
    rows = [(row.name, row.mAP, row.group) for row in regime.rows]
    found = {
        f"{regime.name}-mAP.svg": intervals(f"mAP, %: {TITLES[regime.name]}", rows, yardstick),
    }
    for name, path, across, factor in (
        ("rho", ("space", "rho"), "rho of the training people (smaller: flatter spectrum)", 1),
        ("cross", ("other", "mAP"), "mAP on CUHK03, %", 100),
    ):
        points = {
            row.name: (factor * v, 100 * row.mAP.value, row.group)
            for row in regime.rows
            if (v := row.mean(*path)) is not None
        }
        if points:
            title = f"{TITLES[regime.name]}"
            found[f"{regime.name}-{name}.svg"] = scatter(title, points, across, "mAP, %")
    return found


def markdown(regimes: Sequence[Regime], steps: Mapping[str, Cost] | None = None, place: str = "") -> str:
    """The tables with their notes; ``place``: folder of the plots, where they are to be shown."""
    parts = []
    for regime in regimes:
        if not regime.rows:
            continue
        section = table(regime, steps)
        parts.append(f"### {TITLES[regime.name][0].upper()}{TITLES[regime.name][1:]}\n")
        if regime.name == "frozen":
            parts.append(f"{FROZEN_NOTES}\n")
        parts.append(as_markdown_table(section.texts()))
        parts += [f"{note}\n" for note in section.notes]
        if place:
            parts.append("".join(f"![{name}]({place}/{name})\n" for name in plots(regime)))
    if lines := agreement([r for r in regimes if r.rows]):
        parts.append("How far they agree: " + " ".join(lines) + "\n")
    return "\n".join(parts)


def html(regimes: Sequence[Regime], steps: Mapping[str, Cost] | None = None) -> str:
    """One page with tables and plots."""
    from retrace.tools.pages.templates import filled

    parts = []
    for regime in regimes:
        if not regime.rows:
            continue
        section = table(regime, steps)
        head, *lines = section.texts()
        rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in line)}</tr>\n" for line in lines)
        parts.append(f"<h2>{escape(TITLES[regime.name])}</h2>")
        parts.append(f"<p>{escape(FROZEN_NOTES)}</p>" if regime.name == "frozen" else "")
        parts.append(f"<table><tr>{''.join(f'<th>{escape(c)}</th>' for c in head)}</tr>\n{rows}</table>")
        parts += [f"<p>{escape(note)}</p>" for note in section.notes]
        parts += list(plots(regime).values())
    parts.append(f"<p>{escape(' '.join(agreement([r for r in regimes if r.rows])))}</p>")
    return filled("losses.html", body="\n".join(parts))


def write(out: Path, regimes: Sequence[Regime], steps: Mapping[str, Cost] | None = None) -> list[Path]:
    """OUT/losses.md, losses.html and the plots.

    Raises:
        InputError: there is nothing to show, or the place cannot be written.
    """
    if not any(regime.rows for regime in regimes):
        raise InputError("no entrant has a finished final yet: run more of the queue first")
    files = {"losses.md": markdown(regimes, steps, "."), "losses.html": html(regimes, steps)}
    for regime in regimes:
        files |= plots(regime)
    with writing(out):
        for name, text in files.items():
            with atomic_write(out / name) as file:
                file.write(text)
    return [out / name for name in files]


def read_all(bench: Bench, results: Sequence[Result], published: bool = False) -> list[Regime]:
    """Every regime, searched or as published."""
    return [read_regime(bench, name, results, published and name != "frozen") for name in REGIMES]
