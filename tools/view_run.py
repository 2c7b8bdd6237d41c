"""Look at a run in the browser, and mend it: the video with its tracks, everybody over time, merge, split, undo.

    python tools/view_run.py runs/track
    python tools/view_run.py runs/track --open

Served on this machine alone. Edits go to NAME.edits.jsonl beside the result, which itself is never touched;
the corrected one is downloaded from the page.
"""

from __future__ import annotations

import argparse
import sys

from retrace.tools.terminal.console import OK, Parser, guarded, say

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def parser() -> Parser:
    p = Parser(prog="view_run.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("run", metavar="RUN", help="the --out folder of track.py")
    p.add_argument("--port", type=int, default=0, help="default: a free one, which is printed")
    p.add_argument("--host", default="127.0.0.1", help="another address lets others in, with a token")
    p.add_argument("--open", action="store_true", help="open the browser")
    return p


def main(argv: list[str]) -> int:
    args = parser().parse_args(argv)
    import secrets

    from retrace.configs import InputError
    from retrace.tools.viewing.run_folder import RunFolder
    from retrace.tools.viewing.server import free_port, make_app, serve

    if not 0 <= args.port <= 65535:
        raise InputError(f"--port {args.port}: expected 1 to 65535")
    run = RunFolder(args.run)
    make_app(run, [args.host])  # what is missing is told before an address is
    token = None if args.host in LOOPBACK else secrets.token_urlsafe(16)
    try:
        port = args.port or free_port(args.host)
    except OSError as error:
        raise InputError(f"--host {args.host}: {error.strerror or error}") from None
    address = f"http://{args.host}:{port}/" + (f"?token={token}" if token else "")
    say(f"{address}  (Ctrl-C ends it)")
    if args.open:
        import webbrowser

        webbrowser.open(address)
    serve(run, args.host, port, token)
    return OK


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
