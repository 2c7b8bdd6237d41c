"""Scores of one network or two, and their tables: figures, intervals, camera pairs, verification, audit, comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from retrace.configs import InputError
from retrace.configs.errors import expect, nearest, one_of
from retrace.eval.ranking.audit import audit
from retrace.eval.ranking.clusters import clustering_scores
from retrace.eval.ranking.features import Features, centred, multi_query
from retrace.eval.ranking.measures import check_measures, measured
from retrace.eval.ranking.normalising import NORMALISATIONS, Normalisation, Normalised, normalise
from retrace.eval.ranking.ranks import RankingMetrics, evaluate_ranking
from retrace.eval.ranking.reranking import VARIANTS, Reranked, Variant, rerank
from retrace.eval.ranking.retrieval import (
    SHOWN,
    camera_pairs,
    identity_intervals,
    single_gallery_shot,
)
from retrace.eval.ranking.shards import ShardPool
from retrace.eval.ranking.verification import RATES, check_rates, evaluate_verification
from retrace.eval.report import Cell, Section

RANKS = (1, 5, 10)
COMPARED = ("rank-1", "rank-5", "rank-10", "mAP", "mAP_trapezoid", "mINP", "MAP@R")
FEW = 30  # identities below which a bootstrap says little
ALONE = "of the vectors alone, without the cohort"  # what stands beside normalised figures and is not


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to measure beside the figures; nothing, unless told.

    :func:`score_features` raises InputError for a variant or a measure that it does not know.

    Example:
        >>> from retrace.eval.ranking import Wanted
        >>> Wanted(rerank="torchreid-d4", intervals=True).per_camera
        False
    """

    rerank: Variant | None = None  # a re-ranking variant; its figures are flagged as transductive
    centre: str | None = None  # whose mean is taken off the vectors: "set" or "camera"; transductive
    normalise: Normalisation | None = None  # distances in units of how far the cohort's strangers are
    multi_query: bool = False  # one mean query an identity and camera
    intervals: bool = False  # 95 % bootstrap intervals by identity
    per_camera: bool = False  # a row a pair of cameras
    verification: bool = False  # TPR at FPR, with thresholds
    fpr: tuple[float, ...] = RATES  # of verification
    single_shot: bool = False  # CUHK03's classic single-gallery-shot rank-k
    nmi: bool = False  # of k-means clusters and identities
    audit: bool = False  # the score under common protocol mistakes
    also: tuple[str, ...] = ()  # of `MEASURES`, or "all"


@dataclass(frozen=True, slots=True, eq=False)
class NetworkScore:
    """One network's features, scored."""

    features: Features
    metrics: RankingMetrics
    distances: Reranked | Normalised | None  # None: cosine
    sections: list[Section]
    data: dict[str, Any]  # of the sections, by key, for JSON

    def as_json(self) -> dict[str, Any]:
        return {"name": self.features.name, **self.features.about, **self.metrics.row(), **self.data}


@dataclass(frozen=True, slots=True, eq=False)
class RankingScore:
    """One network's scores, or those of two side by side; what :func:`score_features` gives.

    Example:
        >>> import numpy as np
        >>> from retrace.eval.ranking import score_features
        >>> from retrace.eval.ranking.features import Features, Side
        >>> ids, cameras = np.array([1, 2]), np.array([0, 0])
        >>> query, gallery = (Side(np.eye(2), ids, cameras + k, None) for k in (0, 1))  # (N, D), (N,), (N,)
        >>> score = score_features([Features("mine", query, gallery, (), {})])
        >>> score.as_json()["mAP"]  # a fraction
        1.0
    """

    networks: list[NetworkScore]
    sections: list[Section]  # the figures first, then what else was wanted
    notes: tuple[str, ...]  # lines about the data
    under: list[str]  # lines below the figures: counts, protocol
    difference: dict[str, Any] | None  # of the two

    def with_section(self, section: Section, data: Any) -> RankingScore:
        """One more table of the first network's features, measured elsewhere; ``data`` is what JSON says of it.

        Example:
            >>> import numpy as np
            >>> from retrace.eval.ranking import score_features
            >>> from retrace.eval.ranking.features import Features, Side
            >>> from retrace.eval.report import Section
            >>> query, gallery = (Side(np.eye(2), np.array([1, 2]), np.full(2, k), None) for k in (0, 1))
            >>> score = score_features([Features("mine", query, gallery, (), {})])
            >>> speed = Section("speed", "on a laptop", [["", "crops/s"], ["mine", 457]])
            >>> score.with_section(speed, {"crops_per_second": 457}).as_json()["speed"]
            {'crops_per_second': 457}
        """
        first, *others = self.networks
        first = replace(first, data=first.data | {section.key: data})
        return replace(self, networks=[first, *others], sections=[*self.sections, section])

    def as_json(self) -> dict[str, Any]:
        """Every figure; fractions in [0, 1]."""
        first, *others = self.networks
        found = first.as_json() | {"protocol": protocol(first), "notes": list(self.notes)}
        if others:
            found |= {"compared_with": others[0].as_json(), "difference": self.difference}
        return found


def check_variant(variant: str | None) -> None:
    """Raises InputError for a re-ranking variant that is not known."""
    if variant is not None and variant not in VARIANTS:
        raise InputError(f"`rerank`: unknown variant {variant!r}; {nearest(variant, list(VARIANTS))}")


def check_wanted(wanted: Wanted) -> None:
    """Raises InputError for a name that is not known, or for two wishes that do not go together."""
    check_variant(wanted.rerank)
    check_measures(wanted.also)
    check_rates(wanted.fpr)
    if wanted.normalise is None:
        return
    one_of("normalise", wanted.normalise, tuple(NORMALISATIONS))
    if wanted.rerank is not None:
        raise InputError("`rerank` orders by neighbours that all have in common: leave it or `normalise` out")


def score_features(
    features: Sequence[Features],
    wanted: Wanted | None = None,
    shards: ShardPool | None = None,
    cohorts: Sequence[Features] = (),
) -> RankingScore:
    """Score one network's features, or compare two by the first's measure.

    Args:
        features: of one or two networks, of the same images in the same order.
        wanted: what else to measure; default: only the figures.
        shards: who finds neighbours and ranks, a part of the gallery each; the same numbers come of it. What else is
            measured is measured here.
        cohorts: with ``wanted.normalise``, of strangers, one by each network: see
            :func:`~retrace.eval.ranking.normalising.normalise`. Where vectors are centred, theirs are, too.

    Raises:
        InputError: an unknown re-ranking variant, or labels that cannot be scored; a cohort that does not fit, or is
            missing.

    Example:
        >>> import numpy as np
        >>> from pathlib import Path
        >>> from retrace.eval.ranking import score_features
        >>> from retrace.eval.ranking.features import read_features
        >>> query = {"query_features": [[1, 0]], "query_ids": [1], "query_cameras": [1]}
        >>> gallery = {"gallery_features": [[0, 1], [0.6, 0.8]], "gallery_ids": [2, 1], "gallery_cameras": [2, 2]}
        >>> np.savez("mine.npz", **query, **gallery)
        >>> score_features([read_features(Path("mine.npz"))]).networks[0].metrics.mAP
        1.0
    """
    wanted = wanted or Wanted()
    check_wanted(wanted)
    expect("cohorts", cohorts, (list, tuple), "a list of Features")
    for each in cohorts:
        expect("cohorts", each, Features, "a list of Features")
    needed = 0 if wanted.normalise is None else len(features)
    if len(cohorts) != needed:
        raise InputError(
            f"`normalise` and a `cohort` by each network go together: got {len(cohorts)} for {needed}"
        )
    if wanted.centre is not None:
        features = [centred(each, wanted.centre) for each in features]
        cohorts = [centred(each, wanted.centre) for each in cohorts]
    if wanted.multi_query:
        features = [multi_query(each) for each in features]
    strangers: list[Features | None] = [*cohorts] or [None] * len(features)
    networks = [score_network(f, wanted, shards, c) for f, c in zip(features, strangers, strict=True)]
    first = networks[0]
    sections, difference = [figures(networks), *first.sections], None
    if len(networks) > 1:
        section, difference = comparison(*networks)
        sections = [sections[0], section, *_named(first), *_named(networks[1], "other_")]
    under = [counts(first), f"protocol: {protocol(first)}"]
    notes = features[0].notes + tuple(f"cohort, {note}" for each in cohorts[:1] for note in each.notes)
    return RankingScore(networks, sections, notes, under, difference)


def _named(network: NetworkScore, prefix: str = "") -> list[Section]:
    """One network's tables beside another's: told apart by title and key."""
    name = network.features.name
    return [replace(s, key=prefix + s.key, title=f"{s.title}: {name}") for s in network.sections]


def score_network(
    features: Features, wanted: Wanted, shards: ShardPool | None = None, cohort: Features | None = None
) -> NetworkScore:
    """All that is wanted of one network's features; ``cohort`` with ``wanted.normalise``."""
    distances: Reranked | Normalised | None = None
    normalised: Normalised | None = None
    if cohort is not None:
        assert wanted.normalise is not None
        distances = normalised = normalise(features, cohort, wanted.normalise)
        told = {"normalise": normalised.how, "cohort": normalised.cohort, "cohort_images": normalised.images}
        features = replace(features, about=features.about | told)
    elif wanted.rerank is not None:
        q, g = features.query, features.gallery
        distances = rerank(q.features, g.features, variant=wanted.rerank, gallery_ids=g.ids, shards=shards)
    metrics = evaluate_ranking(*features.arrays, distances=distances, shards=shards)
    found: list[tuple[Section, Any]] = []
    if wanted.intervals:
        found.append(intervals_section(metrics))
    if wanted.single_shot:
        found.append(single_shot_section(features, distances))
    if wanted.per_camera:
        found.append(cameras_section(features, distances))
    if wanted.verification:
        found.append(verification_section(features, wanted.fpr, normalised))
    if wanted.audit:
        found.append(audit_section(features, metrics if distances is None else None))
    more = measured(features, wanted.also)
    data = {section.key: values for section, values in [*found, *more]}
    if wanted.nmi:
        data["NMI"] = nmi(features)
    # Of cosine distances, whatever else is; a threshold is used on normalised ones, and not on re-ranked ones.
    plain = ("audit",) if wanted.rerank is None else ("verification", "audit")
    sections = [s if s.key in plain else _flagged(s, distances) for s, _ in found]
    sections += [section for section, _ in more]  # of cosine distances, all of them
    if normalised is not None:
        beside = (*plain, *(s.key for s, _ in more))
        sections = [replace(s, notes=[*s.notes, ALONE]) if s.key in beside else s for s in sections]
    return NetworkScore(features, metrics, distances, sections, data)


def _flagged(section: Section, distances: Reranked | Normalised | None) -> Section:
    """A table of other than cosine distances says so in its title and, since CSV has no title, in its head."""
    if distances is None:
        return section
    word = title = "transductive"
    if isinstance(distances, Normalised):
        word, title = "normalised", distances.told
    (corner, *head), *lines = section.lines
    corner = f"{corner} ({word})" if corner else word
    return replace(section, title=f"{section.title}, {title}", lines=[[corner, *head], *lines])


def figures(networks: Sequence[NetworkScore]) -> Section:
    """The main table, one row a network."""
    flags = [flags_of(r) for r in networks]
    head: list[Cell] = [
        "weights",
        *(f"rank-{k}" for k in RANKS),
        "mAP",
        "mAP trapezoid",
        "mINP",
        "MAP@R",
        "R-prec",
    ]
    has_nmi, has_flags = "NMI" in networks[0].data, any(flags)
    lines = [head + ["NMI"] * has_nmi + ["note"] * has_flags]
    for r, flag in zip(networks, flags, strict=True):
        m = r.metrics
        line: list[Cell] = [r.features.name, *(m.rank_at(k) for k in RANKS)]
        line += [m.mAP, m.mAP_trapezoid, m.mINP, m.map_at_r, m.r_precision]
        lines.append(line + [r.data.get("NMI")] * has_nmi + [flag] * has_flags)
    return Section("figures", " against ".join(r.features.name for r in networks), lines)


def flags_of(network: NetworkScore) -> str:
    """What makes the numbers unlike plain ones; empty: nothing."""
    about = network.features.about
    flags = {
        "transductive": network.metrics.transductive or "centre" in about,
        "flip": about.get("flip"),
        "multi-query": about.get("multi_query"),
    }
    if isinstance(network.distances, Normalised):
        flags[network.distances.told] = True
    return ", ".join(name for name, on in flags.items() if on)


def protocol(network: NetworkScore) -> str:
    """How the numbers came about, in one line."""
    m, about = network.metrics, network.features.about
    pooled = "multi-query (mean of each identity's images by a camera)"
    parts = [pooled if about.get("multi_query") else "single query", "same identity and camera dropped"]
    parts += ["junk dropped", "distractors kept", "rectangle AP", m.distance]
    if about.get("flip"):
        parts.append("features averaged with the mirrored image's (flip)")
    if "centre" in about:
        parts.append(
            "less the mean of " + ("all images" if about["centre"] == "set" else "each camera's images")
        )
    if m.transductive or "centre" in about:
        parts.append(
            "transductive: each query's result depends on all queries, not comparable with plain scores"
        )
    return ", ".join(parts)


def counts(network: NetworkScore) -> str:
    m = network.metrics
    skipped = m.queries - m.valid_queries
    missing = f" ({skipped:,} skipped: no match by another camera)" if skipped else ""
    gallery = f"gallery {m.gallery:,} images, {m.distractors:,} of them distractors"
    return (
        f"{m.valid_queries:,} of {m.queries:,} queries scored{missing}, {gallery}; {m.junk:,} junk left out"
    )


def intervals_section(metrics: RankingMetrics) -> tuple[Section, Any]:
    bounds = identity_intervals(metrics)
    lines: list[list[Cell]] = [["", "value", "low", "high"]]
    lines += [[name, value_of(metrics, name), *bounds[name]] for name in SHOWN]
    notes = _few_identities(metrics)
    return Section("intervals", "95% intervals, bootstrap by identity", lines, notes), bounds


def comparison(mine: NetworkScore, other: NetworkScore) -> tuple[Section, Any]:
    """The first network minus the second, on the same queries."""
    names = COMPARED
    bounds = identity_intervals(mine.metrics, other.metrics, names=names)
    lines: list[list[Cell]] = [["", "difference", "low", "high"]]
    data = {}
    for name in names:
        difference = value_of(mine.metrics, name) - value_of(other.metrics, name)
        lines.append([name, difference, *bounds[name]])
        data[name] = {"difference": difference, "low": bounds[name][0], "high": bounds[name][1]}
    title = f"{mine.features.name} minus {other.features.name}, 95% intervals, paired bootstrap by identity"
    notes = ["an interval that holds 0 says: another draw of such people may show no difference"]
    section = Section("comparison", title, lines, notes + _few_identities(mine.metrics), signed=True)
    return _flagged(section, mine.distances), data


def value_of(metrics: RankingMetrics, name: str) -> float:
    if name.startswith("rank-"):
        return metrics.rank_at(int(name[5:]))
    return float(getattr(metrics, {"MAP@R": "map_at_r"}.get(name, name)))


def cameras_section(features: Features, distances: Reranked | Normalised | None) -> tuple[Section, Any]:
    rows = camera_pairs(*features.arrays, distances=distances)
    lines: list[list[Cell]] = [["query > gallery camera", "queries", "rank-1", "mAP"]]
    for row in rows:
        name = f"{row['query_camera']} > {row['gallery_camera']}"
        lines.append([name, row["queries"], row["rank-1"], row["mAP"]])
    notes = ["each pair is scored on that gallery camera's images alone"]
    return Section("camera_pairs", "by camera pair", lines, notes), rows


def single_shot_section(features: Features, distances: Reranked | Normalised | None) -> tuple[Section, Any]:
    curve = single_gallery_shot(*features.arrays, distances=distances)
    found = {str(k): float(curve[min(k, len(curve)) - 1]) for k in RANKS}
    lines: list[list[Cell]] = [["", *(f"rank-{k}" for k in found)], ["mean of 10 draws", *found.values()]]
    title = "single gallery shot: one random gallery image of each identity (CUHK03's classic protocol)"
    return Section("single_gallery_shot", title, lines), {"draws": 10, "rank": found}


def verification_section(
    features: Features, fpr: Sequence[float] = RATES, normalised: Normalised | None = None
) -> tuple[Section, Any]:
    """On cosine distances, re-ranked or not: that is what a threshold is used on; or on normalised ones."""
    found = evaluate_verification(*features.arrays, fpr=fpr, distances=normalised)
    head: list[Cell] = ["wanted FPR", "reached", "TPR", "accept if distance below", "cosine above"]
    lines = [head if normalised is None else head[:-1]]
    for point in found.points:
        limits = [f"{point.threshold:.4f}", f"{1 - point.threshold:.4f}"]
        line: list[Cell] = [f"{point.target_fpr:g}", f"{point.fpr:.2g}", point.tpr, *limits]
        lines.append(line[: len(lines[0])])
    notes = [
        f"{found.positives:,} right and {found.negatives:,} wrong pairs; the threshold belongs to these data"
    ]
    if normalised is not None:
        notes.append(
            "distances in standard deviations, 0: as far as the cohort's mean; what the weights state as "
            "probability is of plain distances, and is not judged here"
        )
    return Section("verification", "verification, cosine distance", lines, notes), found.row()


def audit_section(features: Features, honest: RankingMetrics | None) -> tuple[Section, Any]:
    rows = audit(*features.arrays, honest=honest)
    lines: list[list[Cell]] = [["switch", "rank-1", "mAP", "rank-1 difference", "mAP difference"]]
    notes = ["only the first row is a result; the others show what each mistake or trick would have printed:"]
    for row in rows:
        lines.append([row.name, row.rank1, row.mAP, row.rank1_difference, row.mAP_difference])
        notes.append(f"  {row.name}: {row.what}")
    return Section("audit", "protocol audit", lines, notes), [row.row() for row in rows]


def nmi(features: Features) -> float:
    """Of k-means clusters of all query and gallery images of people."""
    people = features.everybody
    return clustering_scores(people.features, people.ids).nmi


def _few_identities(metrics: RankingMetrics) -> list[str]:
    count = len(np.unique(metrics.query_ids[metrics.valid]))
    return [f"only {count} identities: the intervals are rough"] if count < FEW else []
