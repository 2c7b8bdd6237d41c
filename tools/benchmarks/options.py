"""What each benchmark may be told; `bench.py WHAT --help` shows it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from retrace.tools.terminal.console import Parser


def numbers(text: str) -> list[int]:
    return [*map(int, filter(None, text.split(",")))]


def words(text: str) -> list[str]:
    return text.split(",")


def add_track(p: Parser) -> None:
    p.add_argument("--objects", type=numbers, default="10,50,100,300,1000", metavar="N,N,...")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--video", help="for the stages; default: the demo's video, from wherever it can be had")
    p.add_argument("--detector", default="hog", help="as in track.py")
    p.add_argument("--reid", default="none", help="as in track.py")
    p.add_argument("--frames", type=int, default=100, help="of the video; 0: no stages")
    p.add_argument("--presets", type=words, default="sort,bytetrack,default")
    p.add_argument("--vectors", type=int, default=0, metavar="N", help="numbers of a vector a box (0: none)")
    p.add_argument("--peers", action="store_true", help="run ../shared/bench/run_assoc.py with ours in it")
    p.add_argument("--adapters", default="floor,light,rf", help="the peers; environments: bench/setup.sh")


def add_eval(p: Parser) -> None:
    p.add_argument("--rounds", type=int, default=3)
    work = os.environ.get("BENCH_WORK") or Path(tempfile.gettempdir()) / "retrace-bench"
    p.add_argument("--work", type=Path, default=Path(work), metavar="DIR", help="default: $BENCH_WORK")
    p.add_argument("--bench", type=words, default="MOT17,MOT20")
    p.add_argument("--evaluators", type=words, default="trackeval,motrics,roboflow,ours")
    p.add_argument("--peers-python", metavar="FILE")


def add_reid(p: Parser) -> None:
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--sections", type=words, default="scoring,rerank")
    p.add_argument("--scale", type=float, default=1.0, help="of Market-1501's size")
    p.add_argument("--peers", action="store_true", help="torchreid too, where it is installed")
    p.add_argument("--full", action="store_true", help="torchreid's re-ranking at full size")
    p.add_argument("--distractors", type=int, default=0, metavar="N", help="score with so many more")


def add_embed(p: Parser) -> None:
    p.add_argument("--rounds", type=int, default=9)
    p.add_argument("--weights", type=Path, required=True, metavar="FILE", help="ours or torchreid's .pth")
    p.add_argument("--model", metavar="NAME", help="the network, if a .pth's file name does not contain it")
    p.add_argument("--batch", type=int, default=16, help="crops at a time")
    p.add_argument("--calibration", metavar="DIR", help="person crops: measures int8 too")


def add_train(p: Parser) -> None:
    p.add_argument("--configs", type=words, metavar="NAME,FILE", help="presets of configs/reid, YAML files")
    p.add_argument("--batch", type=int, default=64, help="images of a step")
    p.add_argument("--rounds", type=int, default=5)


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
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--video", required=True, metavar="FILE")
    for name in ("--detector", "--reid"):
        p.add_argument(name, default="auto", help="as in track.py")
    p.add_argument("--frames", type=int, default=100)
    p.add_argument("--threads", type=int, metavar="N", help="that look ahead; default: one a core")
    p.add_argument("--peers", action="store_true", help="Ultralytics, BoxMOT, Roboflow too")
    p.add_argument("--workers", type=numbers, default="", metavar="1,2", help="processes, too")


def add_assign(p: Parser) -> None:
    p.add_argument("--objects", type=numbers, default="10,50,100,300,1000", metavar="N,N,...")
    p.add_argument("--rounds", type=int, default=5)


def add_memory(p: Parser) -> None:
    p.add_argument("--tracklets", type=int, default=20_000, metavar="N")
    p.add_argument("--cameras", type=int, default=20, metavar="N", help="in a ring (20)")
    p.add_argument(
        "--rate",
        type=float,
        default=100.0,
        metavar="N",
        help="tracklets a second (100); 5.8: half a million a day",
    )
    p.add_argument("--dimension", type=int, default=512, metavar="N", help="numbers of a vector (512)")
    p.add_argument(
        "--forget-after", type=float, metavar="S", help="people unseen for so long go; default: nobody"
    )
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--keep", metavar="FILE", help="leave the memory there; default: a temporary one")


def add_engines(p: Parser) -> None:
    p.add_argument("--vectors", type=numbers, default="100000", metavar="N,N,...", help="made up (100000)")
    p.add_argument(
        "--engines", type=words, default="exact,flat,hnsw", metavar="NAME,...", help="see search.py"
    )
    p.add_argument("--dimension", type=int, default=512, metavar="N", help="numbers of a vector (512)")
    p.add_argument("--searches", type=int, default=200, metavar="N", help="in each (200)")
    p.add_argument("--features", metavar="FILE", help="this gallery instead, a features file")
    p.add_argument("--seed", type=int, default=0)


def add_scores(p: Parser) -> None:
    p.add_argument("--detector", required=True, help="as in track.py")
    p.add_argument(
        "--data", type=words, metavar="VIDEO=GT,...", help="with labels; default: the shared folder's four"
    )
    p.add_argument("--every", type=int, default=1, metavar="N", help="look at one frame in so many")
