"""Open set: most people who pass are nobody in the gallery. DIR at FAR, EER, and whether one threshold fits all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retrace.configs import InputError
from retrace.eval.ranking.pairing import Metric, blocks, distance_rows, pair_up


@dataclass(frozen=True, slots=True)
class OpenSet:
    """Identification with strangers.

    Attributes:
        far: share of strangers that may be taken for somebody.
        dir: share of known queries whose best match is right and passes, at each; mean over draws.
        spread: standard deviation of it over draws.
        known, strangers: queries a draw, on average.
    """

    far: tuple[float, ...]
    dir: tuple[float, ...]
    spread: tuple[float, ...]
    known: float
    strangers: float


def evaluate_open_set(
    query_features: np.ndarray,
    query_ids: np.ndarray,
    query_cameras: np.ndarray,
    gallery_features: np.ndarray,
    gallery_ids: np.ndarray,
    gallery_cameras: np.ndarray,
    *,
    far: Sequence[float] = (0.01, 0.1),
    share: float = 0.5,
    draws: int = 20,
    seed: int = 0,
    metric: Metric = "cosine",
) -> OpenSet:
    """DIR at FAR: ``share`` of the people asked for are taken out of the gallery and so become strangers.

    Other arguments as ``evaluate_ranking``; its camera rule holds, and a known query without a match by another
    camera is left out. Distractors stay.

    Raises:
        InputError: as ``evaluate_ranking``; fewer than 4 people with a match; a share outside (0, 1).
    """
    if not 0 < share < 1 or not all(0 <= f < 1 for f in far):
        raise InputError(f"share {share} and far {tuple(far)}: expected fractions between 0 and 1")
    pairing = pair_up(query_ids, query_cameras, gallery_ids, gallery_cameras)
    rows = distance_rows(pairing, query_features, gallery_features, metric, exact=True)
    matched = np.zeros(len(pairing.query_ids), bool)
    matched[pairing.row[~pairing.left_out]] = True
    people = np.unique(pairing.query_ids[matched])
    if len(people) < 4:
        raise InputError(
            f"open set: expected at least 4 people with a match by another camera, got {len(people)}"
        )
    rng = np.random.default_rng(seed)
    out = [rng.choice(people, max(1, round(share * len(people))), replace=False) for _ in range(draws)]
    gone = np.stack([np.isin(pairing.gallery_ids, away) for away in out])  # (draws, G)
    best = np.empty((draws, len(pairing.query_ids)), np.float32)
    right = np.zeros(best.shape, bool)
    for start, stop, d in blocks(rows, pairing):
        a, b = np.searchsorted(pairing.row, (start, stop))
        left_out = pairing.left_out[a:b]
        d[pairing.row[a:b][left_out] - start, pairing.col[a:b][left_out]] = np.inf
        for k in range(draws):
            masked = np.where(gone[k], np.inf, d)
            nearest = masked.argmin(1)
            best[k, start:stop] = masked[np.arange(len(d)), nearest]
            right[k, start:stop] = pairing.gallery_ids[nearest] == pairing.query_ids[start:stop]
    found, counts = [], []
    for k in range(draws):
        stranger = np.isin(pairing.query_ids, out[k])
        known = matched & ~stranger
        found.append([dir_at_far(-best[k][known], right[k][known], -best[k][stranger], f) for f in far])
        counts.append((known.sum(), stranger.sum()))
    mean, spread = np.mean(found, 0), np.std(found, 0, ddof=1) if draws > 1 else np.zeros(len(far))
    known, strangers = np.mean(counts, 0)
    return OpenSet(tuple(far), tuple(mean.tolist()), tuple(spread.tolist()), float(known), float(strangers))


def dir_at_far(known: np.ndarray, right: np.ndarray, strangers: np.ndarray, far: float) -> float:
    """Share of known queries whose best match is right and scores above the threshold of a false-alarm rate.

    Args:
        known: (K,) best scores of known queries, larger means nearer.
        right: (K,) bool.
        strangers: (S,) best scores of strangers.
        far: the share of them that may score above the threshold: it is the (floor(far S) + 1)-th largest score.
    """
    threshold = np.sort(strangers)[::-1][int(far * len(strangers) + 1e-9)]
    return float((right & (known > threshold)).mean())


def equal_error_rate(right: np.ndarray, wrong: np.ndarray) -> float:
    """Where as many right pairs are refused as wrong ones accepted: the mean of both shares where they are nearest.

    Args:
        right, wrong: distances of right and of wrong pairs.
    """
    right, wrong = np.sort(right), np.sort(wrong)
    limits = np.concatenate([right, wrong])
    refused = 1 - np.searchsorted(right, limits, "right") / len(right)
    accepted = np.searchsorted(wrong, limits, "right") / len(wrong)
    at = np.argmin(np.abs(refused - accepted))
    return float((refused[at] + accepted[at]) / 2)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Whether one threshold fits everybody.

    Attributes:
        eer: equal error rate of all pairs.
        far: of the thresholds below.
        spread: standard deviation over people of the distance that gives each that rate against others.
        low, high: its 5th and 95th percentile over people.
        people: with enough wrong pairs for it.
    """

    eer: float
    far: float
    spread: float
    low: float
    high: float
    people: int


def evaluate_thresholds(
    query_features: np.ndarray,
    query_ids: np.ndarray,
    query_cameras: np.ndarray,
    gallery_features: np.ndarray,
    gallery_ids: np.ndarray,
    gallery_cameras: np.ndarray,
    *,
    far: float = 0.01,
    most: int = 2_000_000,
    seed: int = 0,
    metric: Metric = "cosine",
) -> Thresholds:
    """EER, and the threshold of each person at one false-accept rate; arguments as ``evaluate_ranking``.

    The EER is of all right pairs and at most ``most`` wrong ones, drawn.

    Raises:
        InputError: as ``evaluate_ranking``; no right or no wrong pair.
    """
    pairing = pair_up(query_ids, query_cameras, gallery_ids, gallery_cameras)
    rows = distance_rows(pairing, query_features, gallery_features, metric, exact=True)
    negatives = len(pairing.query_ids) * len(pairing.kept) - len(pairing.row)
    if not (~pairing.left_out).any() or not negatives:
        raise InputError("thresholds need right and wrong pairs; check ids and cameras")
    rng = np.random.default_rng(seed)
    right: list[np.ndarray] = []
    wrong: list[np.ndarray] = []
    by_person: dict[int, list[np.ndarray]] = {}
    for start, stop, d in blocks(rows, pairing):
        a, b = np.searchsorted(pairing.row, (start, stop))
        row, col = pairing.row[a:b] - start, pairing.col[a:b]
        right.append(d[row, col][~pairing.left_out[a:b]])
        d[row, col] = np.nan
        for k, line in enumerate(d):
            by_person.setdefault(int(pairing.query_ids[start + k]), []).append(line[~np.isnan(line)])
        apart = d[~np.isnan(d)]
        wrong.append(
            apart if negatives <= most else rng.choice(apart, len(apart) * most // negatives, replace=False)
        )
    limits = []
    for lines in by_person.values():
        distances = np.concatenate(lines)
        if far * len(distances) >= 1:
            limits.append(float(np.partition(distances, k := int(far * len(distances)))[k]))
    if len(limits) < 2:
        raise InputError(
            f"thresholds at {far:g}: fewer than 2 people have {1 / far:.0f} wrong pairs; raise far"
        )
    low, high = np.quantile(limits, [0.05, 0.95])
    eer = equal_error_rate(np.concatenate(right), np.concatenate(wrong))
    return Thresholds(eer, far, float(np.std(limits, ddof=1)), float(low), float(high), len(limits))
