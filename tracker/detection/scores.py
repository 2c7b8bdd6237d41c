"""What a score is worth: a table of monotone maps that bring every family's scores to one scale.

The scale is that of the presets' limits (0.5, 0.6): about P(a box of a person is right at IoU 0.5). A family that is
elsewhere is brought there by sigmoid(slope * logit(score) + shift), fitted on labelled videos
(`tools/bench.py scores`; LOG.md); so one set of limits serves all. A map keeps the order of boxes: AP does not change.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Fit:
    """sigmoid(slope * logit(score) + shift)."""

    slope: float = 1.0  # above 0
    shift: float = 0.0
    source: str = ""  # the labelled videos; empty: none were at hand, and scores stay as they are

    @property
    def changes(self) -> bool:
        return (self.slope, self.shift) != (1.0, 0.0)


EDGE = 1e-6  # scores of 0 and 1 have no logit
FOUR = "PETS09-S2L1, ADL-Rundle-6, TUD-Campus and TUD-Stadtmitte"
FITS: dict[str, Fit] = {  # by family; who is not listed stays, and says that nobody has looked
    "yolo": Fit(1.88, 0.20, f"YOLOv8n on {FOUR}"),
    "yolox": Fit(1.89, -0.31, f"YOLOX-nano on {FOUR}"),
    "nanodet": Fit(2.9, 0.55, f"NanoDet-g on {FOUR}"),
}


def fit_of(family: str) -> Fit:
    """The family's map."""
    return FITS.get(family, Fit())


def calibrated(score: np.ndarray, fit: Fit) -> np.ndarray:
    """(N,) scores as a detector counts, in [0, 1] -> (N,) float32 in [0, 1]."""
    return (_mapped(score, fit.slope, fit.shift) if fit.changes else score).astype(np.float32)


def raw(score: np.ndarray | float, fit: Fit) -> np.ndarray:
    """The detector's own score that becomes ``score``: the inverse of :func:`calibrated`. Float64; ends stay."""
    given = np.asarray(score, np.float64)
    inside = (given > EDGE) & (given < 1 - EDGE)
    return np.where(inside & fit.changes, _mapped(given, 1 / fit.slope, -fit.shift / fit.slope), given)


def logit(score: np.ndarray) -> np.ndarray:
    """Float64, finite."""
    inner = np.clip(score.astype(np.float64), EDGE, 1 - EDGE)
    return np.log(inner / (1 - inner))


def _mapped(score: np.ndarray, slope: float, shift: float) -> np.ndarray:
    return 1 / (1 + np.exp(-slope * logit(score) - shift))
