"""Disturb tracking, an identity memory and training, and see that nothing is lost: for those who change how results
are written.

    python tools/crash_test.py --kills 100 --out runs/crashes
    python tools/crash_test.py --subjects training --trials disk,twice

kills: SIGKILL at random moments; disk: one that fills; twice: two runs into one folder; readonly: a folder that takes
no files. What is gone on from must equal the undisturbed run to the byte, the video's decoded frames included; of a
memory every tracklet and who it is. Disks are mounted (tmpfs), which needs an administrator; without, a limit on the
size of files stands for a full disk.
"""

from __future__ import annotations

import argparse
import sys

from retrace.tools.terminal.console import OK, Parser, guarded, say
from retrace.tools.terminal.options import names_in

BROKEN = 1


def parser() -> Parser:
    p = Parser(
        prog="crash_test.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--kills", type=int, default=50, metavar="N", help="a subject (default: 50)")
    p.add_argument("--times", type=int, default=6, metavar="N", help="of the other trials (default: 6)")
    p.add_argument("--subjects", default="tracking,memory,training", metavar="NAMES")
    p.add_argument("--trials", default="kills,disk,twice,readonly", metavar="NAMES")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--out", metavar="DIR", help="keep the folders there (default: a temporary one)")
    p.add_argument("--json", metavar="FILE")
    return p


def main(argv: list[str]) -> int:
    args = parser().parse_args(argv)
    from pathlib import Path

    from retrace.configs.files import write_json
    from retrace.tools.crashes.report import crash_test
    from retrace.tools.terminal.options import check_outputs, refuse_below_one

    refuse_below_one(vars(args), ("kills", "times"))
    check_outputs(vars(args), ("json",), ("out",))
    subjects, trials = (names_in(getattr(args, name), name) for name in ("subjects", "trials"))
    found = crash_test(subjects, trials, args.kills, args.times, args.seed, args.out, say)
    if args.json is not None:
        write_json(Path(args.json), found)
    faults = [line for rows in found.values() for row in rows.values() for line in row["faults"]]
    for line in faults:
        say(f"FAULT: {line}")
    say(f"{len(faults)} faults")
    return BROKEN if faults else OK


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
