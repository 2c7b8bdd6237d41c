"""ReID as verification: how many right pairs are accepted when one wrong pair in 10 000 is, and from which distance on.

This is the threshold people ask for ("which distance means the same person?"). It belongs to the model and to the
data it was taken on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from retrace.configs import InputError
from retrace.eval.ranking.pairing import Metric, Pairing, Rows, blocks, distance_rows, pair_up

RATES = (1e-4, 1e-3, 1e-2)  # FPRs that are looked at where nobody says


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """Accept a pair when its distance is *below* ``threshold``: no threshold accepts more right pairs at this FPR."""

    target_fpr: float
    fpr: float  # reached: at most the target
    tpr: float
    threshold: float  # 1 - cosine, root Euclidean, or the unit of the given distances


@dataclass(frozen=True, slots=True)
class VerificationMetrics:
    points: tuple[OperatingPoint, ...]
    positives: int  # pairs of equal identity
    negatives: int
    distance: str

    def row(self) -> dict[str, Any]:
        """What goes to JSON. A target that is finer than 1 / negatives is reached with no wrong pair at all."""
        return {
            "distance": self.distance,
            "positive_pairs": self.positives,
            "negative_pairs": self.negatives,
            "tpr_at_fpr": {
                f"{p.target_fpr:g}": {"tpr": p.tpr, "fpr": p.fpr, "threshold": p.threshold}
                for p in self.points
            },
        }


def evaluate_verification(
    query_features: np.ndarray | None,
    query_ids: np.ndarray,
    query_cameras: np.ndarray,
    gallery_features: np.ndarray | None,
    gallery_ids: np.ndarray,
    gallery_cameras: np.ndarray,
    *,
    fpr: Sequence[float] = RATES,
    metric: Metric = "cosine",
    distances: np.ndarray | Rows | None = None,
    camera_filter: bool = True,
    block: int | None = None,
) -> VerificationMetrics:
    """TPR at the given FPRs over all query-gallery pairs that ranking looks at; arguments as ``evaluate_ranking``.

    Exact: the threshold for FPR f over N wrong pairs is the (floor(f N) + 1)-th smallest wrong distance, so ties
    fall on the safe side. Only that many wrong distances are held, times four.

    Raises:
        InputError: as ``evaluate_ranking``; an FPR outside (0, 1); no right or no wrong pair.
    """
    check_rates(fpr)
    targets = sorted(fpr)
    pairing = pair_up(query_ids, query_cameras, gallery_ids, gallery_cameras, camera_filter)
    rows = distance_rows(pairing, query_features, gallery_features, metric, distances, exact=True)
    positives = int((~pairing.left_out).sum())
    negatives = len(pairing.query_ids) * len(pairing.kept) - len(pairing.row)
    if not positives or not negatives:
        raise InputError(
            f"verification needs right and wrong pairs, got {positives} of one identity on two cameras and "
            f"{negatives} of two identities; check ids and cameras"
        )
    right, wrong = _split(rows, pairing, min(negatives, int(targets[-1] * negatives) + 1), block)
    points = []
    for target in targets:
        threshold = wrong[int(target * negatives)]
        false = np.searchsorted(wrong, threshold) / negatives
        points.append(
            OperatingPoint(target, float(false), float((right < threshold).mean()), float(threshold))
        )
    name = metric if distances is None else str(getattr(distances, "name", "given"))
    return VerificationMetrics(tuple(points), positives, negatives, name)


def check_rates(fpr: Sequence[float]) -> None:
    """Raises InputError for what are no false-positive rates."""
    if not fpr or not all(0 < rate < 1 for rate in fpr):
        given = ", ".join(f"{rate:g}" for rate in fpr) or "of no number"
        raise InputError(f"`fpr` {given}: expected one or more fractions between 0 and 1, such as 1e-3")


def _split(rows: Rows, pairing: Pairing, count: int, size: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Distances of all right pairs, and the ``count`` smallest of wrong pairs, ascending."""
    right: list[np.ndarray] = []
    held: list[np.ndarray] = []
    waiting, limit = 0, np.inf
    for start, stop, d in blocks(rows, pairing, size):
        a, b = np.searchsorted(pairing.row, (start, stop))
        row, col = pairing.row[a:b] - start, pairing.col[a:b]
        right.append(d[row, col][~pairing.left_out[a:b]])
        d[row, col] = np.inf
        held.append(d[d < limit])
        waiting += len(held[-1])
        if waiting > 4 * count:
            held = [np.partition(np.concatenate(held), count - 1)[:count]]
            waiting, limit = count, held[0][-1]
    wrong = np.sort(np.concatenate(held))[:count]
    return np.concatenate(right), wrong
