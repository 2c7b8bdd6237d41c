"""Track cameras day and night: one process a camera, kept alive.

    python tools/watch.py rtsp://one rtsp://two --out runs/site --memory site.db --metrics 9100

A process that dies or falls silent, and a camera that goes, are begun again (0.5 s later, then 1, 2, 4, 8, 8 ...) and
go on at their checkpoint: ids, numbers and times do. Ctrl-C finishes all files.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from retrace.tools import track
from retrace.tools.terminal.console import OK, Parser, as_flags, be_quiet, guarded, say

if TYPE_CHECKING:
    from retrace.tools.runs.watch import Seat
    from retrace.tracker.run import Job

HOST = "127.0.0.1"


def parser() -> Parser:
    p = track.parser(files=False)
    p.prog, p.description = "watch.py", __doc__
    p.add_argument(
        "--metrics",
        metavar="[HOST:]PORT",
        help="serve health and counters there as Prometheus text (host 127.0.0.1)",
    )
    return p


def main(argv: list[str]) -> int:
    p = parser()
    args = p.parse_args(argv)
    with as_flags(p):
        from retrace.tools.runs.runner import stop_on_signals
        from retrace.tools.runs.watch import camera_jobs, watch_into

        if args.quiet:
            be_quiet()
        jobs, stop = camera_jobs(track.jobs_of(args), 1 if args.cluster else None), threading.Event()
        tell = (lambda line: None) if args.quiet else say
        with stop_on_signals(stop), _served(args.metrics) as publish, _seats(args.cluster, jobs) as hire:
            watch_into(jobs, argv, stop, hire, tell, publish)
    return OK


@contextmanager
def _seats(cluster: str | None, jobs: Sequence[Job]) -> Iterator[Callable[[int], Seat]]:
    if cluster is None:
        from retrace.tools.runs.watch import Spare

        with closing(Spare()) as spare:
            yield spare.hire
        return
    from retrace.tools.runs.cluster import actors

    with actors(cluster, jobs) as hire:
        yield hire


@contextmanager
def _served(place: str | None) -> Iterator[Callable[[str], None]]:
    """What publishes a text at http://HOST:PORT/metrics."""
    if place is None:
        yield lambda text: None
        return
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    from retrace.configs import InputError

    now = [""]

    class Metrics(BaseHTTPRequestHandler):
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
        server = ThreadingHTTPServer((host or HOST, int(port)), Metrics)
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


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
