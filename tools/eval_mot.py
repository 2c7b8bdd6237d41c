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
import math
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from retrace.tools.terminal.console import OK, Parser, guarded

if TYPE_CHECKING:
    from retrace.eval.mot.score import Metrics
    from retrace.eval.mot.sequences import Sequence
    from retrace.eval.report import Section
    from retrace.tools.scoring.mot_sections import Extras, Scored

BENCHMARKS = ("auto", "MOT15", "MOT16", "MOT17", "MOT20", "DanceTrack", "custom")


def parser() -> argparse.ArgumentParser:
    p = Parser(prog="eval_mot.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--gt", required=True, metavar="DIR", help="folder of sequence folders")
    p.add_argument("--results", required=True, metavar="DIR", help="folder of SEQUENCE.txt")
    p.add_argument("--benchmark", default="auto", choices=BENCHMARKS, help="auto: by the sequences' names")
    p.add_argument("--split", default="all", choices=("all", "val-half"))
    p.add_argument(
        "--numbering",
        choices=("split", "full"),
        help="val-half only: result frames count from 1 in the split (default), or as in the full sequence",
    )
    p.add_argument("--sequences", metavar="NAMES", help="only these, separated by commas")
    p.add_argument("--json", metavar="FILE", help="all metrics; - for standard output instead of the table")
    p.add_argument("--csv", metavar="FILE.csv", help="other tables go to FILE.intervals.csv and so on")
    p.add_argument("--markdown", metavar="FILE")
    p.add_argument("--plot", metavar="FILE.svg", help="HOTA, DetA, AssA and LocA over alpha")
    p.add_argument("--intervals", action="store_true", help="95 %% bootstrap intervals over sequences")
    p.add_argument("--compare", metavar="DIR", help="other results: difference with a paired interval")
    p.add_argument("--force", action="store_true", help="compare results whose manifests say they are unlike")
    p.add_argument("--headroom", action="store_true", help="score a perfect association of --detections")
    p.add_argument("--detections", metavar="DIR", help="DIR/SEQUENCE.txt or DIR/SEQUENCE/det/det.txt")
    p.add_argument("--detections-file", metavar="PATH", help="inside DIR/SEQUENCE; default: det/det.txt")
    p.add_argument("--min-score", type=float, help="headroom only: leave out boxes below; default: a range")
    p.add_argument("--motmetrics", action="store_true", help="py-motmetrics' extended table of our matches")
    p.add_argument("--jobs", type=int, help="processes; default: by cores and size")
    return p


def main(argv: list[str]) -> int:
    args = parser().parse_args(argv)
    names = check_options(args)
    args.numbering = args.numbering or "split"
    from retrace.eval.manifest import offline_mark, read_manifest
    from retrace.eval.mot.sequences import find_sequences, guess_benchmark
    from retrace.eval.report import COLUMNS, as_json, cells, rows_of
    from retrace.tools.scoring.mot_sections import make_sections, plan_extras

    sequences = find_sequences(args.gt, args.results, args.split, args.numbering, names)
    benchmark = args.benchmark if args.benchmark != "auto" else guess_benchmark(s.name for s in sequences)
    scored = score(sequences, plan_extras(args, sequences, benchmark), args.jobs)
    metrics = {name: s.metrics for name, s in scored.items()}
    sections = make_sections(args, scored)  # before anything is shown: all or nothing
    manifest = read_manifest(Path(args.results))
    mark = offline_mark(manifest)
    about = f"{benchmark}, {args.split}, {len(sequences)} sequences{mark}"
    online = None if manifest is None else not mark  # None: nobody says
    found = as_json(metrics, sections, benchmark=benchmark, split=args.split, online=online)
    write_files(args, metrics, sections, found, f"{Path(args.results).resolve().name}: {about}")
    if args.json == "-":
        print(json.dumps(found, indent=2))
        return OK
    table = [["sequence", *COLUMNS], *([n, *cells(r)] for n, r in rows_of(metrics).items())]
    show(f"{args.results}: {about}", table, bold_last=True)
    for section in sections:
        print()
        show(section.title, section.texts(), section.notes)
    return OK


def check_options(args: argparse.Namespace) -> list[str]:
    """Refuse options that contradict each other or would do nothing; the names of --sequences."""
    from retrace.configs import InputError

    for option in ("gt", "results", "compare", "detections"):
        if getattr(args, option) == "":
            raise InputError(f"--{option} '': expected a folder")
    if args.headroom != (args.detections is not None):
        raise InputError("--headroom and --detections DIR go together")
    idle = (
        (args.min_score is not None and not args.headroom, "--min-score", "--headroom"),
        (args.detections_file is not None and not args.headroom, "--detections-file", "--headroom"),
        (args.force and args.compare is None, "--force", "--compare"),
        (args.numbering is not None and args.split == "all", "--numbering", "--split val-half"),
    )
    for wrong, option, needed in idle:
        if wrong:
            raise InputError(f"{option} does nothing without {needed}")
    if args.jobs is not None and args.jobs < 1:
        raise InputError(f"--jobs {args.jobs}: expected a number of processes from 1")
    if args.min_score is not None and not math.isfinite(args.min_score):
        raise InputError(f"--min-score {args.min_score}: expected a number")
    check_files(args)
    if args.sequences is None:
        return []
    names = [name.strip() for name in args.sequences.split(",")]
    twice = sorted({name for name in names if names.count(name) > 1})
    if not all(names) or twice:
        fault = f"{twice[0]!r} is there twice" if twice and twice[0] else "a name is empty"
        raise InputError(f"--sequences {args.sequences!r}: {fault}; expected names separated by commas")
    return names


def check_files(args: argparse.Namespace) -> None:
    """Every file to write has a name of its own."""
    from retrace.configs import InputError

    seen: dict[Path, str] = {}
    for option in ("json", "csv", "markdown", "plot"):
        name = getattr(args, option)
        if name is None or (option, name) == ("json", "-"):
            continue
        path = Path(name).resolve()
        if not name or path.is_dir():
            raise InputError(f"--{option} {name!r}: expected the name of a file")
        if path in seen:
            raise InputError(f"--{seen[path]} and --{option} name the same file: {name}")
        seen[path] = option
    if args.plot is not None and Path(args.plot).suffix.lower() != ".svg":
        raise InputError(f"--plot {args.plot}: expected a name that ends in .svg")


def write_files(
    args: argparse.Namespace, metrics: dict[str, Metrics], sections: list[Section], found: dict, title: str
) -> None:
    """The files that options ask for."""
    from retrace.configs import InputError
    from retrace.configs.files import atomic_write
    from retrace.eval.mot.score import combine
    from retrace.eval.report import as_csv, as_markdown, as_svg, rows_of

    rows = rows_of(metrics)
    texts: dict[Path, str] = {}
    if args.json not in (None, "-"):
        texts[Path(args.json)] = json.dumps(found, indent=2) + "\n"
    if args.csv is not None:
        path = Path(args.csv)
        texts[path] = as_csv(rows)
        texts |= {path.with_name(f"{path.stem}.{s.key}{path.suffix}"): s.as_csv() for s in sections}
    if args.markdown is not None:
        texts[Path(args.markdown)] = as_markdown(rows) + "".join(s.as_markdown() for s in sections)
    if args.plot is not None:
        texts[Path(args.plot)] = as_svg(combine(list(metrics.values())), title)
    for path, text in texts.items():
        try:
            with atomic_write(path) as file:
                file.write(text)
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror})") from None


def score(sequences: list[Sequence], extras: Extras, jobs: int | None) -> dict[str, Scored]:
    """All that is wanted of all sequences, with a progress bar on a terminal."""
    from retrace.eval.mot.sequences import each_sequence
    from retrace.tools.scoring.mot_sections import score_one

    with progress(len(sequences)) as done:
        return each_sequence(partial(score_one, extras=extras), sequences, jobs, done)


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


def show(title: str, lines: list[list[str]], notes: Iterable[str] = (), bold_last: bool = False) -> None:
    """A table: by rich on a terminal wide enough for it, else plain text (rich would cut numbers off)."""
    from retrace.eval.report import as_text

    text = as_text(lines)
    if not sys.stdout.isatty() or text.index("\n") + 2 > shutil.get_terminal_size().columns:
        print(f"{title}\n{text}", end="")
    else:
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        table = Table(title=escape(title), title_justify="left", box=None, header_style="bold")
        for k, name in enumerate(lines[0]):
            table.add_column(escape(name), justify="right" if k else "left", no_wrap=True)
        for k, line in enumerate(lines[1:], 2):
            table.add_row(*map(escape, line), style="bold" if bold_last and k == len(lines) else None)
        Console().print(table)
    for note in notes:
        print(note)


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
