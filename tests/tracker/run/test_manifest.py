"""write_run: what track_source leaves becomes a run's folder, from Python."""

import json
from pathlib import Path
from typing import Any

import pytest

from retrace.configs import InputError
from retrace.configs.files import locked
from retrace.tools import track
from retrace.tools.runs.answers import results_of
from retrace.tools.viewing.run_folder import RunFolder
from retrace.tracker.run import Job, SourceReport, track_source, write_run
from tests.small_video import LENGTH, make_video, write_boxes


@pytest.fixture
def det(tmp_path: Path) -> Path:
    return write_boxes(tmp_path / "det.txt")


def tracked(folder: Path, name: str, out: str = "o", **given: Any) -> SourceReport:
    video = make_video(folder / f"{name}.mp4")
    given = {"detections": str(folder / "det.txt"), "reid": "none", **given}
    return track_source(Job(video, folder / out, **given))


def told(out: Path) -> dict[str, Any]:
    return json.loads((out / "run.json").read_text())


def test_the_folder_is_a_run(det: Path, tmp_path: Path) -> None:
    """For those who read runs."""
    out = tmp_path / "o"
    assert write_run(out, [tracked(tmp_path, "a"), tracked(tmp_path, "b")]) == out / "run.json"
    assert [(one.name, one.fps, len(one.table)) for one in results_of(out, None)] == [
        ("a", 10.0, 2 * LENGTH),
        ("b", 10.0, 2 * LENGTH),
    ]
    places = RunFolder(out).places
    assert {name: place.source for name, place in places.items()} == {
        name: str(tmp_path / f"{name}.mp4") for name in "ab"
    }


def test_it_says_what_the_tool_says(det: Path, tmp_path: Path) -> None:
    """But for the command."""
    write_run(tmp_path / "o", [tracked(tmp_path, "a")])
    given = ["--detections", str(det), "--reid", "none", "--out", str(tmp_path / "tool"), "--quiet"]
    assert track.main([str(tmp_path / "a.mp4"), *given]) == 0
    mine, tools = told(tmp_path / "o"), told(tmp_path / "tool")
    for one in (mine, tools):
        for what in ("seconds", "seconds_by_stage"):
            one["sequences"]["a"].pop(what)
        one["arguments"] = one["arguments"][:1]
    assert mine == tools
    assert [*mine] == [*tools]


def test_a_later_one_keeps_what_was_told_before(det: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "o", [tracked(tmp_path, "a")])
    write_run(tmp_path / "o", [tracked(tmp_path, "b", tracker="sort")])
    sequences = told(tmp_path / "o")["sequences"]
    assert sequences["a"]["made_with"]["tracker"]["high"] == 0.5
    assert "made_with" not in sequences["b"]


def test_reports_of_unlike_jobs(det: Path, tmp_path: Path) -> None:
    online, other = tracked(tmp_path, "a"), tracked(tmp_path, "b", tracker="sort")
    write_run(tmp_path / "o", [online, other])
    sequences = told(tmp_path / "o")["sequences"]
    assert "made_with" not in sequences["a"]
    assert [*sequences["b"]["made_with"]] == ["tracker", "appearance"]
    with pytest.raises(
        InputError, match="`reports`: c was improved offline otherwise than a; give each its own"
    ):
        write_run(tmp_path / "o", [online, tracked(tmp_path, "c", offline="smooth")])


def test_what_is_typed_is_told_without_secrets(det: Path, tmp_path: Path) -> None:
    address = "rtsp://me:s3/cr@t@cam/1?token=t0ken"
    write_run(tmp_path / "o", [tracked(tmp_path, "a")], arguments=[address, f"--storage={address}"])
    assert told(tmp_path / "o")["arguments"] == ["rtsp://cam/1", "--storage=rtsp://cam/1"]


def test_what_cannot_be_a_run(det: Path, tmp_path: Path) -> None:
    report = tracked(tmp_path, "a")
    with pytest.raises(InputError, match="`reports` is empty"):
        write_run(tmp_path / "o", [])
    with pytest.raises(InputError, match=r"holds no a\.txt; name the folder of the report's job"):
        write_run(tmp_path / "elsewhere", [report])
    with locked(tmp_path / "o" / "run.lock", "tracks"), pytest.raises(InputError):
        write_run(tmp_path / "o", [report])
    assert not (tmp_path / "o" / "run.json").exists()


@pytest.mark.parametrize(
    ("out", "reports", "said"),
    [
        ("o", ["x"], "`reports` must be what track_source returned, got str"),
        ("o", [SourceReport("a")], "`reports`: a is of no run"),
        (None, [], "`out` must be a folder, got NoneType"),
    ],
)
def test_what_is_no_report(out: Any, reports: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        write_run(out, reports)


@pytest.mark.parametrize("name", ["a/b", "..", "x" * 300, "x/"])
def test_names_are_names_of_files(name: str) -> None:
    with pytest.raises(InputError, match=r"`name` .*expected a file's name"):
        Job("v.mp4", "o", name=name)
