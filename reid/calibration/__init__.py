"""From distances to the probability of being the same person: fitted, stored, refitted on a video, measured.

`reid.calibration.fit` does it for weights and data sets; the rest is arrays in, typed results out.
"""

from retrace.reid.calibration.card import Calibration, calibrate, fingerprint, refit, refit_pairs
from retrace.reid.calibration.maps import Map, fit_map
from retrace.reid.calibration.measures import Reliability, Threshold, missed, reliability, threshold
from retrace.reid.calibration.pairs import RELATIONS, LabelledPairs, labelled_pairs, strangers, video_pairs
from retrace.reid.calibration.scores import adaptive_s_norm, s_norm, t_norm, z_norm

__all__ = [
    "RELATIONS",
    "Calibration",
    "LabelledPairs",
    "Map",
    "Reliability",
    "Threshold",
    "adaptive_s_norm",
    "calibrate",
    "fingerprint",
    "fit_map",
    "labelled_pairs",
    "missed",
    "refit",
    "refit_pairs",
    "reliability",
    "s_norm",
    "strangers",
    "t_norm",
    "threshold",
    "video_pairs",
    "z_norm",
]
