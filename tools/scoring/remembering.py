"""How well an identity memory does on visits of known people: curves over its gate, returns by gap, search.

The visits are told to a new memory a window at a time, in the order in which they end, and each is what the memory
said at that moment: nothing is corrected afterwards.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retrace.configs.errors import InputError
from retrace.eval import person_search
from retrace.eval.partition import PartitionMetrics, ReturnsByGap, evaluate_partition, returns_by_gap
from retrace.eval.report import Cell, Section
from retrace.tools.scoring.visits import FoundVisits, KnownVisits
from retrace.tracker.memory import Memory, MemoryConfig
from retrace.tracker.memory.config import LikelihoodRatio
from retrace.tracker.memory.search import Found, search

STEPS = (-4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 6.0)  # nats asked for beyond the calibrated gate
GAPS = (0.0, 15.0, 60.0, 300.0, 1800.0, 86_400.0)  # s
RATES = (0.01, 0.1)  # FPIR at which FNIR is read
FOLDS = 2
SLACK = 0.5  # s around a visit: pictures come once a second, and one is a visit too
MOST = 50  # people whom a search may name


@dataclass(frozen=True, slots=True)
class GateScore:
    """One place of the gate."""

    nats: float
    times: bool  # whether times of transit counted
    metrics: PartitionMetrics
    b3_f1: float
    gaps: tuple[ReturnsByGap, ...]


def curve(visits: KnownVisits, config: MemoryConfig, steps: Sequence[float] = STEPS) -> list[GateScore]:
    """Every place of the gate, with times of transit and without."""
    found = []
    for times in (True, False):
        for nats in steps:
            found.append(step(visits, stricter(config, nats, times), nats))
    return found


def stricter(config: MemoryConfig, nats: float, times: bool = True) -> MemoryConfig:
    """The same, asking for so much more evidence before two tracklets are one person's."""
    maps = {
        name: LikelihoodRatio(offset=getattr(config, name).offset - nats, slope=getattr(config, name).slope)
        for name in ("same_camera", "other_camera")
    }
    return config.model_copy(update={**maps, "transit": times})


def step(visits: KnownVisits, config: MemoryConfig, nats: float = 0.0) -> GateScore:
    """One stream through a new memory."""
    with tempfile.TemporaryDirectory() as folder, open_memory(Path(folder), visits, config) as memory:
        identity = remember(visits, memory)
    metrics = evaluate_partition(visits.person, identity, visits.begin, visits.weight)
    gaps = returns_by_gap(visits.person, identity, visits.camera, visits.begin, visits.end, GAPS)
    return GateScore(nats, config.transit, metrics, metrics.b3_f1, tuple(gaps))


def open_memory(folder: Path, visits: KnownVisits, config: MemoryConfig) -> Memory:
    if not len(visits):
        raise InputError("there are no visits to be remembered")
    return Memory(folder / "memory.db", "visits", len(visits.tracklets[0].vector), config)


def remember(visits: KnownVisits, memory: Memory) -> np.ndarray:
    """(V,) the person whom the memory takes each for."""
    found = np.zeros(len(visits), np.int64)
    window = memory.config.window
    begin = 0
    while begin < len(visits):
        stop = int(np.searchsorted(visits.end, visits.end[begin] + window, side="right"))
        found[begin:stop] = [one.person for one in memory.add(visits.tracklets[begin:stop])]
        begin = stop
    return found


# -- search


@dataclass(frozen=True, slots=True)
class SearchScore:
    """Where and when was the person on this photo, and is he known at all; fractions in [0, 1]."""

    queries: int
    strangers: int
    people: float  # in memory, mean over folds
    mAP: float  # the word of the field
    recall: dict[int, float]  # within the first k visits
    first: float  # share of queries whose first visit is right
    fnir: dict[float, float]  # at each FPIR


def search_score(visits: KnownVisits, config: MemoryConfig, seed: int = 0) -> SearchScore | None:
    """Half of the people are remembered without their last visit, which is asked for; all visits of the others are
    searches for strangers. Then the halves change places. None: there are no photos, or nobody came twice."""
    names = np.random.default_rng(seed).permutation(np.unique(visits.person))
    if not visits.photo.shape[1] or len(names) < FOLDS:
        return None
    answers, truth, scores, known, ranks, sizes = [], [], [], [], [], []
    for fold in range(FOLDS):
        inside = np.isin(visits.person, names[fold::FOLDS])
        last = np.zeros(len(visits), bool)
        for person in names[fold::FOLDS]:
            mine = (visits.person == person).nonzero()[0]
            last[mine[-1]] = len(mine) > 1
        kept = visits.take(inside & ~last)
        if not len(kept):
            continue
        with tempfile.TemporaryDirectory() as folder, open_memory(Path(folder), kept, config) as memory:
            identity = remember(kept, memory)
            sizes.append(memory.people.count)
            for k in (last | ~inside).nonzero()[0]:
                found = search(memory, visits.photo[k], least=0.0, top=MOST)
                mine = kept.person == visits.person[k]
                known.append(bool(last[k]))
                if last[k]:
                    rank = _rank(found, {*identity[mine].tolist()})
                    scores.append(found[rank - 1].probability if rank else 0.0)
                    ranks.append(rank or MOST + 1)
                    answers.append(_answered(found))
                    where = np.array([one.camera for one in kept.tracklets])[mine]
                    truth.append(
                        person_search.CameraStays(where, kept.begin[mine] - SLACK, kept.end[mine] + SLACK)
                    )
                else:
                    scores.append(found[0].probability if found else 0.0)
                    ranks.append(1)
    if not truth:
        return None
    ranked = person_search.evaluate_search(answers, truth)
    open_set = person_search.open_set_curve(np.array(scores), np.array(known), np.array(ranks))
    return SearchScore(
        len(truth), open_set.strangers, float(np.mean(sizes)), ranked.mAP, ranked.recall,
        float((ranked.first == 1).mean()), {rate: open_set.fnir_at(rate) for rate in RATES},
    )  # fmt: skip


def _rank(found: Sequence[Found], right: set[int]) -> int:
    """From 1, of the first right person; 0: none."""
    return next((k for k, one in enumerate(found, 1) if one.person in right), 0)


def _answered(found: Sequence[Found]) -> person_search.CameraStays:
    visits = [visit for one in found for visit in one.visits]
    begin, end = (np.array([getattr(visit, name) for visit in visits]) for name in ("begin", "end"))
    return person_search.CameraStays(np.array([visit.camera for visit in visits]), begin - SLACK, end + SLACK)


# -- results beside their truth


def score_seen(seen: FoundVisits) -> GateScore:
    """A finished result, by its visits."""
    metrics = evaluate_partition(seen.person, seen.identity, seen.begin, seen.weight)
    gaps = returns_by_gap(seen.person, seen.identity, seen.camera, seen.begin, seen.end, GAPS)
    return GateScore(0.0, True, metrics, metrics.b3_f1, tuple(gaps))


# -- tables and a picture

HEAD: list[Cell] = [
    "nats", "IDF1", "purity", "B3 P", "B3 R", "fragments", "returns known", "strangers joined", "identities", "people",
]  # fmt: skip


def row(name: str, one: GateScore) -> list[Cell]:
    m = one.metrics
    rates = (
        m.idf1,
        m.purity,
        m.b3_precision,
        m.b3_recall,
        m.fragmentation,
        m.return_recall,
        m.stranger_acceptance,
    )
    return [name, *(None if np.isnan(value) else value for value in rates), m.identities, m.people]


def sections(found: Sequence[GateScore], searched: SearchScore | None = None) -> list[Section]:
    """The curves, returns by gap at the calibrated gate, search."""
    made = []
    for times in (True, False):
        rows = [row(f"{one.nats:+g}", one) for one in found if one.times == times]
        if rows:
            with_ = "with times of transit" if times else "by looks alone"
            m = next(one.metrics for one in found if one.times == times)
            note = f"{m.returns} returns, {m.strangers} first visits; +0 is the calibrated gate."
            made.append(
                Section(
                    f"gate_{'times' if times else 'looks'}", f"over the gate, {with_}", [HEAD, *rows], [note]
                )
            )
    made.append(by_gap([one for one in found if one.nats == 0]))
    if searched is not None:
        made.append(_search_section(searched))
    return made


def result_section(one: GateScore) -> Section:
    """A finished result."""
    m = one.metrics
    note = f"{m.returns} returns, {m.strangers} first visits."
    return Section("result", "people of the result", [["", *HEAD[1:]], row("all", one)], [note])


def by_gap(found: Sequence[GateScore]) -> Section:
    """Return recall by absence and relation, a column for each of ``found``."""
    head: list[Cell] = ["away", "returns"]
    for one in found:
        how = "" if len(found) == 1 else (", times" if one.times else ", looks")
        head += [f"known{how}", f"same camera{how}", f"other camera{how}"]
    lines = [head]
    for k, gap in enumerate(found[0].gaps):
        if gap.same + gap.other:
            cells: list[Cell] = [_span(gap), gap.same + gap.other]
            for one in found:
                g = one.gaps[k]
                rates = (
                    g.recall,
                    g.same_found / g.same if g.same else None,
                    g.other_found / g.other if g.other else None,
                )
                cells += rates
            lines.append(cells)
    return Section("returns_by_gap", "returns known, by how long somebody was away", lines)


def _span(gap: ReturnsByGap) -> str:
    if gap.least == -np.inf:
        return "still elsewhere"
    return f"{gap.least:g} s or more" if gap.most == np.inf else f"{gap.least:g} to {gap.most:g} s"


def _search_section(s: SearchScore) -> Section:
    head: list[Cell] = ["photos", "mAP", *(f"recall@{k}" for k in s.recall), "first right"]
    head += [f"FNIR at FPIR {rate:g}" for rate in s.fnir]
    line: list[Cell] = [str(s.queries), s.mAP, *s.recall.values(), s.first, *s.fnir.values()]
    note = f"Temporal overlap 0.5; {s.strangers} photos of strangers; {s.people:.0f} people in memory."
    return Section("search", "search, where and when", [head, line], [note])


def as_json(found: Sequence[GateScore], searched: SearchScore | None = None) -> dict[str, Any]:
    """Fractions in [0, 1]."""
    return {"gate": [asdict(one) for one in found], "search": None if searched is None else asdict(searched)}


def as_svg(found: Sequence[GateScore]) -> str:
    """Return recall over stranger acceptance, percent; a ring at the calibrated gate."""
    side, left, top, colours = 360, 60, 30, {True: "#1f5fbf", False: "#c2571a"}
    shapes = []
    for k in range(0, 11, 2):
        x, y = left + side * k / 10, top + side * (1 - k / 10)
        shapes.append(f'<path d="M{left} {y:.1f}h{side}M{x:.1f} {top}v{side}" stroke="#e4e4e4" fill="none"/>')
        shapes.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{10 * k}</text>')
        shapes.append(f'<text x="{x:.1f}" y="{top + side + 18}" text-anchor="middle">{10 * k}</text>')
    for times, colour in colours.items():
        mine = [one for one in found if one.times == times]
        at = [
            (left + side * one.metrics.stranger_acceptance, top + side * (1 - one.metrics.return_recall))
            for one in mine
        ]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
        shapes.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for one, (x, y) in zip(mine, at, strict=True):
            radius = 6 if one.nats == 0 else 3
            filled = "none" if one.nats == 0 else colour
            shapes.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{filled}" stroke="{colour}"/>'
            )
        name = "with times of transit" if times else "by looks alone"
        shapes.append(
            f'<text x="{left + 150}" y="{top + side - 30 + 18 * (not times)}" fill="{colour}">{name}</text>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + side + 20}" height="{top + side + 50}" '
        'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>\n'
        + "\n".join(shapes)
        + f'\n<text x="{left + side / 2}" y="{top + side + 40}" text-anchor="middle">strangers joined, %</text>'
        f'<text x="14" y="{top + side / 2}" text-anchor="middle" transform="rotate(-90 14 {top + side / 2})">'
        "returns known, %</text>\n</svg>\n"
    )
