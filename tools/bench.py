"""Measure speed, side by side in one run: quote the ratios, seconds of a shared machine mean little.

python tools/bench.py track [--video FILE] [--detector ...] [--reid FILE] [--json FILE]
python tools/bench.py pipeline --video FILE [--peers]   the whole of it: ms a stage, frames/s, unit costs
python tools/bench.py track --peers             tracker-only, beside the peers of ../shared/bench
python tools/bench.py assign | eval | page      dense against sparse association; MOT evaluators; the page of an hour
python tools/bench.py reid [--peers]            ReID scoring and re-ranking beside torchreid
python tools/bench.py embed --weights FILE      crops per second of every runtime beside plain torch
python tools/bench.py train [--configs NAME,...]  images per second that networks train on, a step's two ways
python tools/bench.py memory [--tracklets N]    an identity memory: inserts/s, search, size, who is who
python tools/bench.py engines [--vectors N,N]   its vector engines: ms a search, recall, building
python tools/bench.py camera --data DIR         camera motion: cost, error against known pans, effect
python tools/bench.py presets [--data DIR]      what every preset scores on MOT17 val-half, from given boxes
python tools/bench.py scores --detector FILE    what a detector's scores are worth on labelled videos

`bench.py WHAT --help` tells the options of each.
"""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from pathlib import Path

from retrace.tools.benchmarks import options
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
    BENCHES[what][1](p)
    return p


# What is measured -> its file in tools/benchmarks/, whose first lines say how; its options.
BENCHES = {
    "track": ("update", options.add_track),
    "pipeline": ("pipeline", options.add_pipeline),
    "assign": ("assignment", options.add_assign),
    "eval": ("evaluation", options.add_eval),
    "reid": ("ranking", options.add_reid),
    "embed": ("embed", options.add_embed),
    "train": ("training", options.add_train),
    "camera": ("camera", options.add_camera),
    "presets": ("presets", options.add_presets),
    "memory": ("identities", options.add_memory),
    "engines": ("engines", options.add_engines),
    "scores": ("scores", options.add_scores),
    "page": ("page", lambda _: None),
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
        from retrace.configs.versions import commit, versions

        write_json(args.json, {"commit": commit(), "versions": versions(), **found})
    return OK


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
