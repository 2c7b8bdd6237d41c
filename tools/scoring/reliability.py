"""Are the weights' stated probabilities true on this data? For `eval_reid.py --verification`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from retrace.configs.files import atomic_write, writing
from retrace.eval.ranking.features import Features
from retrace.eval.ranking.tables import RankingScore
from retrace.eval.report import Cell, Section
from retrace.reid.calibration import (
    RELATIONS,
    Calibration,
    LabelledPairs,
    Reliability,
    labelled_pairs,
    reliability,
)
from retrace.reid.calibration.card import spread_of
from retrace.reid.embedder import Embedder, find_weights

NAMES = {"tracklet": "same tracklet", "later": "same camera, later", "camera": "another camera"}


def with_calibration(
    found: RankingScore,
    weights: str,
    svg: str | None = None,
    fpr: Sequence[float] | None = None,
    **options: Any,
) -> RankingScore:
    """The score of one network, and whether the probabilities that its weights state are true on this data.

    Args:
        weights: of the first network, as `Embedder.from_weights` takes them; they may state none.
        svg: where the reliability diagram goes; None: nowhere.
        fpr: rates of false matches to look at; None: those of the card.
        options: for `Embedder.from_weights`.
    """
    path, features = find_weights(weights), found.networks[0].features
    card = Embedder.from_weights(path, **options).calibration
    if card is None:
        note = f"{path.name}: states no probabilities; calibrate_reid.py fits them"
        note += "" if svg is None else f"; {svg} is not written"
        return replace(found, notes=(*found.notes, note))
    found.networks[0].data["calibration"] = as_data(features, card)
    if svg is not None:
        with writing(Path(svg)), atomic_write(svg) as file:
            file.write(as_svg(features, card))
    return replace(found, sections=[*found.sections, *sections(features, card, fpr)])


def judged(features: Features, calibration: Calibration) -> dict[str, tuple[Reliability, LabelledPairs]]:
    """By relation, of those that the calibration has a map for and the data both kinds of pairs."""
    return _judged(_pairs(features), calibration)


def _suited(pairs: Mapping[str, LabelledPairs], calibration: Calibration) -> Calibration | None:
    """The calibration in units of this data's strangers, two people of one camera: what a video tells without labels.
    None: nobody was two in one camera, or the calibration does not know its own."""
    found = pairs["later"]
    if calibration.strangers is None or found.same.all():
        return None
    strange = found.distance[~found.same]
    return calibration.suited(float(strange.mean()), spread_of(strange))


def _pairs(features: Features, half: int | None = None) -> dict[str, LabelledPairs]:
    """By relation; of all people, or of every other one, from the first (0) or the second (1)."""
    sides = (features.query, features.gallery)
    vectors, ids, cameras = (
        np.concatenate([getattr(side, name) for side in sides]) for name in ("features", "ids", "cameras")
    )
    if half is not None:
        kept = np.unique(ids, return_inverse=True)[1].ravel() % 2 == half
        vectors, ids, cameras = vectors[kept], ids[kept], cameras[kept]
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    return labelled_pairs(vectors / np.maximum(norm, 1e-12), ids, cameras)


def _rates(
    found: Mapping[str, LabelledPairs], card: Calibration, fpr: Sequence[float] | None
) -> dict[str, dict[float, float]]:
    """By relation and asked rate, the share of different people nearer than the card's threshold. Rates that it does
    not know are not in."""
    apart = {name: pairs.distance[~pairs.same] for name, pairs in found.items()}
    return {
        name: {
            rate: float((apart[name] < card.limit(name, rate)).mean())
            for rate in (known if fpr is None else fpr)
            if known and min(known) <= rate <= max(known)
        }
        for name, known in card.thresholds.items()
        if len(apart.get(name, ()))
    }


def _rates_suited(
    features: Features, calibration: Calibration, fpr: Sequence[float] | None
) -> dict[str, dict[float, float]]:
    """As ``_rates`` of the suited calibration: each half of the people by how far apart the other half's strangers are,
    as a later part of a video by an earlier one; means of both. Rates that a half does not support are not in."""
    halves = [_pairs(features, half) for half in (0, 1)]
    told = []
    for mine, other in (halves, halves[::-1]):
        strangers = other["later"].distance[~other["later"].same]
        told.append(_rates(mine, calibration.suited(strangers), fpr) if len(strangers) else {})
    first, second = told
    return {
        name: {
            rate: (found + second[name][rate]) / 2 for rate, found in rates.items() if rate in second[name]
        }
        for name, rates in first.items()
        if name in second
    }


def _judged(
    found: Mapping[str, LabelledPairs], calibration: Calibration
) -> dict[str, tuple[Reliability, LabelledPairs]]:
    return {
        name: (reliability(calibration.map(name).probability(pairs.distance), pairs.same), pairs)
        for name in RELATIONS
        if name in calibration.maps and (pairs := found[name]).same.any() and not pairs.same.all()
    }


def sections(
    features: Features, calibration: Calibration, fpr: Sequence[float] | None = None
) -> list[Section]:
    """Calibration error and false-match rates by relation, and the reliability diagrams as a table."""
    pairs_of = _pairs(features)
    known = _suited(pairs_of, calibration)
    head: list[Cell] = [
        "pairs",
        "of one person",
        "of two",
        "calibration error",
        "log loss",
        "false matches asked: found",
    ]
    lines: list[list[Cell]] = [head]
    bins: list[list[Cell]] = [["pairs, bin", "stated", "true", "count"]]
    for card in filter(None, (calibration, known)):
        as_told = "" if card is calibration else "; suited"
        if card is calibration:
            found = _rates(pairs_of, card, fpr)
        else:
            found = _rates_suited(features, calibration, fpr)
        for name, (judge, pairs) in _judged(pairs_of, card).items():
            rates = _told(found.get(name, {}), fpr)
            error = [f"{judge.ece:.3f}", f"{judge.log_loss:.3f}", rates]
            counts = [int(pairs.same.sum()), int((~pairs.same).sum())]
            lines.append([NAMES[name] + as_told, *counts, *error])
    for name, (judge, _) in _judged(pairs_of, calibration).items():
        for k, (stated, true, count) in enumerate(zip(judge.stated, judge.true, judge.pairs, strict=True)):
            bins.append([f"{NAMES[name]}, {k + 1}", float(stated), float(true), int(count)])
    note = (
        "Probabilities at even priors; both kinds of pairs count alike. Calibrated on: "
        + calibration.data
        + "."
    )
    if known:
        note += " Suited: in units of how far apart two people of one camera are here; false matches are of each half"
        note += " of the people, by what the other half told."
    return [
        Section("calibration", f"calibration of {features.name}", lines, [note]),
        Section(
            "reliability", f"reliability of {features.name}: stated probability, share that came true", bins
        ),
    ]


def _told(found: Mapping[float, float], fpr: Sequence[float] | None) -> str:
    asked = sorted(found if fpr is None else fpr)
    return ", ".join(f"{rate:g}: {found[rate]:.2g}" if rate in found else f"{rate:g}: -" for rate in asked)


def as_data(features: Features, calibration: Calibration) -> Mapping[str, Any]:
    """Every figure, for JSON."""
    pairs_of = _pairs(features)
    known = _suited(pairs_of, calibration)
    after = {} if known is None else _judged(pairs_of, known)
    return {
        name: {
            "ece": judge.ece,
            "ece_suited": after[name][0].ece if name in after else None,
            "log_loss": judge.log_loss,
            "brier": judge.brier,
            "stated": judge.stated.tolist(),
            "true": judge.true.tolist(),
            "pairs": judge.pairs.tolist(),
        }
        for name, (judge, _) in _judged(pairs_of, calibration).items()
    }


def as_svg(features: Features, calibration: Calibration) -> str:
    """The reliability diagram as a stand-alone picture: on the diagonal, what is stated comes true."""
    colours, side, left, top = ("#1f5fbf", "#2e8b57", "#c2571a"), 360, 60, 30
    shapes = [f'<path d="M{left} {top + side}l{side} {-side}" stroke="#888" stroke-dasharray="3 3"/>']
    for k in range(0, 11, 2):
        x, y = left + side * k / 10, top + side * (1 - k / 10)
        shapes.append(f'<path d="M{left} {y:.1f}h{side}M{x:.1f} {top}v{side}" stroke="#e4e4e4" fill="none"/>')
        shapes.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{10 * k}</text>')
        shapes.append(f'<text x="{x:.1f}" y="{top + side + 18}" text-anchor="middle">{10 * k}</text>')
    for k, (name, (judge, _)) in enumerate(judged(features, calibration).items()):
        points = " ".join(
            f"{left + side * a:.1f},{top + side * (1 - b):.1f}"
            for a, b in zip(judge.stated, judge.true, strict=True)
        )
        shapes.append(f'<polyline points="{points}" fill="none" stroke="{colours[k]}" stroke-width="2"/>')
        label = f"{NAMES[name]}: error {judge.ece:.3f}"
        shapes.append(f'<text x="{left + 12}" y="{top + 18 + 18 * k}" fill="{colours[k]}">{label}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + side + 20}" height="{top + side + 50}" '
        'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>\n'
        + "\n".join(shapes)
        + f'\n<text x="{left + side / 2}" y="{top + side + 40}" text-anchor="middle">stated, %</text>'
        f'<text x="14" y="{top + side / 2}" text-anchor="middle" transform="rotate(-90 14 {top + side / 2})">'
        "came true, %</text>\n</svg>\n"
    )
