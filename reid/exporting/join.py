"""Two networks or more in one file, whose vectors stand side by side; and one of them out of it."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

from torch import nn

from retrace.configs import InputError
from retrace.configs.errors import one_of
from retrace.reid.config import ModelConfig
from retrace.reid.recipe import Recipe
from retrace.reid.weights.files import BESIDE, LEFT_OUT, build, load_network, save_network, without_classifier
from retrace.reid.weights.shipped import as_trained, locate

ENDING = ".safetensors"
EXPORTS = (".onnx", ".xml", ".torchscript")


def join(
    weights: str | Path,
    beside: Sequence[str | Path],
    out: str | Path,
    *,
    half: bool = False,
    notes: list[str] | None = None,
) -> Path:
    """Write a file whose vectors are those of several networks side by side, each with its dimensions as its say.

    It takes the first network's crops; the others get them made smaller. What a distance means is another matter
    then, so calibrations are left out: calibrate the file, then export it.

    Args:
        weights: a .safetensors of ours, or the name of shipped weights.
        beside: more of them, or torchreid checkpoints.
        out: ends in .safetensors.
        half: store kernels as float16.
        notes: gets a line for each file whose card is damaged and was left out.

    Returns:
        ``out``.

    Raises:
        InputError: a file that cannot be read or written, or networks that cannot stand beside each other.

    Example:
        >>> from retrace.reid import Embedder, join
        >>> Embedder.from_weights(join("auto", ["auto"], "twice.safetensors"), device="cpu").dim
        1024
    """
    if isinstance(beside, (str, Path)) or not beside:
        raise InputError(f"`beside`: expected a list of weights, at least one, got {beside!r}")
    sources = [_source(one, Path(out)) for one in (weights, *beside)]
    bare = [_bare(source, notes) for source in sources]
    save_network(out, *_side_by_side(bare, sources), half=half)
    return Path(out)


def part(
    weights: str | Path,
    name: str,
    out: str | Path,
    *,
    half: bool = False,
    notes: list[str] | None = None,
) -> Path:
    """Write one of the networks that :func:`join` put in one file, alone: to look at, or to train on.

    Args:
        weights: a .safetensors of ours that holds several networks, or the name of such shipped weights.
        name: of the network, as the file calls it: of an unknown one, the message lists them.
        out: ends in .safetensors.
        half: store kernels as float16.

    Returns:
        ``out``. Its vectors are that network's share of the joined ones, as unit vectors; it is not calibrated.

    Raises:
        InputError: a file that cannot be read or written, that holds one network, or none of that name.

    Example:
        >>> from retrace.reid import Embedder, join, part
        >>> both = join("auto", ["fast"], "both.safetensors")
        >>> alone = part(both, "osnet_x0_25_2", "alone.safetensors")  # the second one of an osnet_x0_25
        >>> Embedder.from_weights(both, device="cpu").dim, Embedder.from_weights(alone, device="cpu").dim
        (1024, 512)
        >>> Embedder.from_weights(alone, device="cpu").size  # those of `fast`
        (128, 64)
    """
    source = _source(weights, Path(out))
    network, recipe = _bare(source, notes)
    others = (recipe.model or {}).get("beside", {})
    if not others:
        raise InputError(f"{source}: holds one network, so there is none to take out")
    one_of("name", name, (recipe.name, *others))
    begins = "" if name == recipe.name else _begins(name)
    recipe = _recipe_of(name, recipe)
    alone = build(recipe, source)
    tensors = network.state_dict()
    alone.load_state_dict({key: tensors[begins + key] for key in alone.state_dict()}, strict=True)
    save_network(out, alone.float().eval(), recipe, half=half)
    return Path(out)


def _bare(source: Path, notes: list[str] | None) -> tuple[nn.Module, Recipe]:
    """A network without its classifier; a damaged card says nothing that is wanted here."""
    network, recipe = load_network(source, uncalibrated=True)
    if recipe.lost_card and notes is not None:
        notes.append(f"{source.name}: {LEFT_OUT}")
    return without_classifier(network, recipe)


def _source(weights: str | Path, out: Path) -> Path:
    """The file of weights as they were trained, which ``out`` may be written from."""
    if out.suffix != ENDING:
        raise InputError(f"{out}: such a file ends in {ENDING}; export it afterwards")
    source = as_trained(locate(weights))
    if source.suffix.lower() in EXPORTS:
        raise InputError(f"{source}: is an export; expected networks as they were trained ({ENDING})")
    if out.exists() and out.samefile(source):
        raise InputError(f"{out}: would overwrite the weights it is made from; choose another file")
    return source


def _recipe_of(name: str, joined: Recipe) -> Recipe:
    """What the file of one network of several says; the first has the file's own name."""
    model, card = joined.model or {}, dict(joined.uncalibrated().card)
    told = card.pop("beside", {})
    if name == joined.name:
        return replace(joined, model={**model, "beside": {}}, card=card)
    other = model["beside"][name]
    return replace(
        joined,
        name=other["model"]["name"],
        size=tuple(other["size"]),
        model=other["model"],
        card=told.get(name, {}),
    )


def _side_by_side(
    bare: Sequence[tuple[nn.Module, Recipe]], sources: Sequence[Path]
) -> tuple[nn.Module, Recipe]:
    """The first network with the others beside it, and what its file says."""
    first, recipe = bare[0]
    tensors = first.state_dict()
    model = ModelConfig.model_validate(recipe.model).model_dump(mode="json")
    if model["neck"] == "own":
        raise InputError(
            f"{sources[0]}: keeps its own head, so nothing can stand beside it; give it as `beside`"
        )
    card = recipe.uncalibrated().card
    for (other, theirs), source in zip(bare[1:], sources[1:], strict=True):
        if (theirs.mean, theirs.std) != (recipe.mean, recipe.std):
            raise InputError(
                f"{source}: takes images of mean {theirs.mean} and deviation {theirs.std}, {sources[0]} of "
                f"{recipe.mean} and {recipe.std}: one crop cannot be fed to both"
            )
        name = _free(theirs.name, {recipe.name, *model["beside"]})
        model["beside"][name] = {"model": theirs.model, "size": theirs.size}
        card["beside"] = {**card.get("beside", {}), name: theirs.uncalibrated().card}
        tensors |= {_begins(name) + key: value for key, value in other.state_dict().items()}
    recipe = replace(recipe, model=model, card=card)
    joined = build(recipe, sources[0])
    joined.load_state_dict(tensors, strict=True)
    return joined.float().eval(), recipe


def _begins(name: str) -> str:
    """What the tensors of a network beside the first begin with."""
    return f"{BESIDE}{name}.network."


def _free(name: str, taken: Collection[str]) -> str:
    """A network's name as a module's, with a number where it is taken."""
    name = re.sub(r"\W", "_", name) or "network"
    numbered = (f"{name}_{n}" for n in count(2))
    return name if name not in taken else next(one for one in numbered if one not in taken)
