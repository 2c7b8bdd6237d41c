"""Losses of pytorch-metric-learning by name, each with its distance, miner and reducer."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from retrace.configs import InputError
from retrace.configs.errors import nearest


class MetricLearning(nn.Module):
    """A loss of pytorch-metric-learning with its distance, miner and reducer, each a name or {name: settings}.

    The miner measures with the same distance.
    """

    def __init__(self, name: str, classes: int, dimensions: int, settings: Mapping[str, Any]) -> None:
        super().__init__()
        try:
            from pytorch_metric_learning import distances, losses, miners, reducers
        except ImportError:
            raise InputError(
                f"losses.pml.{name} needs pytorch-metric-learning: pip install -e .[train]"
            ) from None
        settings = {key: _numbers(value) for key, value in settings.items()}
        parts = {
            key: _pml(room, settings.pop(key))
            for key, room in (("distance", distances), ("reducer", reducers))
            if key in settings
        }
        miner = settings.pop("miner", None)
        self.miner = None if miner is None else _pml(miners, miner, parts.get("distance"))
        accepted = _pml_settings(losses, name)
        sizes = {"num_classes": classes, "embedding_size": dimensions}
        sizes = {key: value for key, value in sizes.items() if key in accepted and key not in settings}
        self.loss = _pml(losses, {name: {**settings, **sizes, **parts}})

    def forward(self, embeddings: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        if self.miner is None:
            return self.loss(embeddings, ids)
        return self.loss(embeddings, ids, self.miner(embeddings, ids))


def _numbers(value: Any) -> Any:
    """Text that is a number (YAML reads 3e-4 as text) as one, in nested settings too."""
    if isinstance(value, Mapping):
        return {key: _numbers(inner) for key, inner in value.items()}
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return float(value)
    return value


def _pml_settings(room: Any, name: str) -> list[str]:
    """Names of all the settings of a class of pytorch-metric-learning, its base classes' included."""
    found = getattr(room, name, None)
    if not inspect.isclass(found):
        names = [n for n, value in vars(room).items() if inspect.isclass(value)]
        raise InputError(f"losses: pytorch-metric-learning has no {name!r}; {nearest(name, names)}")
    return [
        key
        for base in found.__mro__
        for key in inspect.signature(vars(base).get("__init__", _nothing)).parameters
    ]


def _nothing() -> None:
    """Stands for the __init__ of a class that has none of its own."""


def _pml(room: Any, spec: str | Mapping[str, Any], distance: Any = None) -> Any:
    """``"Name"`` or ``{"Name": {...}}`` of a module of pytorch-metric-learning, made; with a distance if given."""
    if isinstance(spec, str):
        spec = {spec: {}}
    if not isinstance(spec, Mapping) or len(spec) != 1:
        raise InputError(f"losses: expected a name or {{name: settings}}, got {spec!r}")
    ((name, settings),) = spec.items()
    known = _pml_settings(room, name)
    settings = dict(settings or {})
    for key in settings:
        if key not in known:
            raise InputError(f"losses: {name} has no setting {key!r}; {nearest(key, set(known) - {'self'})}")
    measure = {} if distance is None or "distance" not in known else {"distance": distance}
    try:
        return getattr(room, name)(**settings, **measure)
    except (TypeError, ValueError, AssertionError) as error:
        raise InputError(f"losses: {name} refuses {settings}: {error}") from None
