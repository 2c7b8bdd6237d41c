"""How good probabilities are, and which distance has a chosen share of false matches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrace.configs import InputError

BINS = 15
SMALLEST = 1e-9  # probability in a logarithm
RULE_OF_3 = 3  # no error in N trials supports a rate of 3 / N (95 %); less is extrapolation


@dataclass(frozen=True, slots=True)
class Reliability:
    """Stated probabilities beside what came true, in bins of equal weight.

    Attributes:
        stated, true: (B,) float64 in [0, 1], mean probability and share of same people of each bin.
        pairs: (B,) int64.
        ece: expected calibration error, sum of weight x |stated - true|.
        log_loss, brier: proper scores; lower is better.

    Example:
        >>> import numpy as np
        >>> from retrace.reid.calibration import reliability
        >>> found = reliability(np.array([0.1, 0.3, 0.9, 0.9]), np.array([False, True, True, False]), bins=2)
        >>> found.stated.tolist(), found.true.tolist(), found.pairs.tolist()  # surer than what came true
        ([0.2, 0.9], [0.5, 0.5], [2, 2])
        >>> round(found.ece, 2)  # mean of 0.3 and 0.4
        0.35
    """

    stated: np.ndarray
    true: np.ndarray
    pairs: np.ndarray
    ece: float
    log_loss: float
    brier: float


@dataclass(frozen=True, slots=True)
class Threshold:
    """A distance up to which pairs count as one person.

    Attributes:
        distance: pairs nearer than this match.
        rate: share of different people below it among those it was taken from.
        low, high: 95 % interval of that rate (Clopper and Pearson 1934), were the pairs independent.
        errors, pairs: what it stands on.

    Example:
        >>> import numpy as np
        >>> from retrace.reid.calibration import threshold
        >>> found = threshold(np.arange(1000) / 1000, rate=0.01)  # strangers, 0.000 to 0.999 apart
        >>> found.distance, found.errors, found.pairs
        (0.01, 10, 1000)
        >>> round(found.low, 4), found.rate, round(found.high, 4)
        (0.0048, 0.01, 0.0183)
    """

    distance: float
    rate: float
    low: float
    high: float
    errors: int
    pairs: int


def reliability(
    probability: np.ndarray, same: np.ndarray, weight: np.ndarray | None = None, bins: int = BINS
) -> Reliability:
    """Calibration of probabilities (P,) in [0, 1] against ``same`` (P,) bool.

    Args:
        weight: (P,); None: both kinds of pairs count alike in sum (even priors).

    Raises:
        InputError: arrays that do not fit, no pairs of a kind.

    Example:
        >>> import numpy as np
        >>> from retrace.reid.calibration import reliability
        >>> found = reliability(np.array([0.9, 0.8, 0.2, 0.1]), np.array([True, True, False, False]))
        >>> round(found.brier, 3)  # mean of 0.01, 0.04, 0.04, 0.01
        0.025
    """
    probability, same = np.asarray(probability, np.float64), np.asarray(same, bool)
    if probability.ndim != 1 or probability.shape != same.shape:
        raise InputError(f"expected probability (P,) and same (P,), got {probability.shape}, {same.shape}")
    if not ((probability >= 0) & (probability <= 1)).all():
        raise InputError("probabilities must be between 0 and 1")
    if same.all() or not same.any():
        raise InputError("calibration needs pairs of one person and pairs of two")
    if weight is None:
        weight = np.where(same, 0.5 / same.sum(), 0.5 / (~same).sum())
    weight = np.asarray(weight, np.float64) / np.sum(weight)
    order = np.argsort(probability, kind="stable")
    p, y, w = probability[order], same[order].astype(np.float64), weight[order]
    # The middle of a pair's weight picks its bin, so that a heavy pair falls into one.
    at = np.minimum(((np.cumsum(w) - w / 2) * bins).astype(int), bins - 1)
    mass, stated, true = (np.bincount(at, v, bins) for v in (w, w * p, w * y))
    full = mass > 0
    inside = np.clip(p, SMALLEST, 1 - SMALLEST)
    return Reliability(
        stated[full] / mass[full],
        true[full] / mass[full],
        np.bincount(at, minlength=bins)[full],
        float(np.abs(stated - true).sum()),
        float(-(w * (y * np.log(inside) + (1 - y) * np.log(1 - inside))).sum()),
        float((w * (p - y) ** 2).sum()),
    )


def threshold(strangers: np.ndarray, rate: float) -> Threshold:
    """The distance below which at most a share ``rate`` of pairs of different people lies.

    Args:
        strangers: (N,) distances of different people.
        rate: false-match rate, e.g. 1e-3.

    Raises:
        InputError: fewer than 3 / rate pairs: the rate would be extrapolated.

    Example:
        >>> import numpy as np
        >>> from retrace.reid.calibration import threshold
        >>> found = threshold(np.arange(1000) / 1000, rate=0.005)  # strangers, 0.000 to 0.999 apart
        >>> found.distance, found.errors  # 5 of 1,000 are nearer than that
        (0.005, 5)
    """
    found = np.sort(np.asarray(strangers, np.float64))
    if found.ndim != 1 or not np.isfinite(found).all():
        raise InputError(f"expected finite distances (N,), got shape {found.shape}")
    if not 0 < rate < 1:
        raise InputError(f"a false-match rate is between 0 and 1, got {rate!r}")
    if len(found) * rate < RULE_OF_3:
        raise InputError(
            f"a false-match rate of {rate:g} needs {int(np.ceil(RULE_OF_3 / rate)):,} pairs of different people, there "
            f"are {len(found):,}; ask for {RULE_OF_3 / max(len(found), 1):.2g} or more"
        )
    allowed = int(len(found) * rate)
    distance = float(found[allowed])  # the first that must not match
    errors = int(np.searchsorted(found, distance, "left"))
    low, high = interval(errors, len(found))
    return Threshold(distance, errors / len(found), low, high, errors, len(found))


def missed(same: np.ndarray, limit: Threshold | float) -> float:
    """Share of pairs of one person that a threshold does not match (FNMR).

    Args:
        same: (N,) distances of pairs of one person.
        limit: pairs nearer than this distance match; or what :func:`threshold` gave.

    Returns:
        A fraction in [0, 1]; NaN without pairs.

    Example:
        >>> import numpy as np
        >>> from retrace.reid.calibration import missed
        >>> missed(np.array([0.1, 0.2, 0.3, 0.6]), 0.5)
        0.25
    """
    limit = limit.distance if isinstance(limit, Threshold) else limit
    return float((np.asarray(same) >= limit).mean()) if len(same) else float("nan")


def interval(errors: int, trials: int) -> tuple[float, float]:
    """95 % of a rate seen as ``errors`` of ``trials``."""
    from scipy.special import betaincinv  # late: it takes a while, and embedding needs none of it

    low = betaincinv(errors, trials - errors + 1, 0.025) if errors else 0.0
    high = betaincinv(errors + 1, trials - errors, 0.975) if errors < trials else 1.0
    return float(low), float(high)
