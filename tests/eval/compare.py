"""Ours against TrackEval's, field by field."""

from __future__ import annotations

from typing import Any

import numpy as np

from retrace.eval.mot.score import Metrics

HOTA_FIELDS = ("HOTA", "DetA", "AssA", "LocA", "DetRe", "DetPr", "AssRe", "AssPr", "OWTA")
CLEAR_COUNTS = ("IDSW", "MT", "PT", "ML", "Frag")
CLEAR_FRACTIONS = ("MOTA", "MOTP", "MODA", "sMOTA", "MOTAL")
CLOSE = 1e-12


def differences(ours: Metrics, theirs: dict[str, Any]) -> list[str]:
    """What is not equal: counts exactly, fractions to CLOSE."""
    hota, clear, identity = theirs["HOTA"], theirs["CLEAR"], theirs["Identity"]
    exact = [(f"HOTA_{n}", getattr(ours.hota, n), hota[f"HOTA_{n}"]) for n in ("TP", "FN", "FP")]
    exact += [(n, getattr(ours.clear, n), clear[f"CLR_{n}"]) for n in ("TP", "FN", "FP")]
    exact += [(n, getattr(ours.clear, n), clear[n]) for n in CLEAR_COUNTS]
    exact += [("frames", ours.clear.frames, clear["CLR_Frames"])]
    exact += [(n, getattr(ours.identity, n), identity[n]) for n in ("IDTP", "IDFN", "IDFP")]
    if "Count" in theirs:
        names = {"gt_boxes": "GT_Dets", "gt_ids": "GT_IDs", "boxes": "Dets", "ids": "IDs", "frames": "Frames"}
        exact += [(n, getattr(ours.count, n), theirs["Count"][t]) for n, t in names.items()]
    near = [(n, getattr(ours.hota, n), hota[n]) for n in HOTA_FIELDS]
    near += [(n, ours.row()[n], hota[n]) for n in ("HOTA(0)", "LocA(0)", "HOTALocA(0)")]
    near += [(n, getattr(ours.clear, n), clear[n]) for n in CLEAR_FRACTIONS]
    near += [("FAF", ours.clear.FAF, clear["FP_per_frame"]), ("recall", ours.clear.recall, clear["CLR_Re"])]
    near += [("precision", ours.clear.precision, clear["CLR_Pr"])]
    near += [(n, getattr(ours.identity, n), identity[n]) for n in ("IDF1", "IDP", "IDR")]
    wrong = [f"{n}: {a} != {b}" for n, a, b in exact if not np.array_equal(a, b)]
    return wrong + [f"{n}: {a} !~ {b}" for n, a, b in near if not np.allclose(a, b, rtol=0, atol=CLOSE)]
