"""tools/bench.py reid at a fiftieth of its size; of its sides one in a process as fresh as users have it."""

from __future__ import annotations

import importlib.util
import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from retrace.configs import InputError
from retrace.tools import bench
from retrace.tools.benchmarks import ranking
from tests.tools.forked import CONTEXT, begin_server


def test_sides_agree(
    tmp_path: Path, shared: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if importlib.util.find_spec("torchreid") is None:
        pytest.skip("torchreid is not installed")
    fresh = ranking.one_run

    def one_run(side: str, scale: float, distractors: int = 0) -> ranking.Answer:
        if side == "ours":
            return fresh(side, scale, distractors)
        with ProcessPoolExecutor(1, CONTEXT) as pool:
            return pool.submit(ranking.work, side, scale, distractors).result()

    begin_server()
    monkeypatch.setattr(ranking, "one_run", one_run)
    options = ["--scale", "0.04", "--rounds", "1", "--peers", "--full", "--sections", "scoring,rerank"]
    assert bench.main(["reid", *options, "--json", str(tmp_path / "out.json")]) == 0
    found = json.loads((tmp_path / "out.json").read_text())
    scoring, reranking = found["scoring, 134 x 636 x 512"], found["re-ranking, 134 x 636 x 512"]
    assert scoring["ours"]["mAP"] == pytest.approx(scoring["torchreid"]["mAP"], abs=1e-6)
    mine, theirs = reranking["re-ranking, ours"], reranking["re-ranking, torchreid"]
    assert mine["mAP"] == pytest.approx(theirs["mAP"], abs=1e-6)
    assert mine["mAP"] > scoring["ours"]["mAP"]
    assert "| ours | " in capsys.readouterr().out


def test_bad_options() -> None:
    for options in (["--rounds", "0"], ["--scale", "2"], ["--sections", "embed"], ["--distractors", "-1"]):
        with pytest.raises(InputError, match="expected --rounds from 1"):
            bench.main(["reid", *options])
