"""What else can be measured of a features file, by name: `MEASURES`, each a table and its numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np

from retrace.configs import InputError
from retrace.configs.errors import nearest
from retrace.eval.ranking.clusters import clustering_scores
from retrace.eval.ranking.distractors import distractor_decades
from retrace.eval.ranking.features import Features
from retrace.eval.ranking.few_shot import evaluate_few_shot
from retrace.eval.ranking.open_set import evaluate_open_set, evaluate_thresholds
from retrace.eval.ranking.pairing import DISTRACTOR, checked_features, unit_rows
from retrace.eval.ranking.probe import linear_probe
from retrace.eval.ranking.shift import camera_ladder, people_ladder, slope_of
from retrace.eval.ranking.space import density, spectrum
from retrace.eval.ranking.whole_set import KS, evaluate_whole_set
from retrace.eval.report import Cell, Section

Measured = tuple[Section, Any]
EPISODES = ((5, 1), (5, 5), (20, 1))  # ways and shots


def whole_set(features: Features) -> Measured:
    """Recall@k, MAP@R and R-precision of each image against all others."""
    people = features.everybody
    m = evaluate_whole_set(people.features, people.ids)
    ks = [k for k in KS if k <= len(m.rank)]
    head: list[Cell] = ["", *(f"recall@{k}" for k in ks), "MAP@R", "R-prec", "mAP"]
    values = [*(m.rank_at(k) for k in ks), m.map_at_r, m.r_precision, m.mAP]
    notes = [f"each of {m.valid_queries:,} images against all others, no camera rule: not ReID's rank-k"]
    title = "whole set (the protocol of deep metric learning)"
    return Section("whole_set", title, [head, ["all", *values]], notes), dict(
        zip(head[1:], values, strict=True)
    )


def clusters(features: Features) -> Measured:
    """NMI, AMI and F1 of K-means clusters."""
    people = features.everybody
    found = clustering_scores(people.features, people.ids)
    lines: list[list[Cell]] = [
        ["", "NMI", "AMI", "F1"],
        [f"{found.clusters} clusters", found.nmi, found.ami, found.f1],
    ]
    notes = ["NMI rises with the number of clusters, AMI does not; both move a little with the seed"]
    return Section("clusters", "K-means clusters and identities", lines, notes), asdict(found)


def space(features: Features) -> Measured:
    """Spectral decay, density, alignment, uniformity."""
    people = features.everybody
    x, norms = checked_features(people.features, "features")
    x = unit_rows(x, norms)
    one, two = spectrum(x), density(x, people.ids)
    values = {
        "rho": one.rho,
        "rho_rest": one.rho_rest,
        "effective_rank": one.effective_rank,
        "rank": one.rank,
        "pi_intra": two.intra,
        "pi_inter": two.inter,
        "pi_ratio": two.ratio,
        "alignment": two.alignment,
        "uniformity": two.uniformity,
    }
    lines: list[list[Cell]] = [["", *values], ["all", *(f"{v:.4g}" for v in values.values())]]
    less = {"set": "less the mean of all", "camera": "less the mean of each camera's"}
    how = less.get(features.about.get("centre", ""), "not centred")
    notes = [f"of {one.count:,} unit vectors of {one.dimensions} numbers, {how}: compare equal sizes only"]
    return Section("space", "how the vectors fill their space", lines, notes), values


def few_shot(features: Features) -> Measured:
    """N-way K-shot accuracy, any camera and across cameras.

    Raises:
        InputError: too few people with several images.
    """
    people = features.everybody
    lines: list[list[Cell]] = [["episodes", "accuracy", "+-", "people"]]
    data = []
    for across in (False, True):
        for ways, shots in EPISODES:
            name = f"{ways}-way {shots}-shot{', across cameras' * across}"
            try:
                e = evaluate_few_shot(
                    people.features, people.ids, people.cameras, ways=ways, shots=shots, across=across
                )
            except InputError:  # too few people with so many images: a line that says so
                lines.append([name, None, None, None])
                continue
            lines.append([name, e.accuracy, e.half, e.people])
            data.append(asdict(e))
    if not data:
        raise InputError("few-shot: no 5 people have 2 images or more")
    return Section("few_shot", "nearest mean of a few images, 600 episodes", lines), data


def open_set(features: Features) -> Measured:
    """DIR at FAR with half of the people as strangers; EER; one threshold for all?"""
    e = evaluate_open_set(*features.arrays)
    lines: list[list[Cell]] = [["FAR", "DIR", "deviation"]]
    lines += [[f"{f:g}", d, s] for f, d, s in zip(e.far, e.dir, e.spread, strict=True)]
    data: dict[str, Any] = asdict(e)
    notes = [
        f"half of the people leave the gallery and become strangers, 20 draws: {e.known:.0f} known queries and "
        f"{e.strangers:.0f} strangers a draw; deviation over draws"
    ]
    try:
        t = evaluate_thresholds(*features.arrays)
    except InputError as error:
        notes.append(str(error))
    else:
        data |= {"eer": t.eer, "thresholds": asdict(t)}
        notes.append(
            f"EER {100 * t.eer:.2f} %; the distance that lets 1 % of others pass differs by person: deviation "
            f"{t.spread:.4f}, 5 to 95 %: {t.low:.4f} to {t.high:.4f}, over {t.people} people"
        )
    return Section("open_set", "open set: DIR at FAR", lines, notes), data


def probe(features: Features) -> Measured:
    """What a linear classifier reads off: who it is, and which camera took it (the less the better).

    Raises:
        InputError: the gallery has no people.
    """
    q, g = features.query, features.gallery
    people = g.ids > DISTRACTOR
    if not people.any():
        raise InputError("probe: the gallery has no people")
    lines: list[list[Cell]] = [["label", "accuracy", "chance", "labels", "images", "C"]]
    data = {}
    for name, mine, asked in (("identity", g.ids[people], q.ids), ("camera", g.cameras[people], q.cameras)):
        if len(np.unique(mine)) < 2:
            continue
        found = linear_probe(g.features[people], mine, q.features, asked)
        lines.append([name, found.accuracy, found.chance, found.labels, found.images, f"{found.strength:g}"])
        data[name] = asdict(found)
    notes = ["trained on the gallery, asked of the queries; who can tell the camera has not forgotten it"]
    return Section("probe", "linear probe", lines, notes), data


def ladders(features: Features) -> Measured:
    """mAP against the Frechet distance: pairs of cameras, and halves of the people made ever stranger."""
    everybody = features.everybody
    cameras = camera_ladder(*features.arrays)
    people = people_ladder(everybody.features, everybody.ids)
    lines: list[list[Cell]] = [["rung", "distance", "mAP"]]
    for pair in cameras:
        name = f"camera {pair['query_camera']:g} > {pair['gallery_camera']:g}"
        lines.append([name, f"{pair['distance']:.4f}", pair["mAP"]])
    for k, rung in enumerate(people):
        lines.append([f"people {k} ({rung['people']:g})", f"{rung['distance']:.4f}", rung["mAP"]])
    notes, data = [], {"cameras": cameras, "people": people}
    for name, ladder in (("cameras", cameras), ("people", people)):
        line = slope_of([r["distance"] for r in ladder], [r["mAP"] for r in ladder])
        if line is None:
            notes.append(f"{name}: too few rungs for a slope")
            continue
        data[f"{name}_slope"] = [asdict(line)]
        notes.append(
            f"{name}: mAP {10 * line.slope:+.2f} points for each 0.1 of distance [{10 * line.low:+.2f}, "
            f"{10 * line.high:+.2f}], correlation {line.correlation:+.2f}"
        )
    notes.append(
        "one network on all rungs; for ooDML proper train one a rung (`eval.ranking.shift.harder_splits`)"
    )
    return Section("ladders", "ladders: mAP against the Frechet distance", lines, notes), data


def distractors(features: Features) -> Measured:
    """rank-1 and mAP with ten times as many strangers again and again."""
    rows = distractor_decades(*features.arrays)
    lines: list[list[Cell]] = [["distractors", "rank-1", "mAP"]]
    lines += [[f"{row['distractors']:,.0f}", row["rank-1"], row["mAP"]] for row in rows]
    return Section("distractors", "distractors by decade, mean of 5 draws", lines), rows


MEASURES: dict[str, Callable[[Features], Measured]] = {
    "whole-set": whole_set,
    "clusters": clusters,
    "space": space,
    "few-shot": few_shot,
    "open-set": open_set,
    "probe": probe,
    "ladders": ladders,
    "distractors": distractors,
}


def check_measures(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names, "all" spelled out.

    Raises:
        InputError: one that is not known.
    """
    for name in names:
        if name not in MEASURES and name != "all":
            raise InputError(f"`also`: unknown measure {name!r}; {nearest(name, ['all', *MEASURES])}")
    return tuple(MEASURES) if "all" in names else names


def measured(features: Features, names: tuple[str, ...]) -> list[Measured]:
    """The measures of these names; of "all", those that the features allow, and a line for each that they do not.

    Raises:
        InputError: a measure that was asked for by name cannot be taken.
    """
    found = []
    for name in check_measures(names):
        try:
            found.append(MEASURES[name](features))
        except InputError as error:
            if "all" not in names:
                raise
            key = name.replace("-", "_")
            found.append((Section(key, f"{name}: not here", [["reason"], [str(error)]]), None))
    return found
