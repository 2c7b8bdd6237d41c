"""Your cameras' own ReID network, from unlabelled video: tracklets become identities, the shipped weights learn them.

    python tools/adapt_reid.py monday.mp4 door.mp4 --out runs/adapted
    python tools/track.py tuesday.mp4 --reid runs/adapted/weights.safetensors

Minutes on a CPU. The earlier part of each video trains, the later part measures; the new weights stay only where they
are better there. Nothing leaves the machine.
"""

from __future__ import annotations

import argparse
import sys

from retrace.tools.terminal.console import OK, Parser, as_flags, guarded, say


def parser() -> argparse.ArgumentParser:
    p = Parser(
        prog="adapt_reid.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("videos", nargs="+", metavar="VIDEO", help="one a camera")
    p.add_argument("--out", required=True, metavar="DIR", help="a new folder")
    p.add_argument(
        "--weights", default="auto", metavar="FILE|auto", help="to begin with; default: the shipped ones"
    )
    p.add_argument("--detector", default="auto", metavar="auto|WEIGHTS|hog", help="as in track.py")
    p.add_argument("--detections", metavar="FILE", help="boxes instead; {name} in it is the video's name")
    p.add_argument(
        "--gt", metavar="FILE", help="ground truth, likewise: the later part must be tracked better, too"
    )
    p.add_argument(
        "--cut", type=float, default=0.5, metavar="SHARE", help="of each video, for training (0.5)"
    )
    p.add_argument(
        "--gap",
        type=float,
        default=3.0,
        metavar="S",
        help="between two looks, at which they are compared (3)",
    )
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of the training's preset")
    p.add_argument("--device", default="auto", metavar="auto|cpu|cuda[:N]")
    p.add_argument("--quiet", action="store_true", help="print errors only")
    return p


def main(argv: list[str]) -> int:
    p = parser()
    args = p.parse_args(argv)
    from retrace.configs.loader import parse_assignments
    from retrace.tools.adapting.adapt import adapt, told

    with as_flags(p):
        found = adapt(
            args.videos,
            args.out,
            args.weights,
            detector=args.detector,
            detections=args.detections,
            gt=args.gt,
            cut=args.cut,
            gap=args.gap,
            changes=parse_assignments(args.set),
            device=args.device,
            say=(lambda line: None) if args.quiet else say,
        )
    if not args.quiet:
        say(told(found))
    return OK


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
