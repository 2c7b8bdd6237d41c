"""run.json of a folder that several runs share, and what must not stand in it."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tools.terminal.console import OK
from tests.served import SECRETS, served
from tests.small_video import make_video, write_boxes
from tests.tools.run_track import fails, run, stop_at


@pytest.fixture
def det(tmp_path: Path) -> Path:
    return write_boxes(tmp_path / "det.txt")


@pytest.fixture
def videos(tmp_path: Path) -> list[Path]:
    return [make_video(tmp_path / f"{name}.mp4", length=10) for name in "ab"]


def told(out: Path) -> dict:
    return json.loads((out / "run.json").read_text())


def test_a_later_run_keeps_the_records_of_earlier_ones(videos: list[Path], det: Path, tmp_path: Path) -> None:
    out = tmp_path / "o"
    assert run(videos[0], "--detections", det, "--out", out) == OK
    first = told(out)["sequences"]["a"]
    assert run(videos[1], "--detections", det, "--out", out, "--tracker", "sort") == OK
    now = told(out)
    assert set(now["sequences"]) == {"a", "b"}
    was = now["sequences"]["a"].pop("made_with")
    assert now["sequences"]["a"] == first
    assert was["tracker"]["high"] == 0.5
    assert was["arguments"][0] == str(videos[0])
    assert "osnet" in was["appearance"]
    assert "made_with" not in now["sequences"]["b"]
    # and once more: nothing is told twice or lost
    assert run(videos[1], "--detections", det, "--out", out) == OK
    again = told(out)
    assert again["sequences"]["a"]["made_with"]["arguments"] == was["arguments"]
    assert "made_with" not in again["sequences"]["b"]
    (out / "a.txt").unlink()  # what is gone needs no record
    assert run(videos[1], "--detections", det, "--out", out) == OK
    assert set(told(out)["sequences"]) == {"b"}


def test_no_old_video_beside_new_text(videos: list[Path], det: Path, tmp_path: Path) -> None:
    out = tmp_path / "o"
    assert run(*videos[:1], "--detections", det, "--out", out, "--save", "video,jsonl") == OK
    (out / "a.notes").write_text("somebody's own")
    assert run(videos[1], "--detections", det, "--out", out, "--save", "video") == OK
    assert run(videos[0], "--detections", det, "--out", out, "--save", "sheet", "--tracker", "sort") == OK
    assert {path.name for path in out.iterdir()} == {
        "run.json", "a.txt", "a.png", "a.notes", "b.txt", "b.mp4",
    }  # fmt: skip


def test_an_old_video_stays_until_the_new_text_is_whole(
    videos: list[Path], det: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "o"
    assert run(videos[0], "--detections", det, "--out", out, "--save", "video") == OK
    before = told(out)["sequences"]["a"]
    stop_at(monkeypatch, 5, videos[0], "--detections", det, "--out", out, "--tracker", "sort")
    assert (out / "a.mp4").is_file()
    kept = told(out)["sequences"]["a"]
    assert kept.pop("made_with")["tracker"]["high"] == 0.5
    assert kept == before
    assert run(videos[0], "--detections", det, "--out", out, "--tracker", "sort", "--resume") == OK
    assert not (out / "a.mp4").exists()


def test_offline_results_are_not_mixed_with_online_ones(
    videos: list[Path], det: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "o"
    assert run(videos[0], "--detections", det, "--out", out, "--offline") == OK
    before = told(out)
    capsys.readouterr()
    said = fails(capsys, videos[1], "--detections", det, "--out", out)
    assert (
        f"--out {out}: holds a, which was improved offline otherwise than this run does; name another" in said
    )
    assert told(out) == before
    assert not (out / "b.txt").exists()
    assert run(videos[0], "--detections", det, "--out", out) == OK  # the same source replaces its own
    assert told(out)["online"] is True
    assert not (out / "a.online.txt").exists()


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """The URL of a finite video."""
    with served(make_video(tmp_path / "clip.mkv", length=10)) as url:
        yield url


def test_no_password_in_what_is_written(
    address: str,
    det: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "o"
    words = (address, "--detections", det, "--out", out, "--save", "video,ledger,jsonl")
    stop_at(monkeypatch, 6, *words)
    names = {path.name for path in out.iterdir()}
    assert {"run.json", "clip.checkpoint.npz", "clip.ledger.jsonl.partial"} <= names
    _holds_no_secret(out)
    assert run(*words, "--resume") == OK  # the same place is known again without them
    _holds_no_secret(out)
    assert told(out)["arguments"][0].endswith("/clip.mkv")
    assert told(out)["arguments"][0].startswith("http://127.0.0.1:")
    capfd.readouterr()
    with pytest.raises(InputError) as caught:
        run(address.replace("clip", "none"), "--detections", det, "--out", out)
    said = capfd.readouterr()
    for secret in SECRETS:
        assert secret not in said.out + said.err + str(caught.value)


def _holds_no_secret(folder: Path) -> None:
    for path in folder.iterdir():
        content = path.read_bytes()
        if path.suffix == ".npz":
            with np.load(path) as file:
                content += "".join(str(file[name]) for name in file.files).encode()
        for secret in SECRETS:
            assert secret.encode() not in content, path
