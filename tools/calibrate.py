"""Fit the tables of a tracker that reasons in log-odds (preset odds) on your sequences, with ground truth or without.

    python tools/calibrate.py --data MOT15/train --detections det/yolo.npz --detections det/hog.npz --out odds-here.yaml

The .npz files hold boxes and vectors, as retrace track --tracker odds --save detections writes them.
Every pair of a track and a box is labelled by the ground truth; all terms are fitted together. For an honest figure
each video is also judged, and tracked, by the tables of the others. Writes a preset: retrace track --tracker FILE.

--labels tracks needs no ground truth: tracklets on which a run forwards and one backwards agree label the pairs, and
breaks are made by hiding their boxes. Measured (LOG.md), such tables track as well as those of odds, and worse than
those by ground truth: label where you can. What they are worth at your place only ground truth can say.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from retrace.tools.terminal.console import OK, Parser, as_flags, guarded, say
from retrace.tools.terminal.options import add_benchmark, check_outputs, names_in
from retrace.tools.terminal.progress import bar


def parser() -> Parser:
    p = Parser(prog="calibrate.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", required=True, metavar="DIR", help="folder of sequence folders, as for tune.py")
    p.add_argument(
        "--detections",
        required=True,
        action="append",
        metavar="FILE",
        help=".npz inside each sequence folder, or a path with {name} in it; give one for each detector",
    )
    p.add_argument(
        "--tracker", default="odds", metavar="NAME|FILE", help="the preset whose tables are fitted"
    )
    p.add_argument("--camera", default="auto", metavar="auto|none|FILE", help="as for tune.py")
    add_benchmark(p)
    p.add_argument("--sequences", metavar="NAMES", help="only these, separated by commas")
    p.add_argument(
        "--labels",
        default="truth",
        choices=("truth", "tracks"),
        help="who a box shows: by ground truth, or, label-free, by tracklets that are believed",
    )
    p.add_argument("--out", required=True, metavar="FILE.yaml", help="the preset with the fitted tables")
    p.add_argument("--quiet", action="store_true", help="print errors only")
    return p


def main(argv: list[str]) -> int:
    p = parser()
    args = p.parse_args(argv)
    check_outputs(vars(args), ("out",))
    names = names_in(args.sequences, "sequences")
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    from retrace.tools.tuning.calibrating import calibrate

    with as_flags(p), bar("calibrate", None, quiet=args.quiet) as told:
        lines = calibrate(
            args.data,
            args.detections,
            Path(args.out),
            tracker=args.tracker,
            camera=args.camera,
            benchmark=args.benchmark,
            sequences=names,
            labels=args.labels,
            told=told,
        )
    if not args.quiet:
        for line in lines:
            say(line)
    return OK


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
