"""Filters of tracks' scores: a score and its speed (Hybrid-SORT's TCM, eq. 4 and 5).

The first functions are of numbers or of arrays: compiled frames take them as they stand.
"""

from __future__ import annotations

from typing import Any

import numpy as np

# Variances of a score and of its speed per step: SORT's, as Hybrid-SORT's authors run their filter of nine states
SCORE_START, SCORE_PROCESS, SCORE_NOISE = (10.0, 1e4), (1.0, 1e-4), 10.0


def forecast(x: Any, v: Any, xx: Any, xv: Any, vv: Any, steps: float) -> Any:
    """Score, speed and their (co)variances, ``steps`` > 0 later."""
    return (
        x + steps * v,
        v,
        xx + steps * (2.0 * xv + steps * vv + SCORE_PROCESS[0]),
        xv + steps * vv,
        vv + steps * SCORE_PROCESS[1],
    )


def corrected(x: Any, v: Any, xx: Any, xv: Any, vv: Any, score: Any) -> Any:
    """The same with a score measured."""
    gain, gain_speed = xx / (xx + SCORE_NOISE), xv / (xx + SCORE_NOISE)
    surprise = score - x
    return (
        x + gain * surprise,
        v + gain_speed * surprise,
        xx - gain * xx,
        xv - gain * xv,
        vv - gain_speed * xv,
    )


def initial_scores(score: np.ndarray) -> np.ndarray:
    """Scores measured (K,) -> filters (K, 5): X, V, XX, XV, VV as in motion/filters.py."""
    scores = np.zeros((len(score), 5))
    scores[:, 0], scores[:, 2], scores[:, 4] = score, *SCORE_START
    return scores


def forecast_scores(scores: np.ndarray, steps: float) -> None:
    """Move filters (T, 5) ahead by ``steps`` > 0, in place."""
    x, v, xx, xv, vv = scores.T
    scores[:] = np.stack(forecast(x, v, xx, xv, vv, steps), axis=1)


def correct_scores(scores: np.ndarray, rows: np.ndarray, score: np.ndarray) -> None:
    """The filters ``rows`` (K,) of scores (T, 5) take in the scores measured (K,), in place."""
    x, v, xx, xv, vv = scores[rows].T
    scores[rows] = np.stack(corrected(x, v, xx, xv, vv, score), axis=1)
