"""Track people in a real video: get one, do what ``tools/track.py`` does with it, name what came out.

    python tools/demo.py [--out DIR] [--video FILE] [--save LIST] [--verbose] [arguments of track.py]

The video is OpenCV's ``vtest.avi`` (PETS09-S2L1: 795 frames, 768x576), from the first place that has it: the
cache folder ($RETRACE_CACHE, else ~/.cache/retrace), the data folder beside the checkout ($RETRACE_SHARED,
else ../shared), OpenCV's repository, Debian's package opencv-doc. When none answers it is a scene drawn by
``tools/scene.py``. One line says which it was; --verbose also says why the places before it did not serve.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from retrace.tools import track
from retrace.tools.scenes import demo_video
from retrace.tools.terminal.console import OK, Parser, as_flags, guarded


def parser() -> Parser:
    p = Parser(
        prog="demo.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    p.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR", help="default: demo")
    p.add_argument("--video", type=Path, metavar="FILE", help="track this one instead")
    p.add_argument("--save", default="video,mot,sheet", metavar="LIST", help="default: video,mot,sheet")
    p.add_argument("--verbose", action="store_true", help="say why a place did not serve")
    return p


def main(argv: list[str]) -> int:
    p = parser()
    options, extra = p.parse_known_args(argv)

    def note(line: str) -> None:
        if options.verbose:
            print(line, file=sys.stderr)

    if options.video:
        video, origin = options.video, "given"
    else:
        with as_flags(p):
            video, origin = _obtain_visibly(demo_video.video_folder(options.out), note)
    print(f"video: {video}, {origin}", flush=True)
    if code := track.main([str(video), "--save", options.save, "--out", str(options.out), *extra]):
        return code
    return report(video, options.out, options.save)


def _obtain_visibly(cache: Path, note: Callable[[str], None]) -> tuple[Path, str]:
    from rich.console import Console  # slow to import

    with Console(stderr=True).status("getting the demo's video"):  # shows on a terminal only
        return demo_video.obtain(cache, demo_video.PLACES, note)


def report(video: Path, out: Path, save: str) -> int:
    """Name what the tool wrote, in one line; 1 when something it promised is not there."""
    from retrace.tracker.run import ENDINGS

    wanted = [out / (video.stem + ENDINGS[kind]) for kind in save.split(",") if kind in ENDINGS]
    for path in wanted:
        if not path.is_file():
            print(f"{path}: track.py ended well but did not write it", file=sys.stderr)
            return 1
    print(f"done: {', '.join(map(str, wanted))}")
    return OK


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
