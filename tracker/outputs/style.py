"""What pictures of tracks look like, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from retrace.configs import InputError
from retrace.configs.errors import nearest
from retrace.tracker.analytics import Regions

LABELS = ("id", "class", "score")  # what may stand on a label
BLURS = ("faces", "people")  # what may be made unrecognisable


@dataclass(frozen=True, slots=True)
class Style:
    """What is drawn besides boxes and trails.

    Raises:
        InputError: a label or a blur that there is none of.
    """

    labels: tuple[str, ...] = ("id",)  # of LABELS, in this order; (): boxes without labels
    names: Mapping[int, str] = field(default_factory=dict)  # ``class_id`` -> name
    regions: Regions = field(default_factory=Regions)  # lines and zones, with their counters
    blur: str | None = None  # of BLURS

    def __post_init__(self) -> None:
        for name in self.labels:
            if name not in LABELS:
                raise InputError(f"`label` {name}: {nearest(name, LABELS)}")
        if self.blur is not None and self.blur not in BLURS:
            raise InputError(f"`blur` {self.blur}: {nearest(self.blur, BLURS)}")

    def text(self, person: int, kind: int, score: float) -> str:
        """What stands on the label of a track."""
        told = {"id": str(person), "class": self.names.get(kind, ""), "score": f"{score:.2f}"}
        return " ".join(filter(None, (told[name] for name in self.labels)))
