"""Compare losses fairly on people: the same network, size, augmentation, batches, budget and search for everybody.

    python tools/bench_losses.py run --regime frozen      linear heads on frozen vectors: seconds a job
    python tools/bench_losses.py run --regime finetune --entrants core --published
    python tools/bench_losses.py track --regime finetune  IDF1 and HOTA of a tracker with each network
    python tools/bench_losses.py check                    does everything train: 200 small steps of each, half a minute
    python tools/bench_losses.py steps                    what a training step costs with each, beside CE + triplet
    python tools/bench_losses.py report --out page        tables and plots of what is done so far

Start `run` once a core: the processes share the queue. It may be stopped at any time and goes on where it was, on
another machine too: what is done is a line each in the results file, which belongs into the repository.
configs/bench/losses.yaml says who takes part, with which settings; docs/losses.md shows what came out.
"""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from retrace.tools.terminal.console import OK, Parser, as_flags, guarded, say

if TYPE_CHECKING:
    from retrace.tools.loss_bench.entrants import Bench
    from retrace.tools.loss_bench.work import Places

RESULTS = Path("docs/bench/losses.jsonl")
STEPS = Path("docs/bench/steps.json")
WHAT = ("run", "track", "check", "steps", "report")


def parser() -> Parser:
    p = Parser(
        prog="bench_losses.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("what", choices=WHAT)
    p.add_argument("--bench", default="losses", metavar="NAME|FILE", help="configs/bench/NAME.yaml")
    p.add_argument("--results", type=Path, default=RESULTS, metavar="FILE", help=f"default: {RESULTS}")
    p.add_argument("--entrants", default="", metavar="NAMES", help="only these, by commas; core: those first")
    p.add_argument("--published", action="store_true", help="everybody as in the file; not for frozen")
    p.add_argument("--steps", type=Path, default=STEPS, metavar="FILE", help=f"costs; default: {STEPS}")
    p.add_argument("--out", type=Path, metavar="DIR", help="of the report: Markdown, HTML, plots")
    run = p.add_argument_group("run, track, check")
    run.add_argument("--regime", help="frozen (the default), finetune or scratch; of run and track")
    run.add_argument("--data", type=Path, metavar="DIR", help="default: the shared market1501-split")
    run.add_argument("--other", type=Path, metavar="DIR", help="default: its cuhk03-detected-val")
    run.add_argument("--weights", type=Path, metavar="DIR", help="default: its weights")
    run.add_argument(
        "--work", type=Path, default=Path("runs/losses"), metavar="DIR", help="default: runs/losses"
    )
    run.add_argument("--hours", type=float, metavar="H", help="begin no job after so long")
    run.add_argument("--jobs", type=int, metavar="N", help="at most so many jobs")
    return p


def main(argv: list[str]) -> int:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    p = parser()
    args = p.parse_args(argv)
    from retrace.configs import InputError
    from retrace.configs.errors import number
    from retrace.tools.loss_bench.entrants import read_bench
    from retrace.tools.terminal.options import refuse_below_one

    with as_flags(p):
        if (args.out is None) == (args.what == "report"):
            raise InputError("report needs --out DIR, the folder to write to; the others take none")
        if args.what == "report" and args.entrants:
            raise InputError("report shows everybody that has results; leave entrants out")
        if args.hours is not None:
            number("hours", args.hours, 0)
        refuse_below_one(vars(args), ("jobs",))
        if args.regime is not None and args.what not in ("run", "track"):
            raise InputError(f"`regime` is of run and track; {args.what} takes none")
        args.regime = "frozen" if args.regime is None else args.regime
        bench = read_bench(args.bench)
        names = tuple(filter(None, args.entrants.split(",")))
        {"run": run, "track": track, "check": check, "steps": steps, "report": report}[args.what](
            args, bench, names
        )
    return OK


def _places(args: argparse.Namespace) -> Places:
    from retrace.tools.loss_bench.work import places_of

    return places_of(args.results, args.work, args.data, args.other, args.weights)


def run(args: argparse.Namespace, bench: Bench, names: tuple[str, ...]) -> None:
    """Work the queue."""
    from retrace.tools.loss_bench.work import work

    entrants = list(bench.taking_part(args.regime, names))
    how = partial(work, published=args.published, hours=args.hours, most=args.jobs, tell=say)
    say(f"{how(bench, args.regime, entrants, _places(args))} jobs done")


def track(args: argparse.Namespace, bench: Bench, names: tuple[str, ...]) -> None:
    """Track with the networks that finals left in the work folder, or with frozen heads."""
    from retrace.tools.benchmarks.side_by_side import shared_folder
    from retrace.tools.loss_bench.tracked import read_street, track_all

    data = shared_folder() / "data"
    entrants = list(bench.taking_part(args.regime, names))
    street = read_street(data / "MOT15-train", data / "videos/vtest.avi")
    how = partial(track_all, hours=args.hours, most=args.jobs, tell=say)
    say(f"{how(bench, args.regime, entrants, _places(args), street)} networks tracked")


def check(args: argparse.Namespace, bench: Bench, names: tuple[str, ...]) -> None:
    """Train everybody for a few hundred small steps."""
    from retrace.tools.loss_bench.check import check_all

    done = check_all(bench, names, _places(args), hours=args.hours, most=args.jobs, tell=say)
    say(f"{done} objectives checked")


def steps(args: argparse.Namespace, bench: Bench, names: tuple[str, ...]) -> None:
    """Measure what a step costs, and keep it."""
    from retrace.configs.files import write_json
    from retrace.tools.loss_bench.cost import measure

    write_json(args.steps, measure(bench, names, say))
    say(str(args.steps))


def report(args: argparse.Namespace, bench: Bench, names: tuple[str, ...]) -> None:
    """Write tables and plots."""
    from retrace.tools.loss_bench.cost import read_costs
    from retrace.tools.loss_bench.jobs import read_bench_results
    from retrace.tools.loss_bench.report import read_all, write

    regimes = read_all(bench, read_bench_results(args.results), args.published)
    for path in write(args.out, regimes, read_costs(args.steps)):
        say(str(path))


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
