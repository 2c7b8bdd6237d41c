"""Tune a tracker preset on your sequences, and say honestly what that is worth.

    python tools/tune.py --tracker bytetrack --data MOT17/train --split val-half --detections det/det.txt \\
        --trials 100 --out runs/tune

Detections (and their vectors, in .npz files) are read once; nothing is detected or embedded here. For every
fold a search of its own (Optuna's TPE) sees the other folds' sequences only, and the held-out ones are then
tracked with what it found: the figure to report. A last search sees all sequences; its best is the preset to
use, and its score on them is optimistic. Searches begin with shared points that are drawn before any score is
known, and with the preset's own values: --cold leaves those out, for a preset that was chosen on the same
sequences. What no cross-validation repairs: ranges, and other values of the preset, that were.

Writes OUT/tuned.yaml (the preset), OUT/folds/*.yaml (each fold's, to check its figure by tools/track.py and
tools/eval_mot.py) and OUT/run.json. The study file goes on where it was stopped, grows with --trials, and may be
worked on by several processes at once: start the same command again. The result is the same in every case.
"""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial

from retrace.tools.terminal import options
from retrace.tools.terminal.console import OK, Parser, as_flags, guarded, say
from retrace.tools.terminal.progress import bar

METRICS = ("HOTA", "AssA", "DetA", "IDF1", "MOTA")


def parser() -> Parser:
    p = Parser(prog="tune.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--tracker", default="default", metavar="NAME|FILE", help="the preset to begin from")
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="replace a value of it")
    p.add_argument(
        "--data", required=True, metavar="DIR", help="folder of sequence folders with ground truth"
    )
    p.add_argument(
        "--detections",
        default="det/det.txt",
        metavar="FILE",
        help="det.txt or .npz inside each sequence folder, or a path with {name} in it; default: det/det.txt",
    )
    p.add_argument(
        "--camera",
        default="auto",
        metavar="auto|none|FILE",
        help="warps, named likewise; auto: gmc.txt of the sequence folder, where there is one",
    )
    p.add_argument("--split", default="all", choices=("all", "val-half"), help="as in eval_mot.py")
    options.add_benchmark(p)
    p.add_argument("--sequences", metavar="NAMES", help="only these, separated by commas")
    p.add_argument(
        "--space",
        metavar="NAME|FILE",
        help="what may vary: configs/tune/NAME.yaml; default: the preset's name",
    )
    p.add_argument("--metric", default="HOTA", choices=METRICS, help="of the sequences combined")
    p.add_argument("--folds", default="leave-one-out", metavar="leave-one-out|K")
    p.add_argument("--trials", type=int, default=100, metavar="N", help="of each search; default: 100")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--cold", action="store_true", help="the preset's own values are no candidate")
    p.add_argument("--study", metavar="FILE.db", help="SQLite file of the trials; default: OUT/study.db")
    p.add_argument("--jobs", type=int, metavar="N", help="processes; default: all cores")
    p.add_argument("--cluster", metavar="auto|local|ADDRESS", help="on a Ray cluster (docs/scale.md)")
    p.add_argument("--out", default="runs/tune", metavar="DIR", help="default: runs/tune")
    p.add_argument("--quiet", action="store_true", help="print errors only")
    return p


def main(argv: list[str]) -> int:
    p = parser()
    args = p.parse_args(argv)
    names = options.names_in(args.sequences, "sequences")
    for library in ("OMP", "OPENBLAS", "MKL"):  # before numpy is loaded: many processes of one thread each
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    from retrace.configs.loader import parse_assignments
    from retrace.tools.runs.spread import executor_of
    from retrace.tools.tuning.settings import Settings
    from retrace.tools.tuning.tuning import tune

    tell = (lambda line: None) if args.quiet else say
    with as_flags(p):
        settings = Settings(
            args.data,
            tracker=args.tracker,
            overrides=parse_assignments(args.set),
            detections=args.detections,
            camera=args.camera,
            split=args.split,
            benchmark=args.benchmark,
            sequences=tuple(names),
            space=args.space,
            metric=args.metric,
            folds=args.folds,
            trials=args.trials,
            seed=args.seed,
            cold=args.cold,
        )
        told = partial(bar, quiet=args.quiet)
        with executor_of(args.cluster, [args.data]) as cluster:
            lines = tune(settings, args.out, args.study, args.jobs, argv, tell, told, cluster)
    for line in lines:
        tell(line)
    return OK


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
