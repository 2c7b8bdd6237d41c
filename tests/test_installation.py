"""An installation claims one name, so that anybody's own `configs/`, `tools/` or `tracker.py` goes on working."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT

OWN = {
    "main.py": "from configs import settings\nfrom retrace import Tracker\nprint('both', Tracker, settings.FPS)\n",
    "own_tools.py": "import retrace.tools.track\nfrom tools import helper\nprint(helper.helper())\n",
    "configs/__init__.py": "",
    "configs/settings.py": "FPS = 25\n",
    "tools/helper.py": "def helper(): return 1\n",
    "tracker.py": "raise ImportError('somebody else')\n",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our wheel, built from a copy: setuptools leaves a build folder behind."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("retrace", "tracker", "reid", "eval", "configs", "tools"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, source)
    # what pip would call, after a second of its own
    build = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
    command = [sys.executable, "-c", build, str(out)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return next(out.glob("*.whl"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in OWN.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def run(command: list[str], folder: Path, path: str) -> str:
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_claims_one_name(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"retrace", "retrace_mot"}
    ours = {str(path.relative_to(ROOT)) for path in (ROOT / "reid" / "shipped").iterdir()}
    ours |= {str(path.relative_to(ROOT)) for path in (ROOT / "configs").rglob("*.yaml")}
    assert {f"retrace/{name}" for name in ours} <= set(names)


def test_installed_it_lives_beside_a_project_of_the_same_names(
    wheel: Path, project: Path, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    command = run(
        [sys.executable, "-c", "from retrace.configs.errors import install; print(install('view'))"],
        project,
        str(site),
    )
    assert command.strip() == "pip install 'retrace-mot[view]'"  # of a checkout: -e '.[view]'
    where = "import retrace.tracker.data as d; print(d.__file__)"
    assert run([sys.executable, "-c", where], project, str(site)).startswith(str(site))
    assert run([sys.executable, "main.py"], project, str(site)).startswith("both")
    assert run([sys.executable, "own_tools.py"], project, str(site)) == "1\n"


def test_the_checkout_lives_beside_a_project_of_the_same_names(project: Path) -> None:
    said = run([sys.executable, str(ROOT / "tools" / "track.py"), "--help"], project, ".")
    assert said.startswith("usage: track.py")
    assert run([sys.executable, "main.py"], project, str(ROOT)).startswith("both")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--version"], 0, "retrace "),
        ([], 0, "usage: retrace TOOL"),
        (["track", "--help"], 0, "usage: retrace track "),
        (["trakc"], 2, "retrace: no tool trakc: did you mean 'track'?"),
        (["track", "nowhere.mp4"], 2, "retrace track: nowhere.mp4"),
    ],
)
def test_the_command(words: list[str], code: int, said: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "retrace", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == code
    told = done.stdout if code == 0 else done.stderr
    assert said in told
    assert code == 0 or told.count("\n") == 1


def test_the_command_knows_every_tool() -> None:
    from retrace.__main__ import TOOLS, module_of

    scripts = {f"retrace.tools.{path.stem}" for path in (ROOT / "tools").glob("*.py")}
    assert set(map(module_of, TOOLS)) == scripts - {"retrace.tools.__init__"}


def test_the_declared_surface_is_there() -> None:
    import retrace

    for name in retrace.__all__:
        assert getattr(retrace, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Trakcer'"):
        retrace.Trakcer  # noqa: B018
