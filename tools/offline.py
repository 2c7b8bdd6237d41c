"""Improve tracking results afterwards, over the whole sequence: link, interpolate, smooth, remove what is short.

    python tools/offline.py --results runs/track --out runs/offline
    python tools/offline.py --results theirs --sequences MOT17/train --out better --passes interpolate

Takes any tracker's SEQUENCE.txt in MOTChallenge format. OUT/run.json says that the results are offline and what was
done, so that they are not compared with online ones unawares. MOT files have no classes: several are not kept apart.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.console import OK, Parser, guarded, say, write_json

if TYPE_CHECKING:
    from tracker.offline import OfflineConfig

BESIDE = (".online.txt", ".gmc.txt")  # what tools/track.py writes beside a result


def parser() -> argparse.ArgumentParser:
    p = Parser(prog="offline.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--results", required=True, metavar="DIR", help="folder of SEQUENCE.txt")
    p.add_argument("--out", required=True, metavar="DIR", help="another folder")
    p.add_argument(
        "--passes",
        default="default",
        metavar="LIST|FILE",
        help="of link,interpolate,smooth,remove_short, in the order to run them; or a YAML file like "
        "configs/offline/default.yaml, which is the default",
    )
    p.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="interpolate.gap=2, for instance"
    )
    p.add_argument(
        "--sequences", metavar="DIR", help="frame rates from DIR/SEQUENCE/seqinfo.ini, e.g. ground truth"
    )
    p.add_argument(
        "--fps", type=float, help="frame rate of all; default: seqinfo.ini, or run.json in --results"
    )
    p.add_argument("--quiet", action="store_true", help="print errors only")
    return p


def main(argv: list[str]) -> int:
    args = parser().parse_args(argv)
    from configs import InputError
    from configs.load import parse_assignments
    from eval.manifest import read_manifest
    from tools.manifest import commit

    config = read_config(args.passes, parse_assignments(args.set))
    results, out = Path(args.results), Path(args.out)
    if out.resolve() == results.resolve():
        raise InputError(f"--out {args.out}: is --results itself; name another folder")
    paths = sorted(p for p in results.glob("*.txt") if not p.name.endswith(BESIDE))
    if not paths:
        raise InputError(f"--results {args.results}: no SEQUENCE.txt there")
    run = read_manifest(results) or {}
    rates = {path.stem: frame_rate(args, path.stem, run) for path in paths}
    done = {path: improved(path, rates[path.stem], config) for path in paths}  # before anything is written
    about = {"arguments": argv, "commit": commit(), "fps": rates}
    write_json(out / "run.json", marked(run, config) | {"offline": about})  # first: no result goes unmarked
    for path, (table, note) in done.items():
        write(out / path.name, table)
        if not args.quiet:
            say(f"{out / path.name}: {note}")
    return OK


def read_config(given: str, overrides: Mapping[str, Any]) -> OfflineConfig:
    """The default, a YAML file, or the default with other passes: names separated by commas.

    Raises:
        InputError: no such file or pass, an unknown key, a value out of range.
    """
    from configs import load_preset
    from tracker.offline import OfflineConfig

    if given == "default" or given.lower().endswith((".yaml", ".yml")):
        return load_preset(given, OfflineConfig, "offline", overrides)
    passes = [name.strip() for name in given.split(",")]
    return load_preset("default", OfflineConfig, "offline", {**overrides, "passes": passes})


def marked(run: Mapping[str, Any], config: OfflineConfig) -> dict[str, Any]:
    """A run's manifest for its results after the passes; --resume of that run will not take them for its own."""
    before = run.get("post_processing") or []
    history = [*(before if isinstance(before, list) else [before]), *config.describe()]
    records = run.get("sequences")
    if isinstance(records, dict):
        run = {**run, "sequences": {n: {**r, "settings_sha256": None} for n, r in records.items()}}
    return {**run, "online": False, "post_processing": history}


def frame_rate(args: argparse.Namespace, name: str, run: Mapping[str, Any]) -> float:
    """Frames a second of one sequence: as said, of its seqinfo.ini, or of the run that tracked it."""
    from configs import InputError
    from tracker.mot_file import read_sequence_info

    if args.fps is not None:
        return float(args.fps)
    if args.sequences is not None:
        return read_sequence_info(Path(args.sequences) / name).fps
    try:
        return float(run["sequences"][name]["fps"])
    except (KeyError, TypeError, ValueError):
        raise InputError(
            f"{name}: frame rate unknown, and durations are seconds; give --sequences DIR or --fps F"
        ) from None


def improved(path: Path, fps: float, config: OfflineConfig) -> tuple[Any, str]:
    """The table of a result file after the passes, and in words what they did."""
    from configs import InputError
    from tracker.mot_file import read_results
    from tracker.offline import improve

    before = read_results(path)
    try:
        after = improve(before, fps, config)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    ids = [len(set(table.id.tolist())) for table in (before, after)]
    return after, f"{len(before)} -> {len(after)} boxes, {ids[0]} -> {ids[1]} tracks"


def write(path: Path, table: Any) -> None:
    from tracker.mot_file import write_results
    from tracker.sinks import writing

    with writing(path):
        write_results(path, table)


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
