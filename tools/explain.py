"""Why an identity was kept, lost or switched: the account of one frame, from a run's ledger.

    python tools/track.py SOURCE --save mot,ledger --out RUN
    python tools/explain.py RUN --frame 312 --id 7
    python tools/explain.py RUN --switches
    python tools/explain.py RUN --switches --gt MOT17/train/MOT17-13-FRCNN/gt/gt.txt

Frames count from 1, as in the MOT file; detections from 0, as the detector gave them. --switches lists where
identities probably changed; with --gt where they did, as CLEAR counts them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from retrace.tools.terminal.console import OK, Parser, as_flags, guarded, say

if TYPE_CHECKING:
    from retrace.tracker.ledger.by_identity import History


def parser() -> Parser:
    p = Parser(prog="explain.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("run", metavar="RUN_DIR", help="folder that tools/track.py --save ledger wrote")
    p.add_argument(
        "--source", metavar="NAME", help="which one, if the run has several; --switches: default all"
    )
    p.add_argument("--frame", type=int, metavar="F", help="from 1, as in the MOT file")
    p.add_argument(
        "--id", type=int, metavar="ID", help="as in the MOT file; below 0: a track never confirmed"
    )
    p.add_argument("--switches", action="store_true", help="list identity switches, each with its reason")
    p.add_argument(
        "--gt",
        metavar="FILE|DIR",
        help="gt.txt of the same frames, or folder of sequences: the true switches",
    )
    p.add_argument("--benchmark", metavar="NAME", help="with --gt: whose rules; default: by the name")
    return p


def main(argv: list[str]) -> int:
    p = parser()
    args = p.parse_args(argv)
    check_options(args)
    from retrace.configs import InputError
    from retrace.tracker.ledger.by_identity import find_ledgers, read_history
    from retrace.tracker.ledger.explain import tell_frame
    from retrace.tracker.ledger.file import LedgerFile

    with as_flags(p):
        ledgers = find_ledgers(Path(args.run), args.source)
        if len(ledgers) > 1 and (not args.switches or (args.gt and not Path(args.gt).is_dir())):
            names = ", ".join(ledgers)
            what = f"--gt {args.gt} is of one, and {args.run}" if args.switches else args.run
            raise InputError(f"{what}: has several sources, name one with --source: {names}")
        for path in ledgers.values():
            history = read_history(LedgerFile(path))
            if args.switches:
                lines = switch_lines(history, args.gt, args.benchmark)
            else:
                lines = tell_frame(history, args.frame - 1, args.id)
            for line in [*lines, *offline_note(path)]:
                say(line)
    return OK


def check_options(args: argparse.Namespace) -> None:
    """Refuse what contradicts itself or would do nothing."""
    from retrace.configs import InputError

    both = args.frame is not None and args.id is not None
    if args.switches and (args.frame is not None or args.id is not None):
        raise InputError("--switches is about the whole run: leave --frame and --id out")
    if not args.switches and not both:
        raise InputError("expected --frame F --id ID, or --switches")
    for option in ("gt", "benchmark"):
        if getattr(args, option) is not None and not args.switches:
            raise InputError(f"--{option} does nothing without --switches")
    if args.benchmark and not args.gt:
        raise InputError("--benchmark does nothing without --gt FILE")


def switch_lines(history: History, gt: str | None, benchmark: str | None) -> list[str]:
    """One line a switch, and how many."""
    if gt is None:
        from retrace.tracker.ledger.switches_in_words import likely_switches

        found, kind = likely_switches(history), "likely"
    else:
        from retrace.tools.scoring.true_switches import true_switches

        found, kind = true_switches(history, Path(gt), benchmark), "true (CLEAR's IDSW)"
    lines = [f"frame {switch.frame + 1}: {switch.text}" for switch in found]
    return [*lines, f"{history.file.name}: {len(found)} switches, {kind}; frames count from 1"]


def offline_note(path: Path) -> list[str]:
    """--offline gives identities new numbers after the tracker: say whose these are."""
    name = path.name.split(".ledger.")[0]
    online = path.with_name(f"{name}.online.txt")
    from retrace.configs import InputError
    from retrace.configs.reading import read_json

    try:
        manifest = read_json(path.parent / "run.json")
    except InputError:
        return []
    if manifest.get("online", True):
        return []
    return [f"identities are those of {online.name}: the offline passes may have linked some in {name}.txt"]


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
