"""The checksum of an OpenVINO IR that we write: of its .bin and its .xml, whose own line about it counts as zeros."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from retrace.configs import InputError
from retrace.reid.recipe import SUM

UNSEALED = "0" * 64
LINE = re.compile(rb"<" + SUM.encode() + rb' value="([0-9a-f]{64})"')
SOURCE = re.compile(rb"<framework>.*?</framework>", re.DOTALL)  # what the ONNX file said of itself


def seal_ir(path: Path) -> None:
    """Put the checksum into an .xml that holds UNSEALED under SUM."""
    text = path.read_bytes()
    path.write_bytes(text.replace(UNSEALED.encode(), _digest(text, path).encode(), 1))


def verify_ir(path: Path) -> None:
    """Compare an IR of ours with the checksum it was written with; what has none, or is not there, passes.

    Raises:
        InputError: they differ.
    """
    try:
        text = path.read_bytes()
        found = _line(text)
        good = found is None or found[1].decode() == _digest(_blank(text, found), path)
    except FileNotFoundError:  # for the runtime to say
        good = True
    except OSError:
        good = False
    if not good:
        raise InputError(
            f"{path}: is damaged: it and its .bin do not match the checksum they were written with; export them again"
        )


def _line(text: bytes) -> re.Match[bytes] | None:
    """The line of the IR's own checksum; that of the ONNX file which it was made from is none."""
    said = [part.span() for part in SOURCE.finditer(text)]
    for found in LINE.finditer(text):
        if not any(start <= found.start() < stop for start, stop in said):
            return found
    return None


def _blank(text: bytes, found: re.Match[bytes]) -> bytes:
    return text[: found.start(1)] + UNSEALED.encode() + text[found.end(1) :]


def _digest(text: bytes, path: Path) -> str:
    """SHA-256 of the unsealed .xml, then of the .bin."""
    total = hashlib.sha256(text)
    with open(path.with_suffix(".bin"), "rb") as file:
        while block := file.read(1 << 20):
            total.update(block)
    return total.hexdigest()
