"""What a score is worth: a table of monotone maps that bring every family's scores to one scale.

The scale is P(a box is right at IoU 0.5), where the presets' limits lie (0.5, 0.6). YOLOv8's scores are near it as they
are, and the limits were chosen on boxes like its: it stays. A family that is elsewhere is brought there by
sigmoid(slope * logit(score) + shift), fitted on labelled videos (LOG.md); so one set of limits serves all. A map keeps
the order of boxes: AP does not change.
"""

from __future__ import annotations

import numpy as np

CALIBRATION: dict[str, tuple[float, float]] = {  # family -> slope, shift; families that are not listed stay
    "nanodet": (2.9, 0.55),  # P(0.5) = 0.63: PETS09-S2L1, ADL-Rundle-6, TUD-Campus and TUD-Stadtmitte
}
AS_IT_IS = (1.0, 0.0)
EDGE = 1e-6  # scores of 0 and 1 have no logit


def calibrated(score: np.ndarray, family: str) -> np.ndarray:
    """(N,) scores of a family of detectors in [0, 1] -> (N,) float32 in [0, 1]."""
    slope, shift = CALIBRATION.get(family, AS_IT_IS)
    if (slope, shift) == AS_IT_IS:
        return score.astype(np.float32)
    inner = np.clip(score.astype(np.float64), EDGE, 1 - EDGE)
    return (1 / (1 + np.exp(-slope * np.log(inner / (1 - inner)) - shift))).astype(np.float32)


def raw(score: float, family: str) -> float:
    """The family's own score that becomes ``score``: the inverse of :func:`calibrated`."""
    slope, shift = CALIBRATION.get(family, AS_IT_IS)
    if (slope, shift) == AS_IT_IS or not EDGE < score < 1 - EDGE:
        return score
    return float(1 / (1 + np.exp(-(np.log(score / (1 - score)) - shift) / slope)))
