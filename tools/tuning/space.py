"""What tools/tune.py may change: a preset, the values of it that vary, and how a point is drawn from them."""

from __future__ import annotations

import copy
import difflib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydantic
from pydantic import model_validator

from retrace.configs import InputError
from retrace.configs.loader import Strict, preset_path, validate
from retrace.configs.reading import read_yaml
from retrace.tracker.config import TrackerConfig

Value = bool | int | float | str | None
Params = dict[str, Value]  # dotted key of a preset -> its value
TRIES = 200  # draws for one valid combination before the space is called unfit
DIGITS = 9  # significant digits of a drawn number: what a preset file says is then what was scored


class Parameter(Strict):
    """How one value may vary: ``{low, high, log?, step?}`` or ``{choices: [...]}``; whole numbers stay whole."""

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    step: int | float | None = None
    choices: tuple[Value, ...] | None = None

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Parameter:
        numbers = (self.low, self.high, self.step)
        if self.choices is not None:
            if len(self.choices) < 2 or numbers != (None, None, None) or self.log:
                raise ValueError("expected either {choices: [two or more]} or {low, high}")
        elif self.low is None or self.high is None or not self.low < self.high:
            raise ValueError(f"expected low < high, got low {self.low}, high {self.high}")
        elif not all(x is None or math.isfinite(x) for x in numbers):
            raise ValueError("expected finite numbers")
        elif self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log needs low > 0, and takes no step")
        elif self.step is not None and not 0 < self.step <= self.high - self.low:
            raise ValueError(f"step is {self.step:g}, expected above 0, at most high - low")
        return self

    @property
    def whole(self) -> bool:
        """Whether low, high and step are written as whole numbers: then so are the values."""
        return all(isinstance(x, int) for x in (self.low, self.high, self.step or 1))

    @property
    def bounds(self) -> tuple[Value, ...]:
        """Values that the preset must accept one by one: both ends, or every choice."""
        return (self.low, self.high) if self.choices is None else self.choices

    @property
    def grid(self) -> float | None:
        """The distance between values; None: they lie dense, or as a logarithm has it."""
        return self.step or (1 if self.whole and not self.log else None)

    @property
    def ends(self) -> tuple[float, float]:
        """The smallest and the largest value, which may lie below ``high`` where there is a grid."""
        assert self.low is not None  # not called for choices
        assert self.high is not None
        if self.grid is None:
            return self.low, self.high
        steps = math.floor((self.high - self.low) / self.grid + 1e-9)
        return self.low, min(self.high, self.tidy_number(self.low + steps * self.grid))

    def at(self, place: float) -> Value:
        """The value at a place in [0, 1): equal stretches are equally likely."""
        if self.choices is not None:
            return self.choices[int(place * len(self.choices))]
        low, high = self.ends
        if self.grid is not None:
            count = round((high - low) / self.grid) + 1
            return self.tidy(low + self.grid * int(place * count))
        return self.tidy(low * (high / low) ** place if self.log else low + place * (high - low))

    def holds(self, value: Any) -> bool:
        """Whether a value is one of those that can be drawn."""
        if self.choices is not None:
            return any(value == x and type(value) is type(x) for x in self.choices)
        low, high = self.ends
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            return False
        steps = (value - low) / (self.grid or (1 if self.whole else value - low or 1))
        return abs(steps - round(steps)) < 1e-8

    def tidy(self, value: Any) -> Value:
        """A drawn value without the noise of its last digits."""
        if self.choices is not None:
            return value
        low, high = self.ends
        return min(max(self.tidy_number(value), low), high)

    def tidy_number(self, value: float) -> float:
        return round(value) if self.whole else float(f"{value:.{DIGITS}g}")


@dataclass(frozen=True, slots=True)
class Space:
    """A preset as a plain dict, and which of its values vary."""

    base: dict[str, Any]
    parameters: dict[str, Parameter]
    origin: str  # for messages

    def config(self, params: Mapping[str, Value]) -> TrackerConfig:
        """The preset with these values.

        Raises:
            InputError: a combination that the preset refuses.
        """
        return with_values(self.base, params, self.origin)

    def allows(self, params: Mapping[str, Value]) -> bool:
        try:
            self.config(params)
        except InputError:
            return False
        return True

    def preset_params(self) -> Params | None:
        """The preset's own values of all parameters; None: one of them lies outside the space."""
        own = {key: _at(self.base, key) for key in self.parameters}
        if not all(p.holds(own[key]) for key, p in self.parameters.items()):
            return None
        return {key: p.tidy(own[key]) for key, p in self.parameters.items()}

    def spread(self, count: int, seed: int) -> list[Params]:
        """``count`` valid points that fill the space, by Latin hypercubes: no score is looked at.

        Raises:
            InputError: hardly any combination is valid.
        """
        rng, found = np.random.default_rng(seed), []
        for _ in range(TRIES):
            places = rng.random((count, len(self.parameters)))
            cube = (
                rng.permuted(np.tile(np.arange(count), (len(self.parameters), 1)), axis=1).T + places
            ) / count
            points = [
                {key: p.at(x) for (key, p), x in zip(self.parameters.items(), row.tolist(), strict=True)}
                for row in cube
            ]
            found += [point for point in points if self.allows(point)]
            if len(found) >= count:
                return found[:count]
        raise self.unfit()

    def unfit(self) -> InputError:
        return InputError(f"{self.origin}: hardly any combination is a valid preset; narrow the ranges")


def load_space(name_or_path: str | Path, base: TrackerConfig) -> Space:
    """A search space: ``configs/tune/NAME.yaml`` or a YAML file, dotted key of the preset -> :class:`Parameter`.

    Raises:
        InputError: no such file, broken YAML, a key that the preset does not have (the nearest is named), a
            range that makes no sense, or an end of one that the preset refuses.
    """
    path = preset_path(name_or_path, "tune")
    raw = read_yaml(path)
    if not raw or not all(isinstance(key, str) for key in raw):
        raise InputError(
            f"{path}: expected dotted keys of the preset, each with {{low, high}} or {{choices}}"
        )
    preset = base.model_dump(mode="json")
    known = set(_paths(preset))
    parameters: dict[str, Parameter] = {}
    for key, entry in raw.items():
        if key not in known:
            raise InputError(f"{path}: the preset has no {key!r}; {_nearest(key, known)}")
        if not isinstance(entry, dict):
            raise InputError(f"{path}: {key}: expected {{low, high}} or {{choices: [...]}}, got {entry!r}")
        parameters[key] = validate(entry, Parameter, f"{path}: {key}")
        for bound in parameters[key].bounds:
            _check_bound(preset, key, bound, path)
    inside = [(a, b) for a in parameters for b in parameters if b.startswith(f"{a}.")]
    if inside:
        raise InputError(f"{path}: {inside[0][1]!r} lies inside {inside[0][0]!r}; vary one of them")
    return Space(preset, parameters, str(path))


def with_values(base: Mapping[str, Any], params: Mapping[str, Value], origin: str) -> TrackerConfig:
    """A dumped preset with some values replaced by dotted key, validated anew."""
    return validate(_replaced(base, params), TrackerConfig, origin)


def _replaced(base: Mapping[str, Any], params: Mapping[str, Value]) -> dict[str, Any]:
    raw: Any = copy.deepcopy(dict(base))
    for key, value in params.items():
        *parents, last = key.split(".")
        node = raw
        for part in parents:
            node = node[_step(node, part)]
        node[_step(node, last)] = value
    return raw


def _step(node: Any, part: str) -> str | int:
    return int(part) if isinstance(node, list) else part


def _at(node: Any, key: str) -> Any:
    for part in key.split("."):
        node = node[_step(node, part)]
    return node


def _paths(node: Any, prefix: str = "") -> Iterator[str]:
    """Every dotted key of a dumped preset, groups included."""
    entries = enumerate(node) if isinstance(node, list) else node.items() if isinstance(node, dict) else ()
    for name, child in entries:
        yield f"{prefix}{name}"
        yield from _paths(child, f"{prefix}{name}.")


def _nearest(key: str, known: set[str]) -> str:
    """A preset has too many keys to list them all."""
    close = difflib.get_close_matches(key, sorted(known), n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(map(repr, close))}?"
    return f"known: {', '.join(sorted(k for k in known if '.' not in k))}, and their parts by dots"


def _check_bound(preset: dict[str, Any], key: str, bound: Value, path: Path) -> None:
    """An end of a range that can never be valid is a mistake; one that only excludes some others is not."""
    try:
        TrackerConfig.model_validate(_replaced(preset, {key: bound}))
    except pydantic.ValidationError as error:
        for fault in error.errors():
            where = iter(map(str, fault["loc"]))
            if all(part in where for part in key.split(".")):  # the fault lies at this key
                raise InputError(f"{path}: {key}: {bound!r} is refused: {fault['msg']}") from None
