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
        from retrace.tools.runs.metrics import served
        from retrace.tools.runs.runner import stop_on_signals
        from retrace.tools.runs.watch import camera_jobs, watch_into

        if args.quiet:
            be_quiet()
        jobs, stop = camera_jobs(track.jobs_of(args), 1 if args.cluster else None), threading.Event()
        tell = (lambda line: None) if args.quiet else say
        with stop_on_signals(stop), served(args.metrics) as publish, _seats(args.cluster, jobs) as hire:
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


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
