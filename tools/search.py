"""Where and when was this person? A photo and an identity memory, and an honest 'nobody'.

    python tools/search.py people.db photo.jpg
    python tools/search.py people.db photo.jpg other.jpg --cameras door,hall --since 3600 --html found

A photo is a crop of one person (higher than wide), or a picture in which the largest person is meant; several photos
are of one person. Everybody in the memory is compared.

Another ENGINE finds the same faster, or on another machine: exact (NumPy) and flat (faiss) compare every tracklet's
vector; hnsw is a graph for about a million of them, which `memory.py FILE engine hnsw` measures on your own; auto
chooses; postgres:postgresql://USER@HOST/DATABASE and qdrant:http://HOST:PORT are servers.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from retrace.tools.terminal.console import OK, Parser, as_flags, guarded, say


def parser() -> Parser:
    p = Parser(prog="search.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("memory", metavar="MEMORY", help="made by track.py --memory FILE")
    p.add_argument("photo", nargs="+", metavar="PHOTO", help="pictures of one person")
    p.add_argument(
        "--reid",
        default="auto",
        metavar="auto|fast|strong|WEIGHTS",
        help="those that the memory was made with",
    )
    p.add_argument(
        "--detector", default="auto", metavar="auto|WEIGHTS|hog", help="for pictures that are no crops"
    )
    p.add_argument(
        "--least", type=float, default=0.5, metavar="P", help="nobody below this probability (0.5)"
    )
    p.add_argument("--top", type=int, default=10, metavar="N", help="people at most (10)")
    p.add_argument("--since", type=float, metavar="S", help="s on the memory's clock")
    p.add_argument("--until", type=float, metavar="S")
    p.add_argument("--cameras", metavar="NAMES", help="separated by commas")
    p.add_argument("--engine", metavar="ENGINE", help="where vectors are searched")
    p.add_argument(
        "--config", metavar="NAME|FILE", help="configs/memory/NAME.yaml; default: that of the weights"
    )
    p.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="returning=0.3, for instance"
    )
    p.add_argument("--html", metavar="DIR", help="a page of what was found")
    p.add_argument("--sheet", metavar="FILE", help="a picture of what was found")
    p.add_argument("--csv", metavar="FILE", help="a row a visit")
    p.add_argument("--json", metavar="FILE")
    return p


def main(argv: list[str]) -> int:
    p = parser()
    args = p.parse_args(argv)
    with as_flags(p):
        return run(args)


def run(args: argparse.Namespace) -> int:
    from retrace.configs import InputError
    from retrace.configs.files import write_json
    from retrace.configs.loader import parse_assignments
    from retrace.tools.pages import found_page
    from retrace.tools.runs import memories
    from retrace.tools.terminal.options import check_outputs, names_in
    from retrace.tracker.memory import Memory
    from retrace.tracker.memory.search import search

    check_outputs(
        vars(args), ("sheet", "csv", "json"), ("html",), inputs={"memory": "MEMORY", "photo": "PHOTO"}
    )
    memories.check_memory(args.memory)
    if not (0 <= args.least <= 1 and args.top >= 1):
        raise InputError(f"expected a probability and at least one person, got {args.least} and {args.top}")
    embedder, weights = memories.open_embedder(args.reid)
    photos = memories.vectors_of([Path(photo) for photo in args.photo], embedder, args.detector)
    cameras = None if args.cameras is None else names_in(args.cameras, "cameras")
    config = args.config, parse_assignments(args.set)
    with Memory(args.memory, weights, photos.shape[1], config[0], args.engine, **config[1]) as memory:
        narrowed = args.since, args.until, cameras
        found = search(memory, photos, args.least, args.top, *narrowed)
        below = [] if found else search(memory, photos, 0.0, 3, *narrowed)
        if not found:
            like = ", ".join(f"person {one.person} at {100 * one.probability:.1f} %" for one in below)
            most = f"; the most alike: {like}" if like else ""
            say(f"nobody among {memory.people.count} people is as likely as {args.least:g}{most}")
        for line in memories.found_lines(found):
            say(line)
        if args.sheet and found:
            say(f"  {memories.write_sheet(Path(args.sheet), memory.store, found)}")
        if args.html:
            asked = found_page.Asked([Path(photo) for photo in args.photo], args.least, *narrowed)
            say(f"  {found_page.write_page(Path(args.html), memory, asked, found, below)}")
        if args.csv:
            say(f"  {memories.write_csv(Path(args.csv), found)}")
    if args.json:
        write_json(Path(args.json), memories.as_json(found))
    return OK


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
