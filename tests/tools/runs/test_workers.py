"""Files in processes side by side: the bytes of one after the other, whoever is killed."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from retrace.tools.runs.workers import TRIES, Outcome, track_in_workers, workers_of
from retrace.tools.terminal.console import INTERRUPTED, OK
from retrace.tracker.run import Job
from tests.tools.forked import Forked, forked_workers
from tests.tools.run_track import fails, run
from tests.tools.runs.sequences import holders, sequence

LONG = 5_000  # frames: about half a second, in which the test looks


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    return [sequence(tmp_path / name, 30) for name in ("one", "two", "three")]


def records(out: Path) -> dict[str, object]:
    """What run.json says of the sequences, times left out."""
    told = json.loads((out / "run.json").read_text())
    times = ("seconds", "seconds_by_stage")
    return {n: {k: v for k, v in r.items() if k not in times} for n, r in told["sequences"].items()}


def test_the_same_files_as_one_after_the_other(
    folders: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By two processes, as fresh as users have them, and by one, one with pictures and vectors, and one that fails."""
    (folders[0] / "img1").mkdir()
    for k in range(30):
        image = np.full((96, 192, 3), 5 * k, np.uint8)
        cv2.imwrite(str(folders[0] / "img1" / f"{k + 1:06d}.jpg"), image)
    bad = sequence(tmp_path / "bad", 5)
    what = [*folders, bad, "--detections", "det/det.txt", "--save", "jsonl,ledger", "--quiet"]
    for name, more in (("alone", ()), ("side", ("--workers", "2"))):
        (tmp_path / name / "bad.txt").mkdir(parents=True)  # shows when it is reached
        said = fails_twice(capsys, *what, *more, "--out", tmp_path / name)
        assert "1 of 4 sources not tracked" in said[1]
        assert "bad.txt: is a folder" in said[0]
    assert records(tmp_path / "side") == records(tmp_path / "alone")
    for path in (tmp_path / "alone").iterdir():
        if path.is_file() and path.name != "run.json":
            assert (tmp_path / "side" / path.name).read_bytes() == path.read_bytes()
    assert {p.name for p in (tmp_path / "side").iterdir()} == {p.name for p in (tmp_path / "alone").iterdir()}


def fails_twice(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[str]:
    """Exit code 2 with a warning and the last word on standard error."""
    from retrace.tools import track
    from retrace.tools.terminal.console import guarded

    with pytest.raises(SystemExit) as caught:
        guarded(track.main, [str(a) for a in arguments])
    assert caught.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2, lines
    return lines


@pytest.fixture(scope="module")
def long_sources(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return [str(sequence(tmp_path_factory.mktemp("long") / name, LONG)) for name in ("one", "two", "three")]


@pytest.fixture(scope="module")
def alone(long_sources: list[str], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The result of one that nobody disturbed; all have the same boxes."""
    out = tmp_path_factory.mktemp("alone")
    assert run(long_sources[0], "--reid", "none", "--out", out) == OK
    return (out / "one.txt").read_bytes()


@dataclass
class LongRun:
    """Three long sources, and two workers that wait in the middle of the first two."""

    process: Forked
    out: Path
    what: list[str]
    workers: list[int]

    def go_on(self) -> None:
        for pid in self.workers:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@pytest.fixture
def long_run(long_sources: list[str], tmp_path: Path) -> Iterator[LongRun]:
    out = tmp_path / "out"
    what = [*long_sources, "--reid", "none", "--workers", "2", "--out", str(out)]
    process = Forked("track", what, tmp_path / "said")
    found = LongRun(process, out, what, [])
    begun, waiting = time.monotonic(), ["one", "two"]
    try:
        while waiting:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() - begun < 120
            for name in waiting:
                if grown(out / f"{name}.txt.partial"):
                    (pid,) = holders(out / f"{name}.txt.partial")
                    os.kill(pid, signal.SIGSTOP)
                    found.workers.append(pid)
                    waiting.remove(name)
                    break
            time.sleep(0.005)
        yield found
    finally:
        found.go_on()
        process.kill()
        process.communicate()


def grown(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def same_as_alone(out: Path, alone: bytes) -> None:
    for name in ("one", "two", "three"):
        assert (out / f"{name}.txt").read_bytes() == alone
    assert {p.name for p in out.iterdir()} == {"run.json", "one.txt", "two.txt", "three.txt"}


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_a_killed_worker_is_told_of_and_gone_on_from(long_run: LongRun, alone: bytes) -> None:
    os.kill(long_run.workers[0], signal.SIGKILL)
    long_run.go_on()
    said, errors = long_run.process.communicate(timeout=300)
    assert long_run.process.returncode == OK, errors
    assert "its process was killed (SIGKILL); going on from its checkpoint" in errors
    assert errors.count("\n") == 1
    assert "2 processes" in said
    same_as_alone(long_run.out, alone)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_ctrl_c_stops_all_and_resume_goes_on_with_all(
    long_run: LongRun, alone: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for pid in (long_run.process.pid, *long_run.workers):  # as a terminal does
        os.kill(pid, signal.SIGINT)
    long_run.go_on()
    said, errors = long_run.process.communicate(timeout=300)
    assert long_run.process.returncode == INTERRUPTED, errors
    assert not errors
    assert said.count("stopped: ") == 2
    assert checkpoints(long_run.out) == ["one.checkpoint.npz", "two.checkpoint.npz"]
    assert not any(Path(f"/proc/{pid}").exists() for pid in long_run.workers)
    forked_workers(monkeypatch)
    assert run(*long_run.what, "--resume") == OK
    same_as_alone(long_run.out, alone)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_workers_whose_parent_was_killed_end_with_a_checkpoint(long_run: LongRun) -> None:
    long_run.process.send_signal(signal.SIGKILL)
    long_run.process.communicate()
    long_run.go_on()
    begun = time.monotonic()
    while any(Path(f"/proc/{pid}").exists() for pid in long_run.workers):
        assert time.monotonic() - begun < 60
        time.sleep(0.05)
    assert checkpoints(long_run.out) == ["one.checkpoint.npz", "two.checkpoint.npz"]


def checkpoints(out: Path) -> list[str]:
    return sorted(p.name for p in out.glob("*.checkpoint.npz"))


def test_a_source_that_kills_its_processes_fails_alone(
    folders: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process is killed whenever it is told of progress; the others are tracked."""
    forked_workers(monkeypatch)
    jobs = [
        Job(f, tmp_path / "o", name=f.name, reid="none")
        for f in (folders[0], sequence(tmp_path / "x", 4 * LONG))
    ]
    told: list[str] = []

    def kill_x(name: str, done: int | None) -> None:
        if name == "x" and done is not None:
            for pid in holders(tmp_path / "o" / "x.txt.partial"):
                os.kill(pid, signal.SIGKILL)

    outcomes = {o.name: o for o in track_in_workers(jobs, 2, threading.Event(), kill_x, told.append)}
    assert outcomes["one"].report is not None
    assert outcomes["x"] == Outcome("x", None, f"its process was killed {TRIES} times")
    assert told == ["x: its process was killed (SIGKILL); going on from its checkpoint"] * (TRIES - 1)


def test_how_many() -> None:
    assert [workers_of(n, 5) for n in (1, 3, 9)] == [1, 3, 5]
    assert workers_of(2, 0) == 1
    assert 1 <= workers_of(None, 100) <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--workers", "0"], "--workers must be at least 1, got 0"),
        (["--workers", "two"], "--workers two: expected a whole number from 1, or auto"),
        (["--workers", "2", "--memory", "m.db"], "--memory knows people in the order of the sources"),
        (["--workers", "auto", "--show"], "--show looks on at one source after the other"),
        (["--cluster", "nobody"], "--cluster nobody: expected auto, local, HOST:PORT or ray://HOST:PORT"),
    ],
)
def test_mistakes(
    arguments: list[str], said: str, folders: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in fails(capsys, *folders, *arguments, "--out", tmp_path / "o")
