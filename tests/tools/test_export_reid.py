"""tools/export_reid.py and `bench.py embed`, end to end on a network of a thousand numbers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("onnx")
pytest.importorskip("torch")

from retrace.configs import InputError
from retrace.reid import Embedder
from retrace.reid.recipe import Recipe
from retrace.tools import bench, export_reid
from tests.conftest import ROOT
from tests.reid.networks_by_hand import little_network, use_network
from tests.reid.resealed import CARD, changed, resealed


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    use_network(monkeypatch, little_network, Recipe("little", (16, 8)))
    (tmp_path / "little.safetensors").touch()
    return tmp_path / "little.safetensors"


def test_it_writes_and_says_what_it_checked(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, table = tmp_path / "little.onnx", tmp_path / "found.json"
    assert export_reid.main(["--weights", str(weights), "--out", str(out), "--json", str(table)]) == 0
    said = capsys.readouterr().out
    assert "little.onnx, 16x8 -> 5, onnxruntime on cpu" in said
    assert "over 20 drawn crops in batches of 1, 3, 16: largest" in said
    assert "people may differ more" in said
    found = json.loads(table.read_text())
    assert found["files"] == [str(out)]
    assert found["worst"] < 1e-6
    assert Embedder.from_weights(out).dim == 5


def test_the_tool_offers_every_format() -> None:
    from retrace.reid.exporting.job import FORMATS

    assert {*export_reid.FORMATS} == {*FORMATS}


def test_the_ending_picks_the_format_and_options_reach_the_export(weights: Path, tmp_path: Path) -> None:
    for name, more in (("a.torchscript", []), ("four.onnx", ["--batch", "4"]), ("half.onnx", ["--half"])):
        assert export_reid.main(["--weights", str(weights), "--out", str(tmp_path / name), *more]) == 0
        assert (tmp_path / name).is_file()


def test_networks_are_joined(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "both.safetensors"
    asked = ["--weights", "auto", "--beside", "auto", "--out", str(out)]
    assert export_reid.main([*asked, "--half"]) == 0
    said = capsys.readouterr().out
    assert "both.safetensors, 192x96 -> 1024, torch on cpu" in said
    assert "not calibrated: tools/calibrate_reid.py" in said
    for more in (["--batch", "3"], ["--json", "a.json"], ["--format", "safetensors"], ["--int8"]):
        with pytest.raises(InputError, match=f"{more[0]} does nothing with --beside"):
            export_reid.main([*asked, *more])
    alone = ["--weights", str(out), "--part", "osnet_x0_25_2", "--out", str(tmp_path / "alone.safetensors")]
    assert export_reid.main(alone) == 0
    assert "alone.safetensors, 192x96 -> 512, torch on cpu" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"--part osnet: .*osnet_x0_25_2"):
        export_reid.main([*alone, "--part", "osnet"])
    with pytest.raises(InputError, match="--uncalibrated does nothing with --part"):
        export_reid.main([*alone, "--uncalibrated"])
    with pytest.raises(InputError, match="--batch does nothing with --part"):
        export_reid.main([*alone, "--batch", "3"])


def test_weights_with_a_damaged_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = changed(resealed(tmp_path / "whole.safetensors"), tmp_path, CARD).rename(
        tmp_path / "w.safetensors"
    )
    plain = ["--weights", str(path), "--out", str(tmp_path / "plain.onnx")]
    with pytest.raises(InputError, match=r"its card does not match .*--uncalibrated"):
        export_reid.main(plain)
    assert export_reid.main([*plain, "--uncalibrated"]) == 0
    capsys.readouterr()
    both = ["--weights", "auto", "--beside", str(path), "--out", str(tmp_path / "both.safetensors")]
    assert export_reid.main(both) == 0
    assert "w.safetensors: its card is damaged and was left out" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--weights", "none.pth", "--out", "a.onnx"], "none.pth: no such weights file"),
        (
            ["--weights", "none.pth", "--out", "a.onnx", "--batch", "any"],
            "expected dynamic or a whole number",
        ),
        (["--weights", "none.pth", "--out", "a.bin"], "a.bin: a file of format onnx ends in .onnx"),
        (["--weights", "none.pth", "--out", "a.onnx", "--int8"], "int8 needs a folder of person crops"),
        (["--weights", "none.pth", "--out", "a.onnx", "--int8", "--half"], "not allowed with argument"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(tmp_path: Path, arguments: list[str], message: str) -> None:
    command = [sys.executable, "-m", "retrace.tools.export_reid", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_help_imports_nothing_but_the_standard_library() -> None:
    probe = (
        "import sys, retrace.tools.export_reid as e, retrace.tools.bench as b;"
        "e.parser().format_help(); b.parser().format_help(); b.parser_of('embed', '').format_help();"
        "print({'numpy', 'torch', 'reid'} & {*sys.modules} or '')"
    )
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not done.stdout.split()


def test_the_bench_measures_every_runtime_against_eager(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import importlib.util

    table = tmp_path / "bench.json"
    arguments = ["embed", "--weights", str(weights), "--batch", "3", "--rounds", "1", "--json", str(table)]
    assert bench.main(arguments) == 0
    rows = {row["way"]: row for row in json.loads(table.read_text())["embed"]}
    expected = {"torch eager", "torch", "onnxruntime f32"}
    if importlib.util.find_spec("openvino"):
        expected |= {"openvino f32", "openvino bf16"}
    assert set(rows) == expected
    assert rows["torch eager"]["ratio"] == 1
    for name in expected - {"openvino bf16"}:
        assert rows[name]["distance"] < 1e-6, name
    assert "torch eager" in capsys.readouterr().out
