"""Write a MOTChallenge submission, or check one before the server does.

    python tools/submit_mot.py --benchmark MOT17 --results runs/mine --out mine.zip
    python tools/submit_mot.py --check mine.zip [--gt MOT17/train]

MOT17 has 42 files (train and test, three detectors each) or the 21 of the test set, MOT20 8 or 4.
MOT17-02.txt is copied to the three detectors. FILE.manifest.json beside the zip says what it was made with.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from retrace.tools.terminal.console import OK, Parser, guarded, write_json

WRITING = ("results", "out", "set", "detections", "online", "post_processing")


def parser() -> argparse.ArgumentParser:
    p = Parser(
        prog="submit_mot.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--check", metavar="PATH", help="a zip or a folder; nothing is written")
    p.add_argument("--benchmark", choices=("MOT17", "MOT20"), help="with --check: by the file names")
    p.add_argument("--results", metavar="DIR", help="folder of SEQUENCE.txt")
    p.add_argument("--out", metavar="FILE.zip")
    p.add_argument("--set", choices=("auto", "all", "test"), help="auto (the default): all if train is there")
    p.add_argument("--gt", metavar="DIR", help="training sequences, to recognise a copied ground truth")
    p.add_argument("--detections", metavar="PATH", help="file or folder whose hash goes into the manifest")
    mode = p.add_mutually_exclusive_group()
    mode.add_argument("--online", dest="online", action="store_true", default=None, help="for the manifest")
    mode.add_argument("--offline", dest="online", action="store_false", default=None)
    p.add_argument("--post-processing", action="append", metavar="TEXT", help="for the manifest; repeatable")
    return p


def main(argv: list[str]) -> int:
    args = parser().parse_args(argv)
    from retrace.configs import InputError

    if args.check is not None:
        useless = [f"--{name.replace('_', '-')}" for name in WRITING if getattr(args, name) is not None]
        if useless:
            raise InputError(
                f"--check writes nothing, so {', '.join(useless)} would do nothing; leave it out"
            )
        return check_one(Path(args.check), args)
    missing = [f"--{name}" for name in ("benchmark", "results", "out") if not getattr(args, name)]
    if missing:
        raise InputError(f"missing {', '.join(missing)} (or --check PATH)")
    return write_one(args)


def check_one(path: Path, args: argparse.Namespace) -> int:
    """Print every finding; a refusal ends in exit code 2."""
    from retrace.configs import InputError
    from retrace.eval.mot.submission import check

    found = check(path, args.benchmark, Path(args.gt) if args.gt is not None else None)
    for finding in found:
        print(finding)
    refused = [f for f in found if f.refused]
    if refused:
        first = f"{refused[0].file}: {refused[0].text}"
        raise InputError(f"{path}: would be refused for {len(refused)} reason(s), first: {first}")
    print(f"{path}: nothing to refuse{f', {len(found)} warning(s)' if found else ''}")
    return OK


def write_one(args: argparse.Namespace) -> int:
    """Collect, write, check, and only then give the archive its name."""
    from retrace.configs import InputError
    from retrace.eval.mot.submission import check, collect, write_archive

    out = Path(args.out)
    if out.suffix != ".zip":
        raise InputError(f"--out {out}: expected a name that ends in .zip")
    files, which = collect(Path(args.results), args.benchmark, args.set or "auto")
    about = manifest(args, files, which)
    beside = out.with_suffix(".manifest.json")
    partial = out.with_name(out.name + ".partial")
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        write_archive(partial, files)
        found = check(partial, args.benchmark, Path(args.gt) if args.gt is not None else None)
        refused = [f for f in found if f.refused]
        if refused:
            where = files.get(refused[0].file, refused[0].file)
            raise InputError(f"{where}: {refused[0].text} ({len(refused)} reason(s) in all)")
        partial.replace(out)
        write_json(beside, about)
    except OSError as error:
        raise InputError(f"{error.filename or out}: cannot be written ({error.strerror})") from None
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    for finding in found:
        print(finding)
    print(f"{out}: {len(files)} files, {args.benchmark} {which}; {beside.name} beside it")
    return OK


def manifest(args: argparse.Namespace, files: dict[str, Path], which: str) -> dict[str, Any]:
    """Parameters, detections' hash, online or offline, post-processing: from the run and the options."""
    from retrace.configs import InputError
    from retrace.eval.manifest import COMPARED, facts, files_hash, read_manifest

    run = read_manifest(Path(args.results)) or {}
    about: dict[str, Any] = {"benchmark": args.benchmark, "set": which, "parameters": run}
    about |= dict.fromkeys(COMPARED) | facts(run)
    if args.detections:
        root = Path(args.detections)
        paths = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.is_file())
        if not paths:
            raise InputError(f"--detections {root}: no such file, or a folder without files")
        about["detections"] = files_hash(paths)
    if args.online is not None:
        about["online"] = args.online
    if args.post_processing:
        about["post_processing"] = args.post_processing
    about["files"] = {
        name: {"from": source.name, "sha256": hashlib.sha256(source.read_bytes()).hexdigest()}
        for name, source in sorted(files.items())
    }
    return about


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
