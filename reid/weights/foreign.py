"""Weights of other projects for a network of ours: where their keys belong, and grids of another size resampled.

| project | what stands before the network's own keys |
|---|---|
| torchreid, timm, torchvision, DeiT, MAE, Swin | nothing (DeiT and MAE under "model") |
| fast-reid | backbone. (beside heads., pixel_mean, pixel_std) |
| BoT, AGW, TransReID | base. (beside bottleneck., classifier.) |
| CLIP-ReID | image_encoder. (beside prompt_learner., text_encoder. ...) |
| trained in parallel, compiled | module., _orig_mod. |
| the same network written by others | any names: its tensors in our order, each of the same shape and role |
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from retrace.configs import InputError
from retrace.configs.errors import one_line

WRAPPED = ("", "module.", "_orig_mod.")
THEIRS = ("", "backbone.", "base.", "model.", "body.", "encoder.", "image_encoder.", "visual.")
OURS = ("", "body.", "backbone.whole.", "backbone.", "backbone.body.")  # where a network lies inside ours
LONG_ENOUGH = 50  # tensors of a backbone, so that equal shapes in equal order are no chance
ENOUGH = 0.5  # share of a network's tensors that must be in the file under some prefix, to speak of a misfit at all


@dataclass(frozen=True, slots=True)
class Placed:
    """Tensors of a file under the keys of a network of ours.

    Attributes:
        tensors: by our keys.
        theirs, ours: the prefixes that were exchanged.
        rest: keys of the file, and tensors, that belong to other parts of their network.
        notes: a line for each thing that was changed on the way.
    """

    tensors: dict[str, torch.Tensor]
    theirs: str
    ours: str
    rest: dict[str, torch.Tensor]
    notes: tuple[str, ...]

    def in_file(self, key: str) -> str:
        """A key of ours as it is, or would be, in the file."""
        inside = key.startswith(self.ours)
        return self.theirs + key[len(self.ours) :] if inside else key


def place(path: Path, tensors: Mapping[str, torch.Tensor], network: nn.Module) -> Placed:
    """Find where the tensors of a file belong in a network.

    Raises:
        InputError: not even half of the network is in the file under any of the known prefixes.
    """
    own = network.state_dict()
    renamed, left = _in_our_order(tensors, own)
    if renamed:
        note = f"{path.name}: other names, but every shape of the backbone in its order: taken in that order"
        return Placed(renamed, "", "backbone.", left, (note,))
    options = [(wrap + name, ours) for wrap in WRAPPED for name in THEIRS for ours in OURS]

    def fits(option: tuple[str, str]) -> tuple[int, int]:
        theirs, ours = option
        return sum(k.startswith(theirs) and ours + k[len(theirs) :] in own for k in tensors), len(theirs)

    theirs, ours = max(options, key=fits)
    body = _timm_body(network)
    if body is not None and any("image_encoder." in key or key.startswith("visual.") for key in tensors):
        theirs, ours = next(k for k in ("image_encoder.", "visual.", "module.image_encoder.") if any(
            key.startswith(k) for key in tensors)), "backbone.body."  # fmt: skip
    inside = {key[len(theirs) :]: value for key, value in tensors.items() if key.startswith(theirs)}
    shared = {key.split(".")[0] for key in inside if ours + key in own}  # parts that both networks have
    other = [key for key in inside if ours + key not in own and key.split(".")[0] not in shared]
    rest = {key: value for key, value in tensors.items() if not key.startswith(theirs)}
    if not ours:  # heads beside a backbone that is called as ours is
        rest |= {theirs + key: inside.pop(key) for key in other}
    notes = [f"{path.name}: keys begin with {theirs!r}, taken off"] * bool(theirs)
    if body is not None and ours == "backbone.body.":
        inside, told = _resampled(inside, body)
        notes += [f"{path.name}: {line}" for line in told]
    placed = {ours + key: value for key, value in inside.items()}
    wanted = [key for key in own if key.startswith(ours)]
    if sum(key in own for key in placed) < ENOUGH * len(wanted):
        body_keys = [key for key in own if key.startswith("backbone.")] or [*own]
        example = min((body_keys[0].removeprefix(ours) for ours in OURS), key=len)
        raise InputError(
            f"{path}: not the weights of this network: the file has {len(tensors)} keys such as "
            f"{', '.join(list(tensors)[:3])}; the network has keys such as {example}, looked for after nothing, "
            f"{', '.join(filter(None, THEIRS))}, module."
        )
    return Placed(placed, theirs, ours, rest, tuple(notes))


def _in_our_order(
    tensors: Mapping[str, torch.Tensor], own: Mapping[str, torch.Tensor]
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The backbone's tensors when a file has them under names of its own, and the file's others; empty: it has not.

    The whole backbone has to be there, tensor by tensor in order, each of the same shape and with the same last word
    (weight, bias, running_mean ...); after it only a classifier (a matrix, perhaps with a bias) may come.
    """
    counter = "num_batches_tracked"
    wanted = [key for key in own if key.startswith("backbone.") and not key.endswith(counter)]
    given = [key for key in tensors if not key.endswith(counter)]
    if len(wanted) < LONG_ENOUGH or len(given) < len(wanted) or set(tensors) & set(own):
        return {}, {}
    left = {key: tensors[key] for key in given[len(wanted) :]}
    pairs = list(zip(wanted, given, strict=False))
    same = all(
        own[ours].shape == tensors[theirs].shape and ours.split(".")[-1] == theirs.split(".")[-1]
        for ours, theirs in pairs
    )
    classifier = [value.ndim for value in left.values()] in ([], [2], [2, 1])
    return ({ours: tensors[theirs] for ours, theirs in pairs}, left) if same and classifier else ({}, {})


def _timm_body(network: nn.Module) -> nn.Module | None:
    """The transformer of timm inside a network of ours; None: there is none."""
    body = getattr(getattr(network, "backbone", None), "body", None)
    return body if isinstance(body, nn.Module) else None


def _resampled(
    tensors: dict[str, torch.Tensor], body: nn.Module
) -> tuple[dict[str, torch.Tensor], list[str]]:
    """Position embeddings and tables of another grid brought to the network's, as timm does it; and what was done."""
    own = body.state_dict()
    odd = [key for key in tensors if key in own and tensors[key].shape != own[key].shape]
    clip = any(key.startswith(("transformer.", "class_embedding")) for key in tensors)
    convert: Any = getattr(inspect.getmodule(type(body)), "checkpoint_filter_fn", None)
    if convert is None or not (odd or clip):
        return tensors, []
    try:
        made = dict(convert({f"visual.{k}": v for k, v in tensors.items()} if clip else dict(tensors), body))
    except Exception as error:  # timm checks little: what a misfit raises depends on where it is met
        raise InputError(
            f"{', '.join(odd[:3]) or 'the weights'}: cannot be resampled to this image size ({one_line(error)}); "
            "train at the size of the file"
        ) from None
    made |= {key: tensors[key] for key in tensors if key not in made and key in own}
    changed = [
        f"{key} {tuple(tensors[key].shape)} -> {tuple(made[key].shape)}"
        for key in odd
        if made[key].shape != tensors[key].shape
    ]
    if not changed:
        return made, []
    more = f" and {len(changed) - 2} more" if len(changed) > 2 else ""
    return made, [f"resampled to this image size: {', '.join(changed[:2])}{more}"]
