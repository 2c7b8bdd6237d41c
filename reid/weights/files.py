"""Weights on disk: our .safetensors, written and read strictly, and torchreid's checkpoints.

Our file says in its metadata what it is: the network, the image size, mean and deviation, and the protocol
card of its training. So nothing about it has to be guessed from a file name.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import pydantic
import torch
from torch import nn

from retrace.configs import InputError
from retrace.configs.errors import one_line
from retrace.configs.files import atomic_write, writing
from retrace.reid.config import ModelConfig
from retrace.reid.networks import zoo as models
from retrace.reid.recipe import KEY, NETWORK_SUM, SUM, Recipe, check_sums, network_checksum
from retrace.reid.weights.checkpoints import read_tensors
from retrace.reid.weights.foreign import Placed, place
from retrace.reid.weights.shipped import as_trained, locate
from retrace.reid.weights.wider import check_answers, widened

HEADS = ("classifier.", "body.classifier.", "backbone.whole.classifier.", "backbone.whole.fc.")
BESIDE = "beside."  # other networks in one file (`reid.join`)
LEFT_OUT = "its card is damaged and was left out"
OUR_ENDS = ("embedding.", "neck.", "pool.", "heads.")
FOREIGN_HEADS = tuple(  # timm's, and DeiT's second one
    f"backbone.{head}." for head in ("fc", "head", "classifier", "body.head", "body.head_dist")
)


def save_network(path: str | Path, network: nn.Module, recipe: Recipe, half: bool = False) -> None:
    """Write weights and recipe; beside, then renamed.

    Args:
        half: matrices and kernels as float16: half the file. They are read back as float32.

    Raises:
        InputError: the file cannot be written.
    """
    tensors = dict(network.state_dict())
    if half:  # statistics and biases are few, and small ones would vanish
        tensors = {key: value.half() if value.ndim > 1 else value for key, value in tensors.items()}
    _write(Path(path), tensors, recipe)


def add_to_card(path: Path, out: Path, key: str, value: object, uncalibrated: bool = False) -> None:
    """Write our weights again with something more in their card.

    Args:
        uncalibrated: leave a card that is damaged out; else it is an error.

    Raises:
        InputError: not weights of ours, or the file cannot be written.
    """
    tensors, recipe = read(path, uncalibrated)
    _write(out, tensors, replace(recipe, card={**recipe.card, key: value}))


def _write(path: Path, tensors: Mapping[str, torch.Tensor], recipe: Recipe) -> None:
    from safetensors.torch import save

    tensors = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    text, of = recipe.to_json(), partial(checksum, tensors)
    sums = {SUM: of(text), NETWORK_SUM: network_checksum(text, of)}
    with writing(path, what="file"), atomic_write(path, "wb") as file:
        # not save_file, which makes a file that only its owner may read
        file.write(_settled(save(tensors, {KEY: text, **sums})))


def _settled(data: bytes) -> bytes:
    """A .safetensors file with its metadata in order: the library keeps them in a hash table, whose order is chance.

    The format: the header's length as 8 bytes, the header (JSON, filled with blanks to a multiple of 8), the tensors.
    """
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header = {"__metadata__": dict(sorted(header.pop("__metadata__").items())), **header}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def checksum(tensors: Mapping[str, torch.Tensor], text: str) -> str:
    """SHA-256 over names, types, shapes and bytes of all tensors, in order of their names, and over a text."""
    digest = hashlib.sha256(text.encode())
    for key in sorted(tensors):
        tensor = tensors[key].detach().cpu().contiguous()
        digest.update(f"\n{key} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data if tensor.numel() else b"")
    return digest.hexdigest()


def without_classifier(network: nn.Module, recipe: Recipe) -> tuple[nn.Module, Recipe]:
    """What :func:`load_network` gave, without the rows of its classifier: all that embedding needs.

    A network of torchreid's zoo becomes one of ours, with neck "own". A pooled head's network is not built again: the
    one that was given loses its classifier.

    Raises:
        InputError: as :func:`build`.
    """
    from retrace.reid.networks.build import PooledHead

    if isinstance(network, PooledHead):
        network.classifier = None
        return network.eval(), replace(recipe, classes=0)
    tensors = network.state_dict()
    if recipe.model is None:
        tensors = {"body." + key: value for key, value in tensors.items()}
        recipe = replace(recipe, model=ModelConfig(name=recipe.name, neck="own").model_dump(mode="json"))
    recipe = replace(recipe, classes=0)
    bare = build(recipe, recipe.name)
    kept = {key: tensors[key] if empty.numel() else empty for key, empty in bare.state_dict().items()}
    bare.load_state_dict(kept)
    return bare.eval(), recipe


def write_mean(first: str | Path, second: str | Path, out: str | Path, *, resized: bool = False) -> None:
    """Write the mean of the weights of one network before and after it was trained on.

    What it knew is forgotten less than what it learned is lost (Wortsman et al. 2022, "Robust fine-tuning", their
    default of one half). The second's card goes along, less its calibration; the classifier stays behind.

    Args:
        first, second: a .safetensors of ours, a torchreid checkpoint, or the name of shipped weights.
        out: ends in .safetensors.
        resized: the training went on with crops of another size, which the mean takes, too; else that is an error.

    Raises:
        InputError: files that cannot be read or written, of two networks, or of one that takes crops of two sizes.
    """
    if Path(out).suffix != ".safetensors":
        raise InputError(f"{out}: expected a name that ends in .safetensors")
    sources = [as_trained(locate(path)) for path in (first, second)]
    if Path(out).exists() and any(Path(out).samefile(source) for source in sources):
        raise InputError(f"{out}: would overwrite the weights it is made from; choose another file")
    (one, old), (network, recipe) = (
        without_classifier(*load_network(source, uncalibrated=True)) for source in sources
    )
    before, after = one.state_dict(), network.state_dict()
    models.refuse_misfit(sources[1], f"the network of {sources[0]}", before, after)
    if old.size != recipe.size and not resized:
        sizes = [" x ".join(map(str, size)) for size in (recipe.size, old.size)]
        raise InputError(
            f"{sources[1]}: takes crops of {sizes[0]} px, {sources[0]} of {sizes[1]} px: expected one size, or "
            "`resized`"
        )
    mean = {
        key: torch.lerp(before[key], value, 0.5) for key, value in after.items() if value.is_floating_point()
    }
    network.load_state_dict({**after, **mean})
    save_network(out, network, recipe.uncalibrated())


def load_network(
    path: str | Path, model: str | None = None, *, uncalibrated: bool = False
) -> tuple[nn.Module, Recipe]:
    """The network of a file in eval mode on the CPU, float32: images (B, 3, H, W) -> (B, D).

    Args:
        path: our .safetensors, or a torchreid checkpoint (.pth, .pt, .pth.tar).
        model: the network's name, for a torchreid checkpoint whose file name does not contain it.
        uncalibrated: leave a card that is damaged out; else it is an error.

    Raises:
        InputError: no such file, not such a file, or any key missing, unexpected or of another shape.
    """
    path = Path(path)
    if path.suffix.lower() != ".safetensors":
        network = models.load(path, model)
        return network, Recipe(models.architecture(path, model), classes=_head_rows(network))
    tensors, recipe = read(path, uncalibrated)
    network = build(recipe, path)
    models.refuse_misfit(path, repr(recipe.name), network.state_dict(), tensors)
    network.load_state_dict(tensors, strict=True)
    return network.float().eval(), recipe


def read(path: str | Path, uncalibrated: bool = False) -> tuple[dict[str, torch.Tensor], Recipe]:
    """Tensors and recipe of our .safetensors.

    Args:
        uncalibrated: leave a card that is damaged out; else it is an error.

    Raises:
        InputError: no such file, damaged, or not ours.
    """
    tensors, text = _read_safetensors(Path(path), uncalibrated)
    if not text:
        raise InputError(f"{path}: no {KEY!r} metadata, so it does not say which network it is")
    return tensors, Recipe.from_json(text, str(path))


def _read_safetensors(path: Path, uncalibrated: bool = False) -> tuple[dict[str, torch.Tensor], str]:
    """Tensors of any .safetensors, and its recipe's text (`check_sums`); empty: it has none."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise InputError(f"{path}: no such weights file")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # not a dict
    except (SafetensorError, OSError, ValueError, TypeError, RuntimeError, MemoryError) as error:
        raise InputError(f"{path}: not readable as safetensors: {one_line(error)}") from None
    return tensors, check_sums(path, metadata, partial(checksum, tensors), uncalibrated)


def build(recipe: Recipe, origin: str | Path) -> nn.Module:
    """The network of a recipe, with random weights.

    Raises:
        InputError: a description that is not valid.
    """
    from retrace.reid.networks import build as networks

    try:
        config = ModelConfig.model_validate(recipe.model)
    except pydantic.ValidationError as error:
        raise InputError(
            f"{origin}: its model description is not valid: {error.errors()[0]['msg']}"
        ) from None
    return networks.build(config, recipe.classes, recipe.size)


def start_from(
    network: nn.Module,
    path: str | Path,
    drop_head: bool,
    notes: list[str] | None = None,
    wider: int | None = None,
) -> list[str]:
    """Copy weights into a network that is about to train; returns the keys that stay at their random start.

    Our files fit key by key. A checkpoint of torchreid (also ours with neck "own"), timm, torchvision and the
    projects of `reid.weights.foreign` gives its convolutions or blocks to a pooled head, and one of torchreid
    everything to neck "own".

    Args:
        path: a file, the name of shipped weights, or "auto": the shipped ones.
        drop_head: the classifier (of a foreign checkpoint under a pooled head: all after the convolutions)
            stays random, and what stands beside the file's network (`reid.join`) is left out where nothing stands
            beside this one; without it a file with another number of classes is refused.
        notes: gets a line for all that was changed or left out on the way.
        wider: the file's network has fewer channels, which are copied (`widened`, by this seed); None: as many.

    Raises:
        InputError: a key is missing, unexpected or of another shape, named as it is in the file; the message says
            when drop_head helps.
    """
    try:
        path = as_trained(locate(path))
        placed = _placed(path, network)
        own, rest = network.state_dict(), placed.rest
        given = placed.tensors
        fresh = [key for key in own if key.startswith("heads.") and key not in given]
        if drop_head:
            dropped = [
                key
                for key in given
                if key.startswith(HEADS) or (key not in own and key.startswith((*FOREIGN_HEADS, BESIDE)))
            ]
            others = {key.split(".")[1] for key in dropped if key.startswith(BESIDE)}
            if notes is not None and others:
                notes.append(f"{path.name}: left out what stands beside: {', '.join(sorted(others))}")
            given = {key: value for key, value in given.items() if key not in dropped}
            fresh = [key for key in own if key.startswith((*HEADS, *OUR_ENDS)) and key not in given]
            if notes is not None and rest:
                some = ", ".join(list(rest)[:3]) + ", ..." * (len(rest) > 3)
                notes.append(f"{path.name}: {len(rest)} tensors of other parts left out: {some}")
            rest = {}
        if wider is not None:
            _expect_one_of_ours(path, placed.tensors)
            given = widened(given, network, wider, (*HEADS, "heads."))
        wanted = {placed.in_file(key): value for key, value in own.items() if key not in fresh}
        found = {placed.in_file(key): value for key, value in given.items()} | rest
        hint = "" if drop_head else "; if only the classifier differs, init_head=drop starts it anew"
        if wanted.keys() != found.keys():
            hint += _holds(path)
        models.refuse_misfit(path, "the network to train", wanted, found, hint)
    except InputError as error:
        raise InputError(f"init: {error}") from None
    network.load_state_dict(given, strict=False)  # strict above, but for what is meant to stay fresh
    if notes is not None:
        notes += placed.notes
    if wider is not None:
        _check_wider(path, placed.tensors, network, wider, notes)
    return fresh


def _expect_one_of_ours(path: Path, given: Mapping[str, torch.Tensor]) -> None:
    """Raises InputError for a file whose channels cannot be copied: not ours, or of several networks."""
    if path.suffix.lower() != ".safetensors":
        raise InputError(f"init_wider: {path}: expected weights of ours, a .safetensors")
    if any(key.startswith(BESIDE) for key in given):
        raise InputError(
            f"init_wider: {path}: holds several networks side by side; expected one (`reid.part` takes one out)"
        )


def _check_wider(
    path: Path, given: Mapping[str, torch.Tensor], network: nn.Module, seed: int, notes: list[str] | None
) -> None:
    """Whether a network that began as the narrower one of a file answers as that does."""
    own = network.state_dict()
    grown = sum(value.shape != own[key].shape for key, value in given.items() if key in own)
    if not grown:
        raise InputError(f"init_wider: the network to train is as wide as that of {path}; leave it out")
    narrow, recipe = load_network(path, uncalibrated=True)
    check_answers(narrow, network, recipe.size, seed)
    if notes is not None:
        notes.append(f"{path.name}: {grown} of {len(given)} tensors grew by copied channels")


def _holds(path: Path) -> str:
    """Which network a file of ours says it holds, as the end of a message; empty where it does not say."""
    if path.suffix.lower() != ".safetensors":
        return ""
    recipe = Recipe.from_json(_read_safetensors(path, uncalibrated=True)[1], str(path))
    return f"; the file holds {recipe.model['name']}" if recipe.model else ""


def _placed(path: Path, network: nn.Module) -> Placed:
    """The tensors of a file, under the keys they have in a network of ours."""
    if path.suffix.lower() != ".safetensors":
        return place(path, read_tensors(path), network)
    tensors, text = _read_safetensors(path, uncalibrated=True)  # what a card says does not begin a training
    lost = Recipe.from_json(text, str(path)).lost_card
    notes = (f"{path.name}: {LEFT_OUT}",) if lost else ()
    zoo = all(key.startswith("body.") for key in tensors)  # ours with neck "own": as torchreid's
    if text and not zoo:
        return Placed(tensors, "", "", {}, notes)
    placed = place(path, tensors, network)
    return replace(placed, notes=(*notes, *placed.notes))


def _head_rows(network: nn.Module) -> int:
    head = getattr(network, "classifier", None)
    return int(head.out_features) if isinstance(head, nn.Linear) else 0
