"""Score tracking results: HOTA, CLEAR and identity metrics, equal to TrackEval's.

    python tools/eval_mot.py --gt MOT17/train --results runs/mine --json mine.json
    python tools/eval_mot.py --gt MOT17/train --results runs/mine --split val-half --compare runs/other

Ground truth is GT/SEQUENCE/gt/gt.txt with seqinfo.ini, results are RESULTS/SEQUENCE.txt. The table shows
fractions in percent; JSON and CSV have them in [0, 1]. Under val-half, result frames count from 1 at the
first frame after floor(N/2) + 1; the ground truth may be the full sequences' or already cut.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrace.tools.terminal import options
from retrace.tools.terminal.console import OK, Parser, as_flags, guarded, say
from retrace.tools.terminal.progress import bar
from retrace.tools.terminal.tables import show

if TYPE_CHECKING:
    from retrace.eval.mot.comparison import SeveralScores
    from retrace.eval.mot.folders import FolderScore


def parser() -> argparse.ArgumentParser:
    p = Parser(prog="eval_mot.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--gt", required=True, metavar="DIR", help="folder of sequence folders")
    p.add_argument("--results", required=True, nargs="+", metavar="DIR", help="folders of SEQUENCE.txt")
    options.add_benchmark(p)
    p.add_argument("--split", default="all", choices=("all", "val-half"))
    p.add_argument(
        "--numbering", choices=("split", "full"), help="val-half: of result frames (split: from 1)"
    )
    p.add_argument("--sequences", metavar="NAMES", help="only these, separated by commas")
    options.add_table_outputs(p)
    p.add_argument("--plot", metavar="FILE.svg", help="HOTA, DetA, AssA and LocA over alpha")
    p.add_argument("--intervals", action="store_true", help="95 %% bootstrap intervals over sequences")
    p.add_argument("--compare", metavar="DIR", help="other results: difference with a paired interval")
    p.add_argument("--force", action="store_true", help="compare results whose manifests say they are unlike")
    p.add_argument("--headroom", action="store_true", help="score a perfect association of --detections")
    p.add_argument(
        "--detections", metavar="FILE|DIR", help="for --headroom: inside each sequence of --gt, or DIR"
    )
    p.add_argument("--detections-file", metavar="PATH", help="inside DIR/SEQUENCE; default: det/det.txt")
    p.add_argument("--min-score", type=float, help="headroom only: leave out boxes below; default: a range")
    p.add_argument("--motmetrics", action="store_true", help="py-motmetrics' extended table of our matches")
    several = "they are cameras of one site: also all as one"
    p.add_argument("--multi-camera", action="store_true", help=several)
    p.add_argument("--homography", metavar="FILE.yaml", help="with it: also by where people stand")
    p.add_argument("--reach", type=float, metavar="D", help="ground's units beyond which nobody is alike (2)")
    p.add_argument("--jobs", type=int, help="processes; default: by cores and size")
    p.add_argument("--cluster", metavar="auto|local|ADDRESS", help="on a Ray cluster (docs/scale.md)")
    return p


def main(argv: list[str]) -> int:
    p = parser()
    args = p.parse_args(argv)
    check_options(args)
    rules: dict[str, Any] = {name: getattr(args, name) for name in ("benchmark", "split", "jobs")}
    names = options.names_in(args.sequences, "sequences")
    rules |= {"numbering": args.numbering or "split", "sequences": names}
    from retrace.eval.mot.comparison import score_several
    from retrace.eval.mot.folders import score_folder
    from retrace.tools.runs.spread import executor_of
    from retrace.tracker.site.ground import read_ground

    found: FolderScore | SeveralScores
    folders = [args.gt, *args.results]
    with as_flags(p), executor_of(args.cluster, folders) as there, bar("evaluating", None) as told:
        rules |= {"executor": there, "progress": told}
        if len(args.results) > 1:
            found = score_several(args.gt, args.results, **rules)
        else:
            asked = ("intervals", "compare", "force", "detections", "min_score", "motmetrics", "multi_camera")
            if args.homography:
                ground = read_ground(args.homography)
                rules |= {"planes": dict(zip(ground.cameras, ground.plane, strict=True)), "reach": args.reach}
            rules["detections_file"] = args.detections_file or "det/det.txt"
            rules |= {name: getattr(args, name) for name in asked}
            found = score_folder(args.gt, args.results[0], **rules)
    write_files(args, found)
    say(json.dumps(found.as_json(), indent=2)) if args.json == "-" else report(args.results, found)
    return OK


def check_options(args: argparse.Namespace) -> None:
    """Refuse options that contradict each other or would do nothing."""
    from retrace.configs import InputError

    options.refuse_empty(
        vars(args), ("gt", "compare", "detections", "homography", "json", "csv", "markdown", "plot")
    )
    if "" in args.results:
        raise InputError("--results '': expected a name")
    if len(args.results) > 1:
        for name in ("intervals", "compare", "headroom", "motmetrics", "multi_camera"):
            if getattr(args, name):
                raise InputError(
                    f"{options.option(name)} goes with one folder of --results, got {len(args.results)}"
                )
    if args.headroom != (args.detections is not None):
        raise InputError("--headroom and --detections go together")
    options.refuse_idle(vars(args), ("min_score", "detections_file"), "--headroom", args.headroom)
    if args.detections_file is not None and args.headroom and not Path(args.detections).is_dir():
        raise InputError(
            "--detections-file does nothing where --detections lies inside each sequence folder itself"
        )
    options.refuse_idle(vars(args), ("force",), "--compare", args.compare is not None)
    options.refuse_idle(vars(args), ("homography",), "--multi-camera", args.multi_camera)
    options.refuse_idle(vars(args), ("reach",), "--homography", args.homography is not None)
    options.refuse_idle(vars(args), ("numbering",), "--split val-half", args.split != "all")
    options.check_outputs(vars(args), ("json", "csv", "markdown", "plot"))
    options.check_ending(vars(args), "plot", ".svg")


def write_files(args: argparse.Namespace, found: FolderScore | SeveralScores) -> None:
    """The files that options ask for."""
    from retrace.eval.mot.report import as_csv, as_markdown

    below, more = "".join(f"\n{note}\n" for note in found.notes), {}
    if args.plot is not None:
        what = "HOTA" if len(args.results) > 1 else Path(args.results[0]).resolve().name
        more[Path(args.plot)] = found.as_svg(f"{what}: {found.title}")
    first = as_csv(found.rows, found.head), as_markdown(found.rows, head=found.head) + below
    options.write_tables(vars(args), found.as_json(), first, found.sections, more)


def report(results: list[str], found: FolderScore | SeveralScores) -> None:
    """The tables on standard output."""
    from retrace.eval.mot.report import COLUMNS, cells

    table = [[found.head, *COLUMNS], *([n, *cells(r)] for n, r in found.rows.items())]
    what = results[0] if len(results) == 1 else f"{len(results)} folders of results"
    show(f"{what}: {found.title}", table, found.notes, bold_last=len(results) == 1)
    for section in found.sections:
        say("")
        show(section.title, section.texts(), section.notes)


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
