"""Cut people out of MOTChallenge ground truth or results: a ReID set of your own video.

    python tools/mot_crops.py MOT17/train --out crops
    python tools/mot_crops.py MOT15/train/PETS09-S2L1 --video PETS09-S2L1=vtest.avi --out crops
    python tools/mot_crops.py runs/track/door.txt --video door=door.mp4 --out crops

Writes OUT/images.csv (path,id,camera,split,frame,visibility), which train_reid.py and eval_reid.py read with
--data OUT, and the crops it names. A person is SEQUENCE/ID; the three detector copies of a MOT17 sequence count
once. Left out: whatever is no pedestrian or not to be considered, and what the filters below say. Of results
(track.py's NAME.txt) every track is a person: who was lost and found again is two, and a switch is in the crops.

Every sequence is split in time, at --cut of its length, and no person is on both sides:
  train            people first seen before the cut, up to the cut (later images of them are dropped);
                   camera = SEQUENCE
  query, gallery   people first seen after it. Nobody is seen by two cameras here, so the two halves of each
                   person's time in the picture, at least --gap seconds apart, stand for two: camera =
                   SEQUENCE/early and SEQUENCE/late. The middle image of each half is a query, the others are
                   gallery; who is too short for two halves is gallery only, somebody to be confused with.
That asks "is it the same person, a while later, in the same view?": easier than a set of several real
cameras, and what a tracker needs. Somebody who leaves and comes back under a new id counts as two people, and
may then be on both sides of the cut (PETS09-S2L1 has that): where it matters, test on another sequence.
"""

from __future__ import annotations

import argparse
import sys

from retrace.tools.terminal.console import OK, Parser, as_flags, guarded, say
from retrace.tools.terminal.progress import bar


def parser() -> argparse.ArgumentParser:
    p = Parser(prog="mot_crops.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument(
        "sequence",
        nargs="+",
        help="sequence folder (gt/gt.txt, seqinfo.ini), a folder of them, or results, NAME.txt",
    )
    p.add_argument("--out", required=True, metavar="DIR", help="must not be there yet")
    p.add_argument(
        "--video",
        action="append",
        default=[],
        metavar="SEQUENCE=FILE",
        help="frames, where there is no img1/, and of results",
    )
    p.add_argument("--min-visibility", type=float, default=0.3, metavar="SHARE", help="default: 0.3")
    p.add_argument("--min-height", type=float, default=48, metavar="PX", help="default: 48")
    p.add_argument("--every", type=int, default=5, metavar="FRAMES", help="one frame in so many; default: 5")
    p.add_argument("--cut", type=float, default=0.5, metavar="SHARE", help="for training, 0..1; default: 0.5")
    p.add_argument("--gap", type=float, default=1.0, metavar="SECONDS", help="default: 1")
    return p


def main(argv: list[str]) -> int:
    p = parser()
    args = p.parse_args(argv)
    files = videos(args.video)
    from retrace.reid.data.sets import read_reid_set
    from retrace.tracker.outputs.crop_choice import CropFilter
    from retrace.tracker.outputs.crops import cut_crops

    with as_flags(p):
        wish = CropFilter(args.min_visibility, args.min_height, args.every, args.cut, args.gap)
        cut_crops(args.sequence, args.out, wish, files, say, bar)
    for note in read_reid_set(args.out, "csv").notes:
        say(note)
    return OK


def videos(pairs: list[str]) -> dict[str, str]:
    """--video SEQUENCE=FILE, by sequence."""
    from retrace.configs import InputError

    found = {}
    for pair in pairs:
        name, equals, file = pair.partition("=")
        if not (name and equals and file):
            raise InputError(f"--video {pair}: expected SEQUENCE=FILE")
        if name in found:
            raise InputError(f"--video {pair}: {name} has a video already")
        found[name] = file
    return found


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
