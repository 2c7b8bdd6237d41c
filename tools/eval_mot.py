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
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tools.console import OK, Parser, guarded

if TYPE_CHECKING:
    from eval.mot import Metrics
    from eval.sequences import Sequence

BENCHMARKS = ("auto", "MOT15", "MOT16", "MOT17", "MOT20", "DanceTrack", "custom")


def parser() -> argparse.ArgumentParser:
    p = Parser(prog="eval_mot.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--gt", required=True, metavar="DIR", help="folder of sequence folders")
    p.add_argument("--results", required=True, metavar="DIR", help="folder of SEQUENCE.txt")
    p.add_argument("--benchmark", default="auto", choices=BENCHMARKS, help="auto: by the sequences' names")
    p.add_argument("--split", default="all", choices=("all", "val-half"))
    p.add_argument(
        "--numbering",
        default="split",
        choices=("split", "full"),
        help="val-half only: result frames count from 1 in the split (default), or as in the full sequence",
    )
    p.add_argument("--sequences", metavar="NAMES", help="only these, separated by commas")
    p.add_argument("--json", metavar="FILE", help="all metrics; - for standard output instead of the table")
    p.add_argument("--csv", metavar="FILE")
    p.add_argument("--markdown", metavar="FILE")
    p.add_argument("--plot", metavar="FILE.svg", help="HOTA, DetA, AssA and LocA over alpha")
    p.add_argument("--intervals", action="store_true", help="95 %% bootstrap intervals over sequences")
    p.add_argument("--compare", metavar="DIR", help="other results: difference with a paired interval")
    p.add_argument("--force", action="store_true", help="compare results whose manifests say they are unlike")
    p.add_argument("--headroom", action="store_true", help="score a perfect association of --detections")
    p.add_argument("--detections", metavar="DIR", help="DIR/SEQUENCE.txt or DIR/SEQUENCE/det/det.txt")
    p.add_argument("--detections-file", default="det/det.txt", metavar="PATH", help="inside DIR/SEQUENCE")
    p.add_argument("--min-score", type=float, help="headroom only: leave out boxes below; default: a range")
    p.add_argument("--motmetrics", action="store_true", help="py-motmetrics' extended table of our matches")
    p.add_argument("--jobs", type=int, help="processes; default: by cores and size")
    return p


def main(argv: list[str]) -> int:
    args = parser().parse_args(argv)
    from configs import InputError
    from eval.report import COLUMNS, as_json, cells, rows_of
    from eval.sequences import find_sequences, guess_benchmark

    if args.headroom != bool(args.detections):
        raise InputError("--headroom and --detections DIR go together")
    if args.jobs is not None and args.jobs < 1:
        raise InputError(f"--jobs {args.jobs}: expected a number of processes from 1")
    names = [n for n in (args.sequences or "").split(",") if n]
    sequences = find_sequences(args.gt, args.results, args.split, args.numbering, names)
    benchmark = args.benchmark if args.benchmark != "auto" else guess_benchmark(s.name for s in sequences)
    metrics = score(sequences, benchmark, args.jobs)
    sections = extra_sections(args, sequences, benchmark, metrics)  # before anything is shown: all or nothing
    title = f"{args.results}: {benchmark}, {args.split}, {len(sequences)} sequences"
    found = as_json(metrics, benchmark=benchmark, split=args.split)
    write_files(args, metrics, found, title)
    if args.json == "-":
        print(json.dumps(found, indent=2))
        return OK
    show(title, [["sequence", *COLUMNS], *([n, *cells(r)] for n, r in rows_of(metrics).items())])
    for heading, lines in sections:
        show(heading, lines)
    return OK


def write_files(args: argparse.Namespace, metrics: dict[str, Metrics], found: dict, title: str) -> None:
    """The files that options ask for."""
    from configs import InputError
    from eval.mot import combine
    from eval.report import as_csv, as_markdown, as_svg, rows_of
    from tracker.mot_file import atomic_write

    rows = rows_of(metrics)
    texts = {
        args.json if args.json != "-" else None: lambda: json.dumps(found, indent=2) + "\n",
        args.csv: lambda: as_csv(rows),
        args.markdown: lambda: as_markdown(rows),
        args.plot: lambda: as_svg(combine(list(metrics.values())), title),
    }
    for path, text in texts.items():
        try:
            if path:
                with atomic_write(path) as file:
                    file.write(text())
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror})") from None


def score(sequences: list[Sequence], benchmark: str, jobs: int | None) -> dict[str, Metrics]:
    """All sequences, with a progress bar on a terminal."""
    from eval.sequences import score_sequences

    with progress(len(sequences)) as done:
        return score_sequences(sequences, benchmark, jobs, done)


@contextmanager
def progress(total: int) -> Iterator:
    """A function to call for each thing done; silent where standard error is no terminal."""
    if not sys.stderr.isatty():
        yield lambda name: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("evaluating", total=total)
        yield lambda name: bar.update(task, advance=1, description=name)


def show(title: str, lines: list[list[str]]) -> None:
    """A table: by rich on a terminal wide enough for it, else plain text (rich would cut numbers off)."""
    from eval.report import as_text

    text = as_text(lines)
    if not sys.stdout.isatty() or text.index("\n") + 2 > shutil.get_terminal_size().columns:
        print(f"{title}\n{text}")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, header_style="bold")
    for k, name in enumerate(lines[0]):
        table.add_column(name, justify="right" if k else "left", no_wrap=True)
    for k, line in enumerate(lines[1:], 2):
        table.add_row(*line, style="bold" if k == len(lines) else None)
    Console().print(table)


def extra_sections(
    args: argparse.Namespace, sequences: list[Sequence], benchmark: str, metrics: dict[str, Metrics]
) -> list[tuple[str, list[list[str]]]]:
    """The tables that options ask for: (heading, lines)."""
    from tools import eval_sections as sections

    found = []
    if args.intervals:
        found.append(sections.interval_table(metrics))
    if args.compare:
        found.append(sections.comparison(args, sequences, benchmark, metrics))
    if args.headroom:
        found.append(sections.headroom(args, sequences, benchmark, metrics))
    if args.motmetrics:
        found.append(sections.extended(sequences, benchmark))
    return found


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
