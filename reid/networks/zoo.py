"""Networks of torchreid's model zoo, their checkpoints loaded strictly.

A network whose weights silently stayed at their random start still gives unit vectors, and wrong ones. So a
checkpoint either fits to the last key or is refused; and a network is built without storage ("meta"), so a
weight that was never loaded could not even be computed with.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any

import torch

from retrace.configs import InputError
from retrace.configs.errors import install, nearest
from retrace.reid.weights.checkpoints import read_state_dict

NAMED_KEYS = 3  # how many offending keys an error message names
IMPORTING = Lock()  # one thread at a time


def zoo() -> dict[str, Callable[..., torch.nn.Module]]:
    """torchreid's networks by name.

    Raises:
        InputError: torchreid is not installed.
    """
    try:
        with IMPORTING, _hollow_torchreid():
            from torchreid.reid import models
    except ImportError as error:
        raise InputError(
            f"torchreid's model zoo is needed for torch weights and {error.name} is missing: "
            f"{install('train')}, or use ONNX weights"
        ) from None
    return dict(getattr(models, "__model_factory"))


@contextmanager
def _hollow_torchreid() -> Iterator[None]:
    """Meanwhile torchreid's packages run no code of their own: it would import torchvision, TensorBoard and more, which
    takes longer than torch itself and which the networks do not need. Who imports torchreid later gets all of it."""
    spec = None if "torchreid" in sys.modules else find_spec("torchreid")
    if spec is None:
        yield  # it is there as a whole, or is missing, as the import will say
        return
    place = Path((spec.submodule_search_locations or [""])[0])
    hollow = {"torchreid": place, "torchreid.reid": place / "reid"}
    for name, folder in hollow.items():
        sys.modules[name] = ModuleType(name)
        sys.modules[name].__path__ = [str(folder)]
    try:
        yield
    finally:
        for name in hollow:
            del sys.modules[name]


def build(name: str, classes: int, loss: str = "softmax", **options: Any) -> torch.nn.Module:
    """A network of the zoo with random weights; nothing is ever downloaded.

    Args:
        name: e.g. "osnet_x0_25".
        classes: number of training identities (rows of the classifier, which may be none).
        loss: "softmax" (training returns logits) or "triplet" (logits and features).
        options: of the zoo's own function.

    Raises:
        InputError: no such network; the message names the nearest.
    """
    networks = zoo()
    if name not in networks:
        raise InputError(f"unknown network {name!r}; {nearest(name, networks)}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a classifier without rows has nothing to initialise
        return networks[name](num_classes=classes, loss=loss, pretrained=False, use_gpu=False, **options)


def load(path: str | Path, model: str | None = None) -> torch.nn.Module:
    """The network of a torchreid checkpoint, on the CPU, float32, in eval mode (its output is the features).

    Args:
        path: a file that holds a state_dict, or {"state_dict": ...}; keys may begin with "module.".
        model: the network's name; None: the longest zoo name that the file's name contains.

    Raises:
        InputError: no such file, not such a checkpoint, network unknown, or any key missing, unexpected or of
            another shape.
    """
    weights = read_state_dict(path)
    name = architecture(path, model)
    head = weights.get("classifier.weight")
    if head is None or head.ndim != 2:
        raise InputError(f"{path}: no 'classifier.weight' in the file, so no weights of torchreid's {name!r}")
    with torch.device("meta"):  # no storage, no random draw
        network = build(name, len(head))
    try:
        refuse_misfit(path, repr(name), network.state_dict(), weights)
    except InputError as error:
        raise InputError(f"{error}; pass the right model=NAME") from None
    network.load_state_dict(weights, strict=True, assign=True)
    empty = [k for k, v in (*network.named_parameters(), *network.named_buffers()) if v.is_meta]
    if empty:
        raise InputError(f"{path}: {name!r} keeps values that its checkpoints do not hold: {_some(empty)}")
    return network.float().eval()


def architecture(path: str | Path, model: str | None) -> str:
    """The network's name: ``model`` if given, else the longest zoo name contained in the file's name.

    Raises:
        InputError: the file's name contains none.
    """
    if model is not None:
        return model
    networks = zoo()
    found = [name for name in networks if name in Path(path).name.lower()]
    if not found:
        raise InputError(
            f"{path}: the file's name does not say which network it is: rename it to begin with the name of "
            f"one, or pass model=NAME; {nearest(Path(path).name.partition('.')[0], networks)}"
        )
    return max(found, key=len)


def refuse_misfit(
    path: str | Path,
    name: str,
    want: Mapping[str, torch.Tensor],
    got: Mapping[str, torch.Tensor],
    hint: str = "",
) -> None:
    """Raises InputError unless the tensors ``got`` from ``path`` are those of the network ``name``, all and no more."""
    # A batch norm's step counter is absent from checkpoints of torch < 0.4.1; eval mode never reads it.
    missing = [key for key in want if key not in got and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in got if key not in want]
    shapes = [
        f"{key} {tuple(got[key].shape)}, not {tuple(want[key].shape)}"
        for key in want
        if key in got and got[key].shape != want[key].shape
    ]
    faults = [
        f"{len(keys)} {kind}: {_some(keys)}"
        for kind, keys in (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
        if keys
    ]
    if faults:
        raise InputError(f"{path}: not the weights of {name}: {'; '.join(faults)}{hint}")


def _some(keys: list[str]) -> str:
    return ", ".join(keys[:NAMED_KEYS]) + (", ..." if len(keys) > NAMED_KEYS else "")
