"""Out of domain: how far people or cameras are apart, ladders of growing distance, and what a network keeps on them.

ooDML (Milbich et al. 2021): a split of classes into train and test is made harder step by step, its difficulty is the
Frechet distance of the two sides' class means, and a method is judged by all rungs, not by one. Here classes are
people; a camera ladder asks the same of cameras.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import sqrtm
from scipy.stats import linregress

from retrace.configs import InputError
from retrace.eval.ranking.pairing import DISTRACTOR
from retrace.eval.ranking.retrieval import camera_pairs
from retrace.eval.ranking.whole_set import evaluate_whole_set

EPSILON = 1e-8  # on the diagonal of a covariance, as the authors add
KEPT = 64  # principal directions: a hundred means in 512 dimensions have no covariance worth the name (ours)


@dataclass(frozen=True, slots=True, eq=False)
class ShiftedSplit:
    """One rung of a ladder: indices of classes on each side, and how far apart the sides are."""

    train: np.ndarray
    test: np.ndarray
    distance: float


@dataclass(frozen=True, slots=True)
class Slope:
    """A figure against distance: what it loses for each unit, and how sure that is."""

    slope: float
    low: float
    high: float  # 95 %
    correlation: float
    points: int


def frechet(one: np.ndarray, other: np.ndarray) -> float:
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^1/2) of (N, D) and (M, D) rows as two normal distributions.

    Covariances as numpy takes them (N - 1), plus `EPSILON` on the diagonal.

    Raises:
        InputError: fewer than 2 rows on a side, or widths that differ.
    """
    a, b = np.asarray(one, np.float64), np.asarray(other, np.float64)
    if a.ndim != 2 or b.ndim != 2 or min(len(a), len(b)) < 2 or a.shape[1] != b.shape[1]:
        raise InputError(
            f"frechet: expected (N, D) and (M, D) with 2 rows or more, got {a.shape} and {b.shape}"
        )
    eye = EPSILON * np.eye(a.shape[1])
    first, second = (np.atleast_2d(np.cov(x, rowvar=False)) + eye for x in (a, b))
    # tr (S1 S2)^1/2 = tr (S1^1/2 S2 S1^1/2)^1/2, whose eigenvalues are real and not negative.
    root = np.real(sqrtm(first))
    mixed = np.sqrt(np.linalg.eigvalsh(root @ second @ root).clip(0)).sum()
    gap = a.mean(0) - b.mean(0)
    return float(max(gap @ gap + np.trace(first) + np.trace(second) - 2 * mixed, 0))


def principal(vectors: np.ndarray, kept: int = KEPT) -> np.ndarray:
    """(N, D) -> (N, at most ``kept``): centred, in their principal directions."""
    x = np.asarray(vectors, np.float64)
    x = x - x.mean(0)
    _, _, directions = np.linalg.svd(x, full_matrices=False)
    return x @ directions[:kept].T


def harder_splits(
    means: np.ndarray,
    train: Sequence[int] | np.ndarray,
    *,
    swaps: int = 2,
    rungs: int = 8,
    remove: bool = True,
) -> list[ShiftedSplit]:
    """A ladder of splits by swapping classes, the given one first (ooDML's procedure).

    In each round ``swaps`` times: train classes are sorted by rising (distance to the test mean - distance to the
    train mean), test classes by rising (distance to the train mean - distance to the test mean), and the first pair
    changes sides of which neither was among the last 5 swapped. Once that no longer raises the distance and ``remove``
    is set, the swap is undone and those classes leave both sides.

    Args:
        means: (C, D) a vector a class; see :func:`principal`.
        train: classes of the train side; all others are the test side.
        rungs: at most; the ladder ends before a side has fewer than 4 classes.
    """
    x = np.asarray(means, np.float64)
    sides = [list(map(int, train)), [c for c in range(len(x)) if c not in set(map(int, train))]]
    if min(map(len, sides)) < 2:
        raise InputError(
            f"ladder: expected 2 classes or more on each side, got {len(sides[0])} and {len(sides[1])}"
        )
    found = [ShiftedSplit(np.array(sides[0]), np.array(sides[1]), frechet(x[sides[0]], x[sides[1]]))]
    last: list[int] = []
    for _ in range(rungs - 1):
        before = [list(side) for side in sides]
        moved = []
        for _ in range(swaps):
            pair = _pair_to_swap(x, sides, last)
            if pair is None:
                break
            a, b = pair
            sides[0][sides[0].index(a)], sides[1][sides[1].index(b)] = b, a
            last = [*last, a, b][-5:]
            moved += [a, b]
        if not moved:
            break
        distance = frechet(x[sides[0]], x[sides[1]])
        if distance <= found[-1].distance:
            if not remove or min(map(len, before)) - swaps < 4:
                break
            sides = [[c for c in side if c not in moved] for side in before]
            distance = frechet(x[sides[0]], x[sides[1]])
        found.append(ShiftedSplit(np.array(sides[0]), np.array(sides[1]), distance))
    return found


def _pair_to_swap(x: np.ndarray, sides: list[list[int]], last: list[int]) -> tuple[int, int] | None:
    train, test = x[sides[0]].mean(0), x[sides[1]].mean(0)

    def nearness(side: list[int], own: np.ndarray, other: np.ndarray) -> list[int]:
        gap = np.linalg.norm(x[side] - other, axis=1) - np.linalg.norm(x[side] - own, axis=1)
        return [side[k] for k in np.argsort(gap, kind="stable") if side[k] not in last]

    from_train, from_test = nearness(sides[0], train, test), nearness(sides[1], test, train)
    return (from_train[0], from_test[0]) if from_train and from_test else None


def slope_of(distances: Sequence[float], values: Sequence[float]) -> Slope | None:
    """Straight line through a ladder; None below 3 different rungs."""
    if len(set(distances)) < 3:
        return None
    from scipy.stats import t

    found = linregress(distances, values)
    half = float(t.ppf(0.975, len(distances) - 2) * found.stderr) if len(distances) > 2 else float("inf")
    return Slope(
        float(found.slope),
        float(found.slope - half),
        float(found.slope + half),
        float(found.rvalue),
        len(distances),
    )


def camera_ladder(
    query_features: np.ndarray,
    query_ids: np.ndarray,
    query_cameras: np.ndarray,
    gallery_features: np.ndarray,
    gallery_ids: np.ndarray,
    gallery_cameras: np.ndarray,
) -> list[dict[str, float]]:
    """mAP of each pair of cameras beside the Frechet distance of their pictures, nearest first.

    The distance is of all images of the one camera and of the other, people only, in the first `KEPT` principal
    directions of everybody. Arguments as ``evaluate_ranking``.

    Raises:
        InputError: as ``camera_pairs``.
    """
    pairs = camera_pairs(
        query_features, query_ids, query_cameras, gallery_features, gallery_ids, gallery_cameras
    )
    ids = np.concatenate([query_ids, gallery_ids])
    cameras = np.concatenate([query_cameras, gallery_cameras])[ids > DISTRACTOR]
    x = principal(np.concatenate([query_features, gallery_features])[ids > DISTRACTOR])
    counts = {int(c): int((cameras == c).sum()) for c in np.unique(cameras)}
    found = []
    for pair in pairs:
        a, b = int(pair["query_camera"]), int(pair["gallery_camera"])
        if min(counts[a], counts[b]) > 1:
            distance = frechet(x[cameras == a], x[cameras == b])
            found.append({**{k: float(v) for k, v in pair.items()}, "distance": distance})
    return sorted(found, key=lambda pair: pair["distance"])


def people_ladder(
    features: np.ndarray, ids: np.ndarray, *, rungs: int = 8, seed: int = 0
) -> list[dict[str, float]]:
    """A ladder over people: half of them as if trained on, the others made stranger step by step.

    Each rung: the Frechet distance of the two halves' class means (in principal directions), and mAP of each image of
    the test half against all others of it (no camera rule, so that no rung loses queries). The network is the same
    on all rungs: for ooDML proper train one a rung, on the people of :func:`harder_splits`.

    Args:
        features: (N, D).
        ids: (N,) people only.

    Raises:
        InputError: fewer than 8 people.
    """
    kinds, which = np.unique(ids, return_inverse=True)
    if len(kinds) < 8:
        raise InputError(f"ladder over people: expected 8 people or more, got {len(kinds)}")
    sums = np.zeros((len(kinds), features.shape[1]))
    np.add.at(sums, which, features)
    means = principal(sums / np.bincount(which)[:, None])
    half = np.random.default_rng(seed).permutation(len(kinds))[: len(kinds) // 2]
    swaps = max(2, len(kinds) // 20)
    found = []
    for split in harder_splits(means, half, swaps=swaps, rungs=rungs):
        rows = np.isin(which, split.test)
        score = evaluate_whole_set(features[rows], ids[rows])
        found.append({"distance": split.distance, "mAP": score.mAP, "people": float(len(split.test))})
    return found
