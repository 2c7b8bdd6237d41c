"""Train a ReID network.

    python tools/train_reid.py --config osnet_x0_25_deploy --data Market-1501 --out runs/mine
    python tools/train_reid.py --resume runs/mine
    torchrun --nproc-per-node 4 tools/train_reid.py --config bot_r50 --data Market-1501 --out runs/mine

Writes OUT/weights.safetensors (the result), OUT/checkpoint.pt (to go on from), OUT/log.csv, OUT/evaluation.csv
and OUT/run.json. An epoch is N // (P * K) iterations; the log counts iterations and images.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from retrace.tools.terminal.console import OK, Parser, guarded

DEFAULT_OUT = "runs/reid"


def parser() -> Parser:
    p = Parser(
        prog="train_reid.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--config", metavar="NAME|FILE", help="preset in configs/reid, or a YAML file")
    p.add_argument(
        "--data", metavar="DIR", help="Market-1501, CUHK03, MSMT17, or a folder or CSV of your own"
    )
    p.add_argument("--out", metavar="DIR", help=f"default: {DEFAULT_OUT}; must not hold another run")
    p.add_argument("--resume", metavar="DIR", help="go on with the run in DIR, with its own preset and data")
    p.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override a preset's value"
    )
    p.add_argument("--device", default="auto", metavar="auto|cpu|cuda[:N]")
    p.add_argument("--threads", type=int, help="CPU threads of torch; default: its own choice, or the run's")
    p.add_argument("--strict", action="store_true", help="a broken image is an error, not skipped")
    p.add_argument("--cache", metavar="DIR", help="of decoded images; default: ~/.cache/retrace/images")
    p.add_argument(
        "--log-every", type=int, default=10, metavar="N", help="iterations between lines of log.csv"
    )
    p.add_argument("--tensorboard", action="store_true", help="write OUT/tensorboard as well")
    p.add_argument("--quiet", action="store_true", help="print errors only")
    return p


def main(argv: list[str]) -> int:
    args = parser().parse_args(argv)
    check_options(args)
    from retrace.tools.runs.training import run  # heavy imports only once the arguments are sound

    run(args, argv)
    return OK


def check_options(args: Any) -> None:
    """Refuse what contradicts itself; fills in ``args.out``."""
    from retrace.configs import InputError

    if args.resume is not None:
        for option in ("config", "data", "out"):
            if getattr(args, option) is not None:
                raise InputError(f"--resume DIR takes --{option} from the run itself; leave it out")
        if args.set:
            raise InputError(
                "--resume DIR goes on with the run's own values; start another run to change them"
            )
        args.out = args.resume
    elif args.config is None or args.data is None:
        raise InputError("expected --config NAME|FILE and --data DIR (or --resume DIR)")
    args.out = Path(args.out or DEFAULT_OUT)
    if args.log_every < 1:
        raise InputError(f"--log-every must be at least 1, got {args.log_every}")
    if args.threads is not None and args.threads < 1:
        raise InputError(f"--threads must be at least 1, got {args.threads}")


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
