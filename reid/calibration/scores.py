"""Distances in units of how far strangers are: a cohort of people who are nobody asked for (Auckenthaler et al. 2000).

Some people look like many, some like few; one distance means more for the latter. The cohort is free in video:
who was there at the same time, or the day's gallery.
"""

from __future__ import annotations

import numpy as np

from retrace.configs import InputError

NEAREST = 200  # cohort members that adaptive normalisation looks at (Matejka et al. 2017: 200 to 400)
LEAST = 2
FLAT = 1e-6  # standard deviation below which a cohort says nothing


def z_norm(distance: np.ndarray, gallery_cohort: np.ndarray) -> np.ndarray:
    """(distance - mean) / sd of each gallery entry's distances to the cohort.

    Args:
        distance: (Q, G).
        gallery_cohort: (G, C) distances of the gallery to C strangers.

    Returns:
        (Q, G) float64; lower is more alike, 0 is like a stranger.

    Raises:
        InputError: a cohort that does not fit, or of fewer than two.

    Example:
        >>> import numpy as np
        >>> from retrace.reid.calibration import z_norm
        >>> z_norm(np.array([[0.25, 0.25]]), np.array([[0.5, 1.0], [0.25, 0.75]])).tolist()
        [[-2.0, -1.0]]
    """
    mean, sd = _facts(gallery_cohort, np.shape(distance)[1], "gallery")
    return (np.asarray(distance, np.float64) - mean) / sd


def t_norm(distance: np.ndarray, query_cohort: np.ndarray) -> np.ndarray:
    """As :func:`z_norm` by the queries' distances (Q, C) to the cohort.

    Raises:
        InputError: a cohort that does not fit, or of fewer than two.

    Example:
        >>> import numpy as np
        >>> from retrace.reid.calibration import t_norm
        >>> t_norm(np.array([[0.25, 0.75]]), np.array([[0.5, 1.0]])).tolist()
        [[-2.0, 0.0]]
    """
    mean, sd = _facts(query_cohort, len(distance), "query")
    return (np.asarray(distance, np.float64) - mean[:, None]) / sd[:, None]


def s_norm(distance: np.ndarray, query_cohort: np.ndarray, gallery_cohort: np.ndarray) -> np.ndarray:
    """The mean of :func:`z_norm` and :func:`t_norm` (Kenny 2010).

    Raises:
        InputError: a cohort that does not fit, or of fewer than two.

    Example:
        >>> import numpy as np
        >>> from retrace.reid.calibration import s_norm
        >>> s_norm(np.array([[0.25]]), np.array([[0.5, 1.0]]), np.array([[0.25, 0.75]])).tolist()
        [[-1.5]]
    """
    return (z_norm(distance, gallery_cohort) + t_norm(distance, query_cohort)) / 2


def adaptive_s_norm(
    distance: np.ndarray, query_cohort: np.ndarray, gallery_cohort: np.ndarray, nearest: int = NEAREST
) -> np.ndarray:
    """:func:`s_norm` by only the ``nearest`` members of the cohort of each query and each gallery entry.

    Args:
        distance: (Q, G).
        query_cohort: (Q, C) distances of the queries to C strangers.
        gallery_cohort: (G, C) of the gallery; the two may be of other strangers, and of other numbers of them.
        nearest: members, at least 2; all where there are no more.

    Returns:
        (Q, G) float64; lower is more alike, 0 is like a stranger.

    Raises:
        InputError: a cohort that does not fit, or ``nearest`` below two.

    Example:
        >>> import numpy as np
        >>> from retrace.reid.calibration import adaptive_s_norm
        >>> cohort = np.array([[0.5, 1.0, 9.0]])  # of three strangers the two nearest
        >>> adaptive_s_norm(np.array([[0.25]]), cohort, cohort, nearest=2).tolist()
        [[-2.0]]
    """
    if nearest < LEAST:
        raise InputError(f"nearest must be at least {LEAST}, got {nearest}")
    query, gallery = (_nearest(cohort, nearest) for cohort in (query_cohort, gallery_cohort))
    return s_norm(distance, query, gallery)


def _nearest(cohort: np.ndarray, count: int) -> np.ndarray:
    cohort = np.asarray(cohort)
    if cohort.ndim != 2 or cohort.shape[1] <= count:
        return cohort
    return np.partition(cohort, count - 1, axis=1)[:, :count]


def _facts(cohort: np.ndarray, count: int, side: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each row."""
    cohort = np.asarray(cohort, np.float64)
    if cohort.ndim != 2 or len(cohort) != count or cohort.shape[1] < LEAST:
        raise InputError(
            f"expected {side}_cohort ({count}, C) with at least {LEAST} strangers, got {cohort.shape}"
        )
    return cohort.mean(axis=1), np.maximum(cohort.std(axis=1), FLAT)
