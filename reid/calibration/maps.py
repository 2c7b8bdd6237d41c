"""From a distance to the probability of being the same person.

A map is the log of how much likelier a distance is between two images of one person than between two people: odds
at even priors. The posterior is that plus the log-odds of the prior, the share of right pairs among the candidates
that are left after gates: 0.7 % or 14 % make a large difference, so it is asked for and never built in.

Between its knots a map is linear in the distance, and outside of them it stays what it was at the last: nothing is
extrapolated. Two knots are a logistic curve (Platt 1999), more an isotonic one (Zadrozny and Elkan 2002).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrace.configs import InputError

LEAST = 100  # pairs of each kind below which nothing is fitted
KINDS = ("logistic", "isotonic")
KNOTS = 24  # of an isotonic map at most
SURE = 7.0  # log-odds beyond which an isotonic map claims nothing: about 1 in 1,000
STEPS, STILL = 50, 1e-10  # of Newton's method


@dataclass(frozen=True, slots=True)
class Map:
    """Log-odds of the same person at even priors, over distances.

    Attributes:
        knots: (K,) cosine distances, rising; K at least 2.
        log_odds: (K,) natural logarithms, falling.
        same, different: pairs that it was fitted on.
        source: "labels", or "video": pairs that need none.

    Example:
        >>> from retrace.reid.calibration import Map
        >>> found = Map(knots=(0.2, 0.8), log_odds=(6.0, -6.0), same=500, different=500)
        >>> found.probability([0.2, 0.5]).round(3).tolist()  # 0.5 apart: as likely one person as two
        [0.998, 0.5]
        >>> found.probability([0.2, 0.5], prior=0.01).round(3).tolist()  # of 100 candidates one is right
        [0.803, 0.01]
        >>> found.odds([0.2, 0.8]).tolist(), round(found.distance(0.0), 3)  # even odds are at this distance
        ([6.0, -6.0], 0.5)
    """

    knots: tuple[float, ...]
    log_odds: tuple[float, ...]
    same: int
    different: int
    source: str = "labels"

    def odds(self, distance: np.ndarray, prior: float = 0.5) -> np.ndarray:
        """Log-odds of cosine distances of any shape: natural logarithms, float64 of that shape.

        Raises:
            InputError: a prior that is not inside (0, 1).
        """
        return np.interp(np.asarray(distance, np.float64), self.knots, self.log_odds) + logit(prior)

    def probability(self, distance: np.ndarray, prior: float = 0.5) -> np.ndarray:
        """Probability in [0, 1] of being the same person, float64 of the shape of the distances.

        Raises:
            InputError: a prior that is not inside (0, 1).
        """
        return 1 / (1 + np.exp(-self.odds(distance, prior)))

    def distance(self, log_odds: float, prior: float = 0.5) -> float:
        """The largest cosine distance whose log-odds are at least so much; the smallest knot where none are.

        Raises:
            InputError: a prior that is not inside (0, 1).
        """
        wanted = log_odds - logit(prior)
        return float(np.interp(-wanted, -np.asarray(self.log_odds), self.knots))


def logit(prior: float) -> float:
    """Log-odds of a share in (0, 1).

    Raises:
        InputError: it is not inside (0, 1).
    """
    if not 0 < prior < 1:
        raise InputError(f"a prior is a share between 0 and 1, got {prior!r}")
    return float(np.log(prior / (1 - prior)))


def fit_map(
    distance: np.ndarray,
    same: np.ndarray,
    *,
    weight: np.ndarray | None = None,
    kind: str = "logistic",
    least: int = LEAST,
    source: str = "labels",
) -> Map:
    """Fit a map on pairs of which it is known whether they are one person.

    Both kinds of pairs count alike, whatever their numbers.

    Args:
        distance: (P,) float.
        same: (P,) bool.
        weight: (P,) how much a pair counts among its kind, e.g. one over the pairs of its data set; None: alike.
        kind: "logistic": two numbers, which transfer best; "isotonic": any falling curve, for thousands of pairs.
        least: pairs of each kind that there must be.
        source: goes into the map.

    Raises:
        InputError: arrays that do not fit each other or are not finite, too few pairs of a kind, or distances that
            do not rise from same to different, so that no map could tell anything.

    Example:
        >>> from retrace.reid.calibration import fit_map
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> distance = np.concatenate((rng.normal(0.3, 0.1, 500), rng.normal(0.7, 0.1, 500)))
        >>> same = np.arange(1000) < 500
        >>> fit_map(distance, same).probability(np.array([0.3, 0.5, 0.7])).round(1).tolist()
        [1.0, 0.5, 0.0]
    """
    distance, same = np.asarray(distance, np.float64), np.asarray(same, bool)
    if distance.ndim != 1 or distance.shape != same.shape or not np.isfinite(distance).all():
        raise InputError(f"expected finite distances (P,) and same (P,), got {distance.shape}, {same.shape}")
    if kind not in KINDS:
        raise InputError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    counts = int(same.sum()), int((~same).sum())
    if min(counts) < least:
        raise InputError(
            f"{counts[0]:,} pairs of one person and {counts[1]:,} of two: at least {least:,} of each are wanted for a "
            "calibration; take a longer video or more labelled people"
        )
    weights = _even(same, weight)
    if kind == "isotonic":
        knots, odds = _isotonic(distance, same, weights)
    else:
        slope, offset = _logistic(distance, same, weights, counts)
        ends = np.array([distance.min(), distance.max()])
        knots, odds = ends, slope * ends + offset
    if not odds[0] > odds[-1]:
        raise InputError(
            "the same people are no nearer to each other than different ones: nothing to calibrate"
        )
    return Map(tuple(knots.tolist()), tuple(odds.tolist()), *counts, source)


def _even(same: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    """(P,) weights whose sums over the two kinds are one half each."""
    weights = np.ones(len(same)) if weight is None else np.asarray(weight, np.float64)
    if weights.shape != same.shape or not np.isfinite(weights).all() or (weights < 0).any():
        raise InputError(f"weight must be (P,), finite and not negative, got {weights.shape}")
    return weights / np.where(same, weights[same].sum(), weights[~same].sum()) / 2


def _logistic(
    distance: np.ndarray, same: np.ndarray, weights: np.ndarray, counts: tuple[int, int]
) -> tuple[float, float]:
    """Slope and offset of the log-odds by Newton's method; targets a little inside 0 and 1 (Platt 1999, equation 5)."""
    target = np.where(same, (counts[0] + 1) / (counts[0] + 2), 1 / (counts[1] + 2))
    middle, spread = distance.mean(), distance.std() or 1.0
    columns = np.stack([(distance - middle) / spread, np.ones(len(distance))], axis=1)
    found = np.zeros(2)
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-columns @ found))
        gradient = columns.T @ (weights * (chance - target))
        curve = (columns * (weights * chance * (1 - chance))[:, None]).T @ columns
        step = np.linalg.solve(curve + 1e-12 * np.eye(2), gradient)
        step *= min(1.0, 5 / max(np.abs(step).max(), 1e-300))  # far from the optimum the curve is flat
        found -= step
        if np.abs(step).max() < STILL:
            break
    slope = found[0] / spread
    return float(slope), float(found[1] - slope * middle)


def _isotonic(distance: np.ndarray, same: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Knots and log-odds of the falling step function with the least square error, at the middles of its steps."""
    from scipy.optimize import isotonic_regression  # late: it takes a while, and embedding needs none of it

    order = np.argsort(distance, kind="stable")
    distance, same, weights = distance[order], same[order], weights[order]
    found = isotonic_regression(
        same.astype(np.float64), weights=np.maximum(weights, 1e-300), increasing=False
    )
    starts, values = found.blocks[:-1], found.x[found.blocks[:-1]]
    ends = found.blocks[1:] - 1
    knots = (distance[starts] + distance[ends]) / 2
    limit = 1 / (1 + np.exp(-SURE))
    odds = np.log(np.clip(values, 1 - limit, limit) / (1 - np.clip(values, 1 - limit, limit)))
    if len(knots) > KNOTS:
        keep = np.unique(np.linspace(0, len(knots) - 1, KNOTS).round().astype(int))
        knots, odds = knots[keep], odds[keep]
    if len(knots) == 1:
        return np.array([distance[0], distance[-1]]), np.repeat(odds, 2)
    return knots, odds
