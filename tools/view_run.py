"""Look at a run in the browser, and mend it: the video with its tracks, everybody over time, the hand that corrects.

    retrace view runs/track
    retrace view runs/track --open --gt MOT17/train
    retrace view runs/track --export page           one folder, to open from the disk or to send
    retrace view runs/track --save mot,zip          the corrected result, without the page
    retrace view runs/cvat --import tracks.zip --video clip.mp4

RUN is the --out folder of track.py, also while it grows, or a folder of such folders; several can be named. Served on
this machine alone. Edits go to NAME.edits.jsonl beside the result, which itself is never touched.
"""

from __future__ import annotations

import argparse
import socket
import sys
from pathlib import Path

from retrace.tools.terminal.console import OK, Parser, guarded, say

LOOPBACK = ("127.0.0.1", "::1", "localhost")
EVERY = ("0.0.0.0", "::")  # addresses of this machine


def parser() -> Parser:
    p = Parser(prog="view_run.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("runs", metavar="RUN", nargs="+", help="the --out folder of track.py, or a folder of them")
    p.add_argument("--gt", metavar="FILE|DIR", help="ground truth: gt.txt, or a folder of sequences; scores")
    p.add_argument("--memory", metavar="FILE", help="the identity memory of the runs: people over cameras")
    p.add_argument("--open", action="store_true", help="open the browser")
    p.add_argument("--port", type=int, help="default: a free one, which is printed")
    p.add_argument("--host", help="default: this machine; another address lets others in, with a token")
    p.add_argument("--export", metavar="DIR", help="write the page as a folder instead of serving it")
    p.add_argument("--save", metavar="LIST", help="write RUN/corrected: mot,csv,jsonl,coco,cvat,zip,gt,video")
    p.add_argument(
        "--import",
        dest="imported",
        metavar="FILE",
        help="first make RUN of COCO-video JSON, CVAT XML, MOT zip",
    )
    p.add_argument("--video", metavar="FILE", help="what the boxes of --import were drawn on")
    return p


def main(argv: list[str]) -> int:
    args = parser().parse_args(argv)
    check_options(args)
    from retrace.tools.viewing.board import Board
    from retrace.tools.viewing.run_folder import Runs

    if args.imported:
        from retrace.tools.viewing.imported import import_run

        say(f"{import_run(Path(args.imported), Path(args.runs[0]), args.video)}")
    board = Board(
        Runs(args.runs),
        None if args.gt is None else Path(args.gt),
        None if args.memory is None else Path(args.memory),
    )
    if args.save:
        from retrace.tools.viewing.corrected import write_corrected

        for run in board.runs.runs.values():
            for place in run.places.values():
                for kind in args.save.split(","):
                    say(str(write_corrected(place, kind.strip())))
    if args.export:
        from retrace.tools.viewing.export import export

        say(str(export(board, Path(args.export), say)))
    if not args.save and not args.export:
        show(board, args.host or LOOPBACK[0], args.port, args.open)
    return OK


def check_options(args: argparse.Namespace) -> None:
    """Refuse what contradicts itself or would do nothing."""
    from retrace.configs import InputError
    from retrace.tools.terminal.options import refuse_empty

    if args.port is not None and not 1 <= args.port <= 65535:
        raise InputError(f"--port {args.port}: expected 1 to 65535")
    refuse_empty(vars(args), ("save", "export", "imported", "gt", "memory", "host", "video"))
    for option in ("gt", "memory"):
        path = getattr(args, option)
        if path is not None and not Path(path).exists():
            raise InputError(f"--{option} {path}: no such file")
    if args.video and not args.imported:
        raise InputError("--video goes with --import FILE")
    if args.imported and len(args.runs) != 1:
        raise InputError("--import makes one RUN: name one")
    if (args.export or args.save) and (args.open or args.host or args.port):
        raise InputError("--export and --save serve nothing: leave --open, --host and --port out")


def show(board: object, host: str, wanted: int | None, open_browser: bool) -> None:
    """Serve, and say where."""
    import secrets

    from retrace.configs.errors import InputError, system_reason
    from retrace.tools.viewing.board import Board
    from retrace.tools.viewing.server import free_port, make_app, serve

    assert isinstance(board, Board)
    make_app(board, [host])  # what is missing is told before an address is
    token = None if host in LOOPBACK else secrets.token_urlsafe(16)
    try:
        port = free_port(host, wanted or 0)
    except OSError as error:
        what = f"--host {host}" + (f", --port {wanted}" if wanted else "")
        raise InputError(f"{what}: {system_reason(error)}") from None
    name = socket.gethostname() if host in EVERY else host  # what others can open
    address = f"http://{f'[{name}]' if ':' in name else name}:{port}/" + (f"?token={token}" if token else "")
    say(f"{address}  (Ctrl-C ends it)")
    if open_browser:
        import webbrowser

        webbrowser.open(address)
    serve(board, host, port, token)


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
