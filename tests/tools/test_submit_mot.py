"""The command: archive, manifest, and one line for every mistake."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from retrace.tools.submit_mot import main
from retrace.tools.terminal.console import guarded

LINE = "1,1,10.5,10.5,20.0,40.0,0.9,-1,-1,-1\n"


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        guarded(main, list(argv))
    out, err = capsys.readouterr()
    return int(left.value.code or 0), out, err


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    for number in ("04", "06", "07", "08"):
        (folder / f"MOT20-{number}.txt").write_text(LINE)
    return folder


def test_writes_archive_and_manifest(
    tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (results / "run.json").write_text(json.dumps({"detections": "abc", "online": True}))
    out = tmp_path / "new" / "x.zip"
    code, text, _ = run(capsys, "--benchmark", "MOT20", "--results", str(results), "--out", str(out), "--offline",
                        "--post-processing", "interpolated")  # fmt: skip
    assert code == 0
    assert "4 files, MOT20 test" in text
    assert sorted(zipfile.ZipFile(out).namelist()) == [f"MOT20-{n}.txt" for n in ("04", "06", "07", "08")]
    about = json.loads((tmp_path / "new" / "x.manifest.json").read_text())
    assert (about["detections"], about["online"], about["post_processing"]) == (
        "abc",
        False,
        ["interpolated"],
    )
    assert set(about["files"]) == set(zipfile.ZipFile(out).namelist())
    assert run(capsys, "--check", str(out)) == (0, f"{out}: nothing to refuse\n", "")


def test_once_more_says_the_same(tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The manifest beside the folder is the archive's own: it is not put into itself."""
    told = []
    for _ in range(3):
        common = ("--benchmark", "MOT20", "--results", str(results), "--out", str(tmp_path / "results.zip"))
        assert run(capsys, *common, "--offline")[0] == 0
        told.append((tmp_path / "results.manifest.json").read_text())
    assert told[0] == told[1] == told[2]


def test_hash_of_detections(tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "det.txt").write_text(LINE)
    common = ("--benchmark", "MOT20", "--results", str(results), "--out", str(tmp_path / "x.zip"))
    seen = set()
    for text in (LINE, LINE + LINE, LINE):
        (tmp_path / "det.txt").write_text(text)
        run(capsys, *common, "--detections", str(tmp_path / "det.txt"))
        seen.add(json.loads((tmp_path / "x.manifest.json").read_text())["detections"])
    assert len(seen) == 2
    assert all(len(h) == 64 for h in seen)


def test_bad_result_leaves_nothing(tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (results / "MOT20-04.txt").write_text(LINE + LINE)
    code, _, err = run(
        capsys, "--benchmark", "MOT20", "--results", str(results), "--out", str(tmp_path / "x.zip")
    )
    assert code == 2
    assert err.count("\n") == 1
    assert "MOT20-04.txt: line 2: id 1 is twice in frame 1" in err
    assert [p.name for p in tmp_path.iterdir()] == ["results"]


def test_place_that_cannot_be_written(
    tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "x.zip"
    code, _, err = run(capsys, "--benchmark", "MOT20", "--results", str(results), "--out", str(out))
    assert (code, err.count("\n")) == (2, 1)
    assert "cannot be written" in err


def test_check_lists_reasons_and_exits_2(
    tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (results / "MOT20-04.txt").write_text("0,1,1,1,5,5,1,-1,-1,-1\n")
    (results / "MOT20-06.txt").unlink()
    code, out, err = run(capsys, "--check", str(results))
    assert code == 2
    assert out.count("REFUSED") == 2
    assert err.count("\n") == 1
    assert "2 reason(s)" in err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ((), "missing --benchmark, --results, --out"),
        (("--check", "nowhere.zip"), "nowhere.zip: no such file or folder"),
        (("--benchmark", "MOT16"), "invalid choice: 'MOT16'"),
        (("--benchmark", "MOT20", "--results", "nowhere", "--out", "x.zip"), "nowhere: no such folder"),
        (("--benchmark", "MOT20", "--results", ".", "--out", "x.tar"), "ends in .zip"),
        (("--frobnicate",), "unrecognized arguments"),
        (("--check", "x.zip", "--out", "y.zip", "--results", "."), "so --results, --out would do nothing"),
        (("--check", "x.zip", "--set", "all", "--offline"), "so --set, --online would do nothing"),
        (("--check", ".", "--gt", "nowhere"), "nowhere: no such folder of training sequences"),
    ],
)
def test_mistakes_are_one_line(argv: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, *argv)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
