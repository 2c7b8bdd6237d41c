"""Does appearance pay on your video? The same boxes tracked blind, with each embedder, and with perfect looks.

    python tools/does_reid_pay.py vtest.avi --gt PETS09-S2L1/gt/gt.txt --detections PETS09-S2L1/det/det.txt
    python tools/does_reid_pay.py MOT15/TUD-Campus MOT15/TUD-Stadtmitte --reid auto --reid mine.onnx --reid auto@video

SOURCE is a video or a sequence folder with img1/; `{name}` in --gt and --detections is the source's name, and a
sequence folder brings its own gt/gt.txt and det/det.txt. `WEIGHTS@frame` and `WEIGHTS@video` look with BatchNorm by the
frame's or the video's own statistics. Intervals are over sequences, or over people of fewer than three. On a short
clip one box more or less decides: --copies 200 says how much is chance.
Without ground truth: track.py says at its end how well the people of a video can be told apart.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from retrace.tools.terminal.console import OK, Parser, as_flags, guarded, say
from retrace.tools.terminal.options import check_ending, check_outputs, write_texts
from retrace.tools.terminal.progress import bar

GAPS = "1f,5f,30f,90f,5s,30s"


def parser() -> argparse.ArgumentParser:
    p = Parser(
        prog="does_reid_pay.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("sources", nargs="+", metavar="SOURCE", help="videos or sequence folders")
    p.add_argument("--gt", metavar="FILE", help="ground truth in MOT format")
    p.add_argument("--detections", metavar="FILE", help="boxes in MOT format")
    p.add_argument(
        "--reid", action="append", metavar="WEIGHTS[@frame|@video]", help="give several; default: auto"
    )
    p.add_argument(
        "--uncalibrated",
        action="store_true",
        help="leave out what the weights' cards say of distances: opens weights whose card is damaged",
    )
    p.add_argument("--tracker", default="default", metavar="NAME|FILE")
    p.add_argument("--benchmark", default="auto", help="whose rules; default: told from the names")
    p.add_argument("--camera", default="none", metavar="none|auto|FILE", help="warps; auto: SOURCE/gmc.txt")
    p.add_argument(
        "--gaps", default=GAPS, metavar="N[s|f],...", help=f"seconds or frames; looks are compared ({GAPS})"
    )
    p.add_argument(
        "--copies", type=int, default=0, metavar="N", help="track N copies of the boxes with noise, too (0)"
    )
    p.add_argument("--device", default="auto", metavar="auto|cpu|cuda[:N]")
    p.add_argument("--json", metavar="FILE")
    p.add_argument("--markdown", metavar="FILE")
    p.add_argument("--plot", metavar="FILE.svg", help="re-association by gap")
    p.add_argument("--quiet", action="store_true", help="print errors only")
    return p


def main(argv: list[str]) -> int:
    p = parser()
    args = p.parse_args(argv)
    check_outputs(vars(args), ("json", "markdown", "plot"))
    check_ending(vars(args), "plot", ".svg")
    from retrace.configs import load_preset
    from retrace.configs.files import write_json
    from retrace.tools.scoring import pay_report
    from retrace.tools.scoring.reid_pay import compare
    from retrace.tools.terminal.tables import show
    from retrace.tracker.config import TrackerConfig

    with as_flags(p):
        gaps = pay_report.read_gaps(args.gaps)
        trials = pay_report.open_trials(args.sources, args.gt, args.detections, args.camera, args.benchmark)
        config = load_preset(args.tracker, TrackerConfig, "tracker")
        embedders = pay_report.open_embedders(args.reid or ["auto"], args.device, args.uncalibrated)
        total = sum(len(trial.boxes) for trial in trials)
        with bar("embed", total, quiet=args.quiet) as advance:
            found = compare(trials, embedders, config, gaps, advance, args.copies)
    sections = pay_report.sections(found, pay_report.early_ends(trials))
    advice = pay_report.advice(found)
    if args.json:
        write_json(Path(args.json), pay_report.as_json(found, sections))
    markdown = "\n".join(section.as_markdown() for section in sections) + f"\n{advice}\n"
    texts = {args.markdown: markdown, args.plot: pay_report.as_svg(found)}
    write_texts({Path(place): told for place, told in texts.items() if place})
    if not args.quiet:
        for section in sections:
            show(section.title, section.texts(), section.notes)
            say("")
        say(advice)
    return OK


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
