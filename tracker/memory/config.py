"""What an identity memory may be told (configs/memory/*.yaml)."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from retrace.configs.loader import Strict

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
MOST_NATS = 1e6  # of evidence that a map can mean
Share = Annotated[float, Field(gt=0, lt=1)]


# Shipped weights whose maps are another preset's than `default`'s; those of one's own: calibrate_reid.py --memory.
PRESETS = {"osnet_x0_25_fast": "fast", "mobilenetv2_osnet_retrace": "strong"}


def preset_for(weights: str) -> str:
    """The preset for a memory of some weights.

    Args:
        weights: as a memory calls them: a file's name first, its hash behind.
    """
    name = weights.split()[0] if weights.split() else ""
    return PRESETS.get(name.rpartition(".")[0], "default")


class LikelihoodRatio(Strict):
    """Distance between two tracklets -> log-likelihood ratio of being one person: ``offset - slope x distance``."""

    offset: Annotated[float, Field(ge=-MOST_NATS, le=MOST_NATS)]
    slope: Annotated[float, Field(ge=1 / MOST_NATS, le=MOST_NATS)]


class MemoryConfig(Strict):
    """Every limit of the memory is a number here.

    Example:
        >>> from retrace.configs import load_preset
        >>> from retrace.tracker.memory import MemoryConfig
        >>> config = load_preset("default", MemoryConfig, "memory", {"accept": 0.9})  # `Memory` takes it as `config`
        >>> config.accept
        0.9
    """

    source: str = ""  # where the numbers come from

    # evidence
    same_camera: LikelihoodRatio  # the same camera, later
    other_camera: LikelihoodRatio
    # mean distance of different people where the maps were fitted: their unit; of cosines, so 2 at most
    strangers: Annotated[float, Field(ge=1e-3, le=2, allow_inf_nan=False)]
    # the mean of a camera's people is taken off their vectors; of so many people it counts half; null: nothing is
    centre_half: Positive | None
    # from so many pairs on, the unit of the memory's own cameras counts
    strangers_pairs: Annotated[int, Field(ge=1)]
    returning: Share  # prior, while nothing is known here, that who comes is somebody known
    transit: bool  # whether it counts how long people take from camera to camera
    # how unlikely an unheard-of time of transit may make a person, as a likelihood ratio
    transit_floor: Share
    # whether no two cameras see one place, so that nobody is in two at a time; or groups of cameras of which that holds
    disjoint: bool | tuple[tuple[str, ...], ...]
    disjoint_overlap: Positive  # s; stays in two such cameras that overlap for longer are of two people

    # decisions
    accept: Annotated[float, Field(ge=0.5, lt=1)]  # posterior from which a tracklet joins
    ambiguous: Annotated[float, Field(ge=1)]  # the best person must be this many times likelier than the next
    suggest: Share  # posterior from which a merge is suggested
    window: Positive  # s; tracklets that ended within it are decided together
    lateness: Annotated[float, Field(ge=0, allow_inf_nan=False)]  # s; what comes later may only propose
    # s; a camera that is so far ahead of all others has a wrong clock: others are not late
    clock_jump: Positive

    # once so many more tracklets are there (a share), everybody is compared again, for suggestions; null: never
    recluster: Annotated[float | None, Field(gt=0, allow_inf_nan=False)]

    # tracklets
    least_boxes: Annotated[int, Field(ge=1)]  # with known looks; fewer say nothing of anybody
    split_gap: Positive  # s without a box: what follows is another tracklet
    # nats of looks by which a track must be somebody else's after a moment of doubt, to be split there; null: never
    split_odds: Annotated[float | None, Field(ge=0, allow_inf_nan=False)]
    split_unseen: Positive  # s without a box that are such a moment
    split_overlap: Share  # IoU with another box, likewise
    split_boxes: Annotated[int, Field(ge=1)]  # after it, by whose looks it is told

    # limits; who passes the first two is reduced to a mean vector, who passes the next two is forgotten
    reduce_after: Positive | None  # s since last seen
    most_with_vectors: Annotated[int, Field(ge=1)] | None  # people, those who were seen last
    forget_after: Positive | None  # s since last seen
    most_people: Annotated[int, Field(ge=1)] | None
    # a person's with vectors of their own; above, they are folded
    most_tracklets: Annotated[int, Field(ge=1)] | None
    # the most diverse ones, which folding leaves; the others go into the mean
    bank: Annotated[int, Field(ge=1, le=64)]

    @model_validator(mode="after")
    def _reduced_before_forgotten(self) -> Self:
        for first, then in (("reduce_after", "forget_after"), ("most_with_vectors", "most_people")):
            less, more = getattr(self, first), getattr(self, then)
            if less is not None and more is not None and less >= more:
                raise ValueError(f"{first} {less:g} must be below {then} {more:g}")
        if self.most_tracklets is not None and self.most_tracklets <= self.bank:
            raise ValueError(
                f"most_tracklets {self.most_tracklets} must be above bank {self.bank}, which folding leaves"
            )
        return self
