"""Improve tracking results afterwards, over the whole sequence: link, reconnect, interpolate, smooth, remove short.

    python tools/offline.py --results runs/track --out runs/offline
    python tools/offline.py --results theirs --sequences MOT17/train --out better --passes interpolate

Takes any tracker's SEQUENCE.txt in MOTChallenge format. OUT/run.json says that the results are offline and what was
done, so that they are not compared with online ones unawares. MOT files have no classes: several are not kept apart.
Reconnecting needs to know what people look like: from SEQUENCE.looks.npz beside the result (tools/track.py --save
looks), or from --vectors.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from retrace.tools.terminal.console import OK, Parser, as_flags, guarded, say


def parser() -> argparse.ArgumentParser:
    p = Parser(prog="offline.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--results", required=True, metavar="DIR", help="folder of SEQUENCE.txt")
    p.add_argument("--out", required=True, metavar="DIR", help="another folder")
    p.add_argument(
        "--passes",
        default="default",
        metavar="LIST|FILE",
        help="of link,reconnect,interpolate,smooth,remove_short, in the order to run them; or a YAML file like "
        "configs/offline/default.yaml, which is the default",
    )
    p.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="interpolate.gap=2, for instance"
    )
    p.add_argument(
        "--sequences", metavar="DIR", help="frame rates from DIR/SEQUENCE/seqinfo.ini, e.g. ground truth"
    )
    p.add_argument(
        "--fps", type=float, help="frame rate of all; default: seqinfo.ini, or run.json in --results"
    )
    p.add_argument(
        "--vectors",
        metavar="FILE",
        help="what people look like: .npz of detections with embedding, as tools/track.py --detections takes them; "
        "{name} in it is the result's name; each box of a result takes the vector of the detection it overlaps most",
    )
    p.add_argument("--quiet", action="store_true", help="print errors only")
    return p


def main(argv: list[str]) -> int:
    p = parser()
    args = p.parse_args(argv)
    from retrace.configs.loader import parse_assignments
    from retrace.tools.runs.afterwards import improve_into
    from retrace.tracker.offline.files import read_passes

    out, sequences = Path(args.out), Path(args.sequences) if args.sequences else None
    with as_flags(p):
        config = read_passes(args.passes, parse_assignments(args.set))
        how = {"fps": args.fps, "sequences": sequences, "vectors": args.vectors}
        done = improve_into(out, Path(args.results), config, argv, **how)
    if not args.quiet:
        for name, one in done.items():
            say(f"{out / name}.txt: {one.note}")
    return OK


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
