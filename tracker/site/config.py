"""What the linking of overlapping cameras may be told (configs/site/*.yaml)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from retrace.configs.loader import Strict

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class SiteConfig(Strict):
    """Distances on the ground are in body heights: how far, in the picture where somebody stands, the other camera's
    feet fall from his own, over the height of his box.

    Example:
        >>> from retrace.configs import load_preset
        >>> from retrace.tracker.site import SiteConfig
        >>> load_preset("default", SiteConfig, "site", {"limit": 0.8}).limit
        0.8
    """

    source: str = ""  # where the numbers come from

    # linking
    limit: Positive  # body heights; mean distance up to which two groups of tracklets are one person
    far: Positive  # body heights; no moment counts for more, so that a switch of the tracker is bounded
    doubt: Positive  # moments at `far` that every two groups begin with: what few moments say is not believed
    every: Count  # frames; every so many are compared

    # learning
    tries: Count  # hypotheses for two cameras
    moments: Annotated[int, Field(ge=4)]  # of each two tracklets that a hypothesis is made and judged by
    agree: Annotated[int, Field(ge=2)]  # so many people must agree before two cameras are believed to overlap
    rounds: Count  # of linking and fitting all cameras together
    seed: Annotated[int, Field(ge=0)]  # of the tries
