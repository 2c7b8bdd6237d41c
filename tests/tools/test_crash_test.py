"""tools/crash_test.py, a short run of it; a long one is a command (LOG.md has its figures)."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from retrace.configs import InputError
from retrace.tools.crashes.report import crash_test
from tests.tools.called import called, refused
from tests.tools.forked import begin_server


@pytest.mark.parametrize(
    ("subject", "kills", "times"),
    [("tracking", 2, 1), pytest.param("tracking", 30, 5, marks=pytest.mark.long),
     pytest.param("memory", 50, 5, marks=pytest.mark.long),
     pytest.param("training", 10, 3, marks=pytest.mark.long)],
)  # fmt: skip
def test_nothing_is_lost(tmp_path: Path, subject: str, kills: int, times: int) -> None:
    if subject == "training" and importlib.util.find_spec("torchreid") is None:
        pytest.skip("needs torchreid: pip install -e .[train]")
    begin_server()
    said: list[str] = []
    found = crash_test([subject], kills=kills, times=times, out=tmp_path / "out", tell=said.append)[subject]
    assert [line for row in found.values() for line in row["faults"]] == [], said
    assert found["kills"]["disturbed"] >= kills
    assert found["kills"]["runs"] >= 1
    assert found["twice"]["runs"] == times


def test_what_is_not_like_the_whole_run_is_a_fault(tmp_path: Path) -> None:
    """The comparison can fail: a byte more, a file more or less, a figure of run.json."""
    from retrace.tools.crashes.subjects import unlike_tracks

    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "v.txt").write_text("1,1\n")
        (tmp_path / name / "run.json").write_text('{"sequences": {"v": {"frames": 3, "seconds": 1}}}')
    assert unlike_tracks(tmp_path / "a", tmp_path / "b") == []
    (tmp_path / "b" / "run.json").write_text('{"sequences": {"v": {"frames": 4, "seconds": 1}}}')
    (tmp_path / "b" / "v.txt").write_text("1,2\n")
    (tmp_path / "b" / "v.txt.partial").touch()
    assert unlike_tracks(tmp_path / "a", tmp_path / "b") == [
        "v.txt.partial is in one folder only",
        "run.json differs",
        "v.txt differs",
    ]


def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean 'tracking'" in refused(called(capsys, "crash_test", "--subjects", "traking"))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    assert "is not empty" in refused(called(capsys, "crash_test", "--out", tmp_path / "full"))
    with pytest.raises(InputError, match="'kill': did you mean 'kills'"):
        crash_test(["tracking"], ["kill"])
