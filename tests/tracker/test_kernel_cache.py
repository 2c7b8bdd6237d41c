"""A damaged cache of compiled code costs a compilation and a word, not the run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytest.importorskip("numba")

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


def run(folder: Path) -> tuple[str, str]:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder / "cache"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", RUN, str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
@pytest.mark.parametrize("harm", ["cut", "zeros", "empty"])
def test_a_damaged_file_is_made_anew(tmp_path: Path, ending: str, harm: str) -> None:
    (tmp_path / "loop.py").write_text(LOOP)
    answer, said = run(tmp_path)
    assert (answer, said.count("compiling the tracker's loops")) == ("42 0", 1)
    assert run(tmp_path) == ("42 1", "")  # from the cache
    (file,) = (tmp_path / "cache").rglob(f"*.{ending}")
    whole = file.read_bytes()
    file.write_bytes({"cut": whole[:40], "zeros": bytes(len(whole)), "empty": b""}[harm])
    answer, said = run(tmp_path)
    assert answer == "42 0"
    assert "the cache of compiled code for twice" in said
    assert "compiling it again" in said
    assert run(tmp_path) == ("42 1", "")
