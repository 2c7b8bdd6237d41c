"""Live sources: reconnect and its clock, a real RTSP stream over loopback, cameras, and no secret in any message."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tracker.data import Frame
from retrace.tracker.sources import Source, open_source, opening, streams, videos
from retrace.tracker.sources.address import check_address, redact, url_name, without_secrets
from retrace.tracker.sources.decode import Decoder
from retrace.tracker.sources.streams import Connection, Live, Reconnecting, connect_camera, live_source
from tests.http_camera import HttpCamera
from tests.rtsp_server import RtspServer, transport_stream
from tests.tracker.sources.made_videos import video_bytes

IMAGE = np.zeros((4, 6, 3), np.uint8)
URL = "rtsp://user:s3cr3t@127.0.0.1:9/cam"


class World:
    """A wall clock that only sleeping and frames move, and a list of connections to hand out."""

    def __init__(
        self,
        *connections: list[tuple[float, float, bool]] | str,
        fps: float | None = 10.0,
        stamped: bool = True,
    ) -> None:
        """A connection is a list of (wall time, stream time, decodable), or the reason why it fails."""
        self.now = 0.0
        self.pauses: list[float] = []
        self.closed = 0
        self.fps, self.stamped = fps, stamped
        self._connections = list(connections)

    def clock(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def connect(self) -> Connection:
        if not self._connections:
            raise InputError("cam: not there")
        connection = self._connections.pop(0)
        if isinstance(connection, str):
            raise InputError(f"cam: {connection}")
        feed = Connection(self.fps, iter(()), self._close, self.stamped)
        feed.frames = self._frames(connection, feed)
        return feed

    def _close(self) -> None:
        self.closed += 1

    def _frames(self, connection: list[tuple[float, float, bool]], feed: Connection) -> Iterator[Frame]:
        for number, (wall, told, decodable) in enumerate(connection):
            self.now = max(self.now, wall)
            feed.check()
            yield Frame(number, told, IMAGE if decodable else None)


def follow(world: World, reconnect_for: float = 60.0) -> tuple[list[tuple[int, float]], Source]:
    source = Source("cam", 10.0, (4, 6), None, True, lambda s, start: iter(()))
    line = Reconnecting(source, Live("cam", "cam", reconnect_for), world.connect, world.clock, world.wait)
    return [(f.index, round(f.time, 6)) for f in line.frames(None, threading.Event())], source


def test_time_is_the_streams_own_within_a_connection() -> None:
    """The network jitters; the stream's timestamps do not."""
    world = World([(5.0, 0.0, True), (5.3, 0.1, True), (5.31, 0.2, True)])
    got, _ = follow(world, reconnect_for=0)
    assert got == [(0, 0.0), (1, 0.1), (2, 0.2)]


def test_time_goes_on_by_the_wall_clock_across_a_gap() -> None:
    world = World(
        [(0.0, 0.0, True), (0.1, 0.1, True)],
        "refused",
        "refused",
        [(7.0, 0.0, True), (7.1, 0.1, True)],
    )
    got, source = follow(world, reconnect_for=10)
    assert got == [(0, 0.0), (1, 0.1), (2, 7.0), (3, 7.1)]
    assert source.reconnects == 1
    assert world.pauses[:3] == [0.5, 1.0, 2.0]
    assert world.closed == 2


def test_pauses_double_to_eight_seconds_and_the_source_is_given_up() -> None:
    got, source = follow(World([(0.0, 0.0, True)]), reconnect_for=30)
    assert got == [(0, 0.0)]
    assert source.warnings == ["cam: given up at frame 1, after 30 s without a frame (not there)"]
    world = World([(0.0, 0.0, True)])
    follow(world, reconnect_for=30)
    assert world.pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 6.5]  # 30 s in all


def test_a_frame_makes_the_pauses_short_again() -> None:
    world = World([(0.0, 0.0, True)], "refused", "refused", [(4.0, 0.0, True)], [(6.0, 0.0, True)])
    follow(world, reconnect_for=5)
    assert world.pauses == [0.5, 1.0, 2.0, 0.5, 0.5, 1.0, 2.0, 1.5]


def test_a_connection_without_a_picture_does_not_count_as_one() -> None:
    world = World([(0.0, 0.0, True)], [(0.5, 0.0, False)], [(2.0, 0.0, True)])
    got, source = follow(world, reconnect_for=3)
    assert got == [(0, 0.0), (1, 2.0)]
    assert source.reconnects == 1
    assert source.corrupt == []  # before the first key frame nothing can be decoded


def test_a_corrupt_frame_takes_its_number() -> None:
    world = World([(0.0, 0.0, True), (0.1, 0.1, False), (0.2, 0.2, True)])
    got, source = follow(world, reconnect_for=0)
    assert got == [(0, 0.0), (2, 0.2)]
    assert source.corrupt == [1]


def test_a_clock_that_leaps_is_set_right() -> None:
    """Cameras set theirs by the network some seconds after they start."""
    world = World([(0.0, 0.0, True), (0.1, 0.1, True), (0.2, 3600.2, True), (0.3, 3600.3, True)])
    got, _ = follow(world, reconnect_for=0)
    assert got == [(0, 0.0), (1, 0.1), (2, 0.2), (3, 0.3)]


def test_time_never_stands_even_when_a_stream_is_faster_than_the_wall_clock() -> None:
    """A server that sends what it has stored: 10 s of video in no time, twice."""
    world = World(*[[(0.0, i / 10, True) for i in range(100)] for _ in range(2)])
    got, _ = follow(world, reconnect_for=0.6)
    assert len(got) == 200
    assert (np.diff([t for _, t in got]) > 0.05).all()


def test_a_clock_that_runs_at_another_speed_is_led_back_without_a_jump() -> None:
    """25 frames/s by its own clock, 5 by the wall's: FFmpeg's invention for a camera that tells no time."""
    got, source = follow(World([(k / 5, k / 25, True) for k in range(300)]), reconnect_for=0)
    times = np.array([t for _, t in got])
    assert np.abs(np.diff(times)).max() < 0.21
    assert (np.diff(times) > 0).all()
    assert np.abs(times - np.arange(300) / 5).max() < 2.2  # it lags, by as much as leads it
    assert np.diff(times)[100:] == pytest.approx(0.2, abs=0.01)
    assert source.warnings[0].startswith("cam: given up")


def test_a_clock_that_runs_too_fast_is_slowed_down_and_never_stands() -> None:
    got, _ = follow(World([(k / 10, k / 8, True) for k in range(300)]), reconnect_for=0)
    times = np.array([t for _, t in got])
    assert (np.diff(times) > 0.06).all()
    assert times[-1] == pytest.approx(29.9, abs=2)


def test_without_timestamps_time_is_when_a_frame_came() -> None:
    """It jams for two seconds and three frames come at once: a quarter of a frame's time apart."""
    walls = [0.0, 0.2, 0.41, 0.6, 2.6, 2.6, 2.6, 2.8]
    world = World([(wall, 99.0 * k, True) for k, wall in enumerate(walls)], stamped=False)
    got, _ = follow(world, reconnect_for=0)
    assert [t for _, t in got] == [0.0, 0.2, 0.41, 0.6, 2.6, 2.625, 2.65, 2.8]


def test_a_stream_that_only_sends_garbage_is_given_up() -> None:
    """Something comes all the time, so nothing times out."""
    world = World([(0.0, 0.0, True)] + [(k / 2, k / 2, False) for k in range(1000)])
    got, source = follow(world, reconnect_for=20)
    assert got == [(0, 0.0)]
    assert world.now < 60
    assert source.warnings == [
        f"cam: given up at frame {len(source.corrupt) + 1}, after 20 s without a frame"
        " (nothing that came could be decoded)"
    ]


def test_a_live_source_that_begins_with_garbage_is_refused() -> None:
    world = World([(float(k), 0.0, False) for k in range(1000)])
    with pytest.raises(
        InputError, match=r"cam: opens but sends no picture \(nothing in 7 s could be decoded\)"
    ):
        live_source(Live("cam", "cam", 0.0, timeout=7), world.connect, world.clock)
    assert world.closed == 1
    assert world.now < 10


def test_a_rate_that_is_not_known_is_measured() -> None:
    """By timestamps where there are any, else by arrival; 12 frames/s either way. No stale frame is shown."""
    for stamped in (True, False):
        world = World([(k / 12, k / 12, True) for k in range(100)], fps=None, stamped=stamped)
        source = live_source(Live("cam", "cam", 0.0), world.connect, world.clock)
        assert source.fps == pytest.approx(12, abs=0.01)
        assert world.now == pytest.approx(streams.MEASURED_FOR, abs=0.1)


def make_live(connect: Callable[[], Connection]) -> Source:
    return live_source(Live("cam", "cam", 0.0), connect)


def test_a_live_source_opens_once_and_reads_on_from_there() -> None:
    world = World([(0.0, 0.0, False), (0.0, 0.04, True), (0.1, 0.14, True)])
    source = make_live(world.connect)
    assert (source.fps, source.size, source.length, source.live) == (10.0, (4, 6), None, True)
    frames = list(source.frames())
    assert frames[-1].index == 1
    assert len(frames) + source.dropped == 2


def test_a_live_source_that_shows_nothing_is_refused() -> None:
    for connection in ([], [(0.0, 0.0, False)]):
        world = World(connection)
        with pytest.raises(InputError, match="cam: opens but sends no picture"):
            make_live(world.connect)
        assert world.closed == 1


def test_a_live_source_cannot_be_resumed() -> None:
    source = make_live(World([(0.0, 0.0, True)]).connect)
    with pytest.raises(InputError, match="cannot be resumed"):
        source.frames(start=5)


def test_closing_a_live_source_ends_its_wait_for_a_connection() -> None:
    world = World([(0.0, 0.0, True)])
    source = live_source(Live("cam", "cam", 1e9), world.connect)
    frames = source.frames()
    next(frames)
    frames.close()  # type: ignore[attr-defined]
    assert [t for t in threading.enumerate() if t.name == "read-ahead"] == []


def test_frames_arrive_over_rtsp_and_time_goes_on_when_the_server_drops_the_line() -> None:
    with RtspServer(transport_stream(50), connections=2, pace=0.01) as server:
        source = open_source(server.url, reconnect_for=1.0, timeout=5)
        assert (source.live, source.fps, source.size) == (True, 25, (96, 128))
        frames = list(source.frames())
        assert server.served == 2
    numbers = np.array([f.index for f in frames])
    levels = np.array([f.image.mean() for f in frames])
    times = np.array([f.time for f in frames])
    assert (np.diff(numbers) >= 1).all()
    assert len(frames) + source.dropped == numbers[-1] + 1
    assert len(frames) > 20
    [cut] = np.flatnonzero(np.diff(levels) < -10)  # the server begins anew, with dark frames
    assert (np.diff(times) > 0).all()
    steps = np.diff(times) / np.diff(numbers)
    # the server is up to four times too fast, so it is slowed down, to half at most
    within = np.delete(steps, cut)
    assert within.max() < 0.041
    assert within.min() > 0.019
    assert source.reconnects == 1
    [warning] = source.warnings
    assert f"given up at frame {numbers[-1] + 1}, after 1 s without a frame" in warning
    for text in (source.name, warning, repr(source)):
        assert "s3cr3t" not in text
        assert "user" not in text
    assert source.name.startswith("127.0.0.1_")
    assert source.name.endswith("_cam_1")


def test_an_mjpeg_camera_without_timestamps_is_timed_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg calls it 25 frames/s whatever it does."""
    monkeypatch.setattr(streams, "MEASURED_FOR", 1.0)
    with HttpCamera(fps=10) as camera:
        source = open_source(camera.url, reconnect_for=0.5, timeout=5)
        assert source.live
        assert source.fps == pytest.approx(10, abs=2)
        begin, frames = time.monotonic(), []
        for frame in source:
            frames.append((frame.time, time.monotonic() - begin))
            if len(frames) == 15:
                break
    told, wall = np.array(frames[1:]).T
    assert np.abs((told - told[0]) - (wall - wall[0])).max() < 0.3
    assert np.diff(told).max() < 0.5


def test_an_mjpeg_camera_that_goes_over_to_noise_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MEASURED_FOR", 0.2)
    with HttpCamera(fps=50, good=100) as camera:
        source = open_source(camera.url, reconnect_for=0.3, timeout=0.6)
        begin = time.monotonic()
        for _ in source:
            pass
        assert time.monotonic() - begin < 10
    assert "given up" in source.warnings[-1]


def test_a_raw_video_of_known_size_behind_a_url_is_no_live_stream(tmp_path: Path) -> None:
    (tmp_path / "a.h264").write_bytes(video_bytes("h264", count=20))
    quiet = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    handler = partial(quiet, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        source = open_source(f"http://127.0.0.1:{server.server_port}/a.h264", fps=5)
        assert (source.live, source.fps, len(list(source))) == (False, 5, 20)
        server.shutdown()


def test_a_server_that_is_not_there_is_refused_without_a_secret() -> None:
    with pytest.raises(InputError) as caught:
        open_source(URL, timeout=2)
    assert str(caught.value) == (
        "rtsp://127.0.0.1:9/cam: no stream (Connection refused); check the address, the network and the login"
    )


def test_a_server_that_does_not_answer_is_refused_in_time() -> None:
    with RtspServer(b"", connections=1, answer=False) as server, pytest.raises(InputError) as caught:
        open_source(server.url, timeout=0.3)
    assert "no stream (no answer in 0.3 s)" in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


def test_a_camera_that_is_not_there_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(
        InputError, match=r"^camera 97: cannot be opened; check that it is plugged in"
    ) as caught:
        open_source("97")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_a_camera_is_read_until_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    import cv2

    class Camera:
        left = 3

        def __init__(self, index: int) -> None:
            assert index == 2

        def isOpened(self) -> bool:
            return True

        def get(self, key: int) -> float:
            return 0.0  # many cameras do not say

        def read(self) -> tuple[bool, np.ndarray | None]:
            self.left -= 1
            return self.left >= 0, IMAGE

        def release(self) -> None:
            pass

    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    feed = connect_camera(2)
    assert feed.fps is None  # what a camera says holds in bright light only: it is measured
    assert not feed.stamped
    assert [f.index for f in feed.frames] == [0, 1, 2]


def test_a_video_behind_a_url_is_no_live_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file stands in for the web server: what has a duration has an end, and no frame of it may be dropped."""
    file = tmp_path / "a.mp4"
    file.write_bytes(video_bytes("mp4", count=10))
    opened = videos.open_container
    for module in (opening, videos):
        monkeypatch.setattr(module, "open_container", lambda place, timeout=None: opened(str(file), timeout))
    source = open_source("https://me:s3cr3t@host/films/street%20one.mp4?key=s3cr3t")
    assert (source.name, source.live, source.length) == ("street_20one", False, 10)
    assert len(list(source.frames())) == 10


@pytest.mark.parametrize(
    ("url", "shown", "name"),
    [
        ("rtsp://10.0.0.1:554/cam/1", "rtsp://10.0.0.1:554/cam/1", "10.0.0.1_554_cam_1"),
        ("rtsp://user:pw@host/cam?token=t#x", "rtsp://host/cam", "host_cam"),
        ("rtsp://user:p@w/d@host/cam", "rtsp://host/cam", "host_cam"),  # unescaped password
        ("rtsp://user:p@w/?d@host/cam", "rtsp://", "stream"),  # or a query of a host called w
        ("http://me:pw@10.0.0.1:80/v.mp4?mail=a@b&token=t", "http://10.0.0.1:80/v.mp4", "10.0.0.1_80_v.mp4"),
        ("http://h.org?sig=abc@t", "http://h.org", "h.org"),
        ("http://host/x#t@k?y", "http://", "stream"),
        ("udp://@239.0.0.1:1234", "udp://239.0.0.1:1234", "239.0.0.1_1234"),
        ("http://[::1]:80/a b", "http://[::1]:80/a b", "1_80_a_b"),
        ("rtsp://", "rtsp://", "stream"),
    ],
)
def test_urls_are_shown_and_named_without_secrets(url: str, shown: str, name: str) -> None:
    assert redact(url) == shown
    assert url_name(url) == name


def test_a_word_that_is_an_address_is_told_without_any_of_its_secrets() -> None:
    words = [
        "http://me:PASS WORD@h.org/v.mp4?token=t",
        "--video=http://me:PASS WORD@h.org/a b",
        "at http://u:p@h.org ?",
    ]
    assert without_secrets(words) == ["http://h.org/v.mp4", "--video=http://h.org/a b", "at http://h.org ?"]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        *((url, None) for url in (
            "rtsp://camera-1", "RTSP://camera-1:554/a?b#c", "rtsp://me:s%2Fx@[fe80::1]:554/a", "http://10.0.0.1:8080/a",
            "rtsp://camera-1:/a", "udp://:1234", "udp://@239.0.0.1:1234", "srt://:9000?mode=listener",
            "rtsp://camera-1/cam@2:x", "https://camera-1/a:b",
        )),
        ("rtsp://", "names no host"), ("rtsp://:554/a", "names no host"), ("http:///a", "names no host"),
        ("rtsp://me:secret@/a", "names no host"), ("rtsp://[]/a", "names no host"), ("udp://", "names no host"),
        ("rtsp://camera-1:0/a", "port"), ("rtsp://camera-1:65536/a", "port"), ("rtsp://camera-1:5x4/a", "port"),
        ("rtsp://[::1]554/a", "port"), ("rtsp://me:se/cret@camera-1/a", r"in a password / \? # @ : are"),
        ("ws://camera-1/a", "no streams come by 'ws'"), ("file:///a.mp4", "no streams come by 'file'"),
    ],
)  # fmt: skip
def test_addresses(url: str, message: str | None) -> None:
    """Nobody is asked, and no secret is told."""
    if message is None:
        check_address(url)
        return
    with pytest.raises(InputError, match=message) as told:
        check_address(url)
    assert "se" not in str(told.value).replace("password", "")


def test_a_connection_that_is_gone_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A camera that comes and goes for weeks must not hold the decoders of all its connections."""
    monkeypatch.setattr(streams, "FIRST_PAUSE", 0.01)
    alive = []
    gc.disable()
    try:
        with RtspServer(transport_stream(25), connections=3, pace=0.01) as server:
            source = open_source(server.url, reconnect_for=10.0)
            for _ in source.frames():
                if source.reconnects == 2:
                    alive.append(sum(isinstance(one, Decoder) for one in gc.get_objects()))
                    break
    finally:
        gc.enable()
    assert alive
    assert max(alive) == 1
