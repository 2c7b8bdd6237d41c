"""Several cameras as one sequence: who is who across them.

Frames of camera c are moved to a range of their own, identities are global: HOTA and identity metrics of that
concatenation are the multi-camera ones (Ristani et al. 2016: one bijection of identities over all cameras), equal to
TrackEval on a concatenated file. MOTA is blind to the task (an identity that changes between cameras is one switch a
border), so it is left to the single cameras.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from retrace.configs import InputError
from retrace.eval.mot.score import Metrics, evaluate
from retrace.tracker.data import MotTable

Pair = tuple[MotTable, MotTable]  # ground truth and result of one camera, identities shared by all cameras


@dataclass(frozen=True, slots=True, eq=False)
class CameraMetrics:
    """A site of several cameras."""

    together: Metrics  # of the concatenation: its HOTA, AssA, IDF1 are the multi-camera ones
    each: dict[str, Metrics]  # by camera
    cvma: float  # DIVOTrack's: views interleaved, a switch counts twice; 1 at best, may be negative

    def row(self) -> dict[str, float]:
        """The figures to print; fractions in [0, 1]."""
        whole = self.together.row()
        within = float(np.mean([metrics.row()["AssA"] for metrics in self.each.values()]))
        return {
            "HOTA": float(whole["HOTA"]),
            "DetA": float(whole["DetA"]),
            "AssA": float(whole["AssA"]),
            "AssA within": within,  # mean over cameras
            "AssA lost across": within - float(whole["AssA"]),  # what crossing costs
            "MTMC IDF1": float(whole["IDF1"]),
            "CVIDF1": float(whole["IDF1"]),  # DIVOTrack's name for it
            "IDP": float(whole["IDP"]),
            "IDR": float(whole["IDR"]),
            "CVMA": self.cvma,
        }


def evaluate_cameras(
    cameras: Mapping[str, Pair], lengths: Mapping[str, int] | None = None, benchmark: str = "custom"
) -> CameraMetrics:
    """Score several cameras of one site.

    Args:
        cameras: by name, each camera's ground truth and result with global identities.
        lengths: frames of each; default: up to the last box.
        benchmark: whose preprocessing; see :func:`retrace.eval.mot.evaluate`.

    Raises:
        InputError: no camera, or what ``evaluate`` refuses; the message names the camera.
    """
    known = lengths_of(cameras, lengths)
    each = {}
    for name, (gt, result) in cameras.items():
        try:
            each[name] = evaluate(gt, result, known[name], benchmark)
        except InputError as error:
            raise InputError(f"camera {name}: {error}") from None
    total = sum(known.values())
    together = evaluate(*concatenated(cameras, known), total, benchmark)
    views = evaluate(*interleaved(cameras), max(known.values()) * len(cameras), benchmark)
    wrong = views.clear.FN + views.clear.FP + 2 * views.clear.IDSW
    return CameraMetrics(together, each, 1.0 - wrong / max(views.count.gt_boxes, 1))


def lengths_of(cameras: Mapping[str, Pair], lengths: Mapping[str, int] | None) -> dict[str, int]:
    """Frames of each camera: as told, or up to its last box.

    Raises:
        InputError: no camera.
    """
    if not cameras:
        raise InputError("no cameras to score")
    return {name: (lengths or {}).get(name, _length(*pair)) for name, pair in cameras.items()}


def concatenated(cameras: Mapping[str, Pair], lengths: Mapping[str, int]) -> Pair:
    """One camera after the other: frame t of camera c is t + the lengths of those before it."""
    start, moved = 0, []
    for name, pair in cameras.items():
        moved.append([replace(table, frame=table.frame + start) for table in pair])
        start += lengths[name]
    return _joined([gt for gt, _ in moved]), _joined([result for _, result in moved])


def interleaved(cameras: Mapping[str, Pair]) -> Pair:
    """The views of one instant one after the other: frame t of camera c is t x cameras + c. That two views disagree
    about somebody at one instant is then a switch (DIVOTrack's CVMA)."""
    count = len(cameras)
    moved = [
        [replace(table, frame=table.frame * count + place) for table in pair]
        for place, pair in enumerate(cameras.values())
    ]
    return _joined([gt for gt, _ in moved]), _joined([result for _, result in moved])


def _joined(tables: list[MotTable]) -> MotTable:
    """All rows, by frame; the order inside a frame stays."""
    columns = {
        name: np.concatenate([getattr(table, name) for table in tables])
        for name in MotTable.__dataclass_fields__
    }
    return MotTable(**columns).take(np.argsort(columns["frame"], kind="stable"))


def _length(gt: MotTable, result: MotTable) -> int:
    return int(max(gt.frame.max(initial=-1), result.frame.max(initial=-1))) + 1
