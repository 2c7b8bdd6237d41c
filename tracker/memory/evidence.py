"""How likely it is that a tracklet belongs to a person whom the memory knows.

A likelihood ratio from looks and one from the time since the person was last seen, and a prior that knows how many
there are to choose from: with 1,000 people in memory a stranger who resembles one of them in a thousand matches
somebody, so every candidate gets its share of the prior of returning (ISO/IEC 19795-1: the false positive rate of
identification grows with the gallery).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from retrace.tracker.memory.config import LikelihoodRatio, MemoryConfig

# s; bins of time from the end of one tracklet to the beginning of the next
TRANSIT_BINS = np.array([0.0, 2.0, 5.0, 10.0, 20.0, 40.0, 90.0, 300.0, 1200.0, 3600.0, 21600.0, 86400.0])
POOLED = 50.0  # tracklets' worth of what all pairs of cameras say together in what one pair says


def appearance_ratio(
    distance: np.ndarray,
    same_camera: np.ndarray,
    unit: float,
    config: MemoryConfig,
    views: np.ndarray | float = 1.0,
    others: np.ndarray | float = 1.0,
) -> np.ndarray:
    """(K, P) log-likelihood ratio that tracklet and person are one.

    The maps are of one visit against one. A mean of several knows its person better, and is nearer to him and to
    whoever resembles him: by the map of one visit it would be too sure of both. So vectors are taken for Gaussian,
    within people and between them, as PLDA does (Prince and Elder 2007; several of one person: Rajan et al. 2014). If
    the vectors of one person agree by ``c`` (their cosine, 0: strangers), a mean of n has the length
    ``sqrt(c + (1 - c) / n)``, means of n and m the correlation ``r = c`` over both lengths, and the ratio at cosine s
    is proportional to ``(r s - r^2) / (1 - r^2) - log(1 - r^2) / 2``. ``other_camera`` says what ``c`` is: by where it
    says nothing. What ``same_camera`` says beside it is added.

    Args:
        distance: (K, P) 1 - cosine of their mean vectors; NaN where looks are not known, inf: they cannot be one.
        same_camera: (K, P) bool, the person was seen in the tracklet's camera.
        unit: mean distance of different people here; the maps speak of ``config.strangers``.
        views: (K, P) or less, of how many independent looks the person's mean is: one a camera, as what was seen by
            one camera errs alike.
        others: likewise of the other side.
    """
    scaled, fitted = distance * (config.strangers / unit), config.other_camera
    steepness = fitted.slope * config.strangers  # by cosine, of which strangers have 0
    silent = 1.0 - fitted.offset / steepness
    # by another map strangers are one person, or nobody is himself: nothing follows for several views
    if not SILENT[0] <= silent <= SILENT[-1]:
        views = others = 1.0
    agreement = float(np.interp(silent, SILENT, AGREEMENT))
    lengths = [agreement + (1.0 - agreement) / np.maximum(n, 1.0) for n in (views, others)]
    correlation = agreement / np.sqrt(lengths[0] * lengths[1])
    steeper = (correlation / (1.0 - correlation**2)) / (agreement / (1.0 - agreement**2))
    moved = _silent(correlation) - _silent(np.array(agreement))
    ratio = steepness * steeper * (1.0 - scaled / config.strangers - silent - moved)
    finite = np.where(np.isfinite(scaled), scaled, 0.0)  # inf: it cannot be
    nearer = _line(finite, config.same_camera) - _line(finite, fitted)
    return np.asarray(ratio + np.where(same_camera, nearer, 0.0))


def _line(distance: np.ndarray, fitted: LikelihoodRatio) -> np.ndarray:
    return fitted.offset - fitted.slope * distance


def _silent(correlation: np.ndarray) -> np.ndarray:
    """The cosine at which the ratio is 0."""
    left = 1.0 - correlation**2
    return np.asarray(correlation + left * np.log(left) / (2.0 * correlation))


# cosines of one person's vectors that maps may mean, and where a map of each of them says nothing
AGREEMENT = np.linspace(0.01, 0.99, 981)
SILENT = _silent(AGREEMENT)


def posterior(ratio: np.ndarray, returning: float, people: int) -> tuple[np.ndarray, np.ndarray]:
    """Open-set posterior: who each tracklet is, or nobody known.

    Args:
        ratio: (K, C) log-likelihood ratios of the candidates; -inf: it cannot be.
        returning: prior probability that it is anybody known; each of the people has an equal share of it.
        people: how many there are; those who are no candidates count as impossible.

    Returns:
        (K, C) probability of each candidate, (K,) of a new person; together 1.
    """
    if not people:
        return np.zeros(ratio.shape), np.ones(len(ratio))
    odds = ratio + np.log(returning / people)
    fresh = np.full((len(ratio), 1), np.log1p(-returning))
    odds = np.concatenate((odds, fresh), axis=1)
    odds = np.exp(odds - odds.max(1, keepdims=True))
    odds /= odds.sum(1, keepdims=True)
    return odds[:, :-1], odds[:, -1]


def transit_bin(seconds: np.ndarray) -> np.ndarray:
    """Which of the `TRANSIT_BINS` + 1 bins; the first: still or already seen elsewhere at that time."""
    return np.searchsorted(TRANSIT_BINS, seconds, side="right")


def absences(end: np.ndarray, begin: np.ndarray) -> np.ndarray:
    """How many have been away for a time of each bin: (K, B), of people last seen at ``end`` (P,), rising, when
    somebody comes at ``begin`` (K,)."""
    away = np.searchsorted(end, begin[:, None] - TRANSIT_BINS, side="right")  # for at least so long
    everybody = np.full((len(begin), 1), len(end))
    return np.asarray(-np.diff(np.concatenate((everybody, away, 0 * everybody), axis=1), axis=1), np.float64)


@dataclass(slots=True, eq=False)
class Transit:
    """How long people take from camera to camera, against how long anybody has been away: counts by camera pair."""

    # (C, C, B) joined
    same: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, len(TRANSIT_BINS) + 1)))
    anybody: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, len(TRANSIT_BINS) + 1)))  # (C, C, B)

    def widen(self, cameras: int) -> None:
        """Room for so many cameras."""
        have = len(self.same)
        if cameras <= have:
            return
        grow = ((0, cameras - have), (0, cameras - have), (0, 0))
        self.same, self.anybody = np.pad(self.same, grow), np.pad(self.anybody, grow)

    def ratio(self, start: np.ndarray, to: np.ndarray, seconds: np.ndarray, floor: float) -> np.ndarray:
        """(...) log of how much likelier the time since last seen is for the same person than for anybody.

        Args:
            start, to: (...) cameras, of the person's last tracklet and of this one.
            seconds: (...) from the end of the one to the beginning of the other.
            floor: the least likelihood ratio: unheard-of ways stay possible.
        """
        column = transit_bin(seconds)
        stays = start == to
        shares = []
        for counts in (self.same, self.anybody):
            diagonal = np.eye(len(counts), dtype=bool)
            pooled = np.stack([counts[~diagonal].sum(0), counts[diagonal].sum(0)]) + 1.0  # (2, B)
            pooled /= pooled.sum(1, keepdims=True)
            own = counts[start, to, column] + POOLED * pooled[stays.astype(int), column]
            shares.append(own / (counts.sum(2)[start, to] + POOLED))
        return np.log(np.maximum(shares[0] / shares[1], floor))
