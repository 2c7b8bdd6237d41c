"""Who takes part in the comparison of losses, and on what terms: configs/bench/losses.yaml, checked."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Literal

from pydantic import Field, model_validator

from retrace.configs import InputError, load_preset
from retrace.configs.errors import nearest
from retrace.reid.config import Group, HeadConfig, SamplerConfig

CE = "cross_entropy"
FACTORS = (1.0, 1 / 3, 3.0)  # settings 0 to 2 multiply the regime's knob; setting 3 turns the entrant's own


class Entrant(Group):
    """One objective to compare.

    ``knob`` is the one other value of a setting that the search may try ("TERM.SETTING": value). Where ``alone`` is
    false the terms make no sense without cross-entropy, which then stands beside them in every regime.
    """

    losses: dict[str, dict[str, Any]] = Field(min_length=1)
    alone: bool = True
    knob: dict[str, Any] = Field(default={}, max_length=1)
    term_rate: float | None = Field(default=None, gt=0)  # of what terms learn, in rates of the network
    sampler: SamplerConfig = SamplerConfig()
    held: float = Field(default=0, ge=0, lt=1)  # share of the training images held back
    heads: dict[str, HeadConfig] = Field(default={})
    pool: Literal["avg", "max"] = "avg"
    views: Literal[1, 2] = 1
    teacher: bool = False
    not_frozen: str = ""  # why it cannot be on frozen vectors
    not_here: str = ""  # what the data lack for it
    core: bool = False  # of those that are trained first


class Rung(Group):
    """One round of the search: so many of the best settings go on, for so long."""

    settings: int = Field(ge=1, le=4)
    length: float = Field(gt=0)


class Frozen(Group):
    """Linear head and BNNeck on vectors of a network that stays as it is."""

    weights: str
    dimensions: int = Field(default=512, ge=1)
    scale: float = Field(default=22.0, gt=0)  # length of the vectors that the head is fed
    rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=5e-4, ge=0)
    term_rate: float = Field(default=10.0, gt=0)
    look: int = Field(default=100, ge=1)  # steps between looks at the validation people
    search: tuple[Rung, ...]
    length: float = 0.0  # steps; the search finds it
    seeds: int = Field(default=5, ge=1)
    alone: Literal[True] = True


class Trained(Group):
    """Networks trained: ``config`` is a training preset without losses."""

    config: dict[str, Any]
    alone: bool  # the term alone; false: beside cross-entropy
    knob: Literal["rate", "weight"]  # what settings 1 and 2 multiply
    term_rate: float = Field(default=10.0, gt=0)
    search: tuple[Rung, ...]
    length: float = Field(gt=0)  # epochs of a final
    seeds: int = Field(default=5, ge=1)


class Bench(Group):
    """The whole comparison."""

    source: str = ""
    yardstick: str
    validation: int = Field(default=100, ge=2)  # training people held out for the search
    identities: int = Field(default=16, ge=2)
    images: int = Field(default=4, ge=2)
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)  # of the cross-entropy that stands beside
    frozen: Frozen
    finetune: Trained
    scratch: Trained
    entrants: dict[str, Entrant]

    @model_validator(mode="after")
    def _known(self) -> Bench:
        if self.yardstick not in self.entrants:
            raise ValueError(f"yardstick {self.yardstick!r} is no entrant")
        for name, entrant in self.entrants.items():
            for path in entrant.knob:
                if path.rpartition(".")[0] not in entrant.losses:
                    raise ValueError(f"entrants.{name}.knob: {path!r} is of no term there")
        return self

    def regime(self, name: str) -> Frozen | Trained:
        if name not in REGIMES:
            raise InputError(f"`regime`: unknown {name!r}; {nearest(name, REGIMES)}")
        found: Frozen | Trained = getattr(self, name)
        return found

    def taking_part(self, regime: str, names: tuple[str, ...] = ()) -> dict[str, Entrant]:
        """Those that can, in the file's order; ``names`` narrows them, "core" stands for the core ones.

        Raises:
            InputError: an unknown name, or one that cannot take part here; the message says why.
        """
        wanted = [n for name in names for n in (self.core if name == "core" else [name])]
        for name in wanted:
            if name not in self.entrants:
                raise InputError(f"`entrants`: unknown {name!r}; {nearest(name, [*self.entrants, 'core'])}")
            if why := self.why_not(name, regime):
                raise InputError(f"`entrants`: {name} cannot take part in {regime}: {why}")
        return {
            name: one
            for name, one in self.entrants.items()
            if not self.why_not(name, regime) and (not names or name in wanted)
        }

    @property
    def core(self) -> list[str]:
        return [name for name, one in self.entrants.items() if one.core]

    def why_not(self, name: str, regime: str) -> str:
        """What keeps an entrant out of a regime; empty: nothing."""
        one = self.entrants[name]
        return one.not_here or (one.not_frozen if regime == "frozen" else "")


REGIMES = ("frozen", "finetune", "scratch")
TITLES = {
    "frozen": "linear head on frozen vectors",
    "finetune": "regime B: fine-tuning from the MSMT17 network, the term alone",
    "scratch": "regime A: from random weights, beside cross-entropy",
}


@cache
def read_bench(name: str = "losses") -> Bench:
    """configs/bench/NAME.yaml, or a file.

    Raises:
        InputError: no such file, or something wrong in it.
    """
    return load_preset(name, Bench, "bench")


def settings_of(bench: Bench, name: str) -> int:
    """How many settings an entrant has to choose from."""
    return 4 if bench.entrants[name].knob else 3


def objective(
    bench: Bench, regime: str, name: str, setting: int, rate: float
) -> tuple[dict[str, Any], float]:
    """The ``losses`` of a setting, and the network's learning rate.

    Args:
        setting: 0 as in the file; 1, 2: a third and three times the rate (or weight) of the regime's knob; 3: the
            entrant's own knob turned.
        rate: the network's.
    """
    entrant, how = bench.entrants[name], bench.regime(regime)
    losses = copy.deepcopy(entrant.losses)
    if setting == 3:
        for path, value in entrant.knob.items():
            term, _, key = path.rpartition(".")
            losses[term][key] = value
    factor = FACTORS[setting] if setting < 3 else 1.0
    if isinstance(how, Trained) and how.knob == "weight":
        for term in _metric_terms(losses):
            losses[term]["weight"] = losses[term].get("weight", 1.0) * factor
    else:
        rate *= factor
    if CE not in losses and not (entrant.alone and how.alone):
        losses = {CE: {"label_smoothing": bench.label_smoothing}} | losses
    multiple = entrant.term_rate or how.term_rate
    for term, given in losses.items():
        if "lr" not in given and learns(term):
            given["lr"] = multiple * rate
    return losses, rate


def _metric_terms(losses: Mapping[str, Any]) -> Iterator[str]:
    """What is weighed against cross-entropy; of cross-entropy alone, nothing to weigh: itself."""
    others = [term for term in losses if term != CE]
    yield from others or losses


def learns(term: str) -> bool:
    """Whether a term of that name has parameters of its own with a learning rate."""
    return term.partition("@")[0] in LEARNING


LEARNING = {  # of those in the file
    *("pml.CosFaceLoss", "pml.NormalizedSoftmaxLoss", "pml.ProxyAnchorLoss"),
    *("centre", "classifier", "arcface", "viewpoint", "margin", "proxy_nca", "soft_triple", "proxy_graph"),
    *("message_passing", "separation", "teacher_features", "policy_sampling", "adapted_sampling"),
    *("learned_sampler", "divided_slices", "attribute_prototypes", "attribute_tasks"),
}
