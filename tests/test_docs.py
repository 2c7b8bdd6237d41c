"""The pages of docs/: what they say can be typed is typed, and what they quote is said."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

import retrace
from retrace.__main__ import TOOLS, module_of
from retrace.tools.pages.site import INCLUDE, messages, readme_part
from tests.conftest import ROOT
from tests.documents import blocks, furnish, typed

PAGES = sorted((ROOT / "docs").glob("*.md"))
PYTHON = [(page.stem, code) for page in PAGES for kind, code in blocks(page) if kind == "python"]
BASH = [line for page in PAGES for kind, code in blocks(page) if kind == "bash" for line in code.splitlines()]
OURS = [line for line in BASH if re.match(r"retrace |python tools/", line)]  # not pip, ray ...
FILES = {path.stem: path for path in (ROOT / "tools").glob("*.py")}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return furnish(tmp_path_factory.mktemp("docs"))


# What each block prints, by a word of it.
SAID = {
    "YOLO": r"\[1\] \['class_name', 'det_index'\]",
    "keypoints": r"Tracks: 2 tracks; keypoints \(2, 17, 3\)\n.*\n 1 .* red\n 2 .* blue",
    "pandas": r"id +\n1 +0 +29 +30\n2 +0 +29 +30",
    "track_source": r"0\.\d s: 2 people\n\d True",
    "Models": r"2 people in 30 frames",
    "asyncio": r"(\[1\]\n){4,5}30 frames",
}


@pytest.mark.parametrize(("page", "code"), PYTHON, ids=[page for page, _ in PYTHON])
def test_python_is_run(
    page: str, code: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = typed(code, place, monkeypatch, capsys)
    (expected,) = (said for word, said in SAID.items() if word in code)
    assert re.search(expected, told), told


def test_every_expectation_has_its_block() -> None:
    assert len(PYTHON) == len(SAID)


@pytest.mark.parametrize("line", OURS)
def test_commands_are_understood(line: str) -> None:
    """Every option and word of it is known to the tool; the README's commands, which are the same tools', are run."""
    _, tool, *words = shlex.split(line, comments=True)
    if line.startswith("retrace"):
        assert tool in TOOLS
        tool = module_of(tool).rpartition(".")[2]
    else:
        tool = Path(tool).stem
    assert tool in FILES
    if tool != "bench":  # its parser is chosen by its first word
        assert import_module(f"retrace.tools.{tool}").parser().parse_args(words)


def test_the_commands_are_there() -> None:
    assert len(OURS) > 15


# Of the operator's published types, ray.io/v1, rayjob_types.go and raycluster_types.go in ray-operator/apis: the fields
# that the manifest may have here, with their kinds; * must be there.
POD = {"spec": {"containers": list, "volumes": list}}
GROUP = {"rayStartParams*": dict, "template*": POD}
RAY_JOB = {
    "apiVersion*": "ray.io/v1",
    "kind*": "RayJob",
    "metadata*": {"name*": str},
    "spec*": {
        "entrypoint": str,
        "shutdownAfterJobFinishes": bool,
        "ttlSecondsAfterFinished": int,
        "submissionMode": str,
        "rayClusterSpec": {
            "rayVersion": str,
            "enableInTreeAutoscaling": bool,
            "headGroupSpec*": GROUP,
            "workerGroupSpecs": [
                GROUP | {"groupName*": str, "replicas": int, "minReplicas*": int, "maxReplicas*": int}
            ],
        },
    },
}


def unlike(given: Any, wanted: Any, place: str = "") -> list[str]:
    """What of a manifest the operator does not know."""
    if isinstance(wanted, list):
        return [fault for k, one in enumerate(given) for fault in unlike(one, wanted[0], f"{place}[{k}]")]
    if not isinstance(wanted, dict):
        good = type(given) is wanted if isinstance(wanted, type) else given == wanted
        return [] if good else [f"{place}: {given!r}"]
    known = {name.rstrip("*"): kind for name, kind in wanted.items()}
    faults = [f"{place}.{name}: unknown" for name in given if name not in known]
    faults += [
        f"{place}.{name[:-1]}: missing" for name in wanted if name[-1] == "*" and name[:-1] not in given
    ]
    return faults + [
        f for name, one in given.items() if name in known for f in unlike(one, known[name], f"{place}.{name}")
    ]


def test_the_manifest_is_one_that_the_operator_knows() -> None:
    (text,) = (code for kind, code in blocks(ROOT / "docs" / "scale.md") if kind == "yaml")
    manifest = yaml.safe_load(text)
    assert unlike(manifest, RAY_JOB) == []
    spec = manifest["spec"]["rayClusterSpec"]
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())  # map[string]string
        pod = group["template"]["spec"]
        mounted = {mount["name"] for one in pod["containers"] for mount in one["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}
        assert all({"name", "image"} <= one.keys() for one in pod["containers"])
    assert all(g["minReplicas"] <= g["replicas"] <= g["maxReplicas"] for g in spec["workerGroupSpecs"])
    _, tool, *words = shlex.split(manifest["spec"]["entrypoint"])
    assert import_module(module_of(tool)).parser().parse_args(words).cluster == "auto"
    manifest["spec"]["entryPoint"] = "x"
    del spec["headGroupSpec"]
    spec["workerGroupSpecs"][0]["replicas"] = "4"
    assert sorted(unlike(manifest, RAY_JOB)) == [
        ".spec.entryPoint: unknown",
        ".spec.rayClusterSpec.headGroupSpec: missing",
        ".spec.rayClusterSpec.workerGroupSpecs[0].replicas: '4'",
    ]


QUOTES = [
    line[2:] for line in (ROOT / "docs" / "choices.md").read_text().splitlines() if line.startswith("> ")
]


@pytest.fixture(scope="module")
def ours() -> set[str]:
    return {message.text for message in messages()}


@pytest.mark.parametrize("quote", QUOTES)
def test_a_quoted_message_is_one_of_ours(quote: str, ours: set[str]) -> None:
    assert quote in ours


def test_every_name_of_the_surface_is_in_the_reference() -> None:
    told = re.findall(r"^::: retrace\.(.+)\.(\w+)$", (ROOT / "docs" / "api.md").read_text(), re.M)
    assert {name for _, name in told} == {*retrace.__all__} - {"__version__"}
    for module, name in told:
        assert getattr(import_module(f"retrace.{module}"), name) is getattr(retrace, name)


def test_every_page_is_in_the_menu_and_in_the_folder() -> None:
    text = (ROOT / "mkdocs.yml").read_text()
    menu = set(re.findall(r": (\w+\.md)$", text, re.M))
    assert menu == {page.name for page in PAGES} | {"presets.md", "messages.md", "changelog.md"}


def test_parts_of_the_readme_are_there() -> None:
    asked = [name for page in PAGES for name in INCLUDE.findall(page.read_text())]
    assert len(asked) >= 5
    for name in asked:
        assert len(readme_part(name)) > 100, name


def test_nothing_is_fetched() -> None:
    """Material would link fonts and a script from the internet."""
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert config["theme"]["font"] is False
    (script,) = config["extra"]["polyfills"]
    assert (ROOT / "docs" / script).is_file()
    assert "iframe-worker" in script  # by this name the plugin sees that it need not link its own
