"""tools/link_cameras.py: files in, files out, one line for what is wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retrace.tools import eval_mot, link_cameras
from retrace.tools.terminal.console import OK, guarded
from retrace.tracker.mot_file import read_results, write_ground_truth, write_results
from tests.tracker.site.walkers import SIZE, site


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Three cameras of six people; ids of the second count from 101, of the third from 201. Their truth is in gt/."""
    (tmp_path / "results").mkdir()
    for k, (name, seen) in enumerate(site(noise=1.0).items()):
        folder = tmp_path / "gt" / name
        (folder / "gt").mkdir(parents=True)
        write_ground_truth(folder / "gt" / "gt.txt", seen)
        (folder / "seqinfo.ini").write_text(
            f"[Sequence]\nname={name}\nframeRate=10\nseqLength=120\nimWidth={SIZE[0]}\nimHeight={SIZE[1]}\n"
        )
        write_results(tmp_path / "results" / f"{name}.txt", replace(seen, id=seen.id + 100 * k))
    return tmp_path / "results"


def run(*arguments: object) -> None:
    assert link_cameras.main([str(a) for a in arguments]) == OK


def fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as caught:
        guarded(link_cameras.main, [str(a) for a in arguments])
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    return error


def test_learned_then_given_then_scored(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    run("--results", results, "--out", out, "--learn-frames", 80, "--sequences", tmp_path / "gt")
    assert "3 cameras, ground learned: 18 tracklets are 6 people" in capsys.readouterr().out
    told = json.loads((out / "run.json").read_text())
    assert told["online"] is False
    assert told["post_processing"][-1]["pass"] == "link_cameras"
    run("--results", results, "--out", tmp_path / "again", "--homography", out / "ground.yaml", "--quiet")
    assert capsys.readouterr().out == ""
    for name in ("cam1", "cam2", "cam3"):
        mine, before = read_results(out / f"{name}.txt"), read_results(results / f"{name}.txt")
        assert len(mine) == len(before)
        assert set(mine.id.tolist()) <= set(range(1, 7))
        assert (out / f"{name}.txt").read_bytes() == (tmp_path / "again" / f"{name}.txt").read_bytes()
    truth = ["--gt", str(tmp_path / "gt"), "--multi-camera", "--results"]
    # before: a third of the boxes, those of one camera
    for folder, idf1 in ((out, "100.00"), (results, "33.33")):
        assert eval_mot.main([*truth, str(folder)]) == OK
        line = next(
            row for row in capsys.readouterr().out.splitlines() if row.startswith("all cameras as one")
        )
        assert line.split()[6] == idf1


def test_some_cameras(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    out = Path(typed := "http://me:s3cret@host/out?token=t0ken")  # a folder, if a strange one
    run("--results", results, "--out", typed, "--cameras", "cam3,cam1")
    assert sorted(p.name for p in out.glob("cam*.txt")) == ["cam1.txt", "cam3.txt"]
    assert np.isin(read_results(out / "cam3.txt").id, range(1, 7)).all()
    assert json.loads((out / "run.json").read_text())["linked"]["arguments"][3] == "http://host/out"


def test_what_is_refused(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    both = ("--results", results, "--out", out)
    assert "--results itself" in fails(capsys, "--results", results, "--out", results)
    assert "no cam9.txt" in fails(capsys, *both, "--cameras", "cam1,cam9")
    assert "two cameras or more" in fails(capsys, *both, "--cameras", "cam1")
    assert "g.yaml: no such file" in fails(capsys, *both, "--homography", "g.yaml")
    assert "unknown key 'limits'" in fails(capsys, *both, "--set", "limits=1")
    assert "--learn-frames is 0" in fails(capsys, *both, "--learn-frames", 0)
    assert "too few people are seen at once" in fails(capsys, *both, "--learn-frames", 3)
    (tmp_path / "g.yaml").write_text("cameras: {cam1: {points: [[0,0,0,0],[1,0,1,0],[1,1,1,1],[0,1,0,1]]}}")
    assert "no homography of camera cam2" in fails(capsys, *both, "--homography", tmp_path / "g.yaml")
    assert not out.exists()
