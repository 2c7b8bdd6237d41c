"""How well does an identity memory know people again? Curves over its gate, returns by gap, search.

    python tools/eval_memory.py --features market.npz --recordings 1 --one-clock 1       by eval_reid.py --save-features
    python tools/eval_memory.py --weights auto --data Market-1501
    python tools/eval_memory.py --memory people.db --truth truth.csv                     your own: tracklet,person
    python tools/eval_memory.py --gt SITE --results runs/track                           results with ids of people

Images are named as Market-1501's, which tell person, camera, recording and frame; they become visits, which a new
memory is told in the order of their ends (--shuffled: other sets' in no order, by looks alone). With --results nothing
is remembered: what stands there is scored, a person's stays with --gap s between them as visits; ids of the ground
truth must be those of people.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrace.tools.terminal import options
from retrace.tools.terminal.console import OK, Parser, as_flags, guarded
from retrace.tools.terminal.progress import bar
from retrace.tools.terminal.tables import show

if TYPE_CHECKING:
    from retrace.tools.scoring.visits import KnownVisits

# each option that names what is measured: the options that it needs
SOURCES = {"features": (), "weights": ("data",), "memory": ("truth",), "results": ("gt",)}


def parser() -> Parser:
    p = Parser(
        prog="eval_memory.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--features", metavar="FILE.npz", help="of eval_reid.py --save-features")
    p.add_argument("--weights", metavar="FILE|NAME|auto", help="with --data")
    p.add_argument("--data", metavar="DIR", help="query/ and bounding_box_test/, named as Market-1501's")
    p.add_argument("--recordings", metavar="N,N", help="only these (the s1 of a name); default: all")
    p.add_argument("--one-clock", metavar="N,N", help="recordings whose cameras' clocks agree")
    p.add_argument(
        "--shuffled", type=int, metavar="SEED", help="without times: two visits a camera, in no order"
    )
    p.add_argument("--memory", metavar="FILE", help="its tracklets again, with --truth")
    p.add_argument("--truth", metavar="FILE.csv", help="columns tracklet (of memory.py show) and person")
    p.add_argument("--results", metavar="DIR", help="CAMERA.txt each, with --gt")
    p.add_argument("--gt", metavar="DIR", help="CAMERA/gt/gt.txt and CAMERA/seqinfo.ini each, ids of people")
    p.add_argument("--gap", type=float, metavar="S", help="--results: away for so long is another visit (3)")
    p.add_argument("--config", default="default", metavar="NAME|FILE", help="configs/memory/NAME.yaml")
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="accept=0.8, for instance")
    p.add_argument("--json", metavar="FILE")
    p.add_argument("--plot", metavar="FILE.svg", help="returns known over strangers joined")
    p.add_argument("--quiet", action="store_true", help="print errors only")
    return p


def main(argv: list[str]) -> int:
    p = parser()
    args = p.parse_args(argv)
    kind = check_options(args)
    from retrace.configs import load_preset
    from retrace.configs.loader import parse_assignments
    from retrace.tools.scoring import remembering
    from retrace.tracker.memory import MemoryConfig

    with as_flags(p):
        if kind == "results":
            found, searched = [remembering.score_seen(seen_of(args))], None
            tables = [remembering.result_section(found[0]), remembering.by_gap(found)]
        else:
            config = load_preset(args.config, MemoryConfig, "memory", parse_assignments(args.set))
            visits = visits_of(args, kind)
            found = remembering.curve(visits, config)
            searched = remembering.search_score(visits, config)
            tables = remembering.sections(found, searched)
    texts: dict[Path, str] = {}
    if args.json is not None:
        texts[Path(args.json)] = json.dumps(remembering.as_json(found, searched), indent=2) + "\n"
    if args.plot is not None:
        texts[Path(args.plot)] = remembering.as_svg(found)
    options.write_texts(texts)
    if not args.quiet:
        for table in tables:
            show(table.title, table.texts(), table.notes)
    return OK


def check_options(args: argparse.Namespace) -> str:
    """What is scored."""
    from retrace.configs import InputError

    options.refuse_empty(vars(args), vars(args))
    given = [name for name in SOURCES if getattr(args, name) is not None]
    if len(given) != 1:
        ways = "--features, --weights with --data, --memory with --truth, --results with --gt"
        raise InputError(f"expected one of {ways}")
    for name, needs in SOURCES.items():
        for need in needs:
            if (getattr(args, need) is not None) != (name == given[0]):
                raise InputError(f"--{name} and --{need} go together")
    options.refuse_idle(
        vars(args),
        ("recordings", "one_clock", "shuffled"),
        "--features or --weights",
        given[0] in ("features", "weights"),
    )
    if args.shuffled is not None and (args.recordings or args.one_clock):
        raise InputError("--shuffled visits have no time: leave --recordings and --one-clock out")
    options.refuse_idle(vars(args), ("gap",), "--results", given[0] == "results")
    options.refuse_idle(vars(args), ("plot",), "a curve, which --results are not", given[0] != "results")
    options.check_outputs(vars(args), ("json", "plot"))
    options.check_ending(vars(args), "plot", ".svg")
    return given[0]


def visits_of(args: argparse.Namespace, kind: str) -> KnownVisits:
    from retrace.tools.runs.memories import numbers
    from retrace.tools.scoring.embedding import Embedding, load_features
    from retrace.tools.scoring.visits import shuffled_visits, visits_of_images, visits_of_memory

    if kind == "memory":
        return visits_of_memory(Path(args.memory), Path(args.truth))
    how = Embedding(args.data) if kind == "weights" else None
    (features,) = load_features([getattr(args, kind)], how, partial(bar, quiet=args.quiet))
    if args.shuffled is not None:
        return shuffled_visits(features, args.shuffled)
    some, agree = (
        tuple(numbers(text.split(","))) if text else None for text in (args.recordings, args.one_clock)
    )
    return visits_of_images(features, some, agree or ())


def seen_of(args: argparse.Namespace) -> Any:
    from retrace.configs import InputError
    from retrace.tools.scoring.visits import read_results_and_truth, visits_of_results

    gap = 3.0 if args.gap is None else args.gap
    if not gap > 0:
        raise InputError(f"--gap must be positive, got {gap:g}")
    return visits_of_results(*read_results_and_truth(Path(args.gt), Path(args.results)), gap)


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
