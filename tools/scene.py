"""A street scene drawn here: people-like figures with known identities, for a demo that needs no download.

    python tools/scene.py [--out DIR] [--seconds S] [--fps F] [--people N] [--seed N]

writes DIR/scene.mp4, DIR/scene/gt/gt.txt and DIR/scene/seqinfo.ini, as ``eval_mot.py --gt DIR`` wants it.

The figures are jointed (head, torso, two-part arms and legs), walk with a gait tied to the ground they cover,
hide one another by depth, and differ in clothes. Two of three walk out of the picture, turn round there and
come back in the same clothes. The same seed draws the same bytes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from retrace.tools.terminal.console import OK, Parser, guarded, say


def parser() -> Parser:
    p = Parser(prog="scene.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=Path, default=Path("demo/source"), metavar="DIR")
    p.add_argument("--seconds", type=float, default=16.0)
    p.add_argument("--fps", type=float, default=25.0)
    p.add_argument("--people", type=int, default=8)
    p.add_argument("--seed", type=int, default=0)
    return p


def main(argv: list[str]) -> int:
    args = parser().parse_args(argv)
    from retrace.tools.scenes.drawing import save_scene

    video = save_scene(args.out, args.seconds, args.fps, args.people, args.seed)
    say(f"wrote {video}, ground truth in {video.with_suffix('')}")
    return OK


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
