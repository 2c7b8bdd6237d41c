"""Score a ReID network, or features made elsewhere: rank-k, mAP, mINP by the single-query protocol.

    python tools/eval_reid.py --weights best.safetensors --data Market-1501 --intervals --html page
    python tools/eval_reid.py --weights mine.onnx --compare theirs.pth --data Market-1501
    python tools/eval_reid.py --features mine.npz --rerank zhong-d2 --json mine.json
    python tools/eval_reid.py --weights auto --data Market-1501 --normalise s --cohort CUHK03 --verification

A features file has query_features, gallery_features (N, D), query_ids, gallery_ids (-1 junk, 0 distractor),
query_cameras, gallery_cameras (N,), and may have query_paths, gallery_paths; --save-features writes one. The
tables show fractions in percent; JSON and CSV have them in [0, 1].
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrace.tools.terminal import options
from retrace.tools.terminal.console import OK, Parser, as_flags, guarded, say
from retrace.tools.terminal.progress import bar
from retrace.tools.terminal.tables import show

if TYPE_CHECKING:
    from retrace.eval.ranking.tables import RankingScore


def parser() -> argparse.ArgumentParser:
    p = Parser(prog="eval_reid.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--weights", metavar="FILE|NAME|auto", help="any network file; auto: the shipped weights")
    p.add_argument("--data", metavar="DIR", help="query/ and bounding_box_test/ do; also CUHK03, MSMT17, CSV")
    p.add_argument("--features", metavar="FILE.npz", help="instead of --weights and --data")
    p.add_argument("--compare", metavar="FILE|NAME", help="other weights, or another features file")
    p.add_argument("--shards", type=int, metavar="N", help="processes that rank a part of the gallery each")
    p.add_argument(
        "--cluster", metavar="auto|local|ADDRESS", help="or parts on Ray's machines (docs/scale.md)"
    )
    _add_outputs(p.add_argument_group("what to write"))
    options.add_ranking_extras(p.add_argument_group("what else to measure"))
    options.add_embedding(p.add_argument_group("how to embed (with --weights)"))
    return p


def _add_outputs(p: Any) -> None:
    options.add_table_outputs(p)
    p.add_argument("--html", metavar="DIR", help="a page of ranked lists, hardest queries first")
    p.add_argument("--html-queries", type=int, metavar="N", help="queries on the page (default: 300)")
    p.add_argument("--top-k", type=int, metavar="K", help="gallery images a query on the page (default: 10)")
    p.add_argument(
        "--save-features",
        metavar="FILE.npz",
        help="of the first network, as it made them, for --features and --compare",
    )
    p.add_argument("--quiet", action="store_true", help="print errors only")


def main(argv: list[str]) -> int:
    p = parser()
    args = p.parse_args(argv)
    check_options(args)
    from retrace.eval.ranking.features import save_features
    from retrace.eval.ranking.tables import Wanted, check_wanted, score_features
    from retrace.tools.runs.spread import shards_of
    from retrace.tools.scoring.embedding import Embedding, load_with_cohort
    from retrace.tools.scoring.reliability import with_calibration

    how = Embedding(args.data, **options.given(vars(args), options.EMBEDDING)) if args.data else None
    also = tuple(options.names_in(args.also, "also"))
    wanted = Wanted(**options.given(vars(args), Wanted.__dataclass_fields__) | {"also": also})
    names = [name for name in (args.features or args.weights, args.compare) if name is not None]
    advance = partial(bar, quiet=args.quiet)
    with as_flags(p), shards_of(args.shards, args.cluster) as shards:
        check_wanted(wanted)
        loaded, cohorts = load_with_cohort(names, how, args.cohort, advance)
        if args.save_features is not None:
            save_features(Path(args.save_features), loaded[0])
        found = score_features(loaded, wanted, shards, cohorts)
        if args.adapt:
            from retrace.tools.scoring.adaptation import adaptation

            found = found.with_section(*adaptation(loaded[0]))
        if args.html is not None:
            from retrace.tools.pages.ranked_page import write_page

            wanted_page = options.given(vars(args), ("top_k", "html_queries"))
            write_page(Path(args.html), found, advance, **wanted_page)
        judged = args.weights is not None and args.normalise is None and not args.uncalibrated
        if args.verification and judged:
            told = options.given(vars(args), ("device", "model", "input"))
            found = with_calibration(found, args.weights, args.reliability, args.fpr, **told)
    first, *others = found.sections
    lines = "".join(f"\n{line}\n" for line in (*found.notes, *found.under))
    options.write_tables(vars(args), found.as_json(), (first.as_csv(), first.as_markdown() + lines), others)
    if not args.quiet:
        report(args, found)
    return OK


def check_options(args: argparse.Namespace) -> None:
    """Refuse options that contradict each other or would do nothing."""
    from retrace.configs import InputError

    weights, compare, features = args.weights, args.compare, args.features
    options.refuse_empty(vars(args), vars(args))
    if features is not None and (weights is not None or args.data is not None):
        raise InputError("give --features FILE.npz, or --weights with --data, not both")
    if features is None and (weights is None or args.data is None):
        raise InputError("expected --weights FILE|NAME|auto with --data DIR, or --features FILE.npz")
    if weights is not None and weights.lower().endswith(".npz"):
        raise InputError(f"--weights {weights}: is a features file; give it as --features, without --data")
    if features is not None and compare is not None and not compare.lower().endswith(".npz"):
        raise InputError(f"--compare {compare}: with --features, give a features file (.npz) to compare with")
    options.refuse_idle(vars(args), (*options.EMBEDDING, "reliability"), "--weights", weights is not None)
    options.refuse_idle(vars(args), ("top_k", "html_queries"), "--html", args.html is not None)
    options.refuse_below_one(vars(args), ("batch_size", "threads", "top_k", "html_queries"))
    files = ("json", "csv", "markdown", "save_features")
    read = {name: options.option(name) for name in ("features", "weights", "compare", "cohort")}
    options.check_outputs(vars(args), files, folders=("html",), inputs=read)
    options.check_ending(vars(args), "save_features", ".npz")
    options.check_ending(vars(args), "reliability", ".svg")
    options.refuse_idle(vars(args), ("reliability", "fpr"), "--verification", args.verification)
    kept = not args.uncalibrated
    options.refuse_idle(vars(args), ("reliability",), "a calibration: leave --uncalibrated out", kept)
    if args.centre is not None and args.verification and args.normalise is None:
        raise InputError("--centre changes distances, and no calibration fits them: leave --verification out")
    options.check_cohort(vars(args))


def report(args: argparse.Namespace, found: RankingScore) -> None:
    """To standard output: the tables, or the JSON."""
    if args.json == "-":
        say(json.dumps(found.as_json(), indent=2))
        return
    for note in found.notes:
        say(note)
    for k, section in enumerate(found.sections):
        if k or found.notes:
            say("")
        show(section.title, section.texts(), [*section.notes, *(found.under if k == 0 else [])])
    if args.save_features is not None and args.centre is not None:
        say(f"\n{args.save_features}: vectors as the network made them; --centre centres them again")
    if args.html is not None:
        say(f"\n{Path(args.html) / 'index.html'}")


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
