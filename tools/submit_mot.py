"""Write a MOTChallenge submission, or check one before the server does.

    python tools/submit_mot.py --benchmark MOT17 --results runs/mine --out mine.zip
    python tools/submit_mot.py --check mine.zip [--gt MOT17/train]

MOT17 has 42 files (train and test, three detectors each) or the 21 of the test set, MOT20 8 or 4.
MOT17-02.txt is copied to the three detectors. FILE.manifest.json beside the zip says what it was made with.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from retrace.tools.terminal.console import OK, Parser, as_flags, guarded, say

if TYPE_CHECKING:
    from retrace.eval.mot.submission import Finding

LISTED = 50  # findings that are printed
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
    p = parser()
    args = p.parse_args(argv)
    from retrace.configs import InputError

    if args.check is not None:
        useless = [f"--{name.replace('_', '-')}" for name in WRITING if getattr(args, name) is not None]
        if useless:
            raise InputError(
                f"--check writes nothing, so {', '.join(useless)} would do nothing; leave it out"
            )
        return check_one(Path(args.check), args.benchmark, None if args.gt is None else Path(args.gt))
    missing = [f"--{name}" for name in ("benchmark", "results", "out") if not getattr(args, name)]
    if missing:
        raise InputError(f"missing {', '.join(missing)} (or --check PATH)")
    from retrace.eval.mot.archive import make_submission

    with as_flags(p, which="--set"):
        made = make_submission(
            args.results,
            args.benchmark,
            args.out,
            args.set or "auto",
            args.gt,
            args.detections,
            args.online,
            args.post_processing,
        )
    show(made.findings)
    say(
        f"{made.path}: {len(made.files)} files, {args.benchmark} {made.which}; {made.manifest.name} beside it"
    )
    return OK


def check_one(path: Path, benchmark: str | None, gt: Path | None) -> int:
    """Print every finding; a refusal ends in exit code 2."""
    from retrace.configs import InputError
    from retrace.eval.mot.submission import check

    found = check(path, benchmark, gt)
    show(found)
    refused = [f for f in found if f.refused]
    if refused:
        first = f"{refused[0].file}: {refused[0].text}"
        raise InputError(f"{path}: would be refused for {len(refused)} reason(s), first: {first}")
    say(f"{path}: nothing to refuse{f', {len(found)} warning(s)' if found else ''}")
    return OK


def show(findings: list[Finding]) -> None:
    """A line each, the refusals first; of more than LISTED only their number."""
    for finding in findings[:LISTED]:
        say(str(finding))
    if len(findings) > LISTED:
        say(f"and {len(findings) - LISTED} more")


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
