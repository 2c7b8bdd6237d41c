"""tools/calibrate_reid.py: weights in, the same weights with a calibration in their card out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("safetensors")

from retrace.reid import Embedder
from retrace.tools.calibrate_reid import main
from retrace.tools.terminal.console import guarded
from tests.reid.mini_market import write_mini_market


def test_weights_leave_with_a_calibration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, seed in (("a", 0), ("b", 1)):
        write_mini_market(tmp_path / name, seed=seed)
    out, told = tmp_path / "c.safetensors", tmp_path / "c.json"
    data = ["--data", str(tmp_path / "a"), "--data", str(tmp_path / "b"), "--cache", str(tmp_path / "cache")]
    arguments = ["--weights", "auto", *data, "--out", str(out), "--json", str(told), "--device", "cpu"]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "camera: even odds at" in said
    assert "calibration error on a, camera:" in said
    before, after = Embedder.from_weights("auto", "cpu"), Embedder.from_weights(out, "cpu")
    found = after.calibration
    assert found is not None
    assert json.loads(told.read_text()) == found.to_card()
    assert {*after.card} == {*before.card, "calibration"}
    # two sets of 8 people, 3 pairs of cameras, 4 by 4 images
    assert found.map("camera").same == 2 * 8 * 3 * 16


def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_mini_market(tmp_path / "a", ids=2)
    for options, said in (
        (["--data", str(tmp_path / "none")], "no such folder"),
        (["--data", str(tmp_path / "a"), "--out", "x.onnx"], "needs weights as .safetensors"),
        (["--data", str(tmp_path / "a"), "--data", str(tmp_path / "a")], "is given twice"),
    ):
        with pytest.raises(SystemExit) as ended:
            guarded(main, ["--weights", "auto", "--quiet", "--cache", str(tmp_path / "cache"), *options])
        assert ended.value.code == 2
        error = capsys.readouterr().err.strip()
        assert said in error
        assert "\n" not in error
