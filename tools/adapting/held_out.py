"""How well weights tell people apart on whom they were not trained: the later tracklets of each video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retrace.eval.reassociation import auc
from retrace.reid.data.image_cache import image_cache_folder, open_sound_images
from retrace.reid.data.sets import ReidImages, ReidSet
from retrace.reid.embedder import Embedder

LEAST_PAIRS = 30  # of one held-out person, that a verdict takes
LEAST_JUDGES = 5  # held-out people, from which an interval means something
DRAWS = 2000  # of held-out people, for the interval of what was gained
CHUNK = 256


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """How well weights tell people apart that were not trained on."""

    figures: dict[str, float]  # as `Adapted.before`
    each: dict[str, np.ndarray]  # of each person, (P,): "auc", "mAP", of enough pairs "gap_auc"


def looked_at(data: ReidSet, embedder: Embedder) -> list[tuple[np.ndarray, ReidImages]]:
    """Vectors and images of query and gallery; as cameras stand the halves of tracklets."""
    sides = []
    for part in (data.query, data.gallery):
        assert part is not None
        images, pixels, _ = open_sound_images(part, embedder.size, image_cache_folder())
        found = [embedder.crops(np.array(pixels[k : k + CHUNK])) for k in range(0, len(images), CHUNK)]
        sides.append((np.concatenate(found), images))
    return sides


def together(sides: Sequence[tuple[np.ndarray, ReidImages]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(N, N) distances, (N,) people and (N,) halves."""
    vectors = np.concatenate([found for found, _ in sides])
    ids, cameras = (np.concatenate([getattr(part, k) for _, part in sides]) for k in ("ids", "cameras"))
    return 1 - vectors @ vectors.T, ids, cameras


def held_out(
    data: ReidSet,
    weights: Path,
    seen: Mapping[Path, tuple[str, int]],
    steps: Mapping[str, int],
    device: str = "auto",
) -> HeldOut:
    """Score weights on the query and gallery of a data set.

    Args:
        seen: the video and the frame of each image.
        steps: frames of each video that the gap takes.
    """
    from retrace.eval.ranking import evaluate_ranking

    sides = looked_at(data, Embedder.from_weights(weights, device=device))
    distance, ids, cameras = together(sides)
    same, other = halves(ids, cameras)
    (query, asked), (gallery, known) = sides
    ranked = evaluate_ranking(query, asked.ids, asked.cameras, gallery, known.ids, known.cameras)
    row = ranked.row()
    figures = {"auc": auc(distance[same], distance[other]), "mAP": float(row["mAP"])}
    people = np.unique(ids[(same | same.T).any(1)])
    people = people[np.isin(people, ranked.query_ids[ranked.valid])]
    ap = [float(ranked.ap[ranked.valid & (ranked.query_ids == one)].mean()) for one in people]
    each = {"auc": _auc_of_each(people, ids, distance, same, other), "mAP": np.array(ap)}
    figures |= {"rank-1": float(row["rank"]["1"]), "pairs": float(same.sum())}
    moments = [seen[path] for part in (asked, known) for path in part.paths]
    one, two = after_gap(ids, moments, steps)
    people = np.intersect1d(*(ids[(kind | kind.T).any(1)] for kind in (one, two)))
    figures |= {"gap_pairs": float(one.sum()), "gap_people": float(len(people))}
    if one.sum() >= LEAST_PAIRS and len(people) >= LEAST_JUDGES:
        figures["gap_auc"] = auc(distance[one], distance[two])
        each["gap_auc"] = _auc_of_each(people, ids, distance, one, two)
    return HeldOut(figures, each)


def after_gap(
    ids: np.ndarray, moments: Sequence[tuple[str, int]], steps: Mapping[str, int]
) -> tuple[np.ndarray, np.ndarray]:
    """(N, N) bool each, of crops of one video a gap apart: pairs of one person, and of two; what a tracker compares who
    looks for somebody after so long.

    Args:
        ids: (N,) people.
        moments: video and frame of each.
        steps: frames of each video that the gap takes.
    """
    _, video = np.unique([name for name, _ in moments], return_inverse=True)
    frame, gap = (np.array(each) for each in zip(*((k, steps[name]) for name, k in moments), strict=True))
    apart = (video[:, None] == video) & (np.abs(frame[:, None] - frame) == gap)
    one = ids[:, None] == ids
    return np.triu(apart & one, 1), np.triu(apart & ~one, 1)


def _auc_of_each(
    people: np.ndarray, ids: np.ndarray, distance: np.ndarray, same: np.ndarray, other: np.ndarray
) -> np.ndarray:
    """(P,) of the pairs that a person is in."""
    found = []
    for one in people:  # a handful
        mine = ids == one
        here = mine[:, None] | mine
        found.append(auc(distance[same & here], distance[other & here]))
    return np.array(found)


def halves(ids: np.ndarray, cameras: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, N) bool each: the two halves of one person, and two people."""
    one = ids[:, None] == ids
    return np.triu(one & (cameras[:, None] != cameras), 1), np.triu(~one, 1)


def gained(before: HeldOut, after: HeldOut) -> dict[str, tuple[float, float]]:
    """By figure the 95 % interval of what was gained: the same people drawn for both, with replacement (paired
    percentile bootstrap, Efron and Tibshirani 1993). New weights are better where all lie above 0: with few people
    held out, one more right answer is luck often enough."""
    found = {}
    for name in before.each:
        more = after.each[name] - before.each[name]
        drawn = np.random.default_rng(0).integers(len(more), size=(DRAWS, len(more)))
        low, high = np.percentile(more[drawn].mean(1), (2.5, 97.5))
        found[name] = float(low), float(high)
    return found
