"""The little of an ONNX file that tells how it wants to be fed, read without the `onnx` package.

ONNX is Protocol Buffers (https://protobuf.dev/programming-guides/encoding): a message is fields, a field a number,
a wire type and a value. The field numbers below are onnx.proto's. Weights are stepped over, never read.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from retrace.reid.recipe import check_sums

SMALL = 64  # numbers in a constant that may be a mean, a deviation or an order of colours
LONGEST = 10_000  # bytes of a text that is looked at for signs
DEEP = 12  # operations from the input that are looked at
TYPES = {1: np.float32, 6: np.int32, 7: np.int64, 10: np.float16, 11: np.float64}  # TensorProto.DataType


@dataclass(slots=True)
class Node:
    """One operation."""

    kind: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    numbers: dict[str, np.ndarray] = field(default_factory=dict)  # small attributes: perm, axis, value


@dataclass(slots=True)
class OnnxFile:
    """Who wrote the file, and its operations from the front."""

    producer: str = ""
    name: str = ""
    texts: dict[str, str] = field(default_factory=dict)  # metadata
    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)  # the small ones


def read_onnx(path: Path) -> OnnxFile:
    """The signs of a file; an empty answer where it cannot be read (the runtime says what is wrong with it)."""
    found = OnnxFile()
    try:
        data: Any = np.memmap(path, np.uint8, "r")
        _read_model(memoryview(data), found)
    except (OSError, ValueError, IndexError, struct.error, UnicodeDecodeError):
        return OnnxFile()
    return found


def digest(path: Path, text: str) -> str:
    """SHA-256 over the graph (weights included) and a text, our recipe: what makes the vectors of a file.

    Raises:
        OSError, ValueError, IndexError: the file cannot be read as ONNX.
    """
    data: Any = np.memmap(path, np.uint8, "r")
    total = hashlib.sha256()
    for number, value in _fields(memoryview(data)):
        if number == 7 and not isinstance(value, int):
            total.update(value)
    total.update(text.encode())
    return total.hexdigest()


def verify(path: Path, uncalibrated: bool = False) -> str:
    """Compare a file of ours with the checksums it was written with; see `reid.recipe.check_sums`.

    Returns:
        Its recipe's text, less a damaged card; empty: it has none.

    Raises:
        InputError: it is damaged.
    """
    return check_sums(path, texts(path), partial(digest, path), uncalibrated)


def texts(path: Path) -> dict[str, str]:
    """The metadata alone, whatever the operations look like; none where the file cannot be read."""
    try:
        data: Any = np.memmap(path, np.uint8, "r")
        fields = [value for number, value in _fields(memoryview(data)) if number == 14]
        return dict(_pair(value) for value in fields if not isinstance(value, int))
    except (OSError, ValueError, IndexError):
        return {}


def _pair(data: memoryview) -> tuple[str, str]:
    """Whole: a checksum is over all of it."""
    pair = {key: bytes(text) for key, text in _fields(data) if not isinstance(text, int)}
    key, value = (pair.get(number, b"").decode("utf-8", "replace") for number in (1, 2))
    return key, value


def _read_model(data: memoryview, found: OnnxFile) -> None:
    for number, value in _fields(data):
        if isinstance(value, int):
            continue
        if number == 2:
            found.producer = _text(value)
        elif number == 7:
            _read_graph(value, found)
        elif number == 14:
            key, text = _pair(value)
            found.texts[key] = text[:LONGEST]


def _read_graph(data: memoryview, found: OnnxFile) -> None:
    for number, value in _fields(data):
        if isinstance(value, int):
            continue
        if number == 1:
            found.nodes.append(_node(value))
        elif number == 2:
            found.name = _text(value)
        elif number == 5 and len(value) < 1024:
            name, numbers = _tensor(value)
            if numbers is not None:
                found.constants[name] = numbers


def _node(data: memoryview) -> Node:
    node = Node()
    for number, value in _fields(data):
        if isinstance(value, int):
            continue
        if number in (1, 2):
            (node.inputs if number == 1 else node.outputs).append(_text(value))
        elif number == 4:
            node.kind = _text(value)
        elif number == 5 and len(value) < 1024:
            name, numbers = _attribute(value)
            if numbers is not None:
                node.numbers[name] = numbers
    return node


def _attribute(data: memoryview) -> tuple[str, np.ndarray | None]:
    name, numbers, several = "", None, []
    for number, value in _fields(data):
        if number == 1 and not isinstance(value, int):
            name = _text(value)
        elif number == 3 and isinstance(value, int):
            numbers = np.array([_signed(value)])
        elif number == 2 and not isinstance(value, int):
            numbers = np.frombuffer(bytes(value), np.float32)
        elif number == 5 and not isinstance(value, int):
            numbers = _tensor(value)[1]
        elif number == 8:
            several += [value] if isinstance(value, int) else _varints(value)
    return name, np.array([_signed(v) for v in several]) if several else numbers


def _tensor(data: memoryview) -> tuple[str, np.ndarray | None]:
    """Name and numbers, flat; None for what is large or of another type."""
    name, kind, parts = "", 0, []
    for number, value in _fields(data):
        if number == 2 and isinstance(value, int):
            kind = value
        elif isinstance(value, int):
            if number in (5, 7):
                parts.append(np.array([_signed(value)]))
        elif number == 8:
            name = _text(value)
        elif number == 9 and kind in TYPES:
            parts.append(np.frombuffer(bytes(value), TYPES[kind]))
        elif number == 4:
            parts.append(np.frombuffer(bytes(value), np.float32))
        elif number in (5, 7):
            parts.append(np.array([_signed(v) for v in _varints(value)]))
    numbers = np.concatenate(parts) if parts else None
    return name, numbers if numbers is not None and numbers.size <= SMALL else None


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Field numbers with their values: a whole number, or the bytes (of 4 or 8 where the wire type is fixed)."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire = key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        length = {1: 8, 5: 4}.get(wire)
        if wire == 2:
            length, at = _varint(data, at)
        if length is None or at + length > len(data):
            raise ValueError("not a message")
        yield key >> 3, data[at : at + length]
        at += length


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise ValueError("not a number")


def _varints(data: memoryview) -> list[int]:
    found, at = [], 0
    while at < len(data):
        value, at = _varint(data, at)
        found.append(value)
    return found


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _text(data: memoryview) -> str:
    return bytes(data[:LONGEST]).decode("utf-8", "replace")
