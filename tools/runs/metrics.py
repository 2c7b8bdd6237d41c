"""Health and counters of a watch over HTTP, for who collects them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from retrace.configs import InputError

HOST = "127.0.0.1"


@contextmanager
def served(place: str | None) -> Iterator[Callable[[str], None]]:
    """What publishes a text at http://HOST:PORT/metrics, as long as the context lasts.

    Args:
        place: "PORT", or "HOST:PORT"; None: nowhere.

    Raises:
        InputError: it cannot be served there.
    """
    if place is None:
        yield lambda text: None
        return
    now = [""]

    class MetricsHandler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            told = now[0].encode() if self.path == "/metrics" else b""
            self.send_response(200 if told else 404)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

    host, _, port = place.rpartition(":")
    try:
        server = ThreadingHTTPServer((host or HOST, int(port)), MetricsHandler)
    except (OSError, ValueError, OverflowError) as error:
        raise InputError(f"`metrics` {place[:40]}: cannot be served there ({error})") from None
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()

    def publish(text: str) -> None:
        now[0] = text

    try:
        yield publish
    finally:
        server.shutdown()
        server.server_close()
