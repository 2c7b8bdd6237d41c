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
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from retrace.tools.terminal.console import OK, Parser, guarded, say

if TYPE_CHECKING:
    from retrace.tracker.ledger.history import History

ENDING = ".ledger.jsonl"
RERUN = "run tools/track.py again with --save mot,ledger"


def parser() -> Parser:
    p = Parser(prog="explain.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("run", metavar="RUN_DIR", help="folder that tools/track.py --save ledger wrote")
    p.add_argument("--source", metavar="NAME", help="which one, if the run has several")
    p.add_argument("--frame", type=int, metavar="F", help="from 1, as in the MOT file")
    p.add_argument(
        "--id", type=int, metavar="ID", help="as in the MOT file; below 0: a track never confirmed"
    )
    p.add_argument("--switches", action="store_true", help="list identity switches, each with its reason")
    p.add_argument("--gt", metavar="FILE", help="gt.txt of the same frames: the true switches")
    p.add_argument("--benchmark", metavar="NAME", help="with --gt: whose rules; default: by the name")
    return p


def main(argv: list[str]) -> int:
    args = parser().parse_args(argv)
    check_options(args)
    path = find_ledger(Path(args.run), args.source)
    from retrace.tracker.ledger.file import LedgerFile
    from retrace.tracker.ledger.history import read_history

    history = read_history(LedgerFile(path))
    if args.switches:
        lines = switch_lines(args, history)
    else:
        lines = frame_lines(args, history)
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


def find_ledger(run: Path, source: str | None) -> Path:
    """The ledger of the one source, or of the one named."""
    from retrace.configs import InputError
    from retrace.configs.errors import nearest

    if not run.is_dir():
        raise InputError(f"{run}: no such folder; expected one that tools/track.py wrote")
    found = {path.name.removesuffix(ENDING): path for path in sorted(run.glob(f"*{ENDING}"))}
    grown = [
        path.name for path in run.glob(f"*{ENDING}.partial") if source in (None, path.name.split(ENDING)[0])
    ]
    if not found and grown:
        raise InputError(f"{run}: {grown[0]} is of a stopped run; tools/track.py --resume ends it")
    if not found:
        raise InputError(f"{run}: holds no ledger; {RERUN}")
    if source is not None:
        if source not in found:
            raise InputError(f"--source {source}: {nearest(source, found)}")
        return found[source]
    if len(found) > 1:
        raise InputError(f"{run}: has several sources, name one with --source: {', '.join(found)}")
    return next(iter(found.values()))


def frame_lines(args: argparse.Namespace, history: History) -> list[str]:
    """The account of --id in --frame."""
    from retrace.configs import InputError
    from retrace.tracker.ledger.explain import FrameStory

    frame = args.frame - 1
    if frame not in history.line:
        first, last = min(history.line) + 1, max(history.line) + 1
        what = "could not be read" if first <= args.frame <= last else f"expected {first} to {last}"
        raise InputError(f"--frame {args.frame}: {what} (frames count from 1)")
    if args.id not in history.ids():
        here = history.seen["id"][history.seen["frame"] == frame]
        close = sorted(here.tolist(), key=lambda other: abs(other - args.id))[:8]
        known = f"nearest in frame {args.frame}: {', '.join(map(str, sorted(close))) or 'nobody is there'}"
        raise InputError(f"--id {args.id}: no such identity in {history.file.name}; {known}")
    return FrameStory(history, frame).lines(args.id)


def switch_lines(args: argparse.Namespace, history: History) -> list[str]:
    """One line a switch, and how many."""
    if args.gt is None:
        from retrace.tracker.ledger.switches import likely_switches

        found, kind = likely_switches(history), "likely"
    else:
        from retrace.tools.scoring.switches import true_switches

        found, kind = true_switches(history, Path(args.gt), args.benchmark), "true (CLEAR's IDSW)"
    lines = [f"frame {switch.frame + 1}: {switch.text}" for switch in found]
    return [*lines, f"{history.file.name}: {len(found)} switches, {kind}; frames count from 1"]


def offline_note(path: Path) -> list[str]:
    """--offline gives identities new numbers after the tracker: say whose these are."""
    name = path.name.removesuffix(ENDING)
    online = path.with_name(f"{name}.online.txt")
    try:
        manifest = json.loads((path.parent / "run.json").read_text())
    except (OSError, ValueError):
        return []
    if not isinstance(manifest, dict) or manifest.get("online", True):
        return []
    return [f"identities are those of {online.name}: the offline passes may have linked some in {name}.txt"]


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
