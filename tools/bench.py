"""Measure speed, side by side in one run: quote the ratios, seconds of a shared machine mean little.

python tools/bench.py track [--video FILE] [--detector ...] [--reid FILE] [--json FILE]
python tools/bench.py pipeline --video FILE [--peers]   the whole of it: ms a stage, frames/s, unit costs
python tools/bench.py track --peers             tracker-only, beside the peers of ../shared/bench
python tools/bench.py assign | eval | page      dense against sparse association; MOT evaluators; the page of an hour
python tools/bench.py reid [--peers]            ReID scoring and re-ranking beside torchreid
python tools/bench.py embed --weights FILE      crops per second of every runtime beside plain torch
python tools/bench.py camera --data DIR         camera motion: cost, error against known pans, effect
python tools/bench.py presets [--data DIR]      what every preset scores on MOT17 val-half, from given boxes
python tools/bench.py scores --detector FILE    what a detector's scores are worth on labelled videos

`bench.py WHAT --help` tells the options of each.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from importlib import import_module
from pathlib import Path

from retrace.tools.terminal.console import OK, Parser, as_flags, guarded, say


def parser() -> Parser:
    p = Parser(prog="bench.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=list(BENCHES))
    return p


def parser_of(what: str, about: str | None) -> Parser:
    """The options of one benchmark."""
    raw = argparse.RawDescriptionHelpFormatter
    p = Parser(prog=f"bench.py {what}", description=about, formatter_class=raw)
    p.add_argument("--json", metavar="FILE", type=Path)
    if what in ("track", "assign"):
        p.add_argument("--objects", type=numbers, default="10,50,100,300,1000", metavar="N,N,...")
    if what in ("track", "pipeline", "assign", "eval", "reid", "embed"):
        p.add_argument("--rounds", type=int, default={"eval": 3, "embed": 9, "pipeline": 3}.get(what, 5))
    BENCHES[what][1](p)
    return p


def numbers(text: str) -> list[int]:
    return [*map(int, filter(None, text.split(",")))]


def words(text: str) -> list[str]:
    return text.split(",")


def add_track(p: Parser) -> None:
    p.add_argument("--video", help="for the stages; default: the demo's video, from wherever it can be had")
    p.add_argument("--detector", default="hog", help="as in track.py")
    p.add_argument("--reid", default="none", help="as in track.py")
    p.add_argument("--frames", type=int, default=100, help="of the video; 0: no stages")
    p.add_argument("--presets", type=words, default="sort,bytetrack,default")
    p.add_argument("--vectors", type=int, default=0, metavar="N", help="numbers of a vector a box (0: none)")
    p.add_argument("--peers", action="store_true", help="run ../shared/bench/run_assoc.py with ours in it")
    p.add_argument("--adapters", default="floor,light,rf", help="the peers; environments: bench/setup.sh")


def add_eval(p: Parser) -> None:
    work = os.environ.get("BENCH_WORK") or Path(tempfile.gettempdir()) / "retrace-bench"
    p.add_argument("--work", type=Path, default=Path(work), metavar="DIR", help="default: $BENCH_WORK")
    p.add_argument("--bench", type=words, default="MOT17,MOT20")
    p.add_argument("--evaluators", type=words, default="trackeval,motrics,roboflow,ours")
    p.add_argument("--peers-python", metavar="FILE")


def add_reid(p: Parser) -> None:
    p.add_argument("--sections", type=words, default="scoring,rerank")
    p.add_argument("--scale", type=float, default=1.0, help="of Market-1501's size")
    p.add_argument("--peers", action="store_true", help="torchreid too, where it is installed")
    p.add_argument("--full", action="store_true", help="torchreid's re-ranking at full size")
    p.add_argument("--distractors", type=int, default=0, metavar="N", help="score with so many more")


def add_embed(p: Parser) -> None:
    p.add_argument("--weights", type=Path, required=True, metavar="FILE", help="ours or torchreid's .pth")
    p.add_argument("--model", metavar="NAME", help="the network, if a .pth's file name does not contain it")
    p.add_argument("--batch", type=int, default=16, help="crops at a time")
    p.add_argument("--calibration", metavar="DIR", help="person crops: measures int8 too")


def add_camera(p: Parser) -> None:
    p.add_argument("--data", type=Path, help="default: the shared folder's")
    p.add_argument("--frames", type=int, default=795, help="of PETS09-S2L1 (795)")
    p.add_argument("--parts", type=words, default="accuracy,speed,effect")


def add_presets(p: Parser) -> None:
    p.add_argument("--data", type=Path, help="sequence folders; default: the shared folder's MOT17-train")
    p.add_argument("--detections", default="det_yolox/det.txt", help="file inside each sequence folder")
    p.add_argument("--least", type=float, default=0.1, help="boxes that score less are not offered")
    p.add_argument("--presets", type=words, default=[], help="default: all")


def add_pipeline(p: Parser) -> None:
    p.add_argument("--video", required=True, metavar="FILE")
    for name in ("--detector", "--reid"):
        p.add_argument(name, default="auto", help="as in track.py")
    p.add_argument("--frames", type=int, default=100)
    p.add_argument("--threads", type=int, metavar="N", help="that look ahead; default: one a core")
    p.add_argument("--peers", action="store_true", help="Ultralytics, BoxMOT, Roboflow too")
    p.add_argument("--workers", type=numbers, default="", metavar="1,2", help="processes, too")


def add_scores(p: Parser) -> None:
    p.add_argument("--detector", required=True, help="as in track.py")
    p.add_argument(
        "--data", type=labelled, metavar="VIDEO=GT,...", help="with labels; default: the shared folder's four"
    )
    p.add_argument("--every", type=int, default=1, metavar="N", help="look at one frame in so many")


def labelled(text: str) -> dict[str, tuple[Path, Path]]:
    """"a.mp4=gt.txt,..." -> name -> (video, ground truth)."""
    pairs = [one.rpartition("=") for one in words(text)]
    if not all(video and truth for video, _, truth in pairs):
        raise argparse.ArgumentTypeError("expected VIDEO=GT.txt, several with commas between them")
    return {Path(video).stem: (Path(video), Path(truth)) for video, _, truth in pairs}


def none(_: Parser) -> None: ...


# What is measured -> its file in tools/benchmarks/, whose first lines say how; its options.
BENCHES = {
    "track": ("update", add_track),
    "pipeline": ("pipeline", add_pipeline),
    "assign": ("assignment", none),
    "eval": ("evaluation", add_eval),
    "reid": ("ranking", add_reid),
    "embed": ("embed", add_embed),
    "camera": ("camera", add_camera),
    "presets": ("presets", add_presets),
    "page": ("page", none),
    "scores": ("scores", add_scores),
}


def main(argv: list[str]) -> int:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    what = parser().parse_args(argv[:1]).what
    home = import_module(f"retrace.tools.benchmarks.{BENCHES[what][0]}")
    p = parser_of(what, home.__doc__)
    args = p.parse_args(argv[1:])
    with as_flags(p):
        if what == "track" and args.peers:
            wanted = (args.objects, args.presets, args.adapters, args.rounds)
            return home.run_peers(*wanted, args.json, args.vectors)
        left_out = ("json", "adapters") + ("peers",) * (what == "track")
        given = {k: v for k, v in vars(args).items() if k not in left_out and v is not None}
        found = home.measure(**given, say=say)
    if args.json:
        from retrace.configs.files import write_json
        from retrace.tools.runs.manifest import commit, versions

        write_json(args.json, {"commit": commit(), "versions": versions(), **found})
    return OK


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
