"""Imports point one way, and heavy imports stay in their room (CONTRIBUTING.md draws the picture)."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

ROOMS = ("configs", "reid", "tracker", "eval", "tools", "retrace")
MAY_IMPORT = {
    "configs": set(),
    "reid": {"configs", "torchvision_cure"},
    "tracker": {"configs", "torchvision_cure"},
    "eval": {"configs", "tracker"},
    "tools": {"configs", "reid", "tracker", "eval", "torchvision_cure"},
}
EVAL_MAY_USE = {"tracker.data", "tracker.boxes", "tracker.mot_file", "tracker.mot_rows"}
HEAVY = [
    "torch",
    "torchvision",
    "torchreid",
    "ultralytics",
    "onnxruntime",
    "cv2",
    "av",
    "motmetrics",
    "pandas",
    "optuna",
    "numba",
]
COMPILED = ("__init__", "association", "frame", "life", "motion", "report")
AT_HOME = {
    "ultralytics": {"tracker/detection/yolo_torch.py"},
    "torchreid": {"reid/networks/zoo.py"},
    "onnxruntime": {
        "reid/runtime/onnx_runtime.py",
        "reid/export/convert.py",
        "tracker/detection/network.py",
    },
    "openvino": {
        "reid/runtime/openvino_runtime.py",
        "reid/export/convert.py",
        "tracker/detection/network.py",
    },
    "optuna": {"tools/tuning/study.py"},
    "numba": {f"tracker/compiled/{name}.py" for name in COMPILED},
}


def python_files(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Every module named in an import statement of the file, at any depth; ours without `retrace.`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert node.module
            yield node.module


def ours(module: str) -> str | None:
    """`tracker.data` for `retrace.tracker.data`, None for what is somebody else's."""
    return module.removeprefix("retrace.") if module.startswith("retrace.") else None


def test_nothing_claims_a_name_of_its_own() -> None:
    """`import tracker` would be somebody's own file: everything of ours is `retrace.something`."""
    for room in (*ROOMS, "tests"):
        for path in python_files(room):
            for module in imported(path):
                assert module.split(".")[0] not in ROOMS[:-1], f"{path.relative_to(ROOT)} imports {module}"


def test_every_folder_is_installed() -> None:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {
        ".".join(("retrace", *path.parent.relative_to(ROOT).parts)).replace("retrace.retrace", "retrace")
        for room in ROOMS
        for path in (ROOT / room).rglob("__init__.py")
    }
    assert set(told) == found


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_point_one_way(room: str) -> None:
    for path in python_files(room):
        for module in filter(None, map(ours, imported(path))):
            top = module.split(".")[0]
            if top == room:
                continue
            assert top in MAY_IMPORT[room], (
                f"{path.relative_to(ROOT)} imports {module}; {room} may not use {top}"
            )
            if room == "eval" and top == "tracker":
                assert module in EVAL_MAY_USE, (
                    f"{path.relative_to(ROOT)}: eval may use {EVAL_MAY_USE}, not {module}"
                )


@pytest.mark.parametrize("package", AT_HOME)
def test_heavy_packages_have_one_home(package: str) -> None:
    users = {
        str(path.relative_to(ROOT))
        for room in ROOMS
        for path in python_files(room)
        if any(module.split(".")[0] == package for module in imported(path))
    }
    assert users == AT_HOME[package]


@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        ("from retrace.tools import track; track.parser()", set()),
        ("from retrace import Detections, Tracker, Tracks; Tracker.from_config('bytetrack')", set()),
        ("import retrace.tracker.pipeline, retrace.tracker.mot_file, retrace.tracker.outputs.text", set()),
        ("from retrace import Embedder", set()),
        ("from retrace.eval.mot import evaluate", set()),
    ],
)
def test_light_imports_stay_light(code, allowed):
    probe = f"import sys; {code}; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    loaded = subprocess.run(
        [sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(loaded.stdout.split()) <= allowed


def test_help_imports_nothing_but_the_standard_library():
    probe = (
        "import sys, retrace.tools.track as t; t.parser().format_help();"
        "print({'numpy', 'scipy'} & {*sys.modules} or '')"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not loaded.stdout.split()


def test_house_style():
    """No catch-all rooms, no name that shadows the standard library when a file is run directly."""
    banned = {
        "utils.py",
        "helpers.py",
        "base.py",
        "common.py",
        "types.py",
        "io.py",
        "queue.py",
        "select.py",
        "token.py",
    }
    for room in ROOMS:
        for path in python_files(room):
            assert path.name not in banned, path
