"""Training objectives: a weighted list of terms.

A term is a function that names what it reads of a batch (see `reid.losses.batch`) before the star, and its
settings in a preset after it; its answer is a scalar. One that learns or remembers something is a module: it
names the sizes it is made for (see Sizes) before the star of ``__init__``, its settings after it, and what it
reads in ``forward``; what it remembers is a buffer, so that it is in the checkpoint. To add one: write it in the
file of its family, and add its line to TERMS.
"""

from __future__ import annotations

import copy
import functools
import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from retrace.configs import InputError
from retrace.configs.errors import nearest, one_line
from retrace.reid.losses import (
    classification,
    distillation,
    labels,
    memory,
    pairs,
    proxies,
    relations,
    sampled,
    several,
    triplets,
)
from retrace.reid.losses.batch import DERIVED, GIVEN, Batch, arguments
from retrace.reid.losses.pml import MetricLearning
from retrace.reid.sampling.held_back import FIGURES

TERMS: dict[str, Callable[..., Any]] = {
    "cross_entropy": classification.cross_entropy,
    "batch_hard_triplet": triplets.batch_hard_triplet,
    "weighted_triplet": triplets.weighted_triplet,
    "contrastive": pairs.contrastive,
    "centre": proxies.Centre,
    "classifier": classification.Classifier,
    "arcface": classification.ArcFace,
    "prototypical": classification.prototypical,
    "viewpoint": classification.Viewpoint,
    "hierarchical_triplet": triplets.hierarchical_triplet,
    "drawn_triplet": triplets.drawn_triplet,
    "margin": triplets.Margin,
    "selection_balance": triplets.selection_balance,
    "multi_similarity": pairs.multi_similarity,
    "ranked_list": pairs.ranked_list,
    "policy_sampling": sampled.PolicySampling,
    "adapted_sampling": sampled.AdaptedSampling,
    "learned_sampler": sampled.LearnedSampler,
    "spanning_tree": pairs.spanning_tree,
    "tracklet_pairs": pairs.tracklet_pairs,
    "boosted_slices": pairs.BoostedSlices,
    "proxy_nca": proxies.ProxyNCA,
    "soft_triple": proxies.SoftTriple,
    "proxy_graph": proxies.ProxyGraph,
    "memory": memory.BatchMemory,
    "self_similarity": memory.SelfSimilarity,
    "group_loss": relations.group_loss,
    "message_passing": relations.MessagePassing,
    "spectral_clustering": relations.SpectralClustering,
    "facility_location": relations.facility_location,
    "relational_distillation": distillation.relational_distillation,
    "s2sd": distillation.S2SD,
    "separation": several.Separation,
    "diversity": several.diversity,
    "cascade": several.cascade,
    "divided_slices": several.DividedSlices,
    "orthogonal_maps": several.orthogonal_maps,
    "nt_xent": several.nt_xent,
    "cross_scale": several.cross_scale,
    "attribute_prototypes": labels.AttributePrototypes,
    "attribute_tasks": labels.AttributeTasks,
    "teacher_features": distillation.TeacherFeatures,
    "teacher_similarities": distillation.teacher_similarities,
    "teacher_distances": distillation.teacher_distances,
}
PML = "pml."  # prefix: a loss of pytorch-metric-learning
# Terms that make no sense on a part of the batch.
WHOLE_BATCH = {
    *("memory", "self_similarity", "group_loss", "message_passing", "spectral_clustering"),
    *("facility_location", "nt_xent", "policy_sampling", "adapted_sampling", "divided_slices"),
}

REMEDIES = {  # what a run lacks, and how to give it
    "second": "set views: 2",
    "second_heads": "set views: 2",
    "teacher_second": "set views: 2 and teacher",
    "cluster": "set sampler: {kind: cluster}",
    "held": "set census: {held: 0.1}",
    "teacher": "name its weights in teachers, or set teacher",
    "pooled": "set model.neck to bnneck or none",
    "maps": "set model.neck to bnneck or none",
}


@dataclass(frozen=True)
class Sizes:
    """What terms are made for, and what a run has for them to read.

    Attributes:
        classes, dimensions: C and D.
        identities, images: P and K of a batch.
        iterations: of the whole run.
        channels: of the feature map; 0: the network shows none.
        map_size: (h, w) of it.
        teacher_dimensions: T; 0: there is no teacher.
        views: 2: every image is seen twice.
        whole: every batch comes whole, not cut by accumulation or over several processes.
        live: the teacher looks at the augmented images.
        clusters: of the census's images; 0: nobody counts them.
        held: images are held back, and looked at now and then.
        heads: head -> its dimensions.
        labels: label column of the data -> how many values it has.
    """

    classes: int
    dimensions: int
    identities: int = 4
    images: int = 2
    iterations: int = 1
    channels: int = 0
    map_size: tuple[int, int] = (1, 1)
    teacher_dimensions: int = 0
    views: int = 1
    whole: bool = True
    live: bool = False
    clusters: int = 0
    held: bool = False
    heads: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, int] = field(default_factory=dict)

    def on(self, vector: str) -> int:
        """How many dimensions a vector has that a term may be put on; 0: there is none of that name."""
        own = {"embeddings": self.dimensions, "features": self.dimensions, "pooled": self.channels}
        return {**own, **self.heads}.get(vector, 0)

    @property
    def lacks(self) -> set[str]:
        """Of GIVEN, what this run has not."""
        missing = {"second", "second_heads"} if self.views < 2 else set()
        missing |= {"teacher"} if not self.teacher_dimensions else set()
        missing |= {"teacher_second"} if self.views < 2 or not self.live else set()
        missing |= {"cluster"} if not self.clusters else set()
        missing |= {"held", "held_at"} if not self.held else set()
        return missing | ({"pooled", "maps"} if not self.channels else set())


@dataclass(frozen=True)
class Term:
    """One line of ``losses``: what is called with what, and how much it counts."""

    name: str
    call: Callable[..., torch.Tensor]  # a function with its settings, or a module
    reads: tuple[str, ...]
    on: str
    weight: float
    rate: float | None  # learning rate of what it learns; None: the network's

    def __call__(self, batch: Batch) -> torch.Tensor:
        seen = batch.on(self.on)
        return self.call(*(seen[name] for name in self.reads))


class Objective(nn.Module):
    """The weighted sum of the terms that a preset lists.

    Args:
        losses: NAME or NAME@TAG (the same term twice needs tags) -> its settings, with ``weight`` (default 1),
            ``on`` (the vector that arrives as embeddings: features, pooled or a head; default embeddings) and,
            for a term that learns something, ``lr`` (default: the network's).
        sizes: what the run has.

    Raises:
        InputError: unknown term or setting (the message names the nearest), something that the run has not, or
            settings that a term cannot work with: each is tried once on a small batch of ordinary numbers.
    """

    def __init__(self, losses: Mapping[str, Mapping[str, Any]], sizes: Sizes) -> None:
        super().__init__()
        for head in sizes.heads:
            if head in (*GIVEN, *DERIVED):
                raise InputError(
                    f"model.heads.{head}: that name means something else to terms; choose another"
                )
        self.terms = [make_term(name, settings, sizes) for name, settings in losses.items()]
        self.modules_by_name = nn.ModuleDict(
            {
                term.name.replace(".", "_"): term.call
                for term in self.terms
                if isinstance(term.call, nn.Module)
            }
        )
        for term in self.terms:
            _try(term, sizes)

    @property
    def reads(self) -> set[str]:
        """Everything that some term reads."""
        return {name for term in self.terms for name in (*term.reads, term.on)}

    def forward(self, batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The sum, and each term before its weight."""
        parts = {term.name: term(batch) for term in self.terms}
        zero = batch["embeddings"].new_zeros(())
        return sum((term.weight * parts[term.name] for term in self.terms), zero), parts

    def parameter_groups(self) -> list[dict[str, Any]]:
        """One optimiser group for each term that learns something: its own rate, no weight decay.

        Raises:
            InputError: a rate for a term that learns nothing.
        """
        groups = []
        for term in self.terms:
            learned = list(term.call.parameters()) if isinstance(term.call, nn.Module) else []
            if learned:
                rate = {} if term.rate is None else {"lr": term.rate}
                groups.append({"params": learned, "weight_decay": 0.0} | rate)
            elif term.rate is not None:
                raise InputError(
                    f"losses.{term.name}.lr: this term learns nothing, so it has no learning rate"
                )
        return groups


def make_term(name: str, given: Mapping[str, Any], sizes: Sizes) -> Term:
    """A term by its name (with or without @TAG), ready to be called on a batch.

    Raises:
        InputError: an unknown term or setting, a setting out of range, a vector or label that this network or
            data has not.
    """
    settings = dict(given)
    weight = _number(name, "weight", settings.pop("weight", 1.0))
    rate, on = settings.pop("lr", None), settings.pop("on", "embeddings")
    if rate is not None and _number(name, "lr", rate) <= 0:
        raise InputError(f"losses.{name}.lr: expected a number above 0, got {rate!r}")
    dimensions = sizes.on(on)
    if not dimensions:
        known = [v for v in ("embeddings", "features", "pooled", *sizes.heads) if sizes.on(v)]
        raise InputError(f"losses.{name}.on: this network has no vector {on!r}; {nearest(str(on), known)}")
    kind = name.partition("@")[0]
    if kind.startswith(PML):
        call: Any = MetricLearning(kind.removeprefix(PML), sizes.classes, dimensions, settings)
    elif kind not in TERMS:
        raise InputError(f"losses: unknown term {kind!r}; {nearest(kind, [*TERMS, PML + 'NAME'])}")
    else:
        call = _made(name, TERMS[kind], settings, sizes, dimensions)
    reads, _ = arguments(call.forward if isinstance(call, nn.Module) else call)
    _refuse_what_is_missing(name, kind, settings, reads, sizes)
    return Term(name, call, tuple(reads), on, weight, None if rate is None else float(rate))


def _made(
    name: str, make: Callable[..., Any], settings: dict[str, Any], sizes: Sizes, dimensions: int
) -> Any:
    learns = inspect.isclass(make)
    needs, known = arguments(make.__init__ if learns else make)
    for key in settings:
        if key not in known:
            own = [*known, "weight", "on", "lr"] if learns else [*known, "weight", "on"]
            raise InputError(f"losses.{name}: unknown key {key!r}; {nearest(key, own)}")
    hints = typing.get_type_hints(make.__init__ if learns else make)
    values = {key: _value(name, key, value, hints[key]) for key, value in settings.items()}
    if not learns:
        return functools.partial(make, **values)
    own_sizes = {key: dimensions if key == "dimensions" else getattr(sizes, key) for key in needs}
    try:
        return make(**own_sizes, **values)
    except InputError:
        raise
    except (ValueError, TypeError, RuntimeError, AssertionError, ZeroDivisionError) as error:
        raise InputError(f"losses.{name}: cannot be used with these settings: {one_line(error)}") from None


def _refuse_what_is_missing(
    name: str, kind: str, settings: Mapping[str, Any], reads: list[str], sizes: Sizes
) -> None:
    for wanted in reads:
        if wanted in sizes.lacks:
            raise InputError(f"losses.{name}: reads {wanted!r}, which this run has not: {REMEDIES[wanted]}")
        if wanted not in (*GIVEN, *DERIVED, *sizes.labels):
            told = f"its columns: {', '.join(sizes.labels)}" if sizes.labels else "it has none"
            raise InputError(f"losses.{name}: needs data with a label column {wanted!r}; {told}")
    if kind in WHOLE_BATCH and not sizes.whole:
        raise InputError(
            f"losses.{name}: looks at the whole batch at once: not with accumulate or several processes"
        )
    fewest = _fewest(kind, settings)
    if sizes.identities < fewest[0] or sizes.images < fewest[1]:
        raise InputError(
            f"losses.{name}: needs batches of at least {fewest[0]} identities with {fewest[1]} images, got "
            f"{sizes.identities} with {sizes.images}: raise batch.identities or batch.images"
        )


def _fewest(kind: str, settings: Mapping[str, Any]) -> tuple[int, int]:
    """Identities and images of each without which a term is always 0."""
    if kind == "margin" and settings.get("triplets") == "shared":
        return 3, 2
    if kind == "margin" and settings.get("triplets") == "intra":
        return 2, 3
    return 2, 2


def trial_batch(sizes: Sizes, identities: int = 4, images: int = 2) -> Batch:
    """Ordinary numbers in the shapes of a run, everything that it has; the same every time."""
    draw = torch.Generator().manual_seed(0)
    count = identities * images

    def vectors(*shape: int) -> torch.Tensor:
        return torch.randn(count, *shape, generator=draw).requires_grad_()

    ids = torch.arange(count) // images % sizes.classes
    labels = {name: torch.arange(count) % values for name, values in sizes.labels.items()}
    return Batch(
        embeddings=vectors(sizes.dimensions),
        features=vectors(sizes.dimensions),
        logits=vectors(sizes.classes),
        ids=ids,
        cameras=torch.arange(count) % 2,
        rows=torch.arange(count),
        step=torch.tensor(0),
        progress=torch.tensor(0.0),
        heads={name: vectors(dimensions) for name, dimensions in sizes.heads.items()},
        pooled=vectors(sizes.channels) if sizes.channels else None,
        maps=vectors(sizes.channels, *sizes.map_size) if sizes.channels else None,
        second=vectors(sizes.dimensions) if sizes.views > 1 else None,
        second_heads={name: vectors(n) for name, n in sizes.heads.items()} if sizes.views > 1 else None,
        teacher=torch.nn.functional.normalize(vectors(sizes.teacher_dimensions).detach())
        if sizes.teacher_dimensions
        else None,
        teacher_second=torch.nn.functional.normalize(vectors(sizes.teacher_dimensions).detach())
        if sizes.live and sizes.views > 1
        else None,
        cluster=torch.zeros(count, dtype=torch.int64) if sizes.clusters else None,
        held=torch.full((FIGURES,), 0.5) if sizes.held else None,
        held_at=torch.tensor(0) if sizes.held else None,
        class_means=torch.randn(sizes.classes, sizes.dimensions, generator=draw),
        class_spread=torch.full((sizes.classes,), 0.5),
        class_levels=torch.full((sizes.classes, sizes.classes), 1.0),
        **labels,
        labels=labels,
    )


def _try(term: Term, sizes: Sizes) -> None:
    """Call a term (a copy: some remember) once, and take the gradient: settings that cannot work show now."""
    batch = trial_batch(sizes)
    vectors = batch.on(term.on)["embeddings"]
    try:
        with torch.random.fork_rng(devices=[]):
            value = copy.deepcopy(term)(batch)
            (value + 0 * vectors.sum()).backward()
    except InputError:
        raise
    except Exception as error:  # whatever a loss of another library raises about its settings
        raise InputError(
            f"losses.{term.name}: cannot be used with these settings: {one_line(error)}"
        ) from None
    if not value.isfinite():
        raise InputError(f"losses.{term.name}: gives {value.item()} with these settings, on ordinary numbers")


def _value(term: str, key: str, value: Any, hint: Any) -> Any:
    """A setting as its annotation says; None passes, for the term to refuse."""
    if value is None or isinstance(value, bool):
        return value
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for kind in kinds:
        if typing.get_origin(kind) is typing.Literal:
            if value in typing.get_args(kind):
                return value
            if len(kinds) == 1:
                words = [str(word) for word in typing.get_args(kind)]
                raise InputError(f"losses.{term}.{key}: no {value!r}; {nearest(str(value), words)}")
        if typing.get_origin(kind) is tuple:
            if not isinstance(value, list | tuple):
                raise InputError(f"losses.{term}.{key}: expected a list, got {value!r}")
            return tuple(_value(term, key, one, typing.get_args(kind)[0]) for one in value)
        if kind is str:
            return str(value)
    number = _number(term, key, value)
    if int in kinds and float not in kinds:
        if number != int(number):
            raise InputError(f"losses.{term}.{key}: expected a whole number, got {value!r}")
        return int(number)
    return number


def _number(term: str, key: str, value: Any) -> float:
    try:
        number = float(value)  # YAML reads 3e-4 as text
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"losses.{term}.{key}: expected a number, got {value!r}")
    return number
