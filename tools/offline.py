"""Improve tracking results afterwards, over the whole sequence: link, reconnect, interpolate, smooth, remove short.

    python tools/offline.py --results runs/track --out runs/offline
    python tools/offline.py --results theirs --sequences MOT17/train --out better --passes interpolate

Takes any tracker's SEQUENCE.txt in MOTChallenge format. OUT/run.json says that the results are offline and what was
done, so that they are not compared with online ones unawares. MOT files have no classes: several are not kept apart.
Reconnecting needs to know what people look like: from SEQUENCE.looks.npz beside the result (tools/track.py --save
looks), or from --vectors.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from retrace.tools.terminal.console import OK, Parser, as_flags, guarded, say


def parser() -> argparse.ArgumentParser:
    p = Parser(prog="offline.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--results", required=True, metavar="DIR", help="folder of SEQUENCE.txt")
    p.add_argument("--out", required=True, metavar="DIR", help="another folder")
    p.add_argument(
        "--passes",
        default="default",
        metavar="LIST|FILE",
        help="of link,reconnect,interpolate,smooth,remove_short, in the order to run them; or a YAML file like "
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
    p.add_argument(
        "--vectors",
        metavar="FILE",
        help="what people look like: .npz of detections with embedding, as tools/track.py --detections takes them; "
        "{sequence} stands for the name; each box of a result takes the vector of the detection it overlaps most",
    )
    p.add_argument("--quiet", action="store_true", help="print errors only")
    return p


def main(argv: list[str]) -> int:
    options = parser()
    args = options.parse_args(argv)
    from retrace.configs import InputError
    from retrace.configs.files import write_json
    from retrace.configs.loader import parse_assignments
    from retrace.configs.versions import commit
    from retrace.eval.manifest import read_manifest
    from retrace.tracker.offline.files import improve_folder, read_passes, write_table
    from retrace.tracker.run.manifest import marked
    from retrace.tracker.sources.address import without_secrets

    results, out = Path(args.results), Path(args.out)
    if out.resolve() == results.resolve():
        raise InputError(f"--out {args.out}: is --results itself; name another folder")
    with as_flags(options):
        config = read_passes(args.passes, parse_assignments(args.set))
        run = read_manifest(results) or {}
        sequences = Path(args.sequences) if args.sequences else None
        done = improve_folder(results, config, run, fps=args.fps, sequences=sequences, vectors=args.vectors)
    about: dict[str, Any] = {"arguments": without_secrets(argv), "commit": commit()}
    about["fps"] = {name: one.fps for name, one in done.items()}
    about["looks"] = {name: one.known for name, one in done.items()}
    # Everything is done before anything is written, and the manifest is written first: no result goes unmarked.
    write_json(out / "run.json", marked(run, config) | {"offline": about})
    for name, one in done.items():
        path = write_table(out / f"{name}.txt", one.table)
        if not args.quiet:
            say(f"{path}: {one.note}")
    return OK


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
