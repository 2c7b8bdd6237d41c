"""Track people through videos.

    python tools/track.py video.mp4 --save mot,video
    python tools/track.py MOT17/train/MOT17-02-FRCNN --detections det/det.txt --tracker bytetrack

Writes OUT/SEQUENCE.txt (MOTChallenge format) and what --save names beside it; OUT/run.json says how.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from retrace.tools.terminal import options
from retrace.tools.terminal.console import INTERRUPTED, OK, Parser, as_flags, be_quiet, guarded

if TYPE_CHECKING:
    from retrace.tracker.run import Job


def parser(files: bool = True) -> Parser:
    """The options; without those that are for files only where cameras are watched."""
    p = Parser(prog="track.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument(
        "source",
        nargs="+",
        help="video file, image folder, MOTChallenge sequence folder, camera index or stream URL"
        if files
        else "camera index or stream URL",
    )
    p.add_argument("--tracker", default="default", metavar="NAME|FILE", help="preset, or a YAML file")
    p.add_argument(
        "--detector",
        default="auto",
        metavar="auto|WEIGHTS|hog|none",
        help="auto: what lies in the cache folder, YOLOX-tiny downloaded once, or OpenCV's HOG; WEIGHTS: an ONNX, "
        "OpenVINO or torch file, or a name that models.py lists",
    )
    p.add_argument(
        "--detector-format", metavar="FAMILY|FILE.yaml", help="of an ONNX file that is not recognised"
    )
    p.add_argument(
        "--conf", type=float, help="lowest score of a box as the detector counts; default: by its family"
    )
    p.add_argument(
        "--detections",
        metavar="FILE",
        help="MOT det.txt or .npz instead of a detector; may be given relative to the sequence folder",
    )
    options.add_looks(p)
    p.add_argument(
        "--camera",
        default="auto",
        metavar="auto|none|METHOD|FILE",
        help="camera motion; METHOD: sparse-flow, orb or ecc; FILE: frame (0-based) and 2x3 warp a line; "
        "auto: gmc.txt in the sequence folder, else sparse-flow where there are images",
    )
    p.add_argument("--classes", metavar="NAMES|all", help="to track; default: people, if the model knows any")
    p.add_argument(
        "--offline",
        nargs="?",
        const="default",
        metavar="PASSES",
        help="improve the whole result at the end (link,reconnect,interpolate,smooth,remove_short or some of them, "
        "or a YAML file; --set offline.KEY=VALUE); NAME.online.txt keeps what the tracker said frame by frame, without "
        "guesses at hidden people",
    )
    p.add_argument("--out", default="runs/track", metavar="DIR", help="default: runs/track")
    options.add_answers(p, files)
    p.add_argument("--memory", metavar="FILE", help="people's ids, also over sources and runs; see memory.py")
    p.add_argument("--memory-camera", metavar="NAME", help="what the memory calls this camera")
    p.add_argument(
        "--memory-config", metavar="NAME|FILE", help="its limits and evidence, configs/memory/NAME.yaml"
    )
    p.add_argument(
        "--homography", metavar="FILE.yaml", help="cameras' ground: people known by place, too (--memory)"
    )
    p.add_argument("--memory-start", type=float, metavar="S", help="time 0 on the memory's clock")
    p.add_argument("--memory-engine", metavar="NAME", help="kept in step with the memory; see search.py")
    p.add_argument("--device", default="auto", metavar="auto|cpu|cuda[:N]")
    p.add_argument(
        "--runtime", default="auto", metavar="auto|onnxruntime|openvino|tensorrt", help="of ONNX files"
    )
    p.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="of the preset, another value"
    )
    if files:
        options.add_files(p)
    p.add_argument("--cluster", metavar="auto|local|ADDRESS", help="on a Ray cluster (docs/scale.md)")
    p.add_argument(
        "--storage", metavar="URL", help="keep checkpoints and results there, too (s3://..., file:///...)"
    )
    p.add_argument("--resume", action="store_true", help="go on from the checkpoint of a stopped run")
    p.add_argument("--quiet", action="store_true", help="print errors only")
    return p


def main(argv: list[str]) -> int:
    p = parser()
    args = p.parse_args(argv)
    with as_flags(p):
        from retrace.tools.runs.runner import open_run, track_all  # heavy: only once the arguments are sound

        if args.quiet:
            be_quiet()
        run = open_run(jobs_of(args), argv, args.quiet, workers(args.workers), args.cluster, args.split)
        track_all(run)
        if run.whole:
            run.refuse_failures()
    return OK if run.whole else INTERRUPTED


def workers(text: str) -> int | None:
    """ "3" -> 3; "auto" -> None: by cores."""
    from retrace.configs import InputError

    if not (text == "auto" or text.isdecimal()):
        raise InputError(f"--workers {text[:40]}: expected a whole number from 1, or auto")
    return None if text == "auto" else int(text)


def jobs_of(args: argparse.Namespace) -> list[Job]:
    """One job a source; nothing is opened yet.

    Raises:
        InputError: an argument that is wrong by itself.
    """
    from dataclasses import fields

    from retrace.configs import InputError
    from retrace.configs.loader import parse_assignments
    from retrace.tracker.run import Job

    told = parse_assignments(args.set)
    offline = {key.removeprefix("offline."): told.pop(key) for key in [*told] if key.startswith("offline.")}
    save = tuple(filter(None, (kind.strip() for kind in args.save.split(","))))
    if not save:
        raise InputError(f"--save {args.save}: expected names separated by commas, such as mot,video")
    given = {one.name: getattr(args, one.name) for one in fields(Job) if hasattr(args, one.name)}
    given |= {"overrides": told, "offline_overrides": offline, "save": save}
    return [Job(**{**given, "source": source}) for source in args.source]


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
