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
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from retrace.tools.terminal.console import OK, Parser, as_flags, guarded, say
from retrace.tools.terminal.progress import bar

if TYPE_CHECKING:
    from retrace.reid.training.progress import Progress

DEFAULT_OUT = "runs/reid"
EVERY = 10.0  # s between lines where there is no terminal


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
    p = parser()
    args = p.parse_args(argv)
    check_options(args)
    from retrace.configs import load_preset
    from retrace.configs.loader import parse_assignments
    from retrace.configs.versions import commit, versions
    from retrace.eval.ranking import evaluate_ranking
    from retrace.reid.config import TrainConfig
    from retrace.reid.training.fit import fit  # heavy imports only once the arguments are sound

    what: dict[str, Any] = {"resume": args.resume}
    with as_flags(p), Shown(args.quiet) as shown:
        if args.resume is None:
            config = load_preset(args.config, TrainConfig, "reid", parse_assignments(args.set))
            record = {"command": ["tools/train_reid.py", *argv], "commit": commit(), "versions": versions()}
            what = {"config": config, "data": args.data, "out": args.out, "record": record}
        fit(
            **what,
            evaluate=evaluate_ranking,
            device=args.device,
            threads=args.threads,
            strict=args.strict,
            cache=args.cache,
            log_every=args.log_every,
            tensorboard=args.tensorboard,
            on_progress=shown,
        )
    return OK


class Shown:
    """Progress on a terminal as a bar for each stage; elsewhere notes, and a line every EVERY seconds."""

    def __init__(self, quiet: bool) -> None:
        self.quiet, self.stage, self.last = quiet, "", time.monotonic()
        self.bar: Any = None
        self.open = ExitStack()

    def __enter__(self) -> Shown:
        return self

    def __exit__(self, *error: Any) -> None:
        self.open.close()

    def __call__(self, progress: Progress) -> None:
        if self.quiet:
            return
        if progress.note:
            say(progress.note)
            return
        if progress.stage != self.stage:
            self.open.close()
            self.stage = progress.stage
            self.bar = self.open.enter_context(bar(self.stage, progress.total))
        self.bar(progress.done, progress.total, line(progress) if progress.epoch else self.stage)
        if progress.epoch and not sys.stderr.isatty() and time.monotonic() - self.last >= EVERY:
            self.last = time.monotonic()
            say(f"iteration {progress.done} of {progress.total}: {line(progress)}, {left(progress)} left")


def line(progress: Progress) -> str:
    """Where a training is, in a few words."""
    score = progress.figures.get("mAP")
    return (
        f"epoch {progress.epoch:.1f}, loss {progress.loss:.3f}, learning rate {progress.rate:.2g}, "
        f"{progress.images_per_s:.0f} images/s"
        + (f", last mAP {100 * score:.1f}" if score is not None else "")
    )


def left(progress: Progress) -> str:
    minutes, seconds = divmod(round(progress.seconds_left), 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min {seconds:02} s"


def check_options(args: argparse.Namespace) -> None:
    """Refuse what contradicts itself."""
    from retrace.configs import InputError

    if args.resume is not None:
        for option in ("config", "data", "out"):
            if getattr(args, option) is not None:
                raise InputError(f"--resume DIR takes --{option} from the run itself; leave it out")
        if args.set:
            raise InputError(
                "--resume DIR goes on with the run's own values; start another run to change them"
            )
    elif args.config is None or args.data is None:
        raise InputError("expected --config NAME|FILE and --data DIR (or --resume DIR)")


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
