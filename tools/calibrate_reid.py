"""From distances to probabilities: calibrate ReID weights on people whom they were not trained on.

    python tools/calibrate_reid.py --weights w.safetensors --data market/ --data cuhk03/ --out calibrated.safetensors
    python tools/calibrate_reid.py --weights auto --video door.mp4 --results runs/track/door.txt --out here.onnx

Give several sets: measured on sets that were left out, a map of several transfers better than one. The calibration goes
into the card of the weights (.safetensors or .onnx); export_reid.py carries it on to every other format, and
`Embedder.calibration` reads it. Without --out it is only shown. --video needs no labels: what the weights' own
calibration says is suited to a video that track.py has tracked, by people who were there at once and by tracklets.
--memory writes what track.py --memory-config takes: an identity memory compares visits, means of many pictures, and
needs maps of its own.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from retrace.tools.terminal.console import OK, Parser, as_flags, guarded, say
from retrace.tools.terminal.options import check_outputs, refuse_idle
from retrace.tools.terminal.progress import bar

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrace.reid.calibration import Calibration
    from retrace.reid.calibration.fit import Advance, Calibrated
    from retrace.reid.embedder import Embedder

    Answer = tuple[Calibration, Callable[[], None]]  # and what tells of it


def parser() -> argparse.ArgumentParser:
    p = Parser(
        prog="calibrate_reid.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument(
        "--weights", required=True, metavar="FILE|NAME", help="any weights; with --out .safetensors or .onnx"
    )
    p.add_argument("--data", action="append", metavar="DIR", help="a labelled set; give several")
    p.add_argument("--video", metavar="VIDEO", help="instead of labelled sets: a video that was tracked")
    p.add_argument("--results", metavar="FILE.txt", help="its tracks, as track.py wrote them")
    p.add_argument(
        "--every", type=int, metavar="FRAMES", help="of the video: look at one in so many; default: 1"
    )
    p.add_argument("--out", metavar="FILE", help="the weights with their calibration, of the same format")
    p.add_argument("--json", metavar="FILE", help="the calibration alone, to read: tools take --out")
    p.add_argument(
        "--memory", metavar="FILE.yaml", help="an identity memory's config: what its visits' distances say"
    )
    p.add_argument(
        "--memory-config", metavar="NAME|FILE", help="whose other numbers --memory takes; default: default"
    )
    p.add_argument(
        "--uncalibrated",
        action="store_true",
        help="leave out what the weights' card says of distances: calibrates weights again whose card is damaged",
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
    refuse_idle(vars(args), ("memory", "cache"), "--data", args.data is not None)
    refuse_idle(vars(args), ("results", "every"), "--video", args.video is not None)
    from retrace.configs import InputError

    if (args.data is None) is (args.video is None) or (args.video is None) is not (args.results is None):
        raise InputError("expected --data (labelled sets), or --video and --results (a tracked video)")
    with as_flags(p):
        return run(args)


def run(args: argparse.Namespace) -> int:
    from retrace.configs.files import write_json
    from retrace.tools.scoring.calibrated_weights import open_weights, write_calibration

    weights, embedder = open_weights(args.weights, args.out, args.device, args.uncalibrated)
    with bar("embed", 0, quiet=args.quiet) as advance:
        found, tell = (by_sets if args.video is None else by_video)(args, embedder, weights.name, advance)
    if args.out:
        write_calibration(weights, Path(args.out), found, args.uncalibrated)
    if args.json:
        write_json(Path(args.json), found.to_card())
    if not args.quiet:
        tell()
        for path in filter(None, (args.out, args.json)):
            say(path)
    return OK


def by_sets(args: argparse.Namespace, embedder: Embedder, name: str, advance: Advance) -> Answer:
    """Fitted on labelled sets, and the maps of a memory likewise."""
    from retrace.reid.calibration.fit import calibrate_weights
    from retrace.reid.data.sets import read_reid_set

    sets = [read_reid_set(folder, need=()) for folder in args.data]
    found = calibrate_weights(embedder, sets, args.cache, advance)
    if args.memory:
        from retrace.tracker.memory.fitting import fit_memory

        fit_memory(Path(args.memory), found.vectors, name, args.memory_config or "default")
    return found.calibration, partial(report, found)


def by_video(args: argparse.Namespace, embedder: Embedder, name: str, advance: Advance) -> Answer:
    """The weights' own, refitted on a tracked video."""
    from retrace.tools.scoring.calibrated_weights import calibrate_on_video, told

    every = 1 if args.every is None else args.every
    found = calibrate_on_video(embedder, args.video, args.results, every, advance)
    return found.calibration, lambda: say(told(found))


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
