"""Readers of JSON, YAML and .npz for which every kind of damage is one line."""

from __future__ import annotations

import copy
import functools
import json
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from retrace.configs.errors import InputError, one_line
from retrace.configs.files import reading

if TYPE_CHECKING:
    import numpy as np

LARGEST_TEXT = 2**28  # bytes of a JSON or YAML file
REMEMBERED = 2**16  # bytes of a YAML text that may come again, as presets do
LARGEST_NPZ = 2**32  # bytes when unpacked
KINDS: dict[type, str] = {dict: "an object", list: "a list"}
# Besides what is said by the parsers themselves: depth, numbers of 5,000 digits, dates that are none.
DAMAGE = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError, MemoryError)


class PlainLoader(yaml.SafeLoader):
    """YAML without aliases (a few lines of them unfold into 10^9 values), where only true and false are truth values:
    `on` is a key of ours."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "aliases (*name) are not read here")
        return super().compose_node(parent, index)


PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag != "tag:yaml.org,2002:bool"]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def parse_json(text: str | bytes, origin: object, kind: type = dict) -> Any:
    """What JSON text says, which must be a ``kind``: dict (an object) or list.

    Raises:
        InputError: begins with ``origin``.
    """
    try:
        found = json.loads(text.decode("utf-8") if isinstance(text, bytes) else text)
    except DAMAGE as error:
        raise InputError(f"{origin}: not readable as JSON: {one_line(error)}") from None
    if not isinstance(found, kind):
        raise InputError(
            f"{origin}: expected JSON with {KINDS.get(kind, kind.__name__)}, got {type(found).__name__}"
        )
    return found


def read_json(path: Path, kind: type = dict) -> Any:
    """:func:`parse_json` of a file.

    Raises:
        InputError: no such file, no JSON, or another kind of value.
    """
    return parse_json(_bytes_of(path, "JSON"), path, kind)


def parse_yaml(text: str | bytes, origin: object) -> Any:
    """What YAML text says: numbers, words, lists, mappings.

    Raises:
        InputError: begins with ``origin``.
    """
    try:
        # a copy: presets' values are replaced in what is read
        return copy.deepcopy(_parsed(text)) if len(text) <= REMEMBERED else _parsed.__wrapped__(text)
    except (yaml.YAMLError, *DAMAGE) as error:
        raise InputError(f"{origin}: not readable as YAML: {one_line(error)}") from None


@functools.lru_cache(maxsize=256)
def _parsed(text: str | bytes) -> Any:
    """Parsing is most of what it takes to make a tracker of a preset."""
    return yaml.load(text, PlainLoader)  # a safe one


def read_yaml(path: Path) -> dict[Any, Any]:
    """The mapping in a YAML file.

    Raises:
        InputError: no such file, no YAML, or something else than a mapping.
    """
    found = parse_yaml(_bytes_of(path, "YAML"), path)
    if not isinstance(found, dict):
        raise InputError(f"{path}: expected a mapping of keys to values, got {type(found).__name__}")
    return found


def read_npz(
    path: Path, what: str, wanted: Iterable[str] | None = None, largest: int = LARGEST_NPZ
) -> tuple[dict[str, np.ndarray], list[str]]:
    """The ``wanted`` arrays of an .npz that has them, and the names of all that it has. Nothing is unpickled.

    Args:
        path: of the file.
        what: it should be, for messages: "detections".
        wanted: names of arrays; None: all.
        largest: bytes that they may have together when unpacked.

    Raises:
        InputError: no such file, no .npz of plain arrays, or a larger one.
    """
    import numpy as np

    try:
        if not path.is_file():
            raise InputError(f"{path}: {'is a folder, not a' if path.is_dir() else 'no such'} {what} file")
        # opened here, since NumPy leaves a broken file open
        if not zipfile.is_zipfile(path):
            raise ValueError("no zip archive")
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            assert file.zip is not None
            sizes = {entry.filename.removesuffix(".npy"): entry.file_size for entry in file.zip.infolist()}
            here = [name for name in (sizes if wanted is None else wanted) if name in sizes]
            if sum(sizes[name] for name in here) > largest:
                raise InputError(f"{path}: more than {largest:,} bytes when unpacked; split it")
            return {name: np.asarray(file[name]) for name in here}, list(sizes)
    except InputError:
        raise
    except Exception as error:  # whatever the parsers of zip, header and stream stumble over is damage
        raise InputError(f"{path}: not readable as an .npz file of plain arrays: {one_line(error)}") from None


def _bytes_of(path: Path, kind: str) -> bytes:
    with reading(path):
        if not path.is_file():
            raise InputError(f"{path}: {f'is no file with {kind}' if path.exists() else 'no such file'}")
        if path.stat().st_size > LARGEST_TEXT:
            raise InputError(f"{path}: more than {LARGEST_TEXT:,} bytes, which is no {kind} file of ours")
        return path.read_bytes()
