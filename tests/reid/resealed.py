"""The shipped weights, written again so that they have both checksums, and with bytes changed."""

from __future__ import annotations

from pathlib import Path

from retrace.reid.weights.shipped import shipped_weights

CARD = (b"cosine", b"cosinf")  # a word that only the calibration in the card has


def resealed(out: Path) -> Path:
    """What ships, in the format that the name ends in."""
    source = shipped_weights()
    assert source is not None
    if out.suffix == ".onnx":
        from retrace.reid.exporting.convert import add_to_onnx_card

        add_to_onnx_card(source, out, "more", "of it")
    else:
        from retrace.reid.weights.files import load_network, save_network

        save_network(out, *load_network(source.with_suffix(".safetensors")))
    return out


def changed(path: Path, folder: Path, *changes: tuple[bytes, bytes]) -> Path:
    """A copy in which words were replaced, where they stand first."""
    data = path.read_bytes()
    for old, new in changes:
        assert old in data
        data = data.replace(old, new, 1)
    (folder / path.name).write_bytes(data)
    return folder / path.name
