"""The weights that come with the project, and which file a name means."""

from __future__ import annotations

from pathlib import Path

from retrace.configs import InputError
from retrace.configs.errors import nearest

SHIPPED = Path(__file__).resolve().parents[1] / "shipped"


def shipped_weights() -> Path | None:
    """The weights that the project ships; None while it ships none."""
    return min(SHIPPED.glob("*.onnx"), default=None)


def locate(path_or_name: str | Path) -> Path:
    """The file of a path, of a shipped name, or of "auto".

    Raises:
        InputError: there is none; the message names the nearest.
    """
    path, named = Path(path_or_name), SHIPPED / f"{path_or_name}.onnx"
    if str(path_or_name) == "auto":
        shipped = shipped_weights()
        if shipped is None:
            raise InputError("no ReID weights are shipped yet: give a file, .onnx or .pth")
        return shipped
    if _is_file(path):
        return path
    if _is_file(named):
        return named
    known = [file.stem for file in SHIPPED.glob("*.onnx")] + ["auto"] * (shipped_weights() is not None)
    near = nearest(str(path_or_name), known) if known else "none are shipped yet"
    what = "is a folder, expected a file" if _is_folder(path) else "no such weights file"
    raise InputError(f"{path_or_name}: {what}, and no shipped weights of that name ({near})")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long for the system, or with a zero in it
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False
