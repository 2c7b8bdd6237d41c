"""A damaged cache of compiled code costs a compilation and a word, not the run."""

from __future__ import annotations

import importlib.util
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from retrace.configs.errors import install
from tests.conftest import ROOT

numba = pytest.importorskip("numba")

from retrace.tracker.compiled import cache  # noqa: E402

LOOP = """
from numba import njit

@njit(cache=True)
def twice(x):
    return 2 * x
"""
RUN = """
import sys, warnings
sys.path.insert(0, sys.argv[1])
warnings.simplefilter("always")
import loop
from retrace.tracker.compiled.cache import forgive
forgive(loop)
print(loop.twice(21), sum(loop.twice.stats.cache_hits.values()))
"""


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """What is said under "retrace", whatever a tool that was told to be quiet has left there. Not pytest's own
    `caplog`, whose handlers are off: they take seconds of the suite."""
    log, lines, handler = logging.getLogger("retrace"), list[str](), logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    level = log.level
    log.setLevel(logging.WARNING)
    log.addHandler(handler)
    yield lines
    log.removeHandler(handler)
    log.setLevel(level)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a loop, and where its compiled code is kept."""
    (tmp_path / "loop.py").write_text(LOOP)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setitem(sys.modules, "loop", None)
    return tmp_path


def run(place: Path, logged: list[str]) -> tuple[str, str]:
    """The loop loaded anew, which looks for its compiled code on the disk: answer and hits, and what was said."""
    spec = importlib.util.spec_from_file_location("loop", place / "loop.py")
    assert spec
    assert spec.loader
    module = sys.modules["loop"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    cache.forgive(module)
    cache._say_that_it_takes_a_while.cache_clear()
    logged.clear()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        answer = f"{module.twice(21)} {sum(module.twice.stats.cache_hits.values())}"
    return answer, "\n".join([*(str(warning.message) for warning in told), *logged])


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
@pytest.mark.parametrize("harm", ["cut", "zeros", "empty"])
def test_a_damaged_file_is_made_anew(place: Path, ending: str, harm: str, logged: list[str]) -> None:
    answer, said = run(place, logged)
    assert (answer, said.count("compiling the tracker's loops")) == ("42 0", 1)
    assert run(place, logged) == ("42 1", "")  # from the cache
    (file,) = (place / "cache").rglob(f"*.{ending}")
    whole = file.read_bytes()
    file.write_bytes({"cut": whole[:40], "zeros": bytes(len(whole)), "empty": b""}[harm])
    answer, said = run(place, logged)
    assert answer == "42 0"
    assert "the cache of compiled code for twice" in said
    assert "compiling it again" in said
    assert run(place, logged) == ("42 1", "")


def test_another_process_finds_it(place: Path, logged: list[str]) -> None:
    answer, said = run(place, logged)
    assert (answer, said.count("compiling the tracker's loops")) == ("42 0", 1)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", RUN, str(place)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == "42 1", done.stderr
    assert "compiling the tracker's loops" not in done.stderr


def test_who_runs_without_numba_is_told(monkeypatch: pytest.MonkeyPatch, logged: list[str]) -> None:
    from retrace.tracker import kernels

    monkeypatch.setitem(sys.modules, "retrace.tracker.compiled", None)  # importing it fails, as without numba
    monkeypatch.delattr("retrace.tracker.compiled")
    monkeypatch.delenv("RETRACE_COMPILED", raising=False)
    assert kernels.compiled.__wrapped__() is None
    (said,) = logged
    assert said.startswith("the tracker runs uncompiled, with the same results, several times slower")
    assert said.endswith(install("fast"))
