"""Where the demo's video comes from, and what the demo returns. No network: every place is a fake."""

from __future__ import annotations

import gzip
import hashlib
import sys
import tempfile
import urllib.error
import zlib
from collections.abc import Callable
from http.client import IncompleteRead
from pathlib import Path

import pytest

from retrace.configs import InputError
from retrace.tools import demo
from retrace.tools.scenes import demo_video, drawing
from retrace.tools.scenes.walks import SIZE
from retrace.tracker.mot_file import read_results
from tests.small_video import make_video, write_boxes

CONTENT = b"not really a video, but the bytes that the test calls right"


@pytest.fixture
def right(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Makes CONTENT the known file."""
    monkeypatch.setattr(demo_video, "SHA256", hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setattr(demo_video, "SIZE", len(CONTENT))
    return CONTENT


def has(path: Path) -> demo_video.Take:
    return lambda cache: (path, "here")


def fails(error: Exception) -> demo_video.Take:
    def take(cache: Path) -> tuple[Path, str]:
        raise error

    return take


# The file and its hash


def test_verify_accepts_the_known_bytes(tmp_path: Path, right: bytes) -> None:
    (tmp_path / "a").write_bytes(right)
    assert demo_video.verify(tmp_path / "a") is True


def test_verify_knows_the_real_file(shared: Path) -> None:
    path = shared / "videos" / demo_video.NAME
    assert path.stat().st_size == demo_video.SIZE
    assert demo_video.verify(path) is True


def test_measure_counts_the_real_files_frames(shared: Path) -> None:
    assert demo_video.measure(shared / "videos" / demo_video.NAME) == (
        demo_video.LENGTH,
        demo_video.WIDTH,
        demo_video.HEIGHT,
    )


def test_verify_refuses_a_wrong_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(CONTENT)
    with pytest.raises(demo_video.Missing, match="0 frames of 0x0, not 795 of 768x576"):
        demo_video.verify(tmp_path / "a")
    with pytest.raises(demo_video.Missing, match="no such file"):
        demo_video.verify(tmp_path / "b")


def test_verify_takes_another_build_of_the_same_size_and_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.mp4"
    drawing.render_scene(path, seconds=0.16, people=1)
    for length, same in ((4, True), (5, False)):
        monkeypatch.setattr(demo_video, "LENGTH", length)
        monkeypatch.setattr(demo_video, "WIDTH", SIZE[1])
        monkeypatch.setattr(demo_video, "HEIGHT", SIZE[0])
        if same:
            assert demo_video.verify(path) is False
        else:
            with pytest.raises(demo_video.Missing, match="4 frames of 960x540, not 5"):
                demo_video.verify(path)


# The order of places


def test_the_order_is_the_promised_one() -> None:
    assert list(demo_video.PLACES) == ["cache", "shared data", "GitHub", "Debian", "drawing"]


@pytest.mark.parametrize(
    "error",
    [
        demo_video.Missing("not here"),
        urllib.error.URLError("no name"),
        TimeoutError("slow"),
        IncompleteRead(b"half"),
        PermissionError("no"),
        EOFError("cut"),
        zlib.error("broken"),
    ],
)
def test_a_place_that_fails_falls_to_the_next_in_silence(tmp_path: Path, error: Exception) -> None:
    heard: list[str] = []
    places = {"one": fails(error), "two": has(tmp_path / "v"), "three": fails(AssertionError("not asked"))}
    assert demo_video.obtain(tmp_path, places, heard.append) == (tmp_path / "v", "here")
    assert len(heard) == 1
    assert heard[0].startswith("one: ")


def test_no_place_at_all_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"give one as `video`"):
        demo_video.obtain(tmp_path, {"one": fails(demo_video.Missing("x"))}, lambda line: None)


def test_a_cached_file_is_taken_without_asking_further(tmp_path: Path, right: bytes) -> None:
    (tmp_path / demo_video.NAME).write_bytes(right)
    places = {"cache": demo_video.from_cache, "next": fails(AssertionError("not asked"))}
    assert demo_video.obtain(tmp_path, places, lambda line: None)[0] == tmp_path / demo_video.NAME


def test_a_broken_cached_file_is_passed_over_and_replaced(tmp_path: Path, right: bytes) -> None:
    (tmp_path / demo_video.NAME).write_bytes(b"half a downl")
    source = tmp_path / "source"
    source.write_bytes(right)
    places = {
        "cache": demo_video.from_cache,
        "GitHub": lambda cache: demo_video.from_github(cache, source.as_uri()),
    }
    path, _ = demo_video.obtain(tmp_path, places, lambda line: None)
    assert path.read_bytes() == right


def test_shared_data_follows_the_environment(
    tmp_path: Path, right: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETRACE_SHARED", str(tmp_path))
    with pytest.raises(demo_video.Missing):
        demo_video.from_shared(tmp_path)
    path = tmp_path / "data" / "videos" / demo_video.NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(right)
    assert demo_video.from_shared(tmp_path)[0] == path


# GitHub


def test_a_download_lands_in_the_cache_when_its_hash_is_right(tmp_path: Path, right: bytes) -> None:
    (tmp_path / "served").write_bytes(right)
    path, _ = demo_video.from_github(tmp_path / "cache", (tmp_path / "served").as_uri())
    assert path == tmp_path / "cache" / demo_video.NAME
    assert path.read_bytes() == right


@pytest.mark.parametrize("served", [CONTENT[:-1], CONTENT + b"!", CONTENT[:-1] + b"X", b"<html>", b""])
def test_a_wrong_download_never_lands_in_the_cache(tmp_path: Path, right: bytes, served: bytes) -> None:
    (tmp_path / "served").write_bytes(served)
    with pytest.raises(demo_video.Missing):
        demo_video.from_github(tmp_path / "cache", (tmp_path / "served").as_uri())
    assert not list((tmp_path / "cache").iterdir())


# Debian's package


@pytest.fixture
def debian(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., list[list[str]]]:
    """A fake apt-get and dpkg: `debian(files, lists="stale")` -> the commands that will have run."""
    monkeypatch.setattr(demo_video.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()

    def set_up(files: dict[str, bytes], stale: bool = False, update_fails: bool = False) -> list[list[str]]:
        ran: list[list[str]] = []

        def run(command: list[str], folder: Path, seconds: float) -> None:
            ran.append(command)
            private = any("Dir::State::Lists" in word for word in command)
            if "update" in command and update_fails:
                raise demo_video.Missing("one source is dead")
            if "download" in command:
                if stale and not private:
                    raise demo_video.Missing("apt-get ended with 100")
                (folder / "opencv-doc_4.6.0_all.deb").write_bytes(b"deb")
            if command[0] == "dpkg":
                for name, content in files.items():
                    path = Path(command[-1]) / "usr/share/doc/opencv-doc/examples/data" / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)

        monkeypatch.setattr(demo_video, "_run", run)
        return ran

    return set_up


@pytest.mark.parametrize(
    "files", [{demo_video.NAME: CONTENT}, {demo_video.NAME + ".gz": gzip.compress(CONTENT)}]
)
def test_debians_package_serves_plain_or_packed(tmp_path: Path, right: bytes, debian, files) -> None:
    ran = debian(files)
    path, origin = demo_video.from_debian(tmp_path / "cache")
    assert path.read_bytes() == right
    assert "another build" not in origin
    assert [c[0] for c in ran] == ["apt-get", "dpkg"]
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.parametrize("update_fails", [False, True])
def test_stale_package_lists_are_fetched_into_a_folder_of_our_own(
    tmp_path: Path, right: bytes, debian, update_fails: bool
) -> None:
    ran = debian({demo_video.NAME: CONTENT}, stale=True, update_fails=update_fails)
    demo_video.from_debian(tmp_path / "cache")
    assert [c[-1] if c[-1] == "update" else c[0] for c in ran] == ["apt-get", "update", "apt-get", "dpkg"]
    for command in ran[1:3]:
        lists = next(word for word in command if word.startswith("Dir::State::Lists="))
        assert lists.startswith(f"Dir::State::Lists={tmp_path}")
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.parametrize(
    "files", [{}, {demo_video.NAME: b"wrong"}, {demo_video.NAME + ".gz": gzip.compress(CONTENT)[:-9]}]
)
def test_a_package_without_the_right_file_leaves_nothing(tmp_path: Path, right: bytes, debian, files) -> None:
    debian(files)
    with pytest.raises((demo_video.Missing, EOFError)):
        demo_video.from_debian(tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
    assert not list((tmp_path / "tmp").iterdir())


def test_another_build_in_the_package_is_taken_and_said(
    tmp_path: Path, debian, monkeypatch: pytest.MonkeyPatch
) -> None:
    debian({demo_video.NAME: CONTENT})
    monkeypatch.setattr(
        demo_video, "measure", lambda path: (demo_video.LENGTH, demo_video.WIDTH, demo_video.HEIGHT)
    )
    path, origin = demo_video.from_debian(tmp_path / "cache")
    assert path.read_bytes() == CONTENT
    assert "another build" in origin


def test_no_apt_here_is_a_miss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_video.shutil, "which", lambda name: None)
    with pytest.raises(demo_video.Missing, match="no apt-get"):
        demo_video.from_debian(tmp_path)


def test_commands_that_fail_or_hang_are_misses(tmp_path: Path) -> None:
    with pytest.raises(demo_video.Missing, match="ended with 3"):
        demo_video._run([sys.executable, "-c", "raise SystemExit(3)"], tmp_path, 60)
    with pytest.raises(demo_video.Missing, match=r"longer than 0\.2 s"):
        demo_video._run([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path, 0.2)


# The last resort


def test_the_drawing_is_a_video_with_its_truth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = drawing.save_scene
    monkeypatch.setattr(drawing, "save_scene", lambda folder: draw(folder, seconds=0.2, people=2))
    path, origin = demo_video.from_drawing(tmp_path)
    assert demo_video.measure(path) == (5, 960, 540)
    assert "drawn here" in origin
    assert (tmp_path / "scene" / "gt" / "gt.txt").is_file()


def test_the_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRACE_CACHE", str(tmp_path / "c"))
    assert demo_video.video_folder(tmp_path / "out") == tmp_path / "c"
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RETRACE_CACHE", str(tmp_path / "file" / "c"))
    assert demo_video.video_folder(tmp_path / "out") == tmp_path / "out" / "source"
    monkeypatch.delenv("RETRACE_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert demo_video.video_folder(tmp_path / "out") == tmp_path / ".cache" / "retrace"


# The run


Tracks = Callable[[list[str]], int]


def stand_in(monkeypatch: pytest.MonkeyPatch, tracks: Tracks) -> list[str]:
    """Something in track.py's place; what it will have been told."""
    told: list[str] = []

    def main(argv: list[str]) -> int:
        told[:] = argv
        return tracks(argv)

    monkeypatch.setattr(demo.track, "main", main)
    return told


def writes(*endings: str) -> Tracks:
    """Writes results of those kinds, as track.py would."""

    def tracks(argv: list[str]) -> int:
        out = Path(argv[argv.index("--out") + 1])
        out.mkdir()
        for ending in endings:
            (out / f"walk{ending}").write_text("x")
        return 0

    return tracks


def test_the_demo_tracks_and_names_what_came_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = stand_in(monkeypatch, writes(".txt", ".mp4", ".png"))
    out = tmp_path / "out"
    code = demo.main(["--video", "x/walk.avi", "--out", str(out), "--detector", "hog", "--quiet"])
    assert code == 0
    assert told == f"x/walk.avi --save video,mot,sheet --out {out} --detector hog --quiet".split()
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "video: x/walk.avi, given",
        f"done: {out / 'walk.mp4'}, {out / 'walk.txt'}, {out / 'walk.png'}",
    ]


def test_what_tracking_says_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, lambda argv: 130)
    assert demo.main(["--video", "walk.avi"]) == 130
    monkeypatch.undo()
    with pytest.raises(InputError, match=r"walk\.avi: no such file"):
        demo.main(["--video", "walk.avi"])
    with pytest.raises(InputError, match="--detektor"):
        demo.main(["--video", "walk.avi", "--detektor", "hog"])


def test_the_demo_tracks_for_real(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RETRACE_CACHE", str(tmp_path / "cache"))
    video, out = make_video(tmp_path / "v.mp4", length=5), tmp_path / "out"
    write_boxes(tmp_path / "boxes.txt", length=5)
    extra = ["--detections", str(tmp_path / "boxes.txt"), "--reid", "none", "--camera", "none"]
    assert demo.main(["--video", str(video), "--out", str(out), "--save", "mot,sheet", *extra]) == 0
    assert len(read_results(out / "v.txt")) == 10
    assert capsys.readouterr().out.endswith(f"done: {out / 'v.txt'}, {out / 'v.png'}\n")


def test_a_promised_file_that_is_not_there_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(monkeypatch, writes(".txt", ".mp4"))
    assert demo.main(["--video", "walk.avi", "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr()
    assert "walk.png" in said.err
    assert "done" not in said.out


def test_one_line_says_where_the_video_is_from_and_verbose_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RETRACE_CACHE", str(tmp_path))
    monkeypatch.setattr(
        demo_video, "PLACES", {"one": fails(demo_video.Missing("empty")), "two": has(Path("walk.avi"))}
    )
    stand_in(monkeypatch, writes(".txt", ".mp4", ".png"))
    for flags, misses in (([], ""), (["--verbose"], "one: empty\n")):
        assert demo.main([*flags, "--out", str(tmp_path / f"out{len(flags)}")]) == 0
        said = capsys.readouterr()
        assert said.out.splitlines()[0] == "video: walk.avi, here"
        assert said.err == misses
