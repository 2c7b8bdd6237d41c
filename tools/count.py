"""Answers from finished tracks: how many people, who crossed a line, who stayed in a zone and how long.

    python tools/count.py runs/track/video.txt --fps 25 --regions regions.yaml --out runs/answers
    python tools/count.py runs/track --regions regions.yaml

RESULTS is a MOTChallenge text file (anybody's), or the folder of a run, whose run.json knows the frame rate; of a
stopped run it tells what there is so far, as NAME.partial.
regions.yaml:

    lines:
      - {name: door, points: [[100, 400], [300, 400]], directions: [in, out]}
    zones:
      - {name: queue, points: [[50, 300], [250, 300], [250, 500], [50, 500]]}

The first direction is that to the right of who walks from the line's first point to its second, and the one the arrow
in the video shows; without `directions` they are left and right, or up and down, as in the picture.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from retrace.tools.terminal.console import OK, Parser, as_flags, guarded, say


def parser() -> Parser:
    p = Parser(prog="count.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("results", metavar="RESULTS", help="NAME.txt in MOT format, or a run folder")
    p.add_argument("--fps", type=float, help="frames/s; needed for a text file, instead of what a run says")
    p.add_argument("--regions", metavar="FILE", help="YAML with lines and zones; default: the run's own")
    p.add_argument("--minute", type=float, metavar="S", help="bins of NAME.people.csv (60 s); with --out")
    p.add_argument(
        "--gt", metavar="FILE", help="ground truth in MOT format: says how far off the answers are"
    )
    p.add_argument("--out", metavar="DIR", help="write NAME.persons.csv, .lines.csv, .zones.csv, .people.csv")
    p.add_argument("--json", metavar="FILE", help="the same as numbers")
    return p


def main(argv: list[str]) -> int:
    p = parser()
    args = p.parse_args(argv)
    with as_flags(p, bin_seconds="--minute"):
        return run(args)


def run(args: argparse.Namespace) -> int:
    from retrace.configs import InputError
    from retrace.configs.files import write_json
    from retrace.tools.runs.answers import compare, results_of, write_tables
    from retrace.tools.terminal.options import check_outputs
    from retrace.tracker.analytics import read_regions, summarise
    from retrace.tracker.mot_file import read_ground_truth

    check_outputs(
        vars(args), ("json",), ("out",), inputs={"results": "RESULTS", "regions": "--regions", "gt": "--gt"}
    )
    if args.minute is not None and not args.out:
        raise InputError("--minute goes with --out DIR")
    regions = read_regions(args.regions) if args.regions else None
    told = {}
    found = results_of(Path(args.results), args.fps)
    if args.gt and len(found) != 1:
        raise InputError(f"--gt {args.gt}: goes with one result, {args.results} holds {len(found)}")
    for result in found:
        if result.told_fps not in (None, result.fps):
            instead = f"--fps {result.fps:g} instead of the {result.told_fps:g} of its run.json"
            print(f"count.py: {result.name}: {instead}", file=sys.stderr)
        if regions is not None and result.size is not None:
            regions.check(result.size, args.regions)
        drawn = regions or result.regions
        answers = summarise(result.table, result.fps, drawn)
        told[result.name] = answers.as_json()
        say(f"{result.name}: {answers}")
        if args.gt:
            truth = read_ground_truth(args.gt)
            truth = truth.take(truth.score > 0)  # what the benchmark considers
            for line in compare(answers, summarise(truth, result.fps, drawn)):
                say(f"  {line}")
        if args.out:
            for path in write_tables(
                Path(args.out), result, answers, 60.0 if args.minute is None else args.minute
            ):
                say(f"  {path}")
    if args.json:
        write_json(Path(args.json), told)
    return OK


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
