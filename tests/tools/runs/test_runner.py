"""Several sources in one run: one that is bad ends alone, and one folder is one run's at a time."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from retrace.configs.files import locked
from retrace.tools import track
from retrace.tools.runs.runner import names_apart
from retrace.tools.terminal.console import INTERRUPTED, OK, guarded
from tests.conftest import ROOT
from tests.small_video import LENGTH, make_video, write_boxes
from tests.tools.forked import Forked
from tests.tools.run_track import fails, run
from tests.tools.runs.sequences import sequence


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Three MOTChallenge folders without images."""
    made = []
    for name in ("one", "two", "three"):
        (tmp_path / name / "det").mkdir(parents=True)
        write_boxes(tmp_path / name / "det" / "det.txt")
        (tmp_path / name / "seqinfo.ini").write_text(
            f"[Sequence]\nname={name}\nframeRate=10\nseqLength={LENGTH}\nimWidth=192\nimHeight=96\n"
        )
        made.append(tmp_path / name)
    return made


def ends(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, list[str]]:
    """Exit code, and the lines on standard error."""
    with pytest.raises(SystemExit) as caught:
        guarded(track.main, [str(a) for a in arguments])
    assert isinstance(caught.value.code, int)
    return caught.value.code, capsys.readouterr().err.splitlines()


@pytest.mark.parametrize("when", ["opening", "tracking"])
def test_the_others_are_tracked(
    when: str, folders: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, bad, three = folders
    if when == "opening":
        (bad / "seqinfo.ini").unlink()
        why = "two: no images"
    else:  # a place that cannot be written shows when it is reached
        (tmp_path / "o" / "two.txt").mkdir(parents=True)
        why = "two.txt: is a folder, expected a place for a file"
    code, lines = ends(capsys, one, bad, three, "--out", tmp_path / "o", "--quiet")
    assert code == 2
    assert lines[0].startswith("warning: ")
    assert lines[0].endswith("; going on without it")
    assert why in lines[0]
    assert f"1 of 3 sources not tracked: {bad} (" in lines[1]
    assert why in lines[1]
    assert len(lines) == 2
    told = json.loads((tmp_path / "o" / "run.json").read_text())
    assert set(told["sequences"]) == {"one", "three"}
    assert [*told["failed"]] == [str(bad)]
    assert why in told["failed"][str(bad)]
    assert (tmp_path / "o" / "three.txt").is_file()


def test_nothing_to_track_is_one_line(
    folders: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "no such file" in fails(capsys, tmp_path / "a.mp4", tmp_path / "b.mp4", "--out", tmp_path / "o")
    assert not (tmp_path / "o").exists()


def test_what_could_not_begin_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A memory that is none is only opened when tracking begins."""
    video = make_video(tmp_path / "v.mp4", length=3)
    (tmp_path / "text.db").write_text("no memory")
    out = tmp_path / "o"
    assert "text.db" in fails(
        capsys, video, "--detector", "hog", "--memory", tmp_path / "text.db", "--out", out
    )
    assert not list(out.iterdir())
    (out / "run.json").write_text("{}")  # another's
    fails(capsys, video, "--detector", "hog", "--memory", tmp_path / "text.db", "--out", out)
    assert [path.name for path in out.iterdir()] == ["run.json"]


def test_a_mistake_that_concerns_all_ends_before_anything(
    folders: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = make_video(tmp_path / "v.mp4", length=3)
    out = ("--out", tmp_path / "o")
    assert "nowhere.pt" in fails(capsys, folders[0], video, "--detector", "nowhere.pt", *out)
    assert "x.onnx" in fails(capsys, *folders, "--reid", "x.onnx", *out)
    assert not (tmp_path / "o").exists()


def test_a_folder_is_one_runs_at_a_time(
    folders: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "o"
    with locked(out / "run.lock", "tracks into o"):
        for more in ([], ["--resume"]):
            said = fails(capsys, folders[0], "--out", out, *more)
            assert f"process {os.getpid()} on " in said
            assert "tracks into o; wait for it, or choose another output folder" in said
        assert [path.name for path in out.iterdir()] == ["run.lock"]
    assert run(folders[0], "--out", out) == OK
    assert {path.name for path in out.iterdir()} == {"run.json", "one.txt"}


def test_another_process_is_named_and_a_dead_ones_lock_is_taken_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    what = [str(sequence(tmp_path / "long", 4000)), "--reid", "none", "--out", str(out)]
    process = Forked("track", what, tmp_path / "said")
    try:
        begun, grown = time.monotonic(), out / "long.txt.partial"
        while process.poll() is None and not (grown.exists() and grown.stat().st_size):
            assert time.monotonic() - begun < 60
            time.sleep(0.01)
        for more in ([], ["--resume"]):
            assert f"process {process.pid} on " in fails(capsys, *what, *more)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert (out / "run.lock").exists(), "killed: nobody tidied up"
    assert run(*what, "--resume") == OK
    assert {path.name for path in out.iterdir()} == {"run.json", "long.txt"}
    assert run(*what[:-1], tmp_path / "whole") == OK
    assert (out / "long.txt").read_bytes() == (tmp_path / "whole" / "long.txt").read_bytes()


def test_a_stopped_run_says_so_even_with_failures(
    folders: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from retrace.tools.runs import runner

    begin = runner._begin

    def and_stop(run: runner.Run) -> None:
        begin(run)
        run.stop.set()

    monkeypatch.setattr(runner, "_begin", and_stop)
    code, lines = ends(capsys, folders[0], tmp_path / "none.mp4", "--out", tmp_path / "o")
    assert code == INTERRUPTED
    assert "none.mp4" in lines[0]


def test_names_apart() -> None:
    assert names_apart(["a", "A", "b", "a-2", "a"]) == ["a", "A-2", "b", "a-2-2", "a-3"]
    assert names_apart([]) == []


def test_a_full_disk_ends_in_one_line_and_can_be_gone_on_from(tmp_path: Path) -> None:
    """No file may grow beyond 60 kB: as on a full disk, writing fails in the middle."""
    length = 600
    video, det = make_video(tmp_path / "long.mp4", length), write_boxes(tmp_path / "det.txt", length)
    out = tmp_path / "out"
    what = [str(video), "--detections", str(det), "--reid", "none", "--camera", "none"]
    what += ["--save", "jsonl,sheet", "--out", str(out)]
    process = Forked("track", what, tmp_path / "said", largest=60_000, checkpoints=0.05)
    _, errors = process.communicate(60)
    assert process.returncode == 2
    assert errors.count("\n") == 1, errors
    assert "long.jsonl: cannot be written (File too large); choose another output folder" in errors
    assert not (out / "long.txt").exists()
    assert run(*what, "--resume") == OK
    assert run(*what[:-1], tmp_path / "whole") == OK
    for name in ("long.txt", "long.jsonl", "long.png"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not list(out.glob("*.partial"))


def test_a_file_that_cannot_be_begun_leaves_no_others(
    folders: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "o" / "one.jsonl").mkdir(parents=True)
    assert "one.jsonl: is a folder" in fails(capsys, folders[0], "--out", tmp_path / "o", "--save", "jsonl")
    assert not list((tmp_path / "o").glob("*.partial"))


@pytest.mark.parametrize("locale", ["ours", "C"])
def test_a_name_that_is_not_utf8(locale: str, tmp_path: Path) -> None:
    video = make_video(tmp_path / "v.mp4", length=3).rename(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.mp4"))
    det = write_boxes(tmp_path / "det.txt", 3)
    out = tmp_path / "o"
    what = [str(video), "--detections", str(det), "--out", str(out), "--save", "video,ledger"]
    if locale == "ours":
        assert run(*what) == OK
    else:
        done = subprocess.run(
            [sys.executable, "tools/track.py", *what],
            cwd=ROOT,
            capture_output=True,
            env={**os.environ, "LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        )
        assert done.returncode == OK, done.stderr
    assert (out / "\udcff.txt").is_file()
    assert json.loads((out / "run.json").read_text())["sequences"]["\udcff"]["frames"] == 3
