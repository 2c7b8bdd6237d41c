"""Strict YAML presets: an unknown key names its nearest valid one, types and ranges are checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pydantic

from retrace.configs.errors import InputError, nearest, path_text, shorten
from retrace.configs.reading import parse_yaml, read_yaml

HERE = Path(__file__).parent
Model = TypeVar("Model", bound=pydantic.BaseModel)
NUMBER, WHOLE, LIST = "expected a number", "expected a whole number", "expected a list"
WORDS = {  # pydantic's kinds of errors in our words; what is not here is said in its own
    "missing": "is missing",
    "float_type": NUMBER, "float_parsing": NUMBER, "finite_number": "expected a finite number",
    "int_type": WHOLE, "int_parsing": WHOLE, "int_from_float": WHOLE, "int_parsing_size": WHOLE,
    "bool_type": "expected true or false", "bool_parsing": "expected true or false",
    "string_type": "expected a text",
    "string_too_short": "expected at least {min_length} characters",
    "string_too_long": "expected at most {max_length} characters",
    "tuple_type": LIST, "list_type": LIST,
    "too_short": "expected at least {min_length} entries, got {actual_length}",
    "too_long": "expected at most {max_length} entries, got {actual_length}",
    "dict_type": "expected keys with values", "model_type": "expected keys with values",
    "literal_error": "expected {expected}",
    "greater_than": "must be above {gt:g}", "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be below {lt:g}", "less_than_equal": "must be at most {le:g}",
}  # fmt: skip


class Strict(pydantic.BaseModel):
    """What every model of a file begins with: an unknown key is an error, and nothing changes once it is read."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


def load_preset(
    name_or_path: str | Path,
    model: type[Model],
    kind: str,
    overrides: Mapping[str, Any] | None = None,
) -> Model:
    """Read a preset and validate it.

    Args:
        name_or_path: a preset's name in ``configs/KIND/`` or the path of a YAML file.
        model: the pydantic model that sits beside the code it configures.
        kind: the folder in ``configs/`` where such presets lie: "tracker", "reid", "memory" ...
        overrides: values that replace the file's; a dotted key reaches inside ("stages.0.limit").

    Raises:
        InputError: no such preset or file, broken YAML, unknown key, wrong type, value out of range.

    Example:
        >>> from retrace.configs import load_preset
        >>> from retrace.tracker.config import TrackerConfig
        >>> config = load_preset("bytetrack", TrackerConfig, "tracker", {"max_age": 2.0, "stages.0.limit": 0.7})
        >>> config.max_age, config.stages[0].limit_of("active")
        (2.0, 0.7)
    """
    path = preset_path(name_or_path, kind)
    raw = read_yaml(path)
    for key, value in (overrides or {}).items():
        _override(raw, key, value, model)
    return validate(raw, model, f"{path} with {_some(overrides)}" if overrides else str(path))


def _some(keys: Iterable[str]) -> str:
    first, *more = keys
    return f"{first} and {len(more)} more" if more else first


def preset_path(name_or_path: str | Path, kind: str) -> Path:
    """The YAML file of a preset's name or of a path.

    Raises:
        InputError: there is no such file; the message lists the presets.
    """
    path = Path(path_text("name_or_path", name_or_path))
    if path.suffix.lower() in (".yaml", ".yml"):
        if not path.is_file():
            raise InputError(f"{path}: no such preset file")
        return path
    named = HERE / kind / f"{name_or_path}.yaml"
    if not named.is_file():
        known = [p.stem for p in (HERE / kind).glob("*.yaml")]
        raise InputError(f"unknown {kind} preset {str(name_or_path)!r}; {nearest(str(name_or_path), known)}")
    return named


def validate(raw: Mapping[str, Any], model: type[Model], origin: str) -> Model:
    """``raw`` as ``model``; every problem in one line that begins with ``origin``.

    Raises:
        InputError: whatever does not fit the model.
    """
    try:
        return model.model_validate(raw)
    except pydantic.ValidationError as error:
        raise InputError(f"{origin}: " + "; ".join(_explain(e, model) for e in error.errors())) from None


def parse_assignments(pairs: Iterable[str]) -> dict[str, Any]:
    """``["max_age=2", "stages.0.limit=0.5"]`` -> a mapping with YAML-typed values, for :func:`load_preset`.

    Raises:
        InputError: a pair without a key or a "=", a value that is no YAML.
    """
    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise InputError(f"`pairs` {shorten(pair, 200)}: expected key=value")
        found[key.strip()] = parse_yaml(value, f"`pairs` {shorten(pair, 200)}")
    return found


def _override(raw: dict[str, Any], dotted: str, value: Any, model: type[pydantic.BaseModel]) -> None:
    """Set ``raw[a][b][c]`` for "a.b.c"; a list is indexed by number. Unknown last keys fail in validation."""
    parts = dotted.split(".")
    node: Any = raw
    while len(parts) > 1:
        part = parts.pop(0)
        if isinstance(node, list) and part.isdecimal() and int(part) < len(node):
            node = node[int(part)]
        elif isinstance(node, dict) and (part in node or part in model.model_fields or "." in part):
            node = node.setdefault(part, {})
        elif isinstance(node, dict) and node is not raw and parts[0][:1].isupper():
            parts[0] = f"{part}.{parts[0]}"  # a name with a dot inside: pml.ContrastiveLoss
        else:
            keys = model.model_fields if node is raw else node if isinstance(node, dict) else []
            valid = map(str, range(len(node))) if isinstance(node, list) else keys
            raise InputError(f"override {dotted!r}: no {part!r} here; {nearest(part, valid)}")
    last = parts[0]
    if isinstance(node, list) and not (last.isdecimal() and int(last) < len(node)):
        raise InputError(f"override {dotted!r}: no entry {last!r}; there are {len(node)}, from 0")
    if isinstance(node, list):
        node[int(last)] = value
    elif isinstance(node, dict):
        node[last] = value
    else:
        group = dotted.removesuffix(f".{last}").rpartition(".")[2]
        raise InputError(f"override {dotted!r}: {group!r} is a value, not a group")


def _explain(error: Any, model: type[pydantic.BaseModel]) -> str:
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return (
            f"unknown key {where!r}; {nearest(str(error['loc'][-1]), _fields_at(model, error['loc'][:-1]))}"
        )
    own = error["msg"].removeprefix("Value error, ")
    message = WORDS[error["type"]].format(**error.get("ctx", {})) if error["type"] in WORDS else own
    given = (
        ""
        if isinstance(error["input"], dict | list | tuple)
        else f", got {shorten(repr(error['input']), 200)}"
    )
    return f"{where}: {message}{given}" if where else f"{message}{given}"


def _fields_at(model: Any, location: tuple[int | str, ...]) -> list[str]:
    """The valid keys of the nested model that ``location`` leads to."""
    for part in location:
        if isinstance(part, int):
            continue
        found = model.model_fields.get(part)
        for candidate in _models_in(found.annotation if found else None):
            model = candidate
            break
    return list(model.model_fields)


def _models_in(annotation: Any) -> list[type[pydantic.BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return [annotation]
    return [m for arg in getattr(annotation, "__args__", ()) for m in _models_in(arg)]
