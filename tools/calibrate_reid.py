"""From distances to probabilities: calibrate ReID weights on people whom they were not trained on.

    python tools/calibrate_reid.py --weights w.safetensors --data market/ --data cuhk03/ --out calibrated.safetensors

Give several sets: measured on sets that were left out, a map of several transfers better than one. The calibration goes
into the card of the weights (.safetensors); export_reid.py carries it on to every other format, and
`Embedder.calibration` reads it. Without --out it is only shown. --memory writes what track.py --memory-config takes:
an identity memory compares visits, means of many pictures, and needs maps of its own.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from retrace.tools.terminal.console import OK, Parser, as_flags, guarded, say
from retrace.tools.terminal.options import check_outputs, refuse_idle
from retrace.tools.terminal.progress import bar

if TYPE_CHECKING:
    from retrace.reid.calibration.fit import Calibrated


def parser() -> argparse.ArgumentParser:
    p = Parser(
        prog="calibrate_reid.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument(
        "--weights", required=True, metavar="FILE|NAME", help="any weights; .safetensors with --out"
    )
    p.add_argument(
        "--data", required=True, action="append", metavar="DIR", help="a labelled set; give several"
    )
    p.add_argument("--out", metavar="FILE.safetensors", help="the weights with their calibration")
    p.add_argument("--json", metavar="FILE", help="the calibration alone")
    p.add_argument(
        "--memory", metavar="FILE.yaml", help="an identity memory's config: what its visits' distances say"
    )
    p.add_argument(
        "--memory-config", metavar="NAME|FILE", help="whose other numbers --memory takes; default: default"
    )
    p.add_argument("--device", default="auto", metavar="auto|cpu|cuda[:N]")
    p.add_argument("--cache", metavar="DIR", help="of decoded images; default: ~/.cache/retrace/images")
    p.add_argument("--quiet", action="store_true", help="print errors only")
    return p


def main(argv: list[str]) -> int:
    p = parser()
    args = p.parse_args(argv)
    check_outputs(vars(args), ("out", "json", "memory"))
    refuse_idle(vars(args), ("memory_config",), "--memory", args.memory is not None)
    from retrace.configs import InputError
    from retrace.configs.files import write_json
    from retrace.reid.calibration.card import KEY
    from retrace.reid.calibration.fit import calibrate_weights
    from retrace.reid.data.sets import read_reid_set
    from retrace.reid.embedder import Embedder, find_weights

    with as_flags(p):
        weights = find_weights(args.weights)
        if args.out:
            weights = weights if weights.suffix == ".safetensors" else weights.with_suffix(".safetensors")
            if not weights.is_file() or Path(args.out).suffix != ".safetensors":
                raise InputError(
                    f"--out {args.out}: needs weights as .safetensors, and ends so itself; export afterwards"
                )
        sets = [read_reid_set(folder, need=()) for folder in args.data]
        with bar("embed", 0, quiet=args.quiet) as advance:
            found = calibrate_weights(Embedder.from_weights(weights, args.device), sets, args.cache, advance)
        card = found.calibration.to_card()
        if args.out:
            from retrace.reid.weights.files import add_to_card

            add_to_card(weights, Path(args.out), KEY, card)
        if args.json:
            write_json(Path(args.json), card)
        if args.memory:
            from retrace.tracker.memory.fitting import fit_memory

            fit_memory(Path(args.memory), found.vectors, weights.name, args.memory_config or "default")
    if not args.quiet:
        report(found)
    return OK


def report(found: Calibrated) -> None:
    """A line a relation, and a line a set."""
    for name, told in found.calibration.maps.items():
        limits = ", ".join(f"{rate:g} at {d:.3f}" for rate, d in found.calibration.thresholds[name].items())
        pairs = f"{told.same:,} + {told.different:,} pairs"
        say(f"{name}: even odds at {told.distance(0):.3f}; false matches {limits} ({pairs})")
    how = "by the map of the others" if found.left_out else "by its own map: give several sets for a fair one"
    for (name, relation), error in found.errors.items():
        say(f"calibration error on {name}, {relation}: {json.dumps(round(error, 3))} ({how})")


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
