"""Readers of JSON, YAML and .npz for which every kind of damage is one line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from retrace.configs.errors import InputError

if TYPE_CHECKING:
    import numpy as np

LARGEST_TEXT = 2**28  # bytes of a JSON or YAML file
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
        found = json.loads(text)
    except DAMAGE as error:
        raise InputError(f"{origin}: not readable as JSON: {_why(error)}") from None
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
        return yaml.load(text, PlainLoader)  # a safe one
    except (yaml.YAMLError, *DAMAGE) as error:
        raise InputError(f"{origin}: not readable as YAML: {_why(error)}") from None


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
    path: Path, wanted: Iterable[str] | None = None, largest: int = LARGEST_NPZ
) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by name; nothing that would have to be unpickled.

    Args:
        wanted: the names to read, as far as they are there; None: all.
        largest: bytes that they may take when unpacked.

    Raises:
        InputError: no such file, damaged in whatever way, too large.
    """
    import numpy as np

    try:
        if not path.is_file():
            raise FileNotFoundError(2, "no such file, or a folder")
        # opened here, since NumPy leaves a broken file open
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise ValueError("one array alone, no .npz")
            names = file.files if wanted is None else [name for name in wanted if name in file.files]
            assert file.zip is not None
            sizes = {entry.filename.removesuffix(".npy"): entry.file_size for entry in file.zip.infolist()}
            if sum(sizes.get(name, 0) for name in names) > largest:
                raise ValueError(f"more than {largest:,} bytes when unpacked")
            arrays = {name: file[name] for name in names}
    except Exception as error:  # whatever the parsers of zip, header and stream stumble over is damage
        raise InputError(f"{path}: not readable as .npz: {_why(error)}") from None
    for name, values in arrays.items():
        if not isinstance(values, np.ndarray):  # NumPy gives the bytes of what has no header of its own
            raise InputError(f"{path}: {name[:40]} is no array")
    return arrays


def _bytes_of(path: Path, kind: str) -> bytes:
    try:
        if not path.is_file():
            raise InputError(f"{path}: {f'is no file with {kind}' if path.exists() else 'no such file'}")
        if path.stat().st_size > LARGEST_TEXT:
            raise InputError(f"{path}: more than {LARGEST_TEXT:,} bytes, which is no {kind} file of ours")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def _why(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
