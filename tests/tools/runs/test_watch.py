"""Cameras kept alive: losses and returns on a clock of the test's own, and processes that are killed over loopback."""

import json
import multiprocessing
import os
import random
import re
import signal
import socket
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.configs.files import file_hash
from retrace.tools import watch as tool
from retrace.tools.runs import watch as watching
from retrace.tools.runs.cluster import actors
from retrace.tools.runs.metrics import served
from retrace.tools.runs.watch import Camera, Process, camera_jobs, metrics, watch, watch_into
from retrace.tools.runs.workers import Outcome
from retrace.tracker.mot_file import read_results
from retrace.tracker.run import Job, track_source
from tests.rtsp_server import RtspServer, transport_stream
from tests.small_video import make_video, write_boxes
from tests.tools.forked import forked_workers
from tests.tools.runs.sequences import holders


class Played:
    """A seat that plays what a script says: at each look a list of words, or why it dies."""

    def __init__(self, script: list[list[int | Outcome] | str], clock: list[float]) -> None:
        self.script, self.given, self.killed, self.stopped = script, list[bool](), 0, 0
        self.clock, self.at, self.busy = clock, list[float](), False

    def give(self, job: Job) -> None:
        self.given.append(job.resume)
        self.at.append(self.clock[0])
        self.busy = True

    def told(self) -> list[int | Outcome]:
        word = self.script.pop(0) if self.script and self.busy else []
        self.busy = self.busy and not any(isinstance(one, Outcome) for one in word)
        if isinstance(word, str):
            raise EOFError(word)
        return word

    def stop(self) -> None:
        self.stopped += 1

    def kill(self) -> None:
        self.killed += 1


def play(
    *scripts: list[list[int | Outcome] | str], looks: int, step: float = 1.0
) -> tuple[Camera, list[Played], list[str]]:
    """One camera looked at ``looks`` times, ``step`` s apart; a script a seat."""
    now, said, seats, left = [0.0], list[str](), list[Played](), [*scripts]
    stop = threading.Event()

    def hire(threads: int) -> Played:
        seats.append(Played(left.pop(0), now))
        return seats[-1]

    looked = watch([Job("rtsp://x/c", "o", name="c")], stop, hire, said.append, lambda: now[0])
    for _ in range(looks):
        cameras = next(looked)
        now[0] += step
    looked.close()  # type: ignore[attr-defined]
    return cameras[0], seats, said


@pytest.fixture(autouse=True)
def no_waiting(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "played" in request.node.name:
        monkeypatch.setattr(watching, "POLL", 0.0)


def test_played_a_process_that_dies_is_replaced_and_resumes() -> None:
    """Hired at 0 s, frames at 1 and 2 s, dead at 3 s; begun again at 4 s, the first look 0.5 s later or more."""
    camera, seats, said = play([[5], [9], "killed"], [[12]], looks=6)
    assert [seat.given for seat in seats] == [[False], [True]]
    assert said == ["c: killed; begun again in 0.5 s", "c: back after 3.0 s, at frame 12"]
    assert (camera.frames, camera.starts) == (12, 2)


def test_played_pauses_grow_to_eight_seconds_and_shrink_again() -> None:
    """A camera that is not there: the process stays, the job is begun again; looked at four times a second. That it is
    not there is said once, and again once it has been there."""
    gone = [Outcome("c", None, "no answer")]
    _, seats, said = play([gone] * 7, looks=140, step=0.25)
    assert np.diff(seats[0].at).tolist() == [0.75, 1.25, 2.25, 4.25, 8.25, 8.25, 8.25]  # a look later each
    assert said == ["c: no answer; begun again in 0.5 s and on, told of when it is there"]
    assert len(seats) == 1
    assert seats[0].given == [False] + [True] * (len(seats[0].given) - 1)
    _, _, said = play([gone, gone, *([k + 1] for k in range(60)), gone, gone], looks=80, step=0.25)
    assert said[1:] == ["c: back, at frame 1", "c: no answer; begun again in 0.5 s"]  # after 15 s of frames


def test_played_silence_ends_a_process() -> None:
    """No frame for 30 s after the last; 120 s where there has been none."""
    _, seats, said = play([[1]], [], looks=40)
    assert seats[0].killed == 1
    assert said == ["c: no frame for 31 s; begun again in 0.5 s"]
    _, seats, said = play([], [], looks=121)
    assert said == []
    _, seats, said = play([], [], looks=123)
    assert said == ["c: no frame for 121 s; begun again in 0.5 s and on, told of when it is there"]


def test_health_as_prometheus_text() -> None:
    up = Camera(Job("rtsp://x/a", "o", name='a"b'), frames=7, starts=2, seen=90.0, busy=True)
    text = metrics([up, Camera(Job("rtsp://x/b", "o", name="b"))], 95.5)
    assert 'retrace_camera_up{camera="a\\"b"} 1\n' in text
    assert 'retrace_camera_silent_seconds{camera="a\\"b"} 5.5\n' in text
    assert 'retrace_camera_up{camera="b"} 0\n' in text
    assert 'retrace_camera_silent_seconds{camera="b"} NaN\n' in text
    for name in watching.HELP:
        lines = [line for line in text.splitlines() if name in line]
        assert [line.split()[1] for line in lines[:2]] == ["HELP", "TYPE"]
        assert len(lines) == 4
        assert (re.search("_total$", name) is not None) == lines[1].endswith(" counter")
    up.busy = False  # it has ended
    assert 'retrace_camera_up{camera="a\\"b"} 0\n' in metrics([up], 95.5)


def test_health_is_served() -> None:
    with pytest.raises(InputError, match="`metrics` nowhere:x: cannot be served"), served("nowhere:x"):
        pass
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(InputError, match=rf"`metrics` {port}: cannot be served there"),
            served(str(port)),
        ):
            pass
    with served(str(port)) as publish:
        publish("x 1\n")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as told:
            assert (told.read(), told.headers["Content-Type"][:24]) == (b"x 1\n", "text/plain; version=0.0.")


@pytest.mark.parametrize(
    ("source", "save", "said"),
    [
        ("video.mp4", (), "video.mp4: is no camera's index and no URL; files are for track.py"),
        ("rtsp://x/a", ("video",), "cannot be gone on with after a loss"),
        ("rtsp://x/a", ("csv",), "b.txt: cannot be read (No such file or directory)"),
    ],
)
def test_mistakes(source: str, save: tuple[str, ...], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        camera_jobs([Job(source, tmp_path, save=save, reid="none", detections="b.txt")])


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        (["rtsp://a/1", "rtsp:///stream"], "rtsp:///stream: names no host; expected rtsp://HOST/..."),
        (["rtps://a/1"], "rtps://a/1: no streams come by 'rtps'; did you mean"),
        (["rtsp://me:word@a:99999/1"], "rtsp://a:99999/1: its port is no number from 1 to 65535"),
        (["rtsp://a/1", "rtsp://b/1", "rtsp://a/1"], "rtsp://a/1: is named twice"),
        (["0", "00"], "00: is named twice"),
    ],
)
def test_addresses_that_can_never_work(sources: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(said)) as told:
        camera_jobs([Job(source, tmp_path, reid="none", detections="b.txt") for source in sources])
    assert "me:word" not in str(told.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"reid": "nobody.onnx"}, "nobody.onnx: no such weights file"),
        ({"regions": "nowhere.yaml"}, "nowhere.yaml"),
        ({"tracker": "nobody"}, "nobody"),
        ({"memory": ".", "reid": "auto"}, "`memory` .: is a folder"),
        ({"storage": "memory://x"}, "`storage` memory://x: nothing outlives this process there"),
    ],
)
def test_mistakes_are_told_before_any_camera_is_asked(
    given: dict[str, Any], said: str, tmp_path: Path
) -> None:
    (tmp_path / "b.txt").write_text("1,-1,3,2,24,50,0.9\n")
    told = {"reid": "none", "detections": str(tmp_path / "b.txt"), "camera": "none"} | given
    with pytest.raises(InputError, match=re.escape(said)):
        camera_jobs([Job("rtsp://127.0.0.1:1/a", tmp_path / "o", **told)])


def test_a_video_behind_a_url_is_no_camera(tmp_path: Path) -> None:
    """A file served by http ends; the same address with nobody behind it may be a camera that is away."""
    make_video(tmp_path / "clip.mp4")
    (tmp_path / "b.txt").write_text("1,-1,3,2,24,50,0.9\n")
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        job = Job(
            f"http://127.0.0.1:{server.server_port}/clip.mp4", tmp_path / "o", reid="none", camera="none",
            detections=str(tmp_path / "b.txt"),
        )  # fmt: skip
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(InputError, match=r"is a video with an end, no camera; track\.py is for those"):
            camera_jobs([job])
        server.shutdown()
    assert [one.source for one in camera_jobs([job])] == [job.source]


def test_help_lists_what_is_taken() -> None:
    text = tool.parser().format_help()
    assert {"--metrics", "--cluster", "--memory"} <= {*text.split()}
    for refused in ("--split", "--workers", "--show", "--codec", "--label", "--fps", "sheet", "video file"):
        assert refused not in text, refused


def test_a_camera_that_never_came_has_a_last_word(tmp_path: Path) -> None:
    stop, said = threading.Event(), list[str]()

    class Away(Played):
        def __init__(self, threads: int) -> None:
            super().__init__([[Outcome("c", None, "no answer")]], [0.0])
            stop.set()

    watch_into([Job("rtsp://x/c", str(tmp_path), name="c")], [], stop, Away, said.append)
    assert said[-1] == "c: not finished (no answer); no frame was tracked"


def test_what_is_left_is_a_run_and_holds_no_secret(tmp_path: Path) -> None:
    det = write_boxes(tmp_path / "det.txt")
    job = Job(make_video(tmp_path / "v.mp4"), tmp_path / "o", name="c", detections=str(det), reid="none")
    stop, report = threading.Event(), track_source(job)

    class Back(Played):
        def __init__(self, threads: int) -> None:
            super().__init__([[Outcome("c", report)]], [0.0])
            stop.set()

    typed = ["rtsp://me:s3cret@x/c?token=t0ken", "--out", "o"]
    watch_into([Job(typed[0], str(tmp_path / "o"), name="c")], typed, stop, Back)
    told = json.loads((tmp_path / "o" / "run.json").read_text())
    assert told["arguments"] == ["rtsp://x/c", "--out", "o"]
    assert (told["tracker"]["high"], told["appearance"]) == (0.5, report.shared["appearance"])
    assert told["sha256"] == {str(det): file_hash(det)}
    assert told["sequences"] == {"c": json.loads(json.dumps(report.record))}


def test_cameras_of_one_name_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("1,-1,3,2,24,50,0.9\n")
    jobs = camera_jobs(
        [
            Job(place, tmp_path, reid="none", detections=str(tmp_path / "b.txt"))
            for place in ("rtsp://p@x/a", "rtsp://q@x/a", "0")
        ],
        2,
    )
    assert [(job.name, job.threads) for job in jobs] == [("x_a", 2), ("x_a-2", 2), ("camera0", 2)]


@pytest.fixture(scope="module")
def minute() -> bytes:
    return transport_stream(1500)


def test_the_last_words_of_a_killed_process_are_heard() -> None:
    here, there = multiprocessing.Pipe()

    class Dead:
        pipe = here

        def end(self) -> int:
            return -9

    there.send(3)
    there.send(4)
    there.close()
    seat = Process.__new__(Process)
    seat._worker = Dead()  # type: ignore[assignment]
    assert seat.told() == [3, 4]
    with pytest.raises(EOFError, match="its process was killed"):
        seat.told()


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_a_killed_process_and_a_lost_stream(
    minute: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two cameras over RTSP. One's process is killed: it comes back and its person keeps the id. The other's stream
    ends now and then, which its process bridges."""
    forked_workers(monkeypatch)
    boxes = tmp_path / "boxes.txt"
    boxes.write_text("".join(f"{k + 1},-1,30,20,24,50,0.9\n" for k in range(4000)))
    stop, said = threading.Event(), list[str]()
    pace = 0.04  # 7 packets of the stream
    servers = [RtspServer(data, 50, pace, 300) for data in (minute, minute[: 188 * 7 * 75])]
    with servers[0], servers[1]:
        jobs = camera_jobs(
            [
                Job(server.url, tmp_path / "o", detections=str(boxes), reid="none", camera="none", save=("jsonl",),
                    overrides={"max_age": 120.0})
                for server in servers
            ]
        )  # fmt: skip
        states: list[list[Camera]] = []
        spare = watching.Spare()
        ran = threading.Thread(
            target=lambda: states.append(watch_into(jobs, [], stop, spare.hire, said.append))
        )
        ran.start()
        try:
            grown = tmp_path / "o" / f"{jobs[0].name}.txt.partial"
            until(lambda: (tmp_path / "o" / f"{jobs[0].name}.checkpoint.npz").exists())
            (pid,) = {*holders(grown)} - {os.getpid()}
            ready = spare._next
            os.kill(pid, signal.SIGKILL)
            until(lambda: any("back after" in line for line in said))
            assert ready is not None
            assert ready._worker.process.pid in holders(grown)  # who was there already took over
            back = time.monotonic()
            until(lambda: time.monotonic() > back + 3)
        finally:
            stop.set()
            ran.join(timeout=120)
            spare.close()
    assert not ran.is_alive()
    assert not multiprocessing.active_children()
    name = jobs[0].name
    assert any(re.fullmatch(rf"{name}: \d+ frames, 1 tracks, begun 2 times", line) for line in said), said
    assert [line for line in said if line.startswith(f"{name}: its process")] == [
        f"{name}: its process was killed (SIGKILL); begun again in 0.5 s"
    ]
    for job in jobs:
        table = read_results(tmp_path / "o" / f"{job.name}.txt")
        assert {*table.id.tolist()} == {1}, said
        assert (np.diff(table.frame) > 0).all()
    times = [float(t) for t in re.findall(r'"time":([\d.]+)', (tmp_path / "o" / f"{name}.jsonl").read_text())]
    assert max(np.diff(times)) > 0.5  # how long it was blind
    assert (np.diff(times) > 0).all()
    assert {p.name for p in (tmp_path / "o").iterdir()} >= {
        "metrics.prom",
        "run.json",
        f"{name}.txt",
        f"{name}.jsonl",
    }
    assert not [*(tmp_path / "o").glob("*.partial"), *(tmp_path / "o").glob("*.npz")]


@pytest.mark.long  # Ray is 240 MB, and starts a dozen processes
@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_a_killed_actor(minute: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two cameras on Ray, one actor is killed: another one takes the camera over, and its person keeps the id."""
    pytest.importorskip("ray")
    boxes = tmp_path / "boxes.txt"
    boxes.write_text("".join(f"{k + 1},-1,30,20,24,50,0.9\n" for k in range(4000)))
    stop, said = threading.Event(), list[str]()
    with ExitStack() as around:
        # Ray's sockets need a short path
        short = around.enter_context(tempfile.TemporaryDirectory(prefix="rt"))
        monkeypatch.setenv("RAY_TMPDIR", short)
        urls = [around.enter_context(RtspServer(minute, 50, 0.04, 300)).url for _ in range(2)]
        jobs = camera_jobs(
            [
                Job(url, tmp_path / "o", detections=str(boxes), reid="none", camera="none", threads=1,
                    overrides={"max_age": 120.0})
                for url in urls
            ], 1
        )  # fmt: skip
        hire = around.enter_context(actors("local", jobs))
        ran = threading.Thread(target=lambda: watch_into(jobs, [], stop, hire, said.append))
        ran.start()
        try:
            until(lambda: all((tmp_path / "o" / f"{job.name}.checkpoint.npz").exists() for job in jobs))
            grown = tmp_path / "o" / f"{jobs[0].name}.txt.partial"
            (pid,) = {*holders(grown)} - {os.getpid()}
            os.kill(pid, signal.SIGKILL)
            until(lambda: any("back after" in line for line in said))
            back = time.monotonic()
            until(lambda: time.monotonic() > back + 3)
        finally:
            stop.set()
            ran.join(timeout=120)
    assert not ran.is_alive()
    blind = [float(found[1]) for line in said if (found := re.search(r"back after ([\d.]+) s", line))]
    print(f"back after {blind} s")
    assert len(blind) == 1
    for job in jobs:
        table = read_results(tmp_path / "o" / f"{job.name}.txt")
        assert {*table.id.tolist()} == {1}, said
        assert (np.diff(table.frame) > 0).all()
    if os.getloadavg()[0] < 2 * (os.cpu_count() or 1):  # a busy machine says nothing of it
        assert blind[0] < 10


CAMERAS, SECONDS = 10, 120.0


@pytest.mark.long  # a site of ten cameras for two minutes
@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_a_site(tmp_path: Path) -> None:
    """Every stream breaks off now and then, and five processes are killed; the
    person of each keeps the id, each is back within 10 s, and memory does not grow. It prints what it measured."""
    boxes, minute = tmp_path / "boxes.txt", transport_stream(1500)
    boxes.write_text("".join(f"{k + 1},-1,30,20,24,50,0.9\n" for k in range(40_000)))
    said, stop, spare, chance = list[str](), threading.Event(), watching.Spare(), random.Random(1)
    with ExitStack() as servers:
        urls = [
            servers.enter_context(RtspServer(minute[: 188 * 7 * 150], 10_000, 0.08, 10 * SECONDS + 600)).url
            for _ in range(CAMERAS)
        ]
        jobs = camera_jobs(
            [
                Job(url, tmp_path / "o", detections=str(boxes), reid="none", camera="none", threads=1,
                    overrides={"max_age": 600.0})
                for url in urls
            ]
        )  # fmt: skip
        fared: list[Camera] = []
        ran = threading.Thread(
            target=lambda: fared.extend(watch_into(jobs, [], stop, spare.hire, said.append)), daemon=True
        )
        ran.start()
        grown = [tmp_path / "o" / f"{job.name}.txt.partial" for job in jobs]
        try:
            until(lambda: all((tmp_path / "o" / f"{job.name}.checkpoint.npz").exists() for job in jobs), 900)
            begun, first, killed = time.monotonic(), resident(grown), 0
            while time.monotonic() - begun < SECONDS:
                if time.monotonic() - begun > SECONDS * (killed + 0.5) / 5:
                    victim = chance.choice(grown)
                    back = sum("back after" in line for line in said)
                    (pid,) = {*holders(victim)} - {os.getpid()}
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
                    until(lambda count=back: sum("back after" in line for line in said) > count)  # type: ignore[misc]
                time.sleep(0.2)
            last = resident(grown)
        finally:
            stop.set()
            ran.join(timeout=300)
            spare.close()
    blind = [float(found[1]) for line in said if (found := re.search(r"back after ([\d.]+) s", line))]
    frames = [len(read_results(tmp_path / "o" / f"{job.name}.txt").frame) for job in jobs]
    reconnects = [re.search(r"(\d+) reconnects", line) for line in said]
    print(
        f"{CAMERAS} cameras, {SECONDS:g} s: {killed} kills, back after {blind} s; "
        f"{sum(int(found[1]) for found in reconnects if found)} reconnects of the last processes, {min(frames)} to "
        f"{max(frames)} frames; MB a process {np.mean(first):.0f} at first, {np.mean(last):.0f} at the end"
    )
    for job in jobs:
        table = read_results(tmp_path / "o" / f"{job.name}.txt")
        assert {*table.id.tolist()} == {1}, said
        assert (np.diff(table.frame) > 0).all()
    assert len(blind) >= killed == 5
    assert np.mean(last) < 1.1 * np.mean(first) + 10
    assert not multiprocessing.active_children()
    if os.getloadavg()[0] < 2 * (os.cpu_count() or 1):  # a busy machine says nothing of it
        assert max(blind) < 10


def resident(files: list[Path]) -> list[float]:
    """MB of each process that has one of the files open."""
    found = []
    for path in files:
        for pid in {*holders(path)} - {os.getpid()}:
            with suppress(OSError):
                text = Path(f"/proc/{pid}/status").read_text()
                found.append(int(re.findall(r"VmRSS:\s+(\d+)", text)[0]) / 1024)
    return found


def until(true: Callable[[], bool], patience: float = 120.0) -> None:
    begun = time.monotonic()
    while not true():
        assert time.monotonic() - begun < patience
        time.sleep(0.05)
