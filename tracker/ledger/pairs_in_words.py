"""One candidate pair of a ledger in words, and the words it takes."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from retrace.tracker.config import Stage


@dataclass(slots=True)
class Pair:
    """One candidate pair of a frame."""

    stage: int
    config: Stage
    id: int
    detection: int
    cost: float  # NaN: infinite
    limit: float
    joined: bool
    values: dict[str, float]  # terms and gates, unweighted; NaN: infinite

    def sum(self) -> str:
        """ "0.430 = 0.6 x iou 0.250 + 0.4 x appearance 0.700"; one term of weight 1 needs no sum."""
        terms = self.config.terms
        if np.isnan(self.cost):
            unknown = [name for name in terms if np.isnan(self.values[name])]
            return f"infinite ({', '.join(unknown)} unknown)"
        parts = [
            f"{'' if weight == 1 else f'{weight:g} x '}{name} {self.values[name]:.3f}"
            for name, weight in terms.items()
        ]
        added = self.cost - sum(weight * self.values[name] for name, weight in terms.items())
        if abs(added) > 1e-3 * max(1, len(parts)):
            parts.append(f"{added:.2f} for a detection of its band")
        return f"{self.cost:.3f} = {' + '.join(parts)}"

    def closed(self) -> list[str]:
        """The gates that it does not pass."""
        return [
            f"gate {name} closed ({number_text(self.values[name])}, at most {most:g})"
            for name, most in self.config.gates.items()
            if not self.values[name] <= most
        ]

    def opened(self) -> list[str]:
        return [
            f"gate {name} open ({number_text(self.values[name])}, at most {most:g})"
            for name, most in self.config.gates.items()
            if self.values[name] <= most
        ]

    @property
    def possible(self) -> bool:
        return self.cost < self.limit and not self.closed()

    def refusal(self) -> str:
        """Why it could not be, whoever else was there; "" if it could."""
        if not self.cost < self.limit:  # NaN: infinite
            return f"not below the limit {self.limit:g}"
        return ", ".join(self.closed())


def called(name: int) -> str:
    return f"id {name}" if name > 0 else f"the unconfirmed track {name}"


def takes(stage: Stage) -> str:
    return f"{' and '.join(stage.tracks)} tracks with {' and '.join(stage.bands)} scores"


def box_text(xyxy: np.ndarray) -> str:
    """As MOT files have it."""
    x1, y1, x2, y2 = xyxy
    return re.sub(r"\.0\b", "", f"left {x1:.1f} top {y1:.1f} width {x2 - x1:.1f} height {y2 - y1:.1f}")


def number_text(value: float) -> str:
    return "infinite" if np.isnan(value) else f"{value:.3g}"
