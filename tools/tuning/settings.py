"""What a tuning is asked to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from retrace.configs import InputError

METRICS = ("HOTA", "AssA", "DetA", "IDF1", "MOTA")


@dataclass(frozen=True, slots=True)
class Settings:
    """What is tuned, on what, and how long.

    Raises:
        InputError: a value that cannot be meant.
    """

    data: str | Path  # folder of sequence folders with ground truth
    tracker: str = "default"  # the preset to begin from
    overrides: Mapping[str, Any] = field(default_factory=dict)  # values of it that are replaced
    detections: str = "det/det.txt"  # inside each sequence folder, or a path with {name} in it
    camera: str = "auto"  # "auto" (gmc.txt where there is one), "none", or a file named likewise
    split: str = "all"  # or "val-half"
    benchmark: str = "auto"  # whose rules; told from the names
    sequences: tuple[str, ...] = ()  # only these
    space: str | None = None  # what may vary; None: configs/tune/ has it under the preset's name
    metric: str = "HOTA"  # of METRICS, of the sequences combined
    folds: str = "leave-one-out"  # or their number
    trials: int = 100  # of each search
    seed: int = 0
    cold: bool = False  # the preset's own values are no candidate

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise InputError(f"`trials` {self.trials}: expected a whole number from 1")
        if self.seed < 0:
            raise InputError(f"`seed` {self.seed}: expected a whole number from 0")
        if self.metric not in METRICS:
            raise InputError(f"`metric` {self.metric}: expected one of {', '.join(METRICS)}")
        folds = self.folds
        if folds != "leave-one-out" and (not folds.isdecimal() or int(folds) < 2):
            raise InputError(f"`folds` {folds}: expected leave-one-out or a number of folds from 2")
