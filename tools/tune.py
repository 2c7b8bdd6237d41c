"""Tune a tracker preset on your sequences, and say honestly what that is worth.

    python tools/tune.py --tracker bytetrack --data MOT17/train --split val-half --detections det/det.txt \\
        --trials 100 --out runs/tune

Detections (and their vectors, in .npz files) are read once; nothing is detected or embedded here. For every
fold a search of its own (Optuna's TPE) sees the other folds' sequences only, and the held-out ones are then
tracked with what it found: the figure to report. A last search sees all sequences; its best is the preset to
use, and its score on them is optimistic. Searches begin with shared points that are drawn before any score is
known, and with the preset's own values: --cold leaves those out, for a preset that was chosen on the same
sequences. What no cross-validation repairs: ranges, and other values of the preset, that were.

Writes OUT/tuned.yaml (the preset), OUT/folds/*.yaml (each fold's, to check its figure by tools/track.py and
tools/eval_mot.py) and OUT/run.json. The study file goes on where it was stopped, grows with --trials, and may be
worked on by several processes at once: start the same command again. The result is the same in every case.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrace.tools.terminal.console import OK, Parser, guarded, say
from retrace.tools.terminal.progress import bar

if TYPE_CHECKING:
    from retrace.tools.tuning.search import Plan, Tuning

METRICS = ("HOTA", "AssA", "DetA", "IDF1", "MOTA")
BENCHMARKS = ("auto", "MOT15", "MOT16", "MOT17", "MOT20", "DanceTrack", "custom")


def parser() -> Parser:
    p = Parser(prog="tune.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--tracker", default="default", metavar="NAME|FILE", help="the preset to begin from")
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="replace a value of it")
    p.add_argument(
        "--data", required=True, metavar="DIR", help="folder of sequence folders with ground truth"
    )
    p.add_argument(
        "--detections",
        default="det/det.txt",
        metavar="FILE",
        help="det.txt or .npz inside each sequence folder, or a path with {sequence} in it; default: det/det.txt",
    )
    p.add_argument(
        "--camera",
        default="auto",
        metavar="auto|none|FILE",
        help="warps, named likewise; auto: gmc.txt of the sequence folder, where there is one",
    )
    p.add_argument("--split", default="all", choices=("all", "val-half"), help="as in eval_mot.py")
    p.add_argument("--benchmark", default="auto", choices=BENCHMARKS, help="auto: by the sequences' names")
    p.add_argument("--sequences", metavar="NAMES", help="only these, separated by commas")
    p.add_argument(
        "--space",
        metavar="NAME|FILE",
        help="what may vary: configs/tune/NAME.yaml; default: the preset's name",
    )
    p.add_argument("--metric", default="HOTA", choices=METRICS, help="of the sequences combined")
    p.add_argument("--folds", default="leave-one-out", metavar="leave-one-out|K")
    p.add_argument("--trials", type=int, default=100, metavar="N", help="of each search; default: 100")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--cold", action="store_true", help="the preset's own values are no candidate")
    p.add_argument("--study", metavar="FILE.db", help="SQLite file of the trials; default: OUT/study.db")
    p.add_argument("--jobs", type=int, metavar="N", help="processes; default: all cores")
    p.add_argument("--out", default="runs/tune", metavar="DIR", help="default: runs/tune")
    p.add_argument("--quiet", action="store_true", help="print errors only")
    return p


def main(argv: list[str]) -> int:
    args = parser().parse_args(argv)
    check_options(args)
    for library in ("OMP", "OPENBLAS", "MKL"):  # before numpy is loaded: many processes of one thread each
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    from retrace.eval.mot.sequences import available_cores
    from retrace.tools.tuning.clips import workers
    from retrace.tools.tuning.report import conclude
    from retrace.tools.tuning.search import Tuning
    from retrace.tools.tuning.study import StudyFile

    plan, about = make_plan(args)
    out = writable_folder(Path(args.out))
    file = StudyFile(Path(args.study) if args.study else out / "study.db", about)
    jobs = args.jobs or available_cores()
    try:
        with workers(jobs) as executor:
            tuning = Tuning(plan, file)
            preset = tuning.check_preset(executor)
            if not args.quiet:
                announce(args, tuning, jobs)
            with bar("trials", None, args.quiet) as told:
                tuning.run(executor, jobs, told)
            lines = conclude(tuning, executor, preset, args, argv, about, out)
    finally:
        file.close()
    for line in () if args.quiet else lines:
        say(line)
    return OK


def check_options(args: argparse.Namespace) -> None:
    """Refuse what cannot be meant, before anything heavy is loaded."""
    from importlib.util import find_spec

    from retrace.configs import InputError

    for option in ("trials", "jobs"):
        value = getattr(args, option)
        if value is not None and value < 1:
            raise InputError(f"--{option} {value}: expected a whole number from 1")
    if args.seed < 0:
        raise InputError(f"--seed {args.seed}: expected a whole number from 0")
    if args.folds != "leave-one-out" and (not args.folds.isdecimal() or int(args.folds) < 2):
        raise InputError(f"--folds {args.folds}: expected leave-one-out or a number of folds from 2")
    names = [] if args.sequences is None else [name.strip() for name in args.sequences.split(",")]
    if not all(names) or len(set(names)) < len(names):
        raise InputError(f"--sequences {args.sequences!r}: expected different names separated by commas")
    args.names = names
    if find_spec("optuna") is None:
        raise InputError("tuning needs optuna: pip install -e .[tune]")


def make_plan(args: argparse.Namespace) -> tuple[Plan, dict[str, Any]]:
    """What is to be done, and all that its scores depend on.

    Raises:
        InputError: a preset, space, folder or file that is not as it should be.
    """
    from retrace.configs import InputError, load_preset
    from retrace.configs.loader import parse_assignments
    from retrace.eval.mot.preprocess import check_benchmark
    from retrace.eval.mot.sequences import guess_benchmark
    from retrace.tools.runs.manifest import file_hash
    from retrace.tools.tuning.clips import find_clips
    from retrace.tools.tuning.search import Plan
    from retrace.tools.tuning.space import load_space
    from retrace.tracker.config import TrackerConfig

    base = load_preset(args.tracker, TrackerConfig, "tracker", parse_assignments(args.set))
    space = load_space(args.space or Path(args.tracker).stem, base)
    clips = tuple(find_clips(Path(args.data), args.detections, args.camera, args.split, args.names))
    if not clips:
        raise InputError(f"--data {args.data}: no sequence folder with gt/gt.txt in it")
    name = args.benchmark if args.benchmark != "auto" else guess_benchmark(one.name for one in clips)
    check_benchmark(name)
    files = {
        f"{one.name}: {what}": file_hash(path)
        for one in clips
        for what, path in (
            ("truth", one.sequence.gt_path),
            ("detections", one.detections),
            ("warps", one.warps),
        )
        if path is not None
    }
    about = {
        "preset": space.base,
        "space": {key: p.model_dump(mode="json") for key, p in space.parameters.items()},
        "sequences": {one.name: [one.sequence.length, one.sequence.gt_skip, one.fps] for one in clips},
        "files (truth, detections or warps)": files,
        "benchmark": name,
        "metric": args.metric,
        "seed": args.seed,
        "--cold": args.cold,
    }
    searches = make_searches(clips, args.folds)
    return Plan(space, clips, name, args.metric, searches, args.trials, args.seed, args.cold), about


def make_searches(clips: Any, folds: str) -> tuple[Any, ...]:
    """One search for each fold, and one that sees all. Sequences of one video are on the same side.

    Raises:
        InputError: more folds than videos, or one video only.
    """
    from retrace.configs import InputError
    from retrace.tools.tuning.search import Search

    videos = sorted({one.video for one in clips})
    count = len(videos) if folds == "leave-one-out" else int(folds)
    if not 2 <= count <= len(videos):
        raise InputError(
            f"--folds {folds}: {len(videos)} video(s) at hand ({', '.join(videos)}); tuning needs two at least, "
            "and at most as many folds as videos"
        )
    found = []
    for k in range(count):
        held = [one.name for one in clips if one.video in videos[k::count]]
        train = tuple(one.name for one in clips if one.name not in held)
        label = "+".join(videos[k::count])
        name = f"without {label}" if len(label) <= 80 else f"without fold {k + 1} of {count}"
        found.append(Search(name, train, tuple(held)))
    return (*found, Search("all", tuple(one.name for one in clips)))


def writable_folder(folder: Path) -> Path:
    from retrace.configs import InputError

    try:
        (folder / "folds").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {folder}: cannot be made a folder ({error.strerror})") from None
    return folder


def announce(args: argparse.Namespace, tuning: Tuning, jobs: int) -> None:
    plan = tuning.plan
    say(
        f"{len(plan.space.parameters)} values of {args.tracker}, {len(plan.clips)} sequences, "
        f"{len(plan.searches)} searches of {plan.trials} trials, the first {tuning.shared} shared; {jobs} processes"
    )
    if not plan.cold and plan.space.preset_params() is None:
        say("the preset's own values lie outside the space: they are no candidate")
    if tuning.done:
        say(f"{tuning.done} of {tuning.total} trials are there already")


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
