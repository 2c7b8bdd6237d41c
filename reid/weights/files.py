"""Weights on disk: our .safetensors, written and read strictly, and torchreid's checkpoints.

Our file says in its metadata what it is: the network, the image size, mean and deviation, and the protocol
card of its training. So nothing about it has to be guessed from a file name.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pydantic
import torch
from torch import nn

from retrace.configs import InputError
from retrace.reid.config import ModelConfig
from retrace.reid.networks import zoo as models
from retrace.reid.recipe import KEY, Recipe

PREFIXES = ("body.", "backbone.whole.", "backbone.", "backbone.body.")  # of a foreign network inside ours
FOREIGN_HEADS = ("backbone.fc.", "backbone.head.", "backbone.classifier.", "backbone.body.head.")  # timm's


def save_network(path: str | Path, network: nn.Module, recipe: Recipe) -> None:
    """Write weights and recipe; beside, then renamed.

    Raises:
        InputError: the file cannot be written.
    """
    from safetensors.torch import save

    path = Path(path)
    tensors = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    partial = path.with_name(path.name + ".partial")
    try:  # save_file would make a file that only its owner may read
        partial.write_bytes(save(tensors, {KEY: recipe.to_json()}))
        os.replace(partial, path)
    except OSError as error:
        raise InputError(f"{path}: the weights cannot be written ({error.strerror})") from None


def without_classifier(network: nn.Module, recipe: Recipe) -> tuple[nn.Module, Recipe]:
    """What :func:`load_network` gave, without the rows of its classifier: all that embedding needs.

    A network of torchreid's zoo becomes one of ours, with neck "own".
    """
    tensors = network.state_dict()
    if recipe.model is None:
        tensors = {PREFIXES[0] + key: value for key, value in tensors.items()}
        recipe = replace(recipe, model=ModelConfig(name=recipe.name, neck="own").model_dump(mode="json"))
    recipe = replace(recipe, classes=0)
    bare = build(recipe, recipe.name)
    kept = {key: tensors[key] if empty.numel() else empty for key, empty in bare.state_dict().items()}
    bare.load_state_dict(kept)
    return bare.eval(), recipe


def load_network(path: str | Path, model: str | None = None) -> tuple[nn.Module, Recipe]:
    """The network of a file in eval mode on the CPU, float32: images (B, 3, H, W) -> (B, D).

    Args:
        path: our .safetensors, or a torchreid checkpoint (.pth, .pt, .pth.tar).
        model: the network's name, for a torchreid checkpoint whose file name does not contain it.

    Raises:
        InputError: no such file, not such a file, or any key missing, unexpected or of another shape.
    """
    path = Path(path)
    if path.suffix.lower() != ".safetensors":
        network = models.load(path, model)
        return network, Recipe(models.architecture(path, model), classes=_head_rows(network))
    tensors, recipe = read(path)
    network = build(recipe, path)
    models.refuse_misfit(path, repr(recipe.name), network.state_dict(), tensors)
    network.load_state_dict(tensors, strict=True)
    return network.float().eval(), recipe


def read(path: str | Path) -> tuple[dict[str, torch.Tensor], Recipe]:
    """Tensors and recipe of our .safetensors."""
    tensors, metadata = _read_safetensors(Path(path))
    if KEY not in metadata:
        raise InputError(f"{path}: no {KEY!r} metadata, so it does not say which network it is")
    return tensors, Recipe.from_json(metadata[KEY], str(path))


def _read_safetensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors and metadata of any .safetensors."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise InputError(f"{path}: no such weights file")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # not a dict
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not readable as safetensors: {error}") from None
    return tensors, metadata


def build(recipe: Recipe, origin: str | Path) -> nn.Module:
    """The network of a recipe, with random weights."""
    from retrace.reid.networks import build as networks

    try:
        config = ModelConfig.model_validate(recipe.model)
    except pydantic.ValidationError as error:
        raise InputError(
            f"{origin}: its model description is not valid: {error.errors()[0]['msg']}"
        ) from None
    return networks.build(config, recipe.classes, recipe.size)


def start_from(network: nn.Module, path: str | Path, drop_head: bool) -> list[str]:
    """Copy weights into a network that is about to train; returns the keys that stay at their random start.

    Our files fit key by key. A checkpoint of torchreid (also ours with neck "own"), timm or torchvision gives
    its convolutions to a pooled head, and one of torchreid everything to neck "own".

    Args:
        drop_head: the classifier (of a foreign checkpoint under a pooled head: all after the convolutions)
            stays random; without it a file with another number of classes is refused.

    Raises:
        InputError: a key is missing, unexpected or of another shape; the message says when drop_head helps.
    """
    path = Path(path)
    own = network.state_dict()
    given = _given(path, own)
    heads = ("classifier.", "body.classifier.", "backbone.whole.classifier.", "backbone.whole.fc.")
    if drop_head:
        given = {
            key: value
            for key, value in given.items()
            if not key.startswith(heads) and (key in own or not key.startswith(FOREIGN_HEADS))
        }
        fresh = [
            key
            for key in own
            if key.startswith((*heads, "embedding.", "neck.", "pool.", "heads.")) and key not in given
        ]
    else:
        fresh = [key for key in own if key.startswith("heads.") and key not in given]
    wanted = {key: value for key, value in own.items() if key not in fresh}
    try:
        models.refuse_misfit(path, "the network to train", wanted, given)
    except InputError as error:
        hint = "" if drop_head else "; if only the classifier differs, init_head=drop starts it anew"
        raise InputError(f"init: {error}{hint}") from None
    network.load_state_dict(given, strict=False)  # strict above, but for what is meant to stay fresh
    return fresh


def _given(path: Path, own: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors of a file, under the keys they have in a network of ours; foreign keys get a prefix."""
    if path.suffix.lower() == ".safetensors":
        tensors, metadata = _read_safetensors(path)
        zoo = all(key.startswith(PREFIXES[0]) for key in tensors)  # ours with neck "own": as torchreid's
        if KEY in metadata and not zoo:
            return tensors
        tensors = {key.removeprefix(PREFIXES[0]) if zoo else key: value for key, value in tensors.items()}
    else:
        tensors = models.read_state_dict(path)
    prefix = max(PREFIXES, key=lambda p: sum(p + key in own for key in tensors))
    return {prefix + key: value for key, value in tensors.items()}


def _head_rows(network: nn.Module) -> int:
    head = getattr(network, "classifier", None)
    return int(head.out_features) if isinstance(head, nn.Linear) else 0
