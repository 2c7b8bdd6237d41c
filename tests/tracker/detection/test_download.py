"""Weights by name: whole and the right bytes, or one line and nothing left behind. The server is on this machine."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from retrace.configs import InputError
from retrace.configs.files import cache_folder
from retrace.tracker.detection import download
from retrace.tracker.detection.download import OFFERS, Offer, answers, fetch, offered

BYTES = bytes(range(256)) * 1000
OFFER = Offer(
    "tiny.onnx", "https://example.invalid/v1", len(BYTES), hashlib.sha256(BYTES).hexdigest(), "MIT", ""
)


class Handler(BaseHTTPRequestHandler):
    """What comes under which path."""

    bodies = {  # noqa: RUF012
        "/good/tiny.onnx": (len(BYTES), BYTES),
        "/cut/tiny.onnx": (len(BYTES), BYTES[:70_000]),  # promises more than it sends
        "/short/tiny.onnx": (9, BYTES[:9]),
        "/long/tiny.onnx": (len(BYTES) + 9, BYTES + BYTES[:9]),
        "/other/tiny.onnx": (len(BYTES), BYTES[::-1]),
    }

    def do_GET(self) -> None:
        if self.path not in self.bodies:
            self.send_error(404)
            return
        length, body = self.bodies[self.path]
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RETRACE_CACHE", str(tmp_path / "cache"))
    for name in [*os.environ]:
        if name.lower().endswith("_proxy") or name in (download.MIRROR, download.OFFLINE):
            monkeypatch.delenv(name)
    return tmp_path / "cache"


def test_a_file_is_downloaded_once(server: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRACE_MIRROR", f"{server}/good/")
    path, why = fetch(OFFER)
    assert path == cache / "tiny.onnx"
    assert path.read_bytes() == BYTES
    assert why == f"downloaded from 127.0.0.1 to {cache}"
    monkeypatch.setattr(download, "answers", lambda url: pytest.fail("asked the network"))
    assert fetch(OFFER) == (path, f"found in {cache}")
    assert [p.name for p in cache.iterdir()] == ["tiny.onnx"]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("cut", "could not be downloaded|expected 256000 bytes, got 70000"),
        ("short", "expected 256000 bytes, got 9; try again"),
        ("long", "expected 256000 bytes, got .* and more"),
        ("other", "not the released file: sha256 .* expected "),
        (
            "nowhere",
            r"tiny\.onnx could not be downloaded from 127\.0\.0\.1: HTTPError: HTTP Error 404.*RETRACE_MIRROR",
        ),
    ],
)
def test_what_is_not_the_file_leaves_nothing(
    server: str, cache: Path, monkeypatch: pytest.MonkeyPatch, place: str, message: str
) -> None:
    monkeypatch.setenv("RETRACE_MIRROR", f"{server}/{place}")
    with pytest.raises(InputError, match=message) as caught:
        fetch(OFFER)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) <= 500
    assert not [*cache.iterdir()]


def test_no_network_is_told_with_the_way_out(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("RETRACE_MIRROR", f"http://127.0.0.1:{port}")  # nobody listens any more
    with pytest.raises(
        InputError, match=r"127\.0\.0\.1 does not answer; put the file into .* RETRACE_MIRROR"
    ):
        fetch(OFFER)
    monkeypatch.setenv("RETRACE_MIRROR", "nonsense")
    with pytest.raises(InputError, match="does not answer"):
        fetch(OFFER)
    monkeypatch.setenv("RETRACE_OFFLINE", "1")
    with pytest.raises(InputError, match="RETRACE_OFFLINE is set"):
        fetch(OFFER)
    assert not cache.exists()


def test_a_cache_that_cannot_be_written_is_told(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RETRACE_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setenv("RETRACE_MIRROR", f"{server}/good")
    with pytest.raises(InputError, match=r"tiny\.onnx could not be downloaded"):
        fetch(OFFER)


def test_the_cache_folder_is_as_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RETRACE_CACHE")
    assert cache_folder() == Path.home() / ".cache" / "retrace"


def test_offers_are_known_with_or_without_their_ending() -> None:
    assert offered("yolox_tiny") is offered("yolox_tiny.onnx") is OFFERS[0]
    assert offered("yolox_huge") is None
    for offer in OFFERS:
        assert offer.licence == "Apache-2.0"
        assert len(offer.sha256) == 64


def test_a_probe_ends_in_time_whatever_the_network_does(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: object, **__: object) -> None:
        time.sleep(5)
        raise OSError

    monkeypatch.setattr(download.socket, "create_connection", silent)
    begin = time.monotonic()
    assert not answers("https://example.invalid", seconds=0.05)
    assert time.monotonic() - begin < 4  # not the thirty of a resolver that hangs


def test_behind_a_proxy_the_download_itself_must_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    assert answers("https://example.invalid")
