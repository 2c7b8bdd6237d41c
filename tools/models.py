"""Detectors that can be had: which lie in the cache folder, which can be downloaded by name, and under which licence.

    python tools/models.py [--get NAME]

`tools/track.py --detector auto` takes what is here, or else downloads the first of the list once.
"""

from __future__ import annotations

import argparse
import sys

from retrace.tools.terminal.console import OK, Parser, guarded, say


def parser() -> Parser:
    p = Parser(prog="models.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--get", metavar="NAME", help="download it now")
    return p


def main(argv: list[str]) -> int:
    args = parser().parse_args(argv)
    from retrace.configs import InputError
    from retrace.configs.errors import nearest
    from retrace.tracker.detection.download import OFFERS, fetch, offered

    if args.get is None:
        for line in listing():
            say(line)
        return OK
    offer = offered(args.get)
    if offer is None:
        raise InputError(
            f"--get {args.get}: nothing of that name; {nearest(args.get, (o.name for o in OFFERS))}"
        )
    path, why = fetch(offer)
    say(f"{path} ({offer.licence}, {why})")
    return OK


def listing() -> list[str]:
    """One line for each detector: name, licence, size, where it is, what it is."""
    from retrace.configs.files import cache_folder
    from retrace.tracker.detection.download import MIRROR, OFFERS
    from retrace.tracker.detection.open import in_cache

    cache, offers = cache_folder(), {offer.name: offer for offer in OFFERS}
    row = "{:<20} {:<14} {:>6} {:<14} {}".format
    lines = [row("name", "licence", "MB", "", "what")]
    for offer in OFFERS:
        where = "in the cache" if (cache / offer.name).is_file() else "to download"
        lines.append(row(offer.name, offer.licence, f"{offer.size / 1e6:.1f}", where, offer.what))
    for path in in_cache():
        if path.name not in offers:
            size = f"{path.stat().st_size / 1e6:.1f}"
            lines.append(
                row(path.name, "as its source", size, "in the cache", "recognised when it is opened")
            )
    lines += [
        row("hog", "Apache-2.0", "", "built in", "OpenCV's people detector: no weights, upright people only"),
        row(
            "yolo11n.pt, ...",
            "AGPL-3.0",
            "",
            "to download",
            "torch weights by ultralytics (extra `yolo`), by their names",
        ),
        f"any other .onnx or OpenVINO .xml by its path; cache folder {cache}; a mirror of the downloads: {MIRROR}=URL",
    ]
    return lines


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
