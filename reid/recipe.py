"""What a network takes and where it comes from: the JSON that travels inside our weights, in every format."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from retrace.configs import InputError

KEY = "retrace"  # of the recipe in a file's metadata
SUM = "retrace_sha256"  # of the checksum beside it: of the weights and the recipe
NETWORK_SUM = "retrace_network_sha256"  # of another: of the weights and the recipe less its card
AFTER_CARD = '"classes"'  # the next key in a recipe's text
FORMAT = 1
SIZE = (256, 128)  # px, height and width: what person networks are trained on, where the file does not say
LARGEST = 4096  # px each way of a crop, and numbers in a vector: more is a damaged or hostile file
MOST_CLASSES = 10_000_000
# In place of a card that is damaged and left out: it may have said something of distances.
DAMAGED = {"calibration": None}
MOST = 1e300  # of a number: less than infinity
IMAGENET_MEAN = (0.485, 0.456, 0.406)  # RGB, of images in [0, 1]
IMAGENET_STD = (0.229, 0.224, 0.225)
KINDS: dict[str, tuple[Any, str]] = {
    "name": (str, "text"),
    "classes": (int, "a whole number"),
    "model": ((dict, type(None)), "an object, or null"),
    "card": (dict, "an object"),
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to know about a network.

    The defaults are of weights that say nothing about themselves: fed as torchreid trains.

    Attributes:
        name: the network's name.
        size: px, (H, W).
        mean, std: RGB, of images in [0, 1].
        classes: rows of the classifier; 0: it has none.
        model: the `reid.config.ModelConfig` as a plain dict; None: not one of ours.
        card: the protocol card of its training: data, recipe, figures.
    """

    name: str = ""
    size: tuple[int, int] = SIZE
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    classes: int = 0
    model: dict[str, Any] | None = None
    card: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True)

    def uncalibrated(self) -> Recipe:
        """The same without what the card says of distances, or without a damaged card."""
        card = {key: value for key, value in self.card.items() if key != "calibration"}
        return replace(self, card=card)

    @property
    def lost_card(self) -> bool:
        """Whether it was read from a file whose card is damaged."""
        return self.card == DAMAGED

    @classmethod
    def from_json(cls, text: str | None, origin: object) -> Recipe:
        """What :meth:`to_json` wrote; the defaults where there is no text.

        Raises:
            InputError: anything else; the message begins with ``origin``.
        """
        if not text:
            return cls()
        try:
            return cls(**_read(text))
        except ValueError as error:
            raise InputError(f"{origin}: its {KEY!r} metadata is not readable: {error}") from None


def check_sums(
    origin: object, told: Mapping[str, str], checksum: Callable[[str], str], uncalibrated: bool = False
) -> str:
    """The recipe's text in a file of ours, compared with the checksums it was written with; what has none passes.

    Args:
        origin: the file.
        told: its metadata.
        checksum: the one of its weights and a text, which is the recipe, whole or less its card.
        uncalibrated: a damaged card is no error.

    Returns:
        The recipe's text for `Recipe.from_json`, with ``DAMAGED`` for its card where that is; empty: it has none.

    Raises:
        InputError: it is damaged; the message says where.
    """
    text = told.get(KEY, "")
    if not told.keys() & {SUM, NETWORK_SUM} or told.get(SUM) == checksum(text):
        return text
    try:
        network = _without_card(text)
    except ValueError as error:
        raise InputError(
            f"{origin}: is damaged: its {KEY!r} metadata, which tells of the network and holds the card, is not "
            f"readable: {error}; take the file anew"
        ) from None
    wrote = "the checksum they were written with; take the file anew"
    if NETWORK_SUM not in told:  # as files of before: it cannot be told which of the two is damaged
        raise InputError(f"{origin}: is damaged: its weights or its card do not match {wrote}")
    if told[NETWORK_SUM] != checksum(network):
        raise InputError(f"{origin}: is damaged: its weights or how they are run do not match {wrote}")
    if not uncalibrated:
        raise InputError(
            f"{origin}: is damaged: its card does not match the checksum it was written with, its weights do; take "
            "the file anew, or open it without what the card says of distances (`uncalibrated`)"
        )
    return json.dumps({**json.loads(network), "card": DAMAGED}, sort_keys=True)


def network_checksum(text: str, checksum: Callable[[str], str]) -> str:
    """What stands under ``NETWORK_SUM`` of a file with this recipe; ``checksum`` as `check_sums` takes it."""
    return checksum(_without_card(text))


def _without_card(text: str) -> str:
    """A recipe's text less its card, in an order of its own. Raises ValueError: no such text."""
    try:
        told = _object(text)
    except ValueError:  # of a card that is no JSON any more: keys are in order, and it is the first
        told = _object("{" + text[text.rfind(AFTER_CARD) :] if AFTER_CARD in text else text)
    return json.dumps({key: value for key, value in told.items() if key != "card"}, sort_keys=True)


def _object(text: str) -> dict[str, Any]:
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        raw = None
    need(isinstance(raw, dict), "expected a JSON object")
    return raw


def _read(text: str) -> dict[str, Any]:
    """The fields of a recipe. Raises ValueError, in words of ours."""
    raw = _object(text)
    need(raw.pop("format", None) == FORMAT, f"expected format {FORMAT}")
    for key, (kind, what) in KINDS.items():
        need(key not in raw or isinstance(raw[key], kind), f"{key}: expected {what}")
    need(0 <= raw.get("classes", 0) <= MOST_CLASSES, f"classes: expected 0 to {MOST_CLASSES}")
    size, mean, std = (numbers(raw.get(key), key) for key in ("size", "mean", "std"))
    need(len(size) == 2 and min(size) >= 1, "size: expected a height and a width from 1 px")
    need(max(size) <= LARGEST, f"size {size[0]:g}x{size[1]:g} is above {LARGEST} px")
    need(len(mean) == len(std) == 3 and min(std) > 0, "mean, std: expected 3 numbers each, std above 0")
    embedding = (raw.get("model") or {}).get("embedding")
    large = isinstance(embedding, int) and embedding > LARGEST
    need(not large, f"vectors of more than {LARGEST} numbers")
    odd = sorted(raw.keys() - Recipe.__dataclass_fields__.keys())
    need(not odd, f"unknown key {''.join(odd[:1])[:40]!r}")
    return {**raw, "size": (int(size[0]), int(size[1])), "mean": mean, "std": std}


def need(good: bool, expected: str) -> None:
    """Raises ValueError that says what was expected."""
    if not good:
        raise ValueError(expected)


def number(value: object, name: str) -> float:
    """A number of JSON. Raises ValueError: it is none, or not finite."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and -MOST <= value <= MOST
    need(good, f"{name}: expected a number")
    return float(value)  # type: ignore[arg-type]


def numbers(value: object, name: str) -> tuple[float, ...]:
    """A list of numbers of JSON. Raises ValueError: it is none."""
    need(isinstance(value, list | tuple), f"{name}: expected numbers")
    return tuple(number(each, name) for each in value)  # type: ignore[attr-defined]
