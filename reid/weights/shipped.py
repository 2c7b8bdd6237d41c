"""The weights that come with the project, and which file a name means."""

from __future__ import annotations

from pathlib import Path

from retrace.configs import InputError
from retrace.configs.errors import nearest, one_of

SHIPPED = Path(__file__).resolve().parents[1] / "shipped"
# the usual ones; the same network for smaller crops, in .6 of the time; with a larger one beside it
NAMED = {"auto": "osnet_x0_25_retrace", "fast": "osnet_x0_25_fast", "strong": "mobilenetv2_osnet_retrace"}


def shipped_weights(name: str = "auto") -> Path | None:
    """The weights that the project ships, of a name in `NAMED`; None where they are not in the installation.

    Raises:
        InputError: another name.

    Example:
        >>> from retrace.reid import shipped_weights
        >>> shipped_weights("strong").name
        'mobilenetv2_osnet_retrace.onnx'
    """
    path = SHIPPED / f"{NAMED[one_of('name', name, NAMED)]}.onnx"
    return path if path.is_file() else None


def locate(path_or_name: str | Path) -> Path:
    """The file of a path, of a shipped name, or of a name in `NAMED`.

    Raises:
        InputError: there is none; the message names the nearest.
    """
    path, named = Path(path_or_name), SHIPPED / f"{path_or_name}.onnx"
    if str(path_or_name) in NAMED:
        shipped = shipped_weights(str(path_or_name))
        if shipped is None:
            raise InputError(
                f"{path_or_name}: no such ReID weights in this installation: give a file, .onnx or .pth"
            )
        return shipped
    if _is_file(path):
        return path
    if _is_file(named):
        return named
    known = [file.stem for file in sorted(SHIPPED.glob("*.onnx"))]
    known += [name for name in NAMED if shipped_weights(name) is not None]
    near = nearest(str(path_or_name), known) if known else "none are in this installation"
    what = "is a folder, expected a file" if _is_folder(path) else "no such weights file"
    raise InputError(f"{path_or_name}: {what}, and no shipped weights of that name ({near})")


def as_trained(path: Path) -> Path:
    """Of a shipped network the .safetensors beside the .onnx, where it is there; any other file as it is."""
    trained = path.with_suffix(".safetensors")
    return trained if path.parent == SHIPPED and trained.is_file() else path


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
