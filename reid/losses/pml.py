"""Losses of pytorch-metric-learning by name, each with its distance, miner and reducer."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from retrace.configs import InputError
from retrace.configs.errors import install, nearest, one_line

REFUSED = {  # measured wrong or of no use here, and what to take instead (docs/losses.md says how it was measured)
    "ArcFaceLoss": "its gradient is NaN where a vector equals its centre; use arcface (margin in radians)",
    "SubCenterArcFaceLoss": "its gradient is NaN where a vector equals its centre; use arcface with centres: 3",
    "SmoothAPLoss": "it is right only where a batch has as many identities as images of each; use pml.FastAPLoss",
    "NPairsLoss": "it takes one pair an identity, and changes when the batch is reordered; use pml.SupConLoss",
    "NTXentLoss": "it takes a hundred times as long; use pml.SupConLoss, or nt_xent for two views",
    "InstanceLoss": "it needs a classifier of its own; use classifier",
    "VICRegLoss": "it takes two views instead of identities; use nt_xent with views: 2",
    "ManifoldLoss": "it takes no identities",
    "DynamicSoftMarginLoss": "it keeps the graph of the step before, and forgets on resume; use drawn_triplet",
    "CrossBatchMemory": "its memory is empty after a resume; use memory",
    "SelfSupervisedLoss": "it wraps another loss; use nt_xent with views: 2",
    "MultipleLosses": "it wraps other losses; list them as terms of losses",
    "GenericPairLoss": "it is a base class; use pml.ContrastiveLoss or another of its kinds",
}
UP_TO_9 = ("NCALoss", "ProxyNCALoss")  # above, they drop exactly the worst samples: probabilities underflow
UNIT_ONLY = ("AngularLoss",)  # normalises anchors and positives, but not negatives


BASES = {  # classes of its losses that are none
    "BaseLossWrapper",
    "BaseMetricLossFunction",
    "EmbeddingRegularizerMixin",
    "WeightRegularizerMixin",
}


def usable() -> list[str]:
    """Names of its losses that are not refused."""
    from pytorch_metric_learning import losses

    return sorted(
        name
        for name, value in vars(losses).items()
        if inspect.isclass(value) and name not in REFUSED.keys() | BASES
    )


class MetricLearning(nn.Module):
    """A loss of pytorch-metric-learning with its parts, each a name or {name: settings}.

    The parts are ``distance``, ``miner``, ``reducer``, ``embedding_regularizer`` and ``weight_regularizer``. The
    miner measures with the same distance. Losses that measured wrong are refused by name (REFUSED).
    """

    def __init__(self, name: str, classes: int, dimensions: int, settings: Mapping[str, Any]) -> None:
        super().__init__()
        try:
            from pytorch_metric_learning import distances, losses, miners, reducers, regularizers
        except ImportError:
            raise InputError(f"losses.pml.{name} needs pytorch-metric-learning: {install('train')}") from None
        self.name = name
        settings = {key: _numbers(value) for key, value in settings.items()}
        _refuse(name, settings)
        sizes = {
            "num_classes": classes,
            "embedding_size": dimensions,
            "descriptors_dim": dimensions,  # P2SGradLoss calls it so
            "centers_per_class": settings.get("centers_per_class"),
        }
        parts = {
            key: _pml(module, settings.pop(key), sizes=sizes)
            for key, module in (
                ("distance", distances),
                ("reducer", reducers),
                ("embedding_regularizer", regularizers),
                ("weight_regularizer", regularizers),
            )
            if key in settings
        }
        accepted = _pml_settings(losses, name)
        for key in parts:
            if key not in accepted:
                raise InputError(
                    f"losses: {name} has no setting {key!r}; {nearest(key, set(accepted) - {'self'})}"
                )
        if name == "ContrastiveLoss" and getattr(parts.get("distance"), "is_inverted", False):
            missing = {"pos_margin", "neg_margin"} - settings.keys()
            if missing:
                raise InputError(
                    "losses.pml.ContrastiveLoss: its margins are meant for distances; "
                    "with a similarity set pos_margin: 1 and neg_margin: 0"
                )
        miner = settings.pop("miner", None)
        self.miner = None if miner is None else _pml(miners, miner, parts.get("distance"))
        self.loss = _pml(losses, {name: settings}, sizes=sizes, parts=parts)

    def forward(self, embeddings: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        if self.name in UNIT_ONLY:
            embeddings = F.normalize(embeddings, dim=1)
        try:
            if self.miner is None:
                return self.loss(embeddings, ids)
            return self.loss(embeddings, ids, self.miner(embeddings, ids))
        except (RuntimeError, ValueError, IndexError, AssertionError) as error:
            raise InputError(
                f"losses.pml.{self.name}: cannot be used on this batch: {one_line(error)}"
            ) from None


def _refuse(name: str, settings: Mapping[str, Any]) -> None:
    if name in REFUSED:
        raise InputError(f"losses.pml.{name}: {REFUSED[name]}")
    scale = settings.get("softmax_scale", 1)
    if name in UP_TO_9 and isinstance(scale, (int, float)) and scale > 9:
        raise InputError(
            f"losses.pml.{name}: with softmax_scale above 9 it drops the worst samples, got {scale:g}; use proxy_nca"
        )


def _numbers(value: Any) -> Any:
    """Text that is a number (YAML reads 3e-4 as text) as one, in nested settings too."""
    if isinstance(value, Mapping):
        return {key: _numbers(inner) for key, inner in value.items()}
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return float(value)
    return value


def _pml_settings(module: Any, name: str) -> list[str]:
    """Names of all the settings of a class of pytorch-metric-learning, its base classes' included."""
    found = getattr(module, name, None)
    if not inspect.isclass(found):
        names = [n for n, value in vars(module).items() if inspect.isclass(value)]
        raise InputError(f"losses: pytorch-metric-learning has no {name!r}; {nearest(name, names)}")
    return [
        key
        for base in found.__mro__
        for key in inspect.signature(vars(base).get("__init__", _nothing)).parameters
    ]


def _nothing() -> None:
    """Stands for the __init__ of a class that has none of its own."""


def _pml(
    module: Any,
    spec: str | Mapping[str, Any],
    distance: Any = None,
    sizes: Mapping[str, Any] | None = None,
    parts: Mapping[str, Any] | None = None,
) -> Any:
    """``"Name"`` or ``{"Name": {...}}`` of a module of pytorch-metric-learning, made.

    ``distance``, ``sizes`` and ``parts`` are given to it as far as it has such settings.
    """
    if isinstance(spec, str):
        spec = {spec: {}}
    if not isinstance(spec, Mapping) or len(spec) != 1:
        raise InputError(f"losses: expected a name or {{name: settings}}, got {spec!r}")
    ((name, settings),) = spec.items()
    known = _pml_settings(module, name)
    settings = dict(settings or {})
    for key in settings:
        if key not in known:
            raise InputError(f"losses: {name} has no setting {key!r}; {nearest(key, set(known) - {'self'})}")
    given = {} if distance is None or "distance" not in known else {"distance": distance}
    for key, value in (sizes or {}).items():
        if key in known and key not in settings and value is not None:
            given[key] = value
    try:
        return getattr(module, name)(**settings, **given, **(parts or {}))
    except Exception as error:  # of whatever kind: it is about these settings
        raise InputError(f"losses: {name} refuses {settings}: {one_line(error)}") from None
