"""Score a ReID network, or features made elsewhere: rank-k, mAP, mINP by the single-query protocol.

    python tools/eval_reid.py --weights best.safetensors --data Market-1501 --intervals --html page
    python tools/eval_reid.py --weights mine.onnx --compare theirs.pth --data Market-1501
    python tools/eval_reid.py --features mine.npz --rerank zhong-d2 --json mine.json

A features file has query_features, gallery_features (N, D), query_ids, gallery_ids (-1 junk, 0 distractor),
query_cameras, gallery_cameras (N,), and may have query_paths, gallery_paths; --save-features writes one. The
tables show fractions in percent; JSON and CSV have them in [0, 1].
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrace.tools.terminal.console import OK, Parser, guarded, say

if TYPE_CHECKING:
    from retrace.eval.report import Section
    from retrace.tools.scoring.ranking_sections import Result

# Options that mean something only where images are embedded, or a page is made, and their defaults.
OF_WEIGHTS: dict[str, Any] = {
    "layout": "auto",
    "split": 0,
    "strict": False,
    "flip": False,
    "size": None,
    "model": None,
    "batch_size": 16,
    "device": "auto",
    "backend": "auto",
    "threads": None,
    "cache": None,
}
OF_PAGE = {"top_k": 10, "html_queries": 300}


def parser() -> argparse.ArgumentParser:
    p = Parser(prog="eval_reid.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--weights", metavar="FILE|NAME|auto", help="any network file; auto: the shipped weights")
    p.add_argument("--data", metavar="DIR", help="query/ and bounding_box_test/ do; also CUHK03, MSMT17, CSV")
    p.add_argument("--features", metavar="FILE.npz", help="instead of --weights and --data")
    p.add_argument("--compare", metavar="FILE|NAME", help="other weights, or another features file")
    _add_outputs(p.add_argument_group("what to write"))
    _add_extras(p.add_argument_group("what else to measure"))
    _add_embedding(p.add_argument_group("how to embed (with --weights)"))
    return p


def _add_outputs(p: Any) -> None:
    p.add_argument("--json", metavar="FILE", help="all figures; - for standard output instead of the tables")
    p.add_argument("--csv", metavar="FILE.csv", help="other tables go to FILE.intervals.csv and so on")
    p.add_argument("--markdown", metavar="FILE")
    p.add_argument("--html", metavar="DIR", help="a page of ranked lists, hardest queries first")
    p.add_argument("--html-queries", type=int, metavar="N", help="queries on the page (default: 300)")
    p.add_argument("--top-k", type=int, metavar="K", help="gallery images a query on the page (default: 10)")
    p.add_argument(
        "--save-features", metavar="FILE.npz", help="of the first network, for --features and --compare later"
    )
    p.add_argument("--quiet", action="store_true", help="print errors only")


def _add_extras(p: Any) -> None:
    p.add_argument(
        "--rerank", metavar="VARIANT", help="zhong-d2 or torchreid-d4; transductive, and flagged so"
    )
    p.add_argument("--multi-query", action="store_true", help="one mean query an identity and camera")
    p.add_argument("--intervals", action="store_true", help="95 %% bootstrap intervals by identity")
    p.add_argument("--per-camera", action="store_true", help="a row a pair of cameras")
    p.add_argument("--verification", action="store_true", help="TPR at FPR 1e-4 to 1e-2, with thresholds")
    p.add_argument("--single-shot", action="store_true", help="CUHK03's classic single-gallery-shot rank-k")
    p.add_argument("--nmi", action="store_true", help="of k-means clusters and identities")
    p.add_argument("--audit", action="store_true", help="the score under common protocol mistakes")


def _add_embedding(p: Any) -> None:
    p.add_argument(
        "--flip", action="store_true", default=None, help="mean of each image and its mirror image"
    )
    p.add_argument("--layout", metavar="NAME", help="of the data; default: found out")
    p.add_argument(
        "--split", type=int, metavar="N", help="of CUHK03's classic protocol, 0 to 19 (default: 0)"
    )
    p.add_argument(
        "--strict", action="store_true", default=None, help="a broken image is an error, not skipped"
    )
    p.add_argument("--size", metavar="HxW", help="of a crop, px; default: as the weights say, else 256x128")
    p.add_argument("--model", metavar="NAME", help="the network, if a .pth's file name does not contain it")
    p.add_argument("--batch-size", type=int, metavar="N", help="images at a time (default: 16)")
    p.add_argument("--device", metavar="auto|cpu|cuda[:N]")
    p.add_argument("--backend", metavar="auto|torch|onnxruntime|openvino")
    p.add_argument("--threads", type=int, metavar="N", help="CPU threads; default: the runtime's choice")
    p.add_argument("--cache", metavar="DIR", help="of decoded images; default: ~/.cache/retrace/images")


def main(argv: list[str]) -> int:
    args = parser().parse_args(argv)
    check_options(args)
    from retrace.tools.scoring.features import load_features, multi_query, save_features
    from retrace.tools.scoring.ranking_sections import (
        check_variant,
        comparison,
        counts,
        figures,
        protocol,
        score,
    )
    from retrace.tools.terminal.progress import bar

    check_variant(args.rerank)
    advance = partial(bar, quiet=args.quiet)
    loaded = load_features(args, advance)
    if args.save_features is not None:
        save_features(Path(args.save_features), loaded[0])
    if args.multi_query:
        loaded = [multi_query(each) for each in loaded]
    results = [score(each, args) for each in loaded]
    sections, notes = [figures(results), *results[0].sections], loaded[0].notes
    under = [counts(results[0]), f"protocol: {protocol(results[0])}"]
    found = results[0].as_json() | {"protocol": protocol(results[0]), "notes": list(notes)}
    if len(results) > 1:
        section, difference = comparison(*results)
        sections = [sections[0], section, *_named(results[0]), *_named(results[1], "other_")]
        found |= {"compared_with": results[1].as_json(), "difference": difference}
    if args.html is not None:
        from retrace.tools.pages.ranked_page import write_page

        lines = ["; ".join(notes), *under]
        write_page(Path(args.html), results, sections, lines, args.top_k, args.html_queries, advance)
    write_files(args, notes, sections, under, found)
    if not args.quiet:
        report(args, notes, sections, under, found)
    return OK


def check_options(args: argparse.Namespace) -> None:
    """Refuse options that contradict each other or would do nothing; fills in the defaults."""
    from retrace.configs import InputError

    for option, value in vars(args).items():
        if value == "":
            raise InputError(f"--{option.replace('_', '-')} '': expected a name")
    if args.features is not None and (args.weights is not None or args.data is not None):
        raise InputError("give --features FILE.npz, or --weights with --data, not both")
    if args.features is None and (args.weights is None or args.data is None):
        raise InputError("expected --weights FILE|NAME|auto with --data DIR, or --features FILE.npz")
    for options, needed, there in (
        (OF_WEIGHTS, "--weights", args.weights is not None),
        (OF_PAGE, "--html", args.html is not None),
    ):
        for option, default in options.items():
            if getattr(args, option) is None:
                setattr(args, option, default)
            elif not there:
                raise InputError(f"--{option.replace('_', '-')} does nothing without {needed}")
    for option in ("batch_size", "threads", "top_k", "html_queries"):
        value = getattr(args, option)
        if value is not None and value < 1:
            raise InputError(f"--{option.replace('_', '-')} must be at least 1, got {value}")
    args.size = None if args.size is None else parse_size(args.size)
    check_files(args)


def parse_size(text: str) -> tuple[int, int]:
    """ "256x128" -> (256, 128), height and width."""
    from retrace.configs import InputError

    found = re.fullmatch(r"([1-9]\d{0,3})x([1-9]\d{0,3})", text)
    if found is None:
        raise InputError(f"--size {text!r}: expected HEIGHTxWIDTH in pixels, such as 256x128")
    return int(found[1]), int(found[2])


def check_files(args: argparse.Namespace) -> None:
    """Every file to write has a name of its own and a place to be, before any work is done."""
    from retrace.configs import InputError

    inputs = ("features", "weights", "compare")
    seen = {Path(name).resolve(): f"--{o}" for o in inputs if (name := getattr(args, o)) is not None}
    for option in ("json", "csv", "markdown", "save_features", "html"):
        name, shown = getattr(args, option), f"--{option.replace('_', '-')}"
        if name is None or (option, name) == ("json", "-"):
            continue
        if name == "-":
            raise InputError(f"{shown} -: expected a name; only --json writes to standard output")
        path = Path(name).resolve()
        if option == "html" and path.exists() and not path.is_dir():
            raise InputError(f"{shown} {name}: is a file; expected a folder for the page")
        if option != "html" and path.is_dir():
            raise InputError(f"{shown} {name}: is a folder; expected the name of a file")
        if path in seen:
            raise InputError(f"{seen[path]} and {shown} name the same file: {name}")
        seen[path] = shown
        place = next(folder for folder in path.parents if folder.exists())  # the rest is made
        if not place.is_dir() or not os.access(place, os.W_OK):
            raise InputError(f"{shown} {name}: cannot be written, {place} is no folder that takes files")
    if args.save_features is not None and not args.save_features.lower().endswith(".npz"):
        raise InputError(f"--save-features {args.save_features}: expected a name that ends in .npz")


def _named(result: Result, prefix: str = "") -> list[Section]:
    """One network's tables beside another's: told apart by title and key."""
    from dataclasses import replace

    return [
        replace(s, key=prefix + s.key, title=f"{s.title}: {result.features.name}") for s in result.sections
    ]


def write_files(
    args: argparse.Namespace, notes: Sequence[str], sections: list[Section], under: list[str], found: dict
) -> None:
    from retrace.configs import InputError
    from retrace.configs.files import atomic_write

    texts: dict[Path, str] = {}
    first, *others = sections
    if args.json not in (None, "-"):
        texts[Path(args.json)] = json.dumps(found, indent=2) + "\n"
    if args.csv is not None:
        path = Path(args.csv)
        texts[path] = first.as_csv()
        texts |= {path.with_name(f"{path.stem}.{s.key}{path.suffix}"): s.as_csv() for s in others}
    if args.markdown is not None:
        lines = "".join(f"\n{line}\n" for line in (*notes, *under))
        texts[Path(args.markdown)] = first.as_markdown() + lines + "".join(s.as_markdown() for s in others)
    for path, text in texts.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as file:
                file.write(text)
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror})") from None


def report(
    args: argparse.Namespace, notes: Sequence[str], sections: list[Section], under: list[str], found: dict
) -> None:
    """To standard output: the tables, or the JSON."""
    from retrace.tools.eval_mot import show

    if args.json == "-":
        say(json.dumps(found, indent=2))
        return
    for note in notes:
        say(note)
    for k, section in enumerate(sections):
        if k or notes:
            say("")
        show(section.title, section.texts(), [*section.notes, *(under if k == 0 else [])])
    if args.html is not None:
        say(f"\n{Path(args.html) / 'index.html'}")


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
