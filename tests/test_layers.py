"""Imports point one way, and heavy imports stay in their room (CONTRIBUTING.md draws the picture)."""

import ast
import subprocess
import sys

import pytest

from tests.conftest import ROOT

OURS = {"reid", "tracker", "eval", "configs", "tools", "torchvision_cure"}
MAY_IMPORT = {
    "configs": set(),
    "torchvision_cure": set(),
    "reid": {"configs", "torchvision_cure"},
    "tracker": {"configs", "torchvision_cure"},
    "eval": {"configs", "tracker"},
    "tools": OURS,
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
    "ultralytics": {"tracker/detector.py"},
    "torchreid": {"reid/models.py"},
    "onnxruntime": {"reid/backends.py", "reid/convert.py", "tracker/detector.py"},
    "openvino": {"reid/backends.py", "reid/convert.py"},
    "optuna": {"tools/tuning_study.py"},
    "numba": {f"tracker/compiled/{name}.py" for name in COMPILED},
}


def python_files(room):
    return [ROOT / f"{room}.py"] if (ROOT / f"{room}.py").exists() else sorted((ROOT / room).rglob("*.py"))


def imported(path):
    """Every module named in an import statement of the file, at any depth."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield node.module


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_point_one_way(room):
    for path in python_files(room):
        for module in imported(path):
            top = module.split(".")[0]
            if top not in OURS or top == room:
                continue
            assert top in MAY_IMPORT[room], (
                f"{path.relative_to(ROOT)} imports {module}; {room} may not use {top}"
            )
            if room == "eval" and top == "tracker":
                assert module in EVAL_MAY_USE, (
                    f"{path.relative_to(ROOT)}: eval may use {EVAL_MAY_USE}, not {module}"
                )


@pytest.mark.parametrize("package", AT_HOME)
def test_heavy_packages_have_one_home(package):
    users = {
        str(path.relative_to(ROOT))
        for room in OURS
        for path in python_files(room)
        if any(module.split(".")[0] == package for module in imported(path))
    }
    assert users == AT_HOME[package]


@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        ("import tools.track; tools.track.parser()", set()),
        ("from tracker import Detections, Tracker, Tracks; Tracker.from_config('bytetrack')", set()),
        ("import tracker.pipeline, tracker.mot_file, tracker.text_sinks", set()),
        ("from reid import Embedder", set()),
        ("from eval.mot import evaluate", set()),
    ],
)
def test_light_imports_stay_light(code, allowed):
    probe = f"import sys; {code}; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    loaded = subprocess.run(
        [sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(loaded.stdout.split()) <= allowed


def test_help_imports_nothing_but_the_standard_library():
    probe = "import sys, tools.track as t; t.parser().format_help()\nprint({'numpy', 'scipy'} & {*sys.modules} or '')"
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
    for room in OURS:
        for path in python_files(room):
            assert path.name not in banned, path
