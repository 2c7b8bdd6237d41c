"""How crops become a network's input: range, mean, deviation, order of colours, layout.

A file of ours says it. For a file of somebody else's the caller says it, or the file is read for signs
(`reid.runtime.signs`), and what was concluded is said in one line: a network that is fed otherwise than it was
trained still gives unit vectors, and wrong ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from retrace.configs import InputError
from retrace.configs.errors import nearest
from retrace.reid.recipe import IMAGENET_MEAN, IMAGENET_STD, Recipe

NOTHING, ONE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Feed:
    """(value / 255 * range - mean) / std, for each colour.

    Attributes:
        mean, std: in units of the range and in the order of ``colour``.
        range: what white (255) becomes before mean and std: 1 or 255.
        colour: "rgb" or "bgr".
        layout: "nchw" or "nhwc".
    """

    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    range: float = 1.0
    colour: str = "rgb"
    layout: str = "nchw"

    def __str__(self) -> str:
        plain = self.mean == NOTHING and self.std == ONE
        if (self.mean, self.std) == (IMAGENET_MEAN, IMAGENET_STD):
            units = "ImageNet mean and deviation"
        else:
            units = "as it is" if plain else f"mean {_numbers(self.mean)}, deviation {_numbers(self.std)}"
        layout = "" if self.layout == "nchw" else f", {self.layout.upper()}"
        return f"{self.colour.upper()} 0..{self.range:g}, {units}{layout}"


NAMED = {
    "imagenet": Feed(),
    "unit": Feed(NOTHING, ONE),
    "raw": Feed(NOTHING, ONE, 255.0),
}
KEYS = tuple(field.name for field in fields(Feed))


@dataclass(frozen=True, slots=True)
class Guess:
    """What the signs of a file say, and which."""

    feed: Feed
    because: str


def normalise(crops: np.ndarray, feed: Feed | None = None) -> np.ndarray:
    """(B, H, W, 3) uint8 BGR -> (B, 3, H, W), or (B, H, W, 3) with layout "nhwc", float32 as the feed says."""
    feed = feed or NAMED["imagenet"]
    scale = np.float32(feed.range) / (255 * np.asarray(feed.std, np.float32))
    lift = np.asarray(feed.mean, np.float32) / np.asarray(feed.std, np.float32)
    colours = crops[..., ::-1] if feed.colour == "rgb" else crops
    if feed.layout == "nhwc":
        batch = np.multiply(colours, scale, dtype=np.float32)
        batch -= lift
        return batch
    batch = np.empty((len(crops), 3, *crops.shape[1:3]), np.float32)
    np.multiply(colours.transpose(0, 3, 1, 2), scale[:, None, None], out=batch)
    batch -= lift[:, None, None]
    return batch


def settle(wish: object, recipe: Recipe, guess: Guess | None) -> tuple[Feed, str]:
    """The feed that holds, and where it comes from in words (empty: from our own file's recipe).

    Args:
        wish: None or "auto": as the file says or, in somebody else's, as its signs do; else a `Feed`, a mapping
            of its fields, or text: "imagenet" (RGB 0..1, ImageNet's mean and deviation), "unit" (RGB 0..1), "raw"
            (RGB 0..255), and then ``key=value`` parted by commas, the three numbers of mean and std by slashes:
            "raw,colour=bgr", "range=255,mean=123.7/116.3/103.5,std=58.4/57.1/57.4". What is not said stays as
            guessed, but a new range begins without mean and deviation.

    Raises:
        InputError: a key or value that cannot be.
    """
    own = Feed(recipe.mean, recipe.std)
    start = own if guess is None else guess.feed
    if wish is None or wish == "auto":
        return start, "" if guess is None else f"input {start} ({guess.because})"
    if isinstance(wish, Feed):
        feed = _checked({key: getattr(wish, key) for key in KEYS}, wish)
    elif isinstance(wish, str):
        feed = _parse(wish, start)
    elif isinstance(wish, Mapping):
        feed = _checked(wish, start)
    else:
        raise InputError(f"`input` must be text, a mapping or a Feed, got {type(wish).__name__}")
    return feed, f"input {feed} (as told)"


def _parse(text: str, start: Feed) -> Feed:
    given: dict[str, Any] = {}
    for number, word in enumerate(part.strip() for part in text.split(",")):
        key, equals, value = (part.strip() for part in word.partition("="))
        if not equals and number == 0 and key in NAMED:
            start = NAMED[key]
        elif not equals or key not in KEYS:
            near = nearest(key, [*KEYS, *NAMED, "auto"])
            raise InputError(
                f"`input` {text[:80]!r}: {word[:40]!r} is not known; {near}; e.g. raw,colour=bgr"
            )
        else:
            given[key] = value.split("/") if key in ("mean", "std") else value
    return _checked(given, start)


def _checked(given: Mapping[str, Any], start: Feed) -> Feed:
    odd = [key for key in given if key not in KEYS]
    if odd:
        raise InputError(f"`input`: unknown key {odd[0]!r}; {nearest(str(odd[0]), KEYS)}")
    values: dict[str, Any] = {}
    if "range" in given:
        (values["range"],) = _floats("range", [given["range"]], 1)
        if values["range"] not in (1.0, 255.0):
            raise InputError(f"`input`: range must be 1 or 255, got {given['range']!r}")
        if values["range"] != start.range:
            start = replace(start, mean=NOTHING, std=ONE)
    for key in ("mean", "std"):
        if key in given:
            values[key] = _floats(key, given[key], 3)
    if min(values.get("std", ONE)) <= 0:
        raise InputError(f"`input`: std must be above 0, got {_numbers(values['std'])}")
    for key, known in (("colour", ("rgb", "bgr")), ("layout", ("nchw", "nhwc"))):
        if key in given:
            values[key] = str(given[key]).lower()
            if values[key] not in known:
                raise InputError(f"`input`: {key} must be {' or '.join(known)}, got {str(given[key])[:40]!r}")
    return replace(start, **values)


def _floats(key: str, value: Any, count: int) -> tuple[float, ...]:
    try:
        if isinstance(value, str) or not isinstance(value, Sequence | np.ndarray):
            value = [value] * count  # one number for all colours
        if len(value) == 1:
            value = [*value] * count
        numbers = tuple(float(number) for number in value)
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise InputError(f"`input`: {key} must be {count} number(s), got {str(value)[:60]}")
    return numbers


def _numbers(values: Sequence[float]) -> str:
    return "/".join(f"{value:.4g}" for value in values)
