"""`bench.py memory`, a small run: the stream is what it says, and the figures are there."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tools import bench
from retrace.tools.benchmarks.identities import passers


def test_people_walk_around_a_ring() -> None:
    windows = [*passers(3000, 6, 10.0, 64, 0, 2.0)]
    person = np.concatenate([who for who, _ in windows])
    told = [one for _, window in windows for one in window]
    end = np.array([one.end for one in told])
    assert len(told) == 3000
    assert (np.diff(end) >= 0).all()
    # about 10 a second, once people are everywhere
    assert 7 < np.mean((end > 300) & (end < 400)) * 3000 / 100 < 13
    for _, window in windows:
        assert window[-1].end - window[0].end <= 2.0
    for k in range(40):
        mine = [one for one, who in zip(told, person, strict=True) if who == k]
        for one, other in itertools.pairwise(mine):
            assert other.begin > one.end
            step = (int(other.camera[1:]) - int(one.camera[1:])) % 6
            assert step in (1, 5) or other.begin - one.end > 1000
    same = [
        told[i].vector @ told[j].vector for i, j in itertools.combinations(np.flatnonzero(person == 3), 2)
    ]
    assert np.mean(same) == pytest.approx(0.8, abs=0.08)
    again = [one for _, window in passers(3000, 6, 10.0, 64, 0, 2.0) for one in window]
    assert again[-1].vector.tobytes() == told[-1].vector.tobytes()


def test_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.json"
    given = [
        "--tracklets",
        "400",
        "--dimension",
        "32",
        "--rate",
        "10",
        "--forget-after",
        "20",
        "--cameras",
        "4",
    ]
    assert bench.main(["memory", *given, "--json", str(out)]) == 0
    found = json.loads(out.read_text())["memory"]
    assert found["tracklets"] == 400
    assert found["forgotten"] > 0
    assert found["per_s"] > 0
    assert len(found["parts"]) == 10
    assert found["file_mb"] > 0
    assert "a second" in capsys.readouterr().out


def test_mistakes(tmp_path: Path) -> None:
    (tmp_path / "m.db").touch()
    for words, message in (
        (["--rate", "0"], "must be positive"),
        (["--keep", str(tmp_path / "m.db")], "is there"),
    ):
        with pytest.raises(InputError, match=message):
            bench.main(["memory", *words])
