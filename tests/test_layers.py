"""Imports point one way, and heavy imports stay in their folder (CONTRIBUTING.md draws the picture)."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tests.conftest import ROOT

FOLDERS = ("configs", "reid", "tracker", "eval", "tools", "retrace")
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
    "lap",
    "scipy.optimize",
    "scipy.sparse",
]
COMPILED = (
    "compiled/__init__",
    "compiled/appearance",
    "compiled/cache",
    "compiled/association",
    "compiled/motion",
    "compiled_frame/__init__",
    "compiled_frame/frame",
    "compiled_frame/inputs",
)
AT_HOME = {
    "ultralytics": {"tracker/detection/yolo_torch.py"},
    "torchreid": {"reid/networks/zoo.py"},
    "onnxruntime": {
        "reid/runtime/onnx_runtime.py",
        "reid/exporting/convert.py",
        "tracker/detection/network.py",
    },
    "openvino": {"configs/providers.py", "reid/exporting/convert.py"},
    "optuna": {"tools/tuning/study.py"},
    "fsspec": {"tracker/run/storage.py"},
    "ray": {"tools/runs/cluster.py"},
    "faiss": {"tracker/memory/engines/hnsw.py"},
    "pg8000": {"tracker/memory/engines/postgres.py"},
    "qdrant_client": {"tracker/memory/engines/qdrant.py"},
    "qdrant_edge": {"tracker/memory/engines/qdrant.py"},
    "simpy": {"tools/benchmarks/failures.py"},
    "numba": {f"tracker/{name}.py" for name in COMPILED},
}


def python_files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@cache
def statements(path: Path) -> tuple[ast.Import | ast.ImportFrom, ...]:
    """Every import statement of the file, at any depth; a file is parsed once for all tests."""
    found, left = [], list[ast.AST](ast.parse(path.read_text()).body)
    while left:  # statements alone: ast.walk looks into every expression, too
        node = left.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.append(node)
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            left += getattr(node, block, ())
    return tuple(found)


def imported(path: Path) -> Iterator[str]:
    """Every module named in an import statement of the file; ours without `retrace.`."""
    for node in statements(path):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        else:
            assert node.level == 0, f"{path}: imports are absolute"
            assert node.module
            yield node.module


def named(path: Path) -> Iterator[str]:
    """As `imported`, and every name that is taken from a module, behind it: it may be a module, too."""
    yield from imported(path)
    for node in statements(path):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{name.name}" for name in node.names)


def imported_files(path: Path) -> set[str]:
    """Our files that a file imports, lazily or not. `from retrace.a import b` is a/b.py where there is one, else
    a.py or a/__init__.py; importing a sub-module counts for it alone, not for the packages on the way."""
    found = set()
    for node in statements(path):
        if isinstance(node, ast.Import):
            found |= {file_of(name.name) for name in node.names}
        elif node.module:
            found |= {file_of(f"{node.module}.{name.name}") or file_of(node.module) for name in node.names}
    return {name for name in found if name} - {str(path.relative_to(ROOT))}


@cache
def file_of(module: str) -> str | None:
    """`retrace.eval.mot` -> eval/mot/__init__.py; None: no file of ours."""
    top, _, rest = module.partition(".")
    if top != "retrace":
        return None
    place = rest.replace(".", "/") or "retrace"
    for name in (f"{place}.py", f"retrace/{place}.py", f"{place}/__init__.py"):
        if (ROOT / name).is_file():
            return name
    return None


def circles() -> list[list[str]]:
    """Files that import each other, directly or through others, one list a circle."""
    names = sorted(str(path.relative_to(ROOT)) for folder in FOLDERS for path in python_files(folder))
    number = {name: k for k, name in enumerate(names)}
    edges = [(number[n], number[m]) for n in names for m in imported_files(ROOT / n)]
    graph = coo_array(([True] * len(edges), tuple(zip(*edges, strict=True))), shape=(len(names),) * 2)
    count, label = connected_components(graph, connection="strong")
    groups: list[list[str]] = [[] for _ in range(count)]
    for name, group in zip(names, label.tolist(), strict=True):
        groups[group].append(name)
    return [group for group in groups if len(group) > 1]


def ours(module: str) -> str | None:
    """`tracker.data` for `retrace.tracker.data`, None for what is somebody else's."""
    return module.removeprefix("retrace.") if module.startswith("retrace.") else None


def test_nothing_claims_a_name_of_its_own() -> None:
    """`import tracker` would be somebody's own file: everything of ours is `retrace.something`."""
    for folder in (*FOLDERS, "tests"):
        for path in python_files(folder):
            for module in imported(path):
                assert module.split(".")[0] not in FOLDERS[:-1], f"{path.relative_to(ROOT)} imports {module}"


def test_every_folder_is_installed() -> None:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {
        ".".join(("retrace", *path.parent.relative_to(ROOT).parts)).replace("retrace.retrace", "retrace")
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("__init__.py")
    }
    assert set(told) == found


def test_the_map_shows_every_folder() -> None:
    drawn = (ROOT / "CONTRIBUTING.md").read_text().split("## The house")[1].split("```")[1]
    lines = [
        (line.startswith(" "), re.findall(r"[\w/]+/(?= )", line[:27])) for line in drawn.splitlines()[1:]
    ]
    folder, shown = "", set()
    for inside, names in lines:
        folder = folder if inside else names[0]
        shown |= {f"{folder}{name}" if inside else name for name in names}
    missing = {
        f"{path.parent.relative_to(ROOT)}/"
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("__init__.py")
    } - shown
    assert not missing, f"not on the map: {sorted(missing)}"


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_imports_point_one_way(folder: str) -> None:
    for path in python_files(folder):
        for module in filter(None, map(ours, imported(path))):
            top = module.split(".")[0]
            if top == folder:
                continue
            assert top in MAY_IMPORT[folder], (
                f"{path.relative_to(ROOT)} imports {module}; {folder} may not use {top}"
            )
            if folder == "eval" and top == "tracker":
                assert module in EVAL_MAY_USE, (
                    f"{path.relative_to(ROOT)}: eval may use {EVAL_MAY_USE}, not {module}"
                )


@pytest.mark.parametrize("package", AT_HOME)
def test_heavy_packages_have_one_home(package: str) -> None:
    users = {
        str(path.relative_to(ROOT))
        for folder in FOLDERS
        for path in python_files(folder)
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
        ("from retrace.eval.mot import evaluate", {"scipy.optimize", "scipy.sparse"}),
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
    """No catch-all files, no name that shadows the standard library when a file is run directly."""
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
    for folder in FOLDERS:
        for path in python_files(folder):
            assert path.name not in banned, path


CLASS = re.compile(r"^ *class (\w+)[(\[:]", re.MULTILINE)


def test_no_two_classes_share_a_name() -> None:
    """One word, one thing: who meets a class in a message, an index or a search is to know which one it is."""
    home: dict[str, str] = {}
    for folder in FOLDERS:
        for path in python_files(folder):
            place = str(path.relative_to(ROOT))
            for name in CLASS.findall(path.read_text(encoding="utf-8")):
                assert name not in home, f"{home[name]} and {place} both have a class {name}: rename one"
                home[name] = place


ADRIFT = re.compile(r"^ *[])}]+[,:]* +# (?!fmt: skip|type: ignore|noqa)", re.MULTILINE)


@pytest.mark.parametrize("folder", [*FOLDERS, "tests"])
def test_no_comment_hangs_on_a_closing_bracket(folder: str) -> None:
    """The formatter breaks a line that its comment makes too long, and leaves the comment at the end."""
    for path in python_files(folder):
        for found in ADRIFT.finditer(text := path.read_text(encoding="utf-8")):
            line = text.count("\n", 0, found.start()) + 1
            raise AssertionError(f"{path.relative_to(ROOT)}:{line}: put the comment above the statement")


def test_no_import_circles() -> None:
    found = circles()
    assert not found, "these files import each other: " + "; ".join(map(" ".join, found))


LINES = 150  # of a script: what is longer hides a library
UNPICKLED = "reid/weights/checkpoints.py"  # other projects keep their arguments in their checkpoints
TERMINAL = "tools/terminal/"  # options and a parser that the scripts share


def test_tools_are_scripts() -> None:
    """argv in, one library call, exit code out; whatever could be called from Python lies below."""
    for path in sorted((ROOT / "tools").glob("*.py")):
        if path.name == "__init__.py":
            continue
        text = path.read_text()
        assert 'if __name__ == "__main__":\n    guarded(main, sys.argv[1:])\n' in text, (
            f"{path.name}: no script"
        )
        length = text.count("\n")
        assert length <= LINES, f"{path.name}: {length} lines"


def test_arguments_are_parsed_in_scripts() -> None:
    for folder in FOLDERS:
        for path in python_files(folder):
            name = str(path.relative_to(ROOT))
            if path.parent != ROOT / "tools" and not name.startswith(TERMINAL) and name != UNPICKLED:
                assert "argparse" not in imported(path), f"{name} imports argparse: that is for tools/NAME.py"


FLAG = re.compile(r"(?<![\w-])--[a-z]")
# These talk to somebody who has a shell: the console command, the page of a run, and the manual.
OF_A_SHELL = (
    "retrace/__main__.py",
    *(f"tools/viewing/{name}.py" for name in ("board", "people", "place", "reasons")),
    *(f"tools/pages/{name}.py" for name in ("losses", "site")),
)


def texts_with(path: Path, what: re.Pattern[str]) -> Iterator[tuple[int, str]]:
    """Line and text of what is no docstring and holds the pattern."""
    source = path.read_text()
    if not what.search(source):
        return
    tree = ast.parse(source)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) and id(node) not in docstrings else None
        if isinstance(text, str) and what.search(text):
            yield node.lineno, text


def flags_named(path: Path) -> Iterator[int]:
    """Lines of the texts that name a flag, but not the flag alone, as it stands in an argv."""
    for line, text in texts_with(path, FLAG):
        if not re.fullmatch(r"--[\w-]+(=\S+)?", text):
            yield line


SCRIPT = re.compile(
    rf"\b({'|'.join(sorted(path.stem for path in (ROOT / 'tools').glob('[a-z]*.py')))})\.py\b"
)


@pytest.mark.parametrize("folder", ["reid", "tracker", "eval", "configs"])
def test_no_message_of_the_library_names_a_script(folder: str) -> None:
    """Whoever has installed a wheel has none; everybody has the console command, `retrace NAME`."""
    for path in python_files(folder):
        for line, text in texts_with(path, SCRIPT):
            raise AssertionError(f"{path.relative_to(ROOT)}:{line}: say `retrace ...`: {text}")


def test_what_was_typed_stays_in_scripts() -> None:
    for path in sorted((ROOT / "tools").glob("*/**/*.py")):
        assert "Namespace" not in path.read_text(), f"{path.relative_to(ROOT)}: take values"


def test_no_message_below_the_scripts_names_a_flag() -> None:
    """It speaks of `arguments`, of which the tool that was called makes its flags (`console.as_flags`)."""
    for folder in FOLDERS:
        for path in python_files(folder):
            name = str(path.relative_to(ROOT))
            if path.parent != ROOT / "tools" and not name.startswith(TERMINAL) and name not in OF_A_SHELL:
                found = list(flags_named(path))
                assert not found, f"{name}, line {found[0]} names a flag"


def test_what_the_system_refuses_is_put_into_words_in_one_place() -> None:
    """`reading`, `writing` and `make_folder` of configs/files.py, `system_reason` of configs/errors.py."""
    for folder in FOLDERS[1:]:
        for path in python_files(folder):
            assert "strerror" not in path.read_text(), (
                f"{path.relative_to(ROOT)} words a system's error itself"
            )


def test_the_tracker_s_top_is_short() -> None:
    assert len(list((ROOT / "tracker").glob("*.py"))) <= 15


def test_tests_do_not_import_each_other() -> None:
    """What two test files need is a plain module beside them."""
    for path in python_files("tests"):
        name = str(path.relative_to(ROOT))
        ours = [m for m in named(path) if m.startswith("tests.")]
        reached = [m for m in ours if any(part.startswith("test_") for part in m.split("."))]
        assert not reached, f"{name} imports {reached[0]}"


@pytest.mark.parametrize("name", ["retrace.retrace", "retrace.tests"])
def test_the_package_does_not_hold_itself(name: str) -> None:
    """Its folders are looked for in the checkout, where it lies, too."""
    importlib.import_module("retrace")
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(name)
