"""tools/bench_losses.py: what a caller can get wrong is one line; the report from the results in the repository."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from retrace.tools.loss_bench.jobs import read_bench_results
from tests.conftest import ROOT
from tests.tools.called import called
from tests.tools.loss_bench.results_by_hand import final


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["report"], "report needs --out"),
        (["run", "--out", "x"], "the others take none"),
        (["report", "--out", "x", "--entrants", "ce"], "report shows everybody"),
        (["run", "--regime", "froze"], "unknown 'froze'; did you mean 'frozen'"),
        (["run", "--entrants", "tripet"], "unknown 'tripet'"),
        (["run", "--entrants", "pcb"], "pcb cannot take part in frozen"),
        (["run", "--bench", "none.yaml"], "none.yaml: no such preset file"),
    ],
    ids=str,
)
def test_mistakes_are_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = called(capsys, "bench_losses", *arguments, "--results", tmp_path / "r.jsonl")
    assert done.code == 2
    assert message in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_a_report_of_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In this process, where torch is imported already; that it is a script, its help shows."""
    results = tmp_path / "r.jsonl"
    lines = [
        final(name, seed, level) for name, level in (("ce_triplet", 0.5), ("ce", 0.4)) for seed in (1, 2)
    ]
    results.write_text("".join(json.dumps(line) + "\n" for line in lines))
    places = ("--results", results, "--out", tmp_path / "page", "--steps", tmp_path / "no")
    done = called(capsys, "bench_losses", "report", "--published", *places)
    assert done.code == 0, done.err
    assert "| ce_triplet |" in (tmp_path / "page/losses.md").read_text()
    script = [sys.executable, str(ROOT / "tools/bench_losses.py"), "--help"]
    assert "report" in subprocess.run(script, capture_output=True, text=True, timeout=120, check=True).stdout


def test_the_results_in_the_repository_can_be_read() -> None:
    for one in read_bench_results(ROOT / "docs/bench/losses.jsonl"):
        assert {"regime", "entrant", "stage", "setting", "seed", "length"} <= one.keys()
