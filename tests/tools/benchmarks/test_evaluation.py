"""tools/bench.py eval on data of a few lines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from retrace.configs import InputError
from retrace.tools import bench
from retrace.tools.benchmarks.evaluation import folders, interpreters, summary
from tests.eval.folders import GT, RESULT, make


def test_table_of_two_evaluators(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("trackeval")
    gt, results = folders(tmp_path / "data", "MOT17")
    made = make(tmp_path, "MOT17-02", GT, RESULT)
    for source, target in zip(made, (gt, results), strict=True):
        target.parent.mkdir(parents=True)
        source.rename(target)
    (gt.parent / "seqmaps").mkdir()
    (gt.parent / "seqmaps" / "MOT17-train.txt").write_text("name\nMOT17-02\n")
    options = ["--work", str(tmp_path), "--bench", "MOT17", "--rounds", "1", "--evaluators", "trackeval,ours"]
    assert bench.main(["eval", *options, "--json", str(tmp_path / "out.json")]) == 0
    found = json.loads((tmp_path / "out.json").read_text())["MOT17"]
    assert list(found) == ["trackeval", "ours"]
    assert (found["ours"]["HOTA"], found["ours"]["differs_in"]) == (1, [])
    assert found["trackeval"]["seconds"] > 0
    assert capsys.readouterr().out.splitlines()[-2].startswith("| ours | ")


def test_summary_names_what_differs() -> None:
    numbers = dict.fromkeys(
        ("HOTA", "DetA", "AssA", "LocA", "MOTA", "MOTP", "IDF1", "IDTP", "IDSW", "FP", "FN", "MT", "Frag"), 1
    )
    base = {"seconds": 4.0, "memory_mb": 1.0, **numbers}
    other = base | {"seconds": 2.0, "IDSW": 2}
    found = summary("x", {"trackeval": [base], "ours": [other], "motrics": [{"error": "e"}]})
    assert (found["ours"]["times_faster"], found["ours"]["differs_in"]) == (2.0, ["IDSW"])
    assert found["motrics"] == {"error": "e"}


def test_interpreters(tmp_path: Path) -> None:
    python = tmp_path / "venvs" / "rf" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("")
    found = interpreters(["roboflow", "motrics", "ours"], tmp_path, "given")
    assert (found["roboflow"], found["motrics"]) == (str(python), "given")
    with pytest.raises(InputError, match="'fast': known are trackeval"):
        interpreters(["fast"], tmp_path, None)
