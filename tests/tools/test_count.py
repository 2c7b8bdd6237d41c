"""Answers from finished results, as a user asks for them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tools.count import main
from tests.conftest import ROOT

REGIONS = """
lines: [{name: door, points: [[100, 0], [100, 200]], directions: [out, in]}]
zones: [{name: hall, points: [[110, 50], [400, 50], [400, 150], [110, 150]]}]
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Somebody who walks to the right through x = 100, 10 px a frame, and somebody who stands in the hall."""
    rows = [f"{k + 1},1,{35 + 10 * k},0,40,100,0.9,-1,-1,-1" for k in range(10)]
    rows += [f"{k + 1},2,300,0,40,100,0.9,-1,-1,-1" for k in range(10)]
    (tmp_path / "v.txt").write_text("\n".join(sorted(rows, key=lambda row: int(row.split(",")[0]))) + "\n")
    (tmp_path / "gt.txt").write_text(
        "\n".join(f"{k + 1},7,300,0,40,100,{flag},1,1" for k in range(10) for flag in (1,))
        + "\n1,9,9,9,9,9,0,8,1\n"
    )
    (tmp_path / "r.yaml").write_text(REGIONS)
    record = {"complete": True, "fps": 10.0, "size": [200, 500]}
    (tmp_path / "run.json").write_text(
        json.dumps({"sequences": {"v": record, "stopped": {**record, "complete": False}}})
    )
    return tmp_path


def test_a_text_file(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [str(place / "v.txt"), "--fps", "10", "--regions", str(place / "r.yaml")]
    assert main([*words, "--out", str(place / "o"), "--json", str(place / "a.json")]) == 0
    assert capsys.readouterr().out.splitlines()[0] == (
        "v: 2 people, at most 2 at once; 1 crossed 'door' (in); 2 people in 'hall', 0.7 s a visit"
    )
    assert json.loads((place / "a.json").read_text())["v"]["lines"] == {"door": {"in": 1, "out": 0}}
    written = {path.name for path in (place / "o").iterdir()}
    assert written == {"v.persons.csv", "v.people.csv", "v.lines.csv", "v.zones.csv"}


def test_a_run_knows_its_rate(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(place)]) == 0
    assert capsys.readouterr() == ("v: 2 people, at most 2 at once\n", "")


def test_another_rate_than_the_run_says_is_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for rate, told in (("10", ""), ("25", "count.py: v: --fps 25 instead of the 10 of its run.json\n")):
        assert main([str(place), "--fps", rate]) == 0
        assert capsys.readouterr() == ("v: 2 people, at most 2 at once\n", told)
    assert main([str(place / "v.txt"), "--fps", "25"]) == 0  # a text file says nothing
    assert capsys.readouterr().err == ""


def test_what_a_stopped_run_has_so_far(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "stopped.txt.partial").write_text("1,1,10,10,20,40,0.9,-1,-1,-1\n")
    assert main([str(place), "--out", str(place / "o")]) == 0
    assert "stopped.partial: 1 person, at most 1 at once" in capsys.readouterr().out
    assert (place / "o" / "stopped.partial.persons.csv").is_file()


def test_what_a_killed_run_has_so_far(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its run.json knows no sequence yet, or there is none."""
    (place / "killed.txt.partial").write_text("1,1,10,10,20,40,0.9,-1,-1,-1\n")
    np.savez(place / "killed.checkpoint.npz", meta=json.dumps({"next_frame": 1}), fps=10.0)
    for told in ('{"sequences": {}}', None):
        (place / "run.json").unlink()
        if told:
            (place / "run.json").write_text(told)
        assert main([str(place)]) == 0
        assert "killed.partial: 1 person, at most 1 at once" in capsys.readouterr().out
        (place / "run.json").write_text("{}")
    (place / "killed.checkpoint.npz").unlink()
    with pytest.raises(InputError, match="no frame rate of killed"):
        main([str(place)])


def test_a_run_knows_its_lines_and_zones(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads((place / "run.json").read_text())
    told["sequences"]["v"]["regions"] = {"lines": [{"name": "mid", "points": [[100, 0], [100, 200]]}]}
    told["sequences"]["v"]["measured_fps"] = 5.0
    (place / "run.json").write_text(json.dumps(told))
    assert main([str(place), "--json", str(place / "a.json")]) == 0
    assert capsys.readouterr().out == "v: 2 people, at most 2 at once; 1 crossed 'mid' to the right\n"
    assert main([str(place), "--regions", str(place / "r.yaml")]) == 0
    said = capsys.readouterr().out
    assert "'mid'" not in said
    assert "1.4 s a visit" in said  # twice as long at half the rate


def test_beside_the_truth(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(place), "--regions", str(place / "r.yaml"), "--gt", str(place / "gt.txt")]) == 0
    said = capsys.readouterr().out
    assert "people: 2, in truth 1" in said  # the one with flag 0 is not considered
    assert "door (in): 1, in truth 0" in said
    assert "hall: 2 visits, in truth 1; 1.4 person-seconds, in truth 1.0" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{v}"], "give --fps"),
        (["{v}", "--fps", "0"], "fps must be a positive number"),
        (["nowhere.txt", "--fps", "1"], "nowhere.txt: no such file or folder"),
        (
            ["nowhere"],
            "nowhere: no such file or folder; expected a NAME.txt in MOT format, or a run's folder",
        ),
        (["{empty}"], "no run.json"),
        (["{place}", "--regions", "{v}"], "v.txt"),
        (["{place}", "--regions", "{far}"], "'door' lies outside the picture of 500x200 px"),
        (["{place}", "--minute", "0"], "--minute must be a positive number of seconds, got 0.0"),
        (["{place}", "--minute", "1e-9"], "--minute 1e-09 makes more than"),
    ],
)
def test_mistakes(place: Path, words: list[str], message: str) -> None:
    (place / "empty").mkdir()
    (place / "far.yaml").write_text(REGIONS.replace("[100, 0], [100, 200]", "[900, 0], [900, 200]"))
    names = {"v": "v.txt", "empty": "empty", "far": "far.yaml", "place": ""}
    given = [word.format(**{key: place / name for key, name in names.items()}) for word in words]
    with pytest.raises(InputError, match=message):
        main([*given, "--out", str(place / "o")])


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"sequences": 3}', '{"sequences": {"v": {}}}', "\xff", "[" * 9999]
)
def test_a_broken_manifest(place: Path, text: str) -> None:
    (place / "run.json").write_text(text)
    with pytest.raises(InputError, match=r"no run\.json of|of which there is a result"):
        main([str(place)])


def test_help_is_light() -> None:
    probe = "import sys, retrace.tools.count as t; t.parser().format_help(); print(*{'numpy', 'yaml'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not done.stdout.split()
