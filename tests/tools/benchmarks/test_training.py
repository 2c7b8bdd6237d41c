"""tools/bench.py train: every way of a step, on a network small enough to wait for."""

import json
from pathlib import Path

import pytest

from retrace.configs import InputError
from retrace.tools import bench
from retrace.tools.benchmarks.training import PLAIN, measure_training

PRESET = """
model: {name: timm.mobilenetv2_035, neck: bnneck, embedding: 16}
size: [32, 32]
losses: {cross_entropy: {weight: 1}}
epochs: 1
"""


@pytest.fixture
def preset(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text(PRESET)
    return tmp_path / "small.yaml"


def test_the_table(preset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "speed.json"
    assert (
        bench.main(["train", "--configs", str(preset), "--batch", "4", "--rounds", "1", "--json", str(out)])
        == 0
    )
    rows = json.loads(out.read_text())["training"]
    assert [row["way"] for row in rows] == ["float32", PLAIN, "bfloat16"]
    assert all(row["images_per_s"] > 0 and row["size"] == [32, 32] for row in rows)
    assert rows[1]["ratio"] == 1
    assert "32x32" in capsys.readouterr().out


def test_what_cannot_be_measured(preset: Path) -> None:
    with pytest.raises(InputError, match="batch"):
        measure_training([str(preset)], batch=1)
    with pytest.raises(InputError, match="nosuch"):
        measure_training(["nosuch"])
