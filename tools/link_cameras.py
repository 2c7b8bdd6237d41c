"""Give people one id over cameras that see one place at once, by where they stand on the ground.

    python tools/link_cameras.py --results runs/site --out runs/linked
    python tools/link_cameras.py --results runs/site --out runs/linked --homography ground.yaml
    python tools/eval_mot.py --gt SITE --results runs/linked --multi-camera

RESULTS holds one CAMERA.txt in MOTChallenge format for each of several synchronised cameras (frame 1 is the same moment
in all); OUT gets the same boxes with ids of people. No looks and no calibration are needed where a few people walk
through the views: whose feet fit one ground in all of them is found without labels. Or say it: FILE.yaml is `cameras:
{NAME: {homography: 3 x 3 from pixels to the ground}}`, or `points: [[x, y, X, Y], ...]` instead; OUT/ground.yaml is of
that form.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from retrace.tools.terminal import options
from retrace.tools.terminal.console import OK, Parser, as_flags, guarded, say


def parser() -> Parser:
    p = Parser(
        prog="link_cameras.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--results", required=True, metavar="DIR", help="folder of CAMERA.txt")
    p.add_argument("--out", required=True, metavar="DIR", help="another folder")
    p.add_argument("--cameras", metavar="NAMES", help="only these, separated by commas")
    p.add_argument(
        "--homography", metavar="FILE.yaml", help="pixels to ground; default: learned from RESULTS"
    )
    p.add_argument(
        "--learn-frames", type=int, metavar="N", help="learn from the first N frames; default: all"
    )
    p.add_argument(
        "--sequences",
        metavar="DIR",
        help="DIR/CAMERA/seqinfo.ini says how high pictures are: cut feet do not count",
    )
    p.add_argument("--config", default="default", metavar="NAME|FILE", help="configs/site/NAME.yaml")
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="limit=0.8, for instance")
    p.add_argument("--quiet", action="store_true", help="print errors only")
    return p


def main(argv: list[str]) -> int:
    p = parser()
    args = p.parse_args(argv)
    from retrace.configs import InputError, load_preset
    from retrace.configs.files import write_json
    from retrace.configs.loader import parse_assignments
    from retrace.configs.versions import commit
    from retrace.eval.manifest import read_manifest
    from retrace.tracker.mot_file import write_results
    from retrace.tracker.site import SiteConfig
    from retrace.tracker.site.files import link_folder
    from retrace.tracker.site.ground import write_ground
    from retrace.tracker.sources.address import without_secrets

    results, out = Path(args.results), Path(args.out)
    options.refuse_empty(args, ("results", "out", "homography", "sequences"))
    if out.resolve() == results.resolve():
        raise InputError(f"--out {args.out}: is --results itself; name another folder")
    with as_flags(p):
        config = load_preset(args.config, SiteConfig, "site", parse_assignments(args.set))
        linked = link_folder(
            results,
            config,
            cameras=options.names_in(args.cameras, "cameras"),
            homography=Path(args.homography) if args.homography else None,
            learn_frames=args.learn_frames,
            sequences=Path(args.sequences) if args.sequences else None,
        )
    run = read_manifest(results) or {}
    done = {"pass": "link_cameras", "learned": linked.learned, **config.model_dump()}
    before = run.get("post_processing") or []
    history = [*(before if isinstance(before, list) else [before]), done]
    marks = {"online": False, "post_processing": history}
    # The manifest is written first: no result goes unmarked.
    write_json(
        out / "run.json", run | marks | {"linked": {"arguments": without_secrets(argv), "commit": commit()}}
    )
    write_ground(out / "ground.yaml", linked.ground)
    for name, table in linked.tables.items():
        write_results(out / f"{name}.txt", table)
    if not args.quiet:
        say(f"{out}: {linked.note}")
    return OK


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
